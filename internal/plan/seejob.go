package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/steps/jobscript"
)

// seeJob compares what a job asks for with what the system has.
func (p *Plan) seeJob(s *Step, j *Job, site *Site, now time.Time) {
	if j == nil {
		return
	}
	switch scheduler := strings.ToLower(site.Scheduler); scheduler {
	case "", string(jobscript.Slurm), string(jobscript.PBS):
	default:
		p.add(s, "system", Finding{
			Severity: Error, Code: WrongScheduler, Message: fmt.Sprintf("%s runs %s; jobs can be submitted to Slurm and PBS", site.Name, scheduler),
		})
		return
	}
	p.seePartition(s, j, site)
	p.seeAccount(s, j, site)
	p.seeReservation(s, j, site, now)
	p.seeMaintenance(s, j, site, now)
}

// seePartition: of a list of partitions one with enough nodes is enough. The others
// are told, since a site may refuse a job that not all of them could run.
func (p *Plan) seePartition(s *Step, j *Job, site *Site) {
	if _, failed := site.Failed["partitions"]; failed || j.Partition == "" {
		return
	}
	var known []string
	for _, partition := range site.Partitions {
		known = append(known, partition.Name)
	}
	input := j.from["partition"]
	var small []Partition
	fits := false
	for name := range strings.SplitSeq(j.Partition, ",") {
		i := slices.Index(known, name)
		if i < 0 {
			fits = fits || site.missing() != Error
			p.add(s, input, Finding{
				Severity: site.missing(), Code: UnknownPartition, Message: fmt.Sprintf("%s has no partition %q", site.Name, name),
				Hint: meant(name, known, "it has"),
			})
			continue
		}
		partition := site.Partitions[i]
		if !partition.Up {
			p.add(s, input, Finding{
				Severity: Warning, Code: PartitionDown,
				Message: fmt.Sprintf("partition %s of %s is %s: it starts no jobs now", name, site.Name, strings.ToLower(partition.State)),
			})
		}
		if partition.Nodes > 0 && j.Nodes > partition.Nodes {
			small = append(small, partition)
		} else {
			fits = true
		}
	}
	severity := Error
	if fits {
		severity = Warning
	}
	for _, partition := range small {
		p.add(s, j.from["nodes"], Finding{
			Severity: severity, Code: PartitionTooSmall,
			Message: fmt.Sprintf("partition %s of %s has %d of the %d nodes that the job asks for", partition.Name, site.Name, partition.Nodes, j.Nodes),
		})
	}
}

func (p *Plan) seeAccount(s *Step, j *Job, site *Site) {
	account := j.Account
	if account == "" || len(site.Accounts) == 0 || slices.Contains(site.Accounts, account) {
		return
	}
	p.add(s, j.from["account"], Finding{
		Severity: site.missing(), Code: UnknownAccount, Message: fmt.Sprintf("%s has no account %q on %s", site.User, account, site.Name),
		Hint: meant(account, site.Accounts, "there are"),
	})
}

// seeReservation: the job must fit between now, or the beginning of its
// reservation, and the end of that.
func (p *Plan) seeReservation(s *Step, j *Job, site *Site, now time.Time) {
	if _, failed := site.Failed["reservations"]; failed || j.Reservation == "" {
		return
	}
	var known []string
	for _, r := range site.Reservations {
		known = append(known, r.Name)
	}
	i := slices.Index(known, j.Reservation)
	input := j.from["reservation"]
	if i < 0 {
		p.add(s, input, Finding{
			Severity: site.missing(), Code: UnknownReservation, Message: fmt.Sprintf("%s has no reservation %q", site.Name, j.Reservation),
			Hint: meant(j.Reservation, known, "it has"),
		})
		return
	}
	r := site.Reservations[i]
	begin := now
	if r.Start.After(now) {
		begin = r.Start
		p.add(s, input, Finding{
			Severity: Warning, Code: ReservationLater,
			Message: fmt.Sprintf("reservation %s begins at %s: the job waits for it", r.Name, instant(r.Start)),
		})
	}
	if begin.Add(j.Time).After(r.End) {
		p.add(s, input, Finding{
			Severity: Error, Code: ReservationOver,
			Message: fmt.Sprintf("reservation %s ends at %s, too early for a job%s", r.Name, instant(r.End), of(j.Time)),
		})
	}
}

// seeMaintenance: schedulers start no job that would not end before.
func (p *Plan) seeMaintenance(s *Step, j *Job, site *Site, now time.Time) {
	for _, r := range site.Reservations {
		active := !r.Start.After(now)
		if !IsMaintenance(r.Name) || r.Name == j.Reservation || !r.End.After(now) || !active && !now.Add(j.Time).After(r.Start) {
			continue
		}
		message := fmt.Sprintf("a job%s would not end before maintenance %s at %s: where that takes its nodes it waits until %s",
			of(j.Time), r.Name, instant(r.Start), instant(r.End))
		hint := "ask for less time to run before it"
		if active {
			message, hint = fmt.Sprintf("%s is in maintenance %s until %s", site.Name, r.Name, instant(r.End)), ""
		}
		p.add(s, j.from["time"], Finding{Severity: Warning, Code: Maintenance, Message: message, Hint: hint})
	}
}

// of reads " of 6h"; nothing where no wall time is asked for.
func of(walltime time.Duration) string {
	if walltime == 0 {
		return ""
	}
	return " of " + short(walltime)
}

// short writes a wall time without the zeros that Go would end it with: 6h, 1h30m.
func short(d time.Duration) string {
	text := d.String()
	for _, end := range [][2]string{{"m0s", "m"}, {"h0m", "h"}} {
		if cut, ok := strings.CutSuffix(text, end[0]); ok {
			text = cut + end[1]
		}
	}
	return text
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
