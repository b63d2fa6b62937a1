package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// slowHost has one run, a picture of which takes a second to make.
type slowHost struct {
	*diary
	made   atomic.Int32
	stored bool // nobody drives the run
}

func newSlowHost() *slowHost { return &slowHost{diary: newDiary()} }

func (h *slowHost) Find(context.Context, workflow.RunID) (Run, error) {
	if h.stored {
		return storedHistory{h.run}, nil
	}
	return h.run, nil
}

func (h *slowHost) Show(ctx context.Context, _ workflow.RunID) (ShownRun, error) {
	h.made.Add(1)
	view, err := h.run.View(ctx)
	time.Sleep(time.Second)
	return ShownRun{RunView: view}, err
}

// storedHistory is a run that nobody drives.
type storedHistory struct{ *history }

func (storedHistory) Changed() <-chan struct{} { return nil }

// ask returns the sequence number up to which a picture goes.
func (h *slowHost) ask(t *testing.T, p *pictures) int64 {
	t.Helper()
	run, err := p.show(t.Context(), "A")
	if err != nil {
		t.Error(err)
	}
	return run.Seq
}

func TestPictureIsSharedUntilTheRunChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newSlowHost()
		p := newPictures(h)
		var readers sync.WaitGroup
		for range 20 {
			readers.Go(func() { h.ask(t, p) })
		}
		readers.Wait()
		time.Sleep(time.Minute / 2)
		if h.ask(t, p); h.made.Load() != 1 {
			t.Errorf("%d pictures were made of a run that did not change", h.made.Load())
		}
		h.run.add(&workflow.CancelRequested{By: "me"})
		if seq := h.ask(t, p); seq != 2 || h.made.Load() != 2 {
			t.Errorf("after a change: up to %d, %d made", seq, h.made.Load())
		}
	})
}

// TestPicturesLeaveTimeToTheOwner: twenty readers of a run that changes all the
// time see what was there when they asked, and pictures take a fifth of the time.
func TestPicturesLeaveTimeToTheOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newSlowHost()
		p := newPictures(h)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var work sync.WaitGroup
		work.Go(func() {
			for ctx.Err() == nil {
				h.run.add(&workflow.CancelRequested{By: "me"})
				time.Sleep(10 * time.Millisecond)
			}
		})
		for i := range 20 {
			work.Go(func() {
				time.Sleep(time.Duration(i) * 37 * time.Millisecond)
				for ctx.Err() == nil {
					before, _ := h.run.View(ctx)
					if seq := h.ask(t, p); seq < before.Seq {
						t.Errorf("asked at %d, got a picture up to %d", before.Seq, seq)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		work.Wait()
		if n := h.made.Load(); n < 8 || n > 15 {
			t.Errorf("%d pictures in a minute, want about 12", n)
		}
	})
}

func TestPictureOfAnotherOwnerIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newSlowHost()
		p := newPictures(h)
		h.ask(t, p)
		old := h.run
		h.run = newHistory("A", &workflow.RunCreated{ID: "A"}, &workflow.CancelRequested{By: "me"})
		if seq := h.ask(t, p); seq != 2 {
			t.Errorf("the picture is that of the owner before: up to %d", seq)
		}
		h.run, h.stored = old, true
		if seq := h.ask(t, p); seq != 1 {
			t.Errorf("the picture is that of an owner that is gone: up to %d", seq)
		}
		h.run.add(&workflow.CancelRequested{By: "me"})
		time.Sleep(elsewhereAge)
		if seq := h.ask(t, p); seq != 2 {
			t.Errorf("the picture of a stored run is older than allowed: up to %d", seq)
		}
	})
}

func TestPicturesAreFewAndGoWhenIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPictures(newSlowHost())
		for i := range 2 * maxPictures {
			if _, err := p.show(t.Context(), workflow.RunID(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if len(p.kept) != maxPictures {
			t.Errorf("%d pictures are kept, want %d", len(p.kept), maxPictures)
		}
		time.Sleep(pictureIdle)
		if _, err := p.show(t.Context(), "last"); err != nil || len(p.kept) != 1 {
			t.Errorf("%d pictures are kept that nobody asks for (%v)", len(p.kept)-1, err)
		}
	})
}

// wideHost has a run with many instances.
type wideHost struct {
	*diary
	run ShownRun
}

