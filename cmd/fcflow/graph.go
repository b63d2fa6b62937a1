package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/dagsvg"
	"github.com/fcflow/fcflow/workflow"
)

type graphOptions struct {
	target string
	format choice
}

func newGraphCommand(a *app) *cobra.Command {
	o := graphOptions{format: newChoice("text", "svg", "dot", "mermaid")}
	c := &cobra.Command{
		Use:   "graph FILE|RUN",
		Short: "Draw the steps of a workflow file or a run",
		Long: `Draws what depends on what. Of a run the drawing shows the state of each step.
An argument that is a file, or ends in .yaml or .yml, is a workflow file.`,
		Example:           "  fcflow graph examples/workflows/quickstart.yaml\n  fcflow graph last --format svg > run.svg",
		ValidArgsFunction: a.completeGraph,
	}
	addChoice(c, &o.format, "format", "how to draw")
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.target = args[0]
		return runGraph(c.Context(), a, o)
	})
}

func (a *app) completeGraph(c *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	runs, _ := a.completeRuns(nil)(c, args, text)
	return runs, cobra.ShellCompDirectiveDefault
}

// graph is what to draw, whatever the format.
type graph struct {
	name  string
	nodes []graphNode
}

type graphNode struct {
	id, name, uses string
	finally        bool
	state          string // "" for a file
	needs          []int
}

func runGraph(ctx context.Context, a *app, o graphOptions) error {
	g, err := a.graphOf(ctx, o.target)
	if err != nil {
		return err
	}
	switch o.format.value {
	case "svg":
		return dagsvg.Write(a.streams.Out, g.drawing())
	case "dot":
		g.dot(a.streams.Out)
	case "mermaid":
		g.mermaid(a.streams.Out)
	default:
		g.text(a.streams.Out)
	}
	return nil
}

func (a *app) graphOf(ctx context.Context, target string) (*graph, error) {
	ext := filepath.Ext(target)
	if info, err := os.Stat(target); ext == ".yaml" || ext == ".yml" || err == nil && info.Mode().IsRegular() {
		return a.graphOfFile(target)
	}
	st, err := a.readStore()
	if err != nil {
		return nil, err
	}
	id, err := a.resolve(ctx, st, target)
	if err != nil {
		return nil, err
	}
	view, err := a.view(ctx, st, id)
	if err != nil {
		return nil, err
	}
	return graphOfRun(&view.RunView), nil
}

func (a *app) graphOfFile(file string) (*graph, error) {
	s, err := a.settings("")
	if err != nil {
		return nil, err
	}
	w, err := a.loadWorkflow(file, anySystem(s))
	if err != nil {
		return nil, err
	}
	return graphOfWorkflow(w), nil
}

func graphOfWorkflow(w *workflow.Workflow) *graph {
	g := &graph{name: w.Name}
	for _, s := range w.AllSteps() {
		uses := s.Uses
		if child := s.Child(); child != nil {
			uses += " " + child.Name
		}
		g.nodes = append(g.nodes, graphNode{id: s.ID, name: s.Name, uses: uses, finally: s.Finally, needs: s.WaitsFor()})
	}
	return g
}

func graphOfRun(view *workflow.RunView) *graph {
	g := &graph{name: view.Workflow}
	index := map[string]int{}
	for i, s := range view.Steps {
		index[s.ID] = i
	}
	for _, s := range view.Steps {
		n := graphNode{id: s.ID, name: s.Name, uses: s.Uses, finally: s.Finally, state: string(s.State)}
		for _, need := range s.Needs {
			n.needs = append(n.needs, index[need])
		}
		g.nodes = append(g.nodes, n)
	}
	return g
}

func (n graphNode) label() string {
	if n.name != "" {
		return n.name
	}
	return n.id
}

func (g *graph) drawing() dagsvg.Graph {
	d := dagsvg.Graph{Title: g.name}
	for i, n := range g.nodes {
		d.Nodes = append(d.Nodes, dagsvg.Node{ID: n.id, Label: n.label(), Note: n.uses, State: n.state, Faint: n.finally})
		for _, need := range n.needs {
			d.Edges = append(d.Edges, [2]int{need, i})
		}
	}
	return d
}

func (g *graph) dot(out *console.Stream) {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %s {\n  rankdir=LR\n  node [shape=box, style=rounded]\n", dotQuote(g.name))
	for _, n := range g.nodes {
		style := ""
		if n.finally {
			style = ", style=\"rounded,dashed\""
		}
		fmt.Fprintf(&b, "  %s [label=%s%s]\n", dotQuote(n.id), dotQuote(n.label()+"\n"+strings.TrimSpace(n.uses+" "+n.state)), style)
	}
	for _, n := range g.nodes {
		for _, need := range n.needs {
			fmt.Fprintf(&b, "  %s -> %s\n", dotQuote(g.nodes[need].id), dotQuote(n.id))
		}
	}
	b.WriteString("}\n")
	out.Printf("%s", b.String())
}

func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

func (g *graph) mermaid(out *console.Stream) {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, n := range g.nodes {
		label := strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;").Replace(n.label())
		fmt.Fprintf(&b, "  %s[\"%s<br/>%s\"]\n", mermaidID(n.id), label, strings.TrimSpace(n.uses+" "+n.state))
	}
	for _, n := range g.nodes {
		for _, need := range n.needs {
			fmt.Fprintf(&b, "  %s --> %s\n", mermaidID(g.nodes[need].id), mermaidID(n.id))
		}
	}
	out.Printf("%s", b.String())
}

// mermaidID keeps ids from being words of the language, such as end.
func mermaidID(id string) string { return "s_" + id }

// text prints the steps in an order in which they could run, each with what it
// waits for.
func (g *graph) text(out *console.Stream) {
	var rows [][]console.Text
	for _, i := range g.order() {
		n := g.nodes[i]
		var needs []string
		for _, need := range n.needs {
			needs = append(needs, g.nodes[need].id)
		}
		if n.finally && len(needs) == 0 {
			needs = []string{"everything"}
		}
		row := []console.Text{console.Say(n.id), console.Say(n.uses)}
		if n.state != "" {
			row = append(row, console.State(n.state))
		}
		rows = append(rows, append(row, console.Say(strings.Join(needs, ", "))))
	}
	header := []string{"STEP", "USES"}
	if len(g.nodes) > 0 && g.nodes[0].state != "" {
		header = append(header, "STATE")
	}
	out.Table(append(header, "AFTER"), rows)
}

// order sorts the steps so that each comes after what it needs; the order of the
// file decides between those that could come next.
func (g *graph) order() []int {
	var order []int
	done := make([]bool, len(g.nodes))
	for len(order) < len(g.nodes) {
		before := len(order)
		for i, n := range g.nodes {
			free := !done[i]
			for _, need := range n.needs {
				free = free && done[need]
			}
			if free {
				done[i] = true
				order = append(order, i)
			}
		}
		if len(order) == before {
			return order // a cycle, which no checked workflow has
		}
	}
	return order
}
