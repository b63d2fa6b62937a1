// Package figures compares what a benchmark measured with goals and with the
// measurement before. Goals are a YAML mapping from the name of a figure to
//
//	what: what it is, in words
//	goal: 100    # at most; or least: 4, at least
//	unit: MiB
package figures

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/fcflow/fcflow/workflow"
)

// Figures are measured values by name.
type Figures map[string]float64

// Report prints the figures beside the goals and those of the last time. Every
// goal must have been measured.
func (f Figures) Report(to io.Writer, goals []byte, last Figures) error {
	tree, problems := workflow.ParseTree(goals)
	if len(problems) > 0 {
		return problems
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIGURE\tGOAL\tGOT\tLAST TIME\t")
	for _, g := range tree.Members {
		text := func(key string) string {
			if m, ok := g.Value.Member(key); ok {
				return m.Value.Text
			}
			return ""
		}
		sign, limit := "≤", text("goal")
		if limit == "" {
			sign, limit = "≥", text("least")
		}
		var goal float64
		if _, err := fmt.Sscan(limit, &goal); err != nil {
			return fmt.Errorf("goal of %s: %w", g.Name, err)
		}
		got, ok := f[g.Name]
		if !ok {
			return fmt.Errorf("nothing measures %s", g.Name)
		}
		verdict := "reached"
		if sign == "≤" && got > goal || sign == "≥" && got < goal {
			verdict = "NOT REACHED"
		}
		before := "-"
		if v, ok := last[g.Name]; ok {
			before = fmt.Sprintf("%.3g", v)
		}
		fmt.Fprintf(w, "%s\t%s %s %s\t%.3g\t%s\t%s\n", text("what"), sign, limit, text("unit"), got, before, verdict)
	}
	return w.Flush()
}

// Read reads figures that were kept; none if there is no such file.
func Read(path string) (Figures, error) {
	f := Figures{}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	return f, json.Unmarshal(text, &f)
}

// Keep replaces the figures that were kept.
func (f Figures) Keep(path string) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Clean(path), append(text, '\n'), 0o600)
}
