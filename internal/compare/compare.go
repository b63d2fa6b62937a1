// Package compare says in what two runs differ: their definitions, inputs,
// services, and what their instances were given and came to. What differs between
// any two runs, such as their ids, their directories and the ids of their jobs, is
// no difference. It is pure.
package compare

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/fcflow/fcflow/internal/results"
	"github.com/fcflow/fcflow/workflow"
)

// Side is one of the runs. The outputs of its views, and the inputs of their last
// attempts, must be complete.
type Side struct {
	View workflow.RunView
	// Children are the runs that its steps have started, and what these have.
	Children map[workflow.RunID]*workflow.RunView
	Created  workflow.RunCreated
	Frozen   []byte
	// Versions are those of the programs that have driven the run.
	Versions []string
	// Now is zero if nobody drives the run.
	Now time.Time
}

// Difference is in what two runs differ. Its JSON form is a contract that only
// grows.
type Difference struct {
	A Head `json:"a"`
	B Head `json:"b"`
	// Same: nothing differs but how long it took and what it used, how often it was
	// tried, and comments and layout of the file.
	Same bool `json:"same"`
	// Run holds the state and the cause of the whole.
	Run        []Change    `json:"run,omitempty"`
	Definition *Definition `json:"definition,omitempty"`
	Inputs     []Change    `json:"inputs,omitempty"`
	// Service is where the run worked and as whom, and versions.
	Service   []Change   `json:"service,omitempty"`
	Outputs   []Change   `json:"outputs,omitempty"` // of the workflow
	Instances []Instance `json:"instances,omitempty"`
	Steps     []Step     `json:"steps"`
}

// Head is a run in short.
type Head struct {
	ID        workflow.RunID    `json:"id"`
	Workflow  string            `json:"workflow"`
	State     workflow.RunState `json:"state"`
	StartedAt time.Time         `json:"started_at,omitzero"`
	Cost
}

// Cost is what differs from run to run anyway.
type Cost struct {
	Attempts  int      `json:"attempts"`
	Seconds   *float64 `json:"seconds,omitempty"`
	NodeHours *float64 `json:"node_hours,omitempty"`
}

// Change is a value that is another one on the other side; a side without it has
// none.
type Change struct {
	Name string          `json:"name"`
	A    json.RawMessage `json:"a,omitempty"`
	B    json.RawMessage `json:"b,omitempty"`
}

// Definition is how the frozen files differ.
type Definition struct {
	// Changed names the keys that differ, steps by their ids. It is empty if the
	// files differ in comments and layout only.
	Changed []string `json:"changed,omitempty"`
	Text    string   `json:"text"` // as a unified diff
}

// Instance is an instance that differs, or that only one run has.
type Instance struct {
	Step     string   `json:"step"`
	Instance string   `json:"instance,omitempty"`
	Only     string   `json:"only,omitempty"` // a or b
	Changes  []Change `json:"changes,omitempty"`
	A        *Cost    `json:"a,omitempty"`
	B        *Cost    `json:"b,omitempty"`
}

// Step is what the instances of a step took in each run.
type Step struct {
	Step string     `json:"step"`
	A    *StepTotal `json:"a,omitempty"`
	B    *StepTotal `json:"b,omitempty"`
}

// StepTotal sums up the instances of a step.
type StepTotal struct {
	Units map[workflow.State]int `json:"units"`
	Cost
}

// Runs compares two runs.
func Runs(a, b *Side) *Difference {
	d := &Difference{A: head(a), B: head(b)}
	na, nb := newNormal(a), newNormal(b)
	d.Run = append(d.Run, changed("state", a.View.State, b.View.State)...)
	d.Run = append(d.Run, changed("cause", a.View.Cause, b.View.Cause)...)
	d.Definition = definition(a, b)
	d.Inputs = inputs(&a.Created, &b.Created)
	d.Service = service(a, b)
	d.Outputs = differences("", a.View.Outputs, b.View.Outputs, na, nb)
	d.instances(a, b, na, nb)
	d.Same = len(d.Run)+len(d.Inputs)+len(d.Service)+len(d.Outputs)+len(d.Instances) == 0 &&
		(d.Definition == nil || len(d.Definition.Changed) == 0)
	return d
}

