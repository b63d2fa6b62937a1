package engine

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/workflow"
)

// refused are kinds whose size is checked before there is such an event, and where.
var refused = map[workflow.EventKind]string{
	"run.created":    "Create refuses inputs that are too large, and there is no run then",
	"run.opened":     "says what the system says of this process",
	"unit.imported":  "is part of how a run is made, and says what an event of another run does",
	"run.definition": "is a piece of the definition that was cut to size",
	"run.files":      "is a piece of what is known of files that was cut to size",
}

// short are texts that cannot be long, and how long they can be.
var short = map[string]int{
	"run.bound.system": 128, // names of systems are checked
	// Together these are refused when the system is bound.
	"run.bound.user": maxBoundText / 3 / 6, "run.bound.remote_dir": maxBoundText / 3 / 6, "run.bound.submit_dir": maxBoundText / 3 / 6,
	"run.replanned.definition": 64, "run.replanned.dir": 4096 / 6,
	"step.items.items": 32 << 10, "step.expanded.digest": 64,
	"units.reset.units":      0, // names are counted when they are chosen
	"attempt.started.system": 128, "attempt.checkpoint.key": 256,
	"attempt.waiting.topic": 512, // a system, a token and the id of a job or a run
	// Operations are few.
	"attempt.waiting.requests": 0, "attempt.finished.requests": 0,
	"attempt.finished.retry.grow": 0, // numbers and durations
	"submission.intent.token":     20, "submission.intent.job_name": 64, "submission.intent.system": 128, "submission.intent.script": 64,
	// Together these are refused when the intention is recorded.
	"submission.intent.work_dir": maxIntentText / 4 / 6, "submission.intent.control": maxIntentText / 4 / 6,
	"submission.intent.remote_script": maxIntentText / 4 / 6, "submission.intent.account": maxIntentText / 4 / 6,
	"run.replanned.inputs": 0, // refused as those of run.created are
	"run.replanned.files":  0, // many have events of their own
}

// TestEveryEventCanBeStored: an event of any kind can be stored, however long the
// texts are that people, servers and steps put into it. A new text is bounded in
// bound, or listed here.
func TestEveryEventCanBeStored(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, kind := range workflow.Kinds() {
		if refused[kind] != "" {
			continue
		}
		for _, sign := range []string{"x", "\x01", "\xff", "<", `"`, "\u2028", "ö"} {
			p := workflow.NewPayload(kind)
			fill(reflect.ValueOf(p).Elem(), string(kind), sign, used)
			bound(p)
			e := workflow.Event{Step: strings.Repeat("s", 64), Instance: strings.Repeat(sign, 200/len(sign)), Data: p}
			text, err := e.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if len(text) > workflow.MaxEventBytes {
				t.Errorf("%s with %q again and again takes %d bytes", kind, sign, len(text))
			}
		}
	}
	for name := range short {
		if !used[name] {
			t.Errorf("no event has %s", name)
		}
	}
}

// fill makes the texts and lists of a payload as long as they can be.
func fill(v reflect.Value, name, sign string, used map[string]bool) {
	n, isShort := short[name]
	used[name] = used[name] || isShort
	if !isShort {
		n = workflow.MaxEventBytes
	}
	switch body := v.Addr().Interface().(type) {
	case *workflow.Body: // its text is in a blob, if it is long
		*body, _ = workflow.NewBody(json.RawMessage(`"` + strings.Repeat("x", 16<<10) + `"`))
		return
	case *workflow.UnitRef:
		*body = workflow.UnitRef{Step: strings.Repeat("s", 64), Instance: strings.Repeat(sign, 200/len(sign))}
		return
	}
	switch v.Kind() {
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() { // others are one of some words
			v.SetString(strings.Repeat(sign, n/len(sign)))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name, sign, used)
	case reflect.Slice:
		if raw := reflect.TypeFor[[]json.RawMessage](); v.Type() == raw {
			v.Set(reflect.ValueOf([]json.RawMessage{json.RawMessage(`"` + strings.Repeat("x", n) + `"`)}))
			return
		}
		if isShort {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 200, 200))
		for i := range v.Len() {
			fill(v.Index(i), name, sign, used)
		}
	case reflect.Map:
		if !isShort {
			panic(name + " is neither bounded nor listed")
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				fill(v.Field(i), name+"."+tag, sign, used)
			}
		}
	}
}
