package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/plan"
)

func newSystemsShowCommand(a *app) *cobra.Command {
	o := systemsOptions{output: newOutput()}
	c := &cobra.Command{
		Use: "show [SYSTEM]", Short: "Show a system: services, files, limits, partitions, reservations, nodes",
		Long: `Shows what the service tells of a system at this moment: the scheduler, the
health of each service, the file systems, how large files are moved and up to
which size they go directly, partitions, reservations and maintenance, a summary
of the nodes, and who you are there. Without SYSTEM it is the one of the settings.`,
		Example: "  fcflow systems show daint\n  fcflow systems show daint --output json",
	}
	addSandbox(c, &o.sandbox)
	o.output.add(c)
	c.ValidArgsFunction = a.completeSystems(&o)
	return a.command(c, func(c *cobra.Command, args []string) error { return runSystemsShow(c.Context(), a, args, o) })
}

// shownSite is a system with everything that is known of it. Its JSON form is a
// contract that only grows.
type shownSite struct {
	shownSystem
	User         *shownUser         `json:"user,omitempty"`
	Partitions   []shownPartition   `json:"partitions"`
	Reservations []shownReservation `json:"reservations"`
	Nodes        shownNodes         `json:"nodes"`
	// Unavailable says of user, partitions, reservations and nodes why they could
	// not be had.
	Unavailable map[string]string `json:"unavailable,omitempty"`
}

type shownUser struct {
	Name     string         `json:"name"`
	Group    string         `json:"group"`
	Groups   []string       `json:"groups"`
	Accounts []shownAccount `json:"accounts"`
}

type shownAccount struct {
	Name    string `json:"name"`
	Default bool   `json:"default"`
}

type shownPartition struct {
	Name   string   `json:"name"`
	Up     bool     `json:"up"`
	States []string `json:"states"`
	Nodes  int64    `json:"nodes,omitempty"`
	CPUs   int64    `json:"cpus,omitempty"`
}

type shownReservation struct {
	Name        string    `json:"name"`
	Nodes       string    `json:"nodes"`
	StartsAt    time.Time `json:"starts_at"`
	EndsAt      time.Time `json:"ends_at"`
	State       string    `json:"state,omitempty"`
	Features    []string  `json:"features,omitempty"`
	Maintenance bool      `json:"maintenance"` // as its name says
}

// shownNodes counts nodes; one with several states counts for each.
type shownNodes struct {
	Total  int            `json:"total"`
	States map[string]int `json:"states"`
	CPUs   int64          `json:"cpus"`
}

func runSystemsShow(ctx context.Context, a *app, args []string, o systemsOptions) error {
	s, v, err := a.openService(ctx, o.sandbox)
	if err != nil {
		return err
	}
	name := slices.Concat(args, []string{s.Text("system")})[0]
	if name == "" {
		return errors.Join(withHint(fmt.Errorf("%w: SYSTEM is missing", errUsage), "fcflow systems list names them"), v.close())
	}
	site, err := v.site(ctx, name)
	if err := errors.Join(serviceError(v, err), v.close()); err != nil {
		return err
	}
	shown := describeSite(site, v.client.ServerVersion())
	switch o.output.format() {
	case formatJSON:
		return a.streams.Out.JSON(shown)
	case formatName:
		a.streams.Out.Printf("%s\n", shown.Name)
	default:
		a.printSite(&shown, time.Now())
	}
	return nil
}

// site asks for everything about one system.
func (v *service) site(ctx context.Context, name string) (*siteFacts, error) {
	systems, err := v.client.Status.Systems(ctx)
	if err != nil {
		return nil, err
	}
	system, err := findSystem(systems, name)
	if err != nil {
		return nil, err
	}
	site := askSite(ctx, v.client, *system, askUser, askPartitions, askReservations, askNodes)
	return site, errors.Join(context.Cause(ctx), site.loginProblem())
}