func head(s *Side) Head {
	h := Head{ID: s.View.ID, Workflow: s.View.Workflow, State: s.View.State, StartedAt: s.View.StartedAt}
	end := s.View.EndedAt
	if end.IsZero() {
		end = s.Now
	}
	if !end.IsZero() && !h.StartedAt.IsZero() {
		seconds := end.Sub(h.StartedAt).Seconds()
		h.Seconds = &seconds
	}
	if hours, known := results.RunNodeHours(&s.View); known {
		h.NodeHours = &hours
	}
	for i := range s.View.Steps {
		for j := range s.View.Steps[i].Instances {
			h.Attempts += len(s.View.Steps[i].Instances[j].Attempts)
		}
	}
	return h
}

// definition compares the frozen files; nil if they are the same.
func definition(a, b *Side) *Definition {
	if bytes.Equal(a.Frozen, b.Frozen) {
		return nil
	}
	text := diff.Diff(string(a.View.ID), a.Frozen, string(b.View.ID), b.Frozen)
	if _, rest, ok := bytes.Cut(text, []byte("\n")); ok { // a line of its own kind
		text = rest
	}
	return &Definition{Changed: changedKeys(a.Frozen, b.Frozen), Text: string(text)}
}

// inputs compares what the runs were given. Of a file that is what was known of it
// when the run was created: its size and its digest, or its time if one run has no
// digest.
func inputs(a, b *workflow.RunCreated) []Change {
	var all []Change
	for _, name := range union(a.Inputs, b.Inputs) {
		all = append(all, differences(name, a.Inputs[name], b.Inputs[name], nil, nil)...)
	}
	for _, name := range union(a.Files, b.Files) {
		fa, inA := a.Files[name]
		fb, inB := b.Files[name]
		if inA && inB {
			all = append(all, changed(name+".size_bytes", fa.SizeBytes, fb.SizeBytes)...)
			if fa.SHA256 != "" && fb.SHA256 != "" {
				all = append(all, changed(name+".sha256", fa.SHA256, fb.SHA256)...)
			} else if !fa.ModifiedAt.Equal(fb.ModifiedAt) {
				all = append(all, changed(name+".modified_at", fa.ModifiedAt, fb.ModifiedAt)...)
			}
		}
	}
	return all
}

// service compares where the runs worked, as whom, and by what programs.
func service(a, b *Side) []Change {
	pa, pb := a.Created.Profile, b.Created.Profile
	all := slices.Concat(
		changed("url", pa.URL, pb.URL), changed("sandbox", pa.Sandbox, pb.Sandbox), changed("system", pa.System, pb.System),
		changed("versions.fcflow", a.Versions, b.Versions),
	)
	sa, sb := sites(&a.View), sites(&b.View)
	for _, system := range union(sa, sb) {
		x, inA := sa[system]
		y, inB := sb[system]
		if !inA || !inB {
			all = append(all, Change{"systems." + system, present(inA), present(inB)})
			continue
		}
		prefix := "systems." + system + "."
		all = slices.Concat(all, changed(prefix+"user", x.User, y.User), changed(prefix+"version", x.Version, y.Version),
			changed(prefix+"scheduler", x.Scheduler, y.Scheduler), changed(prefix+"fence", x.Fence, y.Fence))
	}
	return all
}

func sites(v *workflow.RunView) map[string]workflow.RunBound {
	all := map[string]workflow.RunBound{}
	for _, s := range v.Sites {
		all[s.System] = s
	}
	return all
}

func present(is bool) json.RawMessage {
	if !is {
		return nil
	}
	return json.RawMessage("true")
}

// changed is the change from one value to another; none if they are the same. A
// side whose value is empty has none.
func changed(name string, a, b any) []Change {
	x, y := value(a), value(b)
	if bytes.Equal(x, y) {
		return nil
	}
	return []Change{{name, x, y}}
}

func value(v any) json.RawMessage {
	text, err := workflow.CanonicalJSON(v)
	if err != nil || string(text) == `""` || string(text) == "null" {
		return nil
	}
	return text
}

// union lists the keys of two maps, sorted.
func union[V any](a, b map[string]V) []string {
	var keys []string
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if _, both := a[key]; !both {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