func newWideHost(n int) *wideHost {
	h := &wideHost{diary: newDiary()}
	step := workflow.StepView{ID: "sweep", Uses: "submit", State: workflow.Running}
	for i := range n {
		u := sample[workflow.UnitView]()
		u.Step, u.Instance, u.State, u.Since = "sweep", fmt.Sprintf("i=%05d", i), workflow.Running, time.Unix(int64(i*7919%n), 0)
		if i%10 == 0 {
			u.State = workflow.Failed
		}
		step.Instances = append(step.Instances, u)
	}
	h.run = ShownRun{RunView: workflow.RunView{Summary: workflow.Summary{ID: "A"}, Steps: []workflow.StepView{step}}}
	return h
}

func (h *wideHost) Show(context.Context, workflow.RunID) (ShownRun, error) { return h.run, nil }

func getWindow(t testing.TB, s *Server, query string) window {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/runs/A/steps/sweep/instances?"+query, nil))
	var got window
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("%s: %d %s", query, w.Code, w.Body)
	}
	return got
}

func TestWindows(t *testing.T) {
	t.Parallel()
	s := NewHost(newWideHost(1000))
	for query, want := range map[string]struct {
		total, n    int
		first, last string
	}{
		"":                                {1000, 200, "i=00000", "i=00199"},
		"offset=990":                      {1000, 10, "i=00990", "i=00999"},
		"offset=5000":                     {1000, 0, "", ""},
		"limit=5&offset=3":                {1000, 5, "i=00003", "i=00007"},
		"limit=1000000":                   {1000, 1000, "i=00000", "i=00999"},
		"state=failed":                    {100, 100, "i=00000", "i=00990"},
		"state=failed&q=9":                {19, 19, "i=00090", "i=00990"},
		"q=i%3D0012":                      {10, 10, "i=00120", "i=00129"},
		"sort=-key&limit=2":               {1000, 2, "i=00999", "i=00998"},
		"sort=state&limit=1":              {1000, 1, "i=00000", "i=00000"},
		"sort=-state&limit=1":             {1000, 1, "i=00001", "i=00001"},
		"sort=attempts&limit=2":           {1000, 2, "i=00000", "i=00001"},
		"sort=since&limit=1":              {1000, 1, "i=00000", "i=00000"},
		"sort=-since&limit=1&state=":      {1000, 1, "i=00321", "i=00321"},
		"state=failed&sort=-key&offset=1": {100, 99, "i=00980", "i=00000"},
	} {
		got := getWindow(t, s, query)
		first, last := "", ""
		if n := len(got.Instances); n > 0 {
			first, last = got.Instances[0].Instance, got.Instances[n-1].Instance
		}
		if got.Total != want.total || len(got.Instances) != want.n || first != want.first || last != want.last {
			t.Errorf("%q: total %d, %d from %q to %q, want %+v", query, got.Total, len(got.Instances), first, last, want)
		}
		for _, u := range got.Instances {
			if u.Outputs != nil || u.Attempts[0].With != nil || u.Attempts[0].Tail != "" {
				t.Fatalf("%q: a row holds values: %+v", query, u)
			}
		}
	}
}

// TestUnits: the host is asked for an instance only where it is needed.
func TestUnits(t *testing.T) {
	t.Parallel()
	h := newWideHost(30)
	all := h.run.Steps[0].Instances
	all[1].Outputs, all[2].With, all[3].Attempts[0].With = json.RawMessage("null"), json.RawMessage("null"), json.RawMessage("null")
	all[4].Outputs, all[4].With, all[4].Attempts = nil, nil, nil
	s := NewHost(h)
	for name, want := range map[string]string{
		"sweep/i=00000": "", "sweep/i=00001": "unit", "sweep/i=00002": "unit", "sweep/i=00003": "unit", "sweep/i=00004": "",
		"sweep/00005": "unit", "sweep": "unit", "other": "unit",
	} {
		h.take()
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/runs/A/unit?unit="+url.QueryEscape(name), nil))
		asked := slices.Contains(h.take(), "unit")
		if w.Code != 200 || asked != (want == "unit") {
			t.Errorf("%q: status %d, the host was asked: %v", name, w.Code, asked)
		}
		var got workflow.UnitView
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || want == "" && got.Step+"/"+got.Instance != name {
			t.Errorf("%q: got %s/%s, %v", name, got.Step, got.Instance, err)
		}
	}
}

func BenchmarkWindowOf10000(b *testing.B) {
	s := NewHost(newWideHost(10_000))
	for b.Loop() {
		getWindow(b, s, "sort=-since&offset=5000")
	}
}

func BenchmarkFolded10000(b *testing.B) {
	s := NewHost(newWideHost(10_000))
	for b.Loop() {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/runs/A?fold=true", nil))
	}
}
