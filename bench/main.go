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
	"slices"
	"time"

	"github.com/fcflow/fcflow/bench/figures"
	"github.com/fcflow/fcflow/store"
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
	flag.StringVar(&o.child, "child", "", "measure one shape in this process: chain, wide or wide64 (used by bench itself)")
	flag.IntVar(&o.steps, "steps", 0, "number of steps or instances of -child")
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
	got, commits, err := measure(ctx, o, dir)
	if err != nil {
		return err
	}
	fmt.Printf("file system %s; commit p50 %s, mean %s\n\n", kind, commits.p50(), commits.mean())
	last, err := figures.Read(o.save)
	if err != nil {
		return err
	}
	if err := got.Report(os.Stdout, goals, last); err != nil {
		return err
	}
	return got.Keep(o.save)
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
