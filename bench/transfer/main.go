// Command transfer measures how fcflow moves one large file through an object store
// over a network that is slow for each connection, beside simpler ways and the
// official client, and prints the figures beside the goals of goals.yaml. The service
// is a sandbox in this process; fcflow and the official client are the programs that
// people use, in processes of their own.
//
// It takes about twice as long as one connection needs for the file, and ten times
// the room of the file.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/fcflow/fcflow/bench/figures"
	"github.com/fcflow/fcflow/store"
)

//go:embed goals.yaml
var goals []byte

type options struct {
	fcflow string
	python string
	dir    string
	save   string
	size   int64 // MiB
	rate   int64 // MiB/s
	delay  time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.fcflow, "fcflow", "bin/fcflow", "the fcflow `program` to measure")
	flag.StringVar(&o.python, "python", "build/conformance/3.10.0/bin/python", "the Python `program` that has the official client; without it that is left out")
	flag.StringVar(&o.dir, "dir", ".", "`directory` to measure in; must not be in memory")
	flag.StringVar(&o.save, "save", "bench/transfer/figures.json", "`file` with the figures of the last measurement; empty: none are kept")
	flag.Int64Var(&o.size, "size", 1024, "size of the file in MiB")
	flag.Int64Var(&o.rate, "rate", 16, "what a connection lets through, in MiB/s")
	flag.DurationVar(&o.delay, "delay", 20*time.Millisecond, "how long everything is on its way, in each direction")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-transfer:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	kind, _ := store.FileSystem(o.dir)
	if kind == "tmpfs" || kind == "ramfs" {
		return fmt.Errorf("%s is on %s, which is no disk: name a directory on one with -dir", o.dir, kind)
	}
	var failed [2]error
	if o.fcflow, failed[0] = filepath.Abs(o.fcflow); failed[0] == nil {
		o.dir, failed[1] = filepath.Abs(o.dir)
	}
	if err := errors.Join(failed[:]...); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, ".bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := openSite(dir, o.size<<20)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) // so that nothing is left lying about
	defer stop()
	all, err := measureAll(ctx, o, s)
	if err != nil {
		return err
	}
	fmt.Printf("%d MiB in %d parts; %d MiB/s and %s for each connection; file system %s\n\n", o.size, parts, o.rate, o.delay, kind)
	if err := o.print(all); err != nil {
		return err
	}
	return o.compare(all)
}

// way is one way to move the file.
type way struct {
	name string
	copy string // the file that it makes
	move func(context.Context, *line) (peakMiB float64, err error)
}

// measured is what moving the file took.
type measured struct {
	whole       time.Duration // jobs of the service and checks included
	passed      time.Duration // for the bytes, as the network saw it
	connections int           // at once
	peakMiB     float64       // 0: not known
	cpu         cpuShares     // all the while
}

// Names of the ways that goals speak of.
const (
	downOne, downOurs        = "download, one stream", "download, fcflow"
	upOne, upTen, upOurs     = "upload, one part at a time", "upload, ten parts at a time", "upload, fcflow"
	downOfficial, upOfficial = "download, official client", "upload, official client"
)

// order is that of the table.
var order = []string{downOne, downOfficial, downOurs, upOne, upOfficial, upTen, upOurs}

