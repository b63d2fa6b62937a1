package steps

import (
	"context"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

type reservationsIn struct{ onSystem }

type reservationsOut struct {
	Reservations []reservationFacts `json:"reservations" doc:"The reservations, in the order of the scheduler."`
}

type reservationFacts struct {
	Name    string `json:"name" doc:"Its name."`
	Active  bool   `json:"active" doc:"Whether it is in force."`
	StartAt string `json:"start_at" doc:"Start, RFC 3339 in UTC; empty if it is not known."`
	EndAt   string `json:"end_at" doc:"End, likewise."`
	Nodes   string `json:"nodes" doc:"Its nodes, as the scheduler abbreviates them."`
}

func reservations() stepType {
	return define[reservationsIn, reservationsOut](workflow.StepSpec{
		Name: "reservations", Group: groupStatus,
		Summary:    "Lists the reservations of a system",
		Doc:        "Maintenance windows are among them. Servers before 2.5.4 do not say which are in force; then their times decide.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: windows
  uses: reservations
`,
	}, operation(listReservations))
}

func listReservations(ctx context.Context, c *call, _ reservationsIn) (reservationsOut, error) {
	list, err := c.client().Status.Reservations(ctx, c.system())
	if err != nil {
		return reservationsOut{}, err
	}
	out := reservationsOut{Reservations: []reservationFacts{}}
	now := time.Now()
	for _, r := range list {
		active := r.State == "active"
		if r.State == "" {
			active = now.After(r.Start) && now.Before(r.End)
		}
		out.Reservations = append(out.Reservations, reservationFacts{r.Name, active, timeText(r.Start), timeText(r.End), r.Nodes})
	}
	return out, nil
}