func describeSite(f *siteFacts, version string) shownSite {
	shown := shownSite{
		shownSystem: describeSystem(&f.system, version), User: describeUser(f.user),
		Partitions: []shownPartition{}, Reservations: []shownReservation{}, Nodes: countNodes(f.nodes),
	}
	for _, p := range f.partitions {
		shown.Partitions = append(shown.Partitions, shownPartition{p.Name, p.IsUp(), append([]string{}, p.States...), p.Nodes, p.CPUs})
	}
	for _, r := range f.reservations {
		shown.Reservations = append(shown.Reservations, shownReservation{
			r.Name, r.Nodes, r.Start.UTC(), r.End.UTC(), r.State, r.Features, plan.IsMaintenance(r.Name),
		})
	}
	slices.SortStableFunc(shown.Reservations, func(p, q shownReservation) int { return p.StartsAt.Compare(q.StartsAt) })
	for what, err := range f.failed {
		if shown.Unavailable == nil {
			shown.Unavailable = map[string]string{}
		}
		shown.Unavailable[what] = err.Error()
	}
	return shown
}

func describeUser(u *firecrest.UserInfo) *shownUser {
	if u == nil {
		return nil
	}
	shown := &shownUser{Name: u.User.Name, Group: u.Group.Name, Groups: []string{}, Accounts: []shownAccount{}}
	for _, g := range u.Groups {
		shown.Groups = append(shown.Groups, g.Name)
	}
	for _, account := range u.Accounts {
		shown.Accounts = append(shown.Accounts, shownAccount{account.Name, account.Default})
	}
	return shown
}

func countNodes(nodes []firecrest.Node) shownNodes {
	n := shownNodes{Total: len(nodes), States: map[string]int{}}
	for _, node := range nodes {
		n.CPUs += node.CPUs
		for _, state := range node.States {
			n.States[state]++
		}
	}
	return n
}

func (a *app) printSite(s *shownSite, now time.Time) {
	out := a.streams.Out
	title := "  " + s.Scheduler.text()
	if s.Scheduler.ConnectionMode != "" {
		title += " (" + s.Scheduler.ConnectionMode + ")"
	}
	if s.ServerVersion != "" {
		title += ", behind FirecREST " + s.ServerVersion
	}
	out.Println(console.Text{S: s.Name, Style: console.Bold}, console.Say(title))
	if s.User != nil {
		out.Println(console.Say(fmt.Sprintf("you are %s, group %s, accounts %s", s.User.Name, s.User.Group, s.User.accounts())))
	}
	a.printMaintenance(s, now)
	a.printHealth(s, now)

	out.Println()
	out.Println(console.Text{S: "file systems", Style: console.Bold})
	for _, f := range s.FileSystems {
		text := fmt.Sprintf("  %s  %s", f.Path, f.DataType)
		if f.DefaultWorkdir {
			text += ", default work directory"
		}
		out.Println(console.Say(text))
	}
	out.Println()
	out.Println(console.Text{S: "transfers", Style: console.Bold})
	out.Println(console.Say(fmt.Sprintf("  direct  up to %s there, %s back", console.Bytes(s.MaxUploadBytes), console.Bytes(s.MaxDownloadBytes))))
	out.Println(console.Say("  larger  " + s.larger()))
	a.printPartitions(s)
	a.printReservations(s, now)
	out.Println()
	out.Println(console.Text{S: "nodes", Style: console.Bold})
	out.Println(console.Say("  " + s.nodes()))
	if why, ok := s.Unavailable[askUser]; ok {
		out.Println(console.Text{S: "user  ", Style: console.Bold}, console.Say("not known: "+why))
	}
}

// accounts reads as a list; that a service which names none has none is not said.
func (u *shownUser) accounts() string {
	if len(u.Accounts) == 0 {
		return "not told"
	}
	var names []string
	for _, account := range u.Accounts {
		name := account.Name
		if account.Default && len(u.Accounts) > 1 {
			name += " (default)"
		}
		names = append(names, name)
	}
	return joinNames(names)
}