// measureAll takes the ways of one connection side by side, as they leave the
// machine idle, and the others one after the other.
func measureAll(ctx context.Context, o options, s *site) (map[string]measured, error) {
	c := newHTTPClient()
	remote := func(name string) string { return filepath.Join(s.remote, name) }
	slow := []way{
		{downOne, s.local("one"), func(ctx context.Context, l *line) (float64, error) { return 0, s.download(ctx, l, c, s.local("one")) }},
		{upOne, remote("one"), func(ctx context.Context, l *line) (float64, error) { return 0, s.upload(ctx, l, c, 1, "one") }},
	}
	if _, err := os.Stat(o.python); err == nil {
		slow = append(slow,
			way{downOfficial, s.local("official"), func(ctx context.Context, l *line) (float64, error) {
				return s.official(ctx, l, o.python, "download", s.local("official"), source)
			}},
			way{upOfficial, remote("official"), func(ctx context.Context, l *line) (float64, error) {
				return s.official(ctx, l, o.python, "upload", s.local(source), "official")
			}},
		)
	} else {
		fmt.Printf("%s is missing: nothing of the official client is measured (make conformance installs it)\n", o.python)
	}
	fast := []way{
		{upTen, remote("ten"), func(ctx context.Context, l *line) (float64, error) { return 0, s.upload(ctx, l, c, 10, "ten") }},
		{upOurs, remote("ours"), func(ctx context.Context, l *line) (float64, error) {
			return s.fcflow(ctx, l, o.fcflow, "upload", s.local(source), "ours")
		}},
		{downOurs, s.local("ours"), func(ctx context.Context, l *line) (float64, error) {
			return s.fcflow(ctx, l, o.fcflow, "download", s.local("ours"), source)
		}},
	}
	all := map[string]measured{}
	for _, group := range [][]way{slow, fast[:1], fast[1:2], fast[2:]} {
		if err := o.measure(ctx, s, all, group); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// measure takes a group of ways side by side, and checks what they made. The disk
// has nothing left to do when the next group begins.
func (o options) measure(ctx context.Context, s *site, all map[string]measured, group []way) error {
	syscall.Sync()
	before, err := readCPU()
	if err != nil {
		return err
	}
	results, failures := make([]measured, len(group)), make([]error, len(group))
	var moving sync.WaitGroup
	for i, w := range group {
		moving.Go(func() {
			if results[i], failures[i] = o.take(ctx, s, w); failures[i] != nil {
				failures[i] = fmt.Errorf("%s: %w", w.name, failures[i])
			}
		})
	}
	moving.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	after, err := readCPU()
	if err != nil {
		return err
	}
	for i, w := range group {
		results[i].cpu = after.since(before)
		all[w.name] = results[i]
		if err := s.settle(w.copy); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// take moves the file over a line of its own.
func (o options) take(ctx context.Context, s *site, w way) (m measured, err error) {
	l, err := newLine(s.service.Handler(), s.address, passage{rate: float64(o.rate << 20), delay: o.delay})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	began := time.Now()
	m.peakMiB, err = w.move(ctx, l)
	m.whole = time.Since(began)
	m.passed, m.connections = l.store.passed()
	return m, err
}

// speed is in MiB/s, and its share of what the connections let through.
func (o options) speed(m measured) (speed, share float64) {
	speed = float64(o.size) / m.passed.Seconds()
	return speed, speed / float64(int64(m.connections)*o.rate)
}

func (o options) print(all map[string]measured) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WAY\tCONNECTIONS\tBYTES MOVE\tMiB/s\tOF THEIR LIMIT\tSTART TO END\tPEAK MiB\tHELD UP BY\t")
	for _, name := range order {
		m, ok := all[name]
		if !ok {
			continue
		}
		peak := "-"
		if m.peakMiB > 0 {
			peak = fmt.Sprintf("%.0f", m.peakMiB)
		}
		speed, share := o.speed(m)
		fmt.Fprintf(w, "%s\t%d\t%.2f s\t%.1f\t%.0f %%\t%.1f s\t%s\t%s\n",
			name, m.connections, m.passed.Seconds(), speed, 100*share, m.whole.Seconds(), peak, m.cpu.heldUp(share))
	}
	fmt.Fprint(w, "\nFrom start to end there is a job of the service too, whose end is seen at the next look at the queue; only fcflow compares digests.\n\n")
	return w.Flush()
}

// enough is the share of what its connection lets through that one stream must
// reach for the others to mean anything.
const enough = 0.9

// compare prints the figures beside the goals.
func (o options) compare(all map[string]measured) error {
	times := func(slow, fast string) float64 { return all[slow].passed.Seconds() / all[fast].passed.Seconds() }
	_, share := o.speed(all[downOne])
	got := figures.Figures{
		"one_stream":     100 * share,
		"download_speed": times(downOne, downOurs), "download_rss": all[downOurs].peakMiB,
		"upload_speed": times(upOne, upOurs), "upload_ten": times(upTen, upOurs), "upload_rss": all[upOurs].peakMiB,
	}
	last, err := figures.Read(o.save)
	if err != nil {
		return err
	}
	if err := got.Report(os.Stdout, goals, last); err != nil {
		return err
	}
	if share < enough {
		return fmt.Errorf("one stream reached %.0f %% of what its connection lets through: the machine or the proxy is the bottleneck, not the connection, and the figures mean nothing; "+
			"measure on an idle machine", 100*share)
	}
	if o.save == "" {
		return nil
	}
	return got.Keep(o.save)
}
