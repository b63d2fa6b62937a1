// Command bench measures the figures that bench/goals.yaml sets goals for, and
// prints them side by side. It writes to a real file system, with durable
// commits, and refuses one that is only memory.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

//go:embed goals.yaml
var goals []byte

type options struct {
	fcflow string // the program whose commands are timed
	dir    string // where to measure; a directory on a real disk
	save   string // where figures are kept between measurements
	child  string
	steps  int
}

func main() {
	var o options
	flag.StringVar(&o.fcflow, "fcflow", "bin/fcflow", "the fcflow `program` to time")
	flag.StringVar(&o.dir, "dir", ".", "`directory` to measure in; must not be in memory")
	flag.StringVar(&o.save, "save", "bench/figures.json", "`file` with the figures of the last measurement")
	flag.StringVar(&o.child, "child", "", "measure one shape in this process: chain or wide (used by bench itself)")
	flag.IntVar(&o.steps, "steps", 0, "number of steps of -child")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	kind, _ := store.FileSystem(o.dir)
	if kind == "tmpfs" || kind == "ramfs" {
		return fmt.Errorf("%s is on %s, where a commit costs nothing: name a directory on a disk with -dir", o.dir, kind)
	}
	dir, err := os.MkdirTemp(o.dir, ".bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	if o.child != "" {
		m, err := measureRun(ctx, dir, o.child, o.steps)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(m)
	}
	figures, commits, err := measure(ctx, o, dir)
	if err != nil {
		return err
	}
	fmt.Printf("file system %s; commit p50 %s, mean %s\n\n", kind, commits.p50(), commits.mean())
	last, err := readFigures(o.save)
	if err != nil {
		return err
	}
	if err := report(figures, last); err != nil {
		return err
	}
	return writeFigures(o.save, figures)
}

// report prints the figures beside their goals and the last measurement.
func report(figures, last map[string]float64) error {
	tree, problems := workflow.ParseTree(goals)
	if len(problems) > 0 {
		return problems
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIGURE\tGOAL\tGOT\tLAST TIME\t")
	for _, g := range tree.Members {
		text := func(key string) string {
			m, _ := g.Value.Member(key)
			return m.Value.Text
		}
		var goal float64
		if _, err := fmt.Sscan(text("goal"), &goal); err != nil {
			return fmt.Errorf("goal of %s: %w", g.Name, err)
		}
		got, ok := figures[g.Name]
		if !ok {
			return fmt.Errorf("nothing measures %s", g.Name)
		}
		verdict := "reached"
		if got > goal {
			verdict = "NOT REACHED"
		}
		before := "-"
		if v, ok := last[g.Name]; ok {
			before = fmt.Sprintf("%.3g", v)
		}
		fmt.Fprintf(w, "%s\t≤ %s %s\t%.3g\t%s\t%s\n", text("what"), text("goal"), text("unit"), got, before, verdict)
	}
	return w.Flush()
}

func readFigures(path string) (map[string]float64, error) {
	figures := map[string]float64{}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return figures, nil
	}
	if err != nil {
		return nil, err
	}
	return figures, json.Unmarshal(text, &figures)
}

func writeFigures(path string, figures map[string]float64) error {
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Clean(path), append(text, '\n'), 0o600)
}

// times are durations of one kind of thing.
type times []time.Duration

func (t times) sum() time.Duration {
	var sum time.Duration
	for _, d := range t {
		sum += d
	}
	return sum
}

func (t times) mean() time.Duration {
	return (t.sum() / time.Duration(max(len(t), 1))).Round(time.Microsecond)
}

func (t times) p50() time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[len(sorted)/2].Round(time.Microsecond)
}