// larger says how files above the direct limits are moved.
func (s *shownSystem) larger() string {
	t := s.Transfer
	switch {
	case t == nil && tellsTransfer(s.ServerVersion):
		return "not possible"
	case t == nil:
		return "the server does not tell"
	}
	text := t.Method
	if t.PartBytes > 0 {
		text += ", parts of " + console.Bytes(t.PartBytes)
	}
	if life, err := time.ParseDuration(t.URLLifetime); err == nil {
		text += ", URLs live " + console.Duration(life)
	}
	if s.AccountRequired {
		text += "; jobs that move files need an account"
	}
	return text
}

func (s *shownSite) nodes() string {
	if why, ok := s.Unavailable[askNodes]; ok {
		return "not known: " + why
	}
	var states []string
	for _, state := range slices.Sorted(maps.Keys(s.Nodes.States)) {
		states = append(states, fmt.Sprintf("%d %s", s.Nodes.States[state], strings.ToLower(state)))
	}
	return fmt.Sprintf("%s, %s: %s", count(s.Nodes.Total, "node"), count(int(s.Nodes.CPUs), "CPU"), joinNames(states))
}

// printMaintenance says when the machine is, or will be, taken away.
func (a *app) printMaintenance(s *shownSite, now time.Time) {
	for _, r := range s.Reservations {
		if !r.Maintenance || !r.EndsAt.After(now) {
			continue
		}
		text := fmt.Sprintf("maintenance from %s to %s (%s)", instant(r.StartsAt), instant(r.EndsAt), r.Name)
		if r.StartsAt.Before(now) {
			text = fmt.Sprintf("in maintenance until %s (%s)", instant(r.EndsAt), r.Name)
		}
		a.streams.Out.Println(console.Text{S: "! " + text, Style: console.Yellow})
	}
}

func instant(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

func (a *app) printHealth(s *shownSite, now time.Time) {
	out := a.streams.Out
	out.Println()
	out.Println(console.Text{S: "health", Style: console.Bold})
	if len(s.Health) == 0 {
		out.Println(console.Say("  not probed"))
	}
	for _, h := range s.Health {
		symbol, note := console.Text{S: "  ✓ ", Style: console.Green}, ""
		if !h.Healthy {
			symbol, note = console.Text{S: "  ✗ ", Style: console.Red}, "  "+h.Message
		}
		if ago := console.Ago(h.CheckedAt, now); ago != "" {
			note += "  probed " + ago
		}
		out.Println(symbol, console.Say(h.name()), console.Text{S: note, Style: console.Dim})
	}
}

func (a *app) printPartitions(s *shownSite) {
	out := a.streams.Out
	out.Println()
	out.Println(console.Text{S: "partitions", Style: console.Bold})
	switch why, failed := s.Unavailable[askPartitions]; {
	case failed:
		out.Println(console.Say("  not known: " + why))
	case len(s.Partitions) == 0:
		out.Println(console.Say("  none"))
	}
	for _, p := range s.Partitions {
		style := console.Regular
		if !p.Up {
			style = console.Yellow
		}
		text := fmt.Sprintf("  %s  %s", p.Name, strings.ToLower(joinNames(p.States)))
		if p.Nodes > 0 {
			text += ", " + count(int(p.Nodes), "node")
		}
		out.Println(console.Text{S: text, Style: style})
	}
}

func (a *app) printReservations(s *shownSite, now time.Time) {
	out := a.streams.Out
	out.Println()
	out.Println(console.Text{S: "reservations", Style: console.Bold})
	switch why, failed := s.Unavailable[askReservations]; {
	case failed:
		out.Println(console.Say("  not known: " + why))
	case len(s.Reservations) == 0:
		out.Println(console.Say("  none"))
	}
	for _, r := range s.Reservations {
		text := fmt.Sprintf("  %s  %s to %s, nodes %s", r.Name, instant(r.StartsAt), instant(r.EndsAt), r.Nodes)
		if !r.EndsAt.After(now) {
			text += ", over"
		}
		out.Println(console.Say(text))
	}
}
