package batch

import (
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// record is what the table keeps of a job: the row others see and what the
// watcher must not forget.
type record struct {
	Job
	Held    bool          `json:"held,omitempty"` // --hold: stays pending until it is cancelled
	Begin   time.Time     `json:"begin,omitzero"` // stays pending until then
	Depends *dependencies `json:"depends,omitempty"`
	// KillOnInvalid cancels the job once its dependencies cannot be met.
	KillOnInvalid bool      `json:"kill_on_invalid,omitempty"`
	Requeue       bool      `json:"requeue,omitempty"`
	Requeued      time.Time `json:"requeued,omitzero"` // when it last was
	Warning       warning   `json:"warning,omitzero"`
	Doom          stop      `json:"doom,omitzero"` // the stop that Config.Doom has in store for it
	Stop          stop      `json:"stop,omitzero"`
	// Write tells the newer of two records of a job on disk.
	Write uint64 `json:"write,omitempty"`

	// What is only of interest until the job is accepted.
	timeGiven bool       // the submission says something about the time limit
	array     *arraySpec // of which rec is the model
	join      bool       // stderr goes where stdout goes
}

// warning is the signal of --signal, sent some time before the time limit.
type warning struct {
	Signal syscall.Signal `json:"signal"`
	Before time.Duration  `json:"before_ns"`
	Target Target         `json:"target"`
	Sent   bool           `json:"sent,omitempty"`
}

// stop says that a running job is being ended, why and since when.
type stop struct {
	Cause State     `json:"cause"` // the state it ends in
	At    time.Time `json:"at"`
}

// newRecord applies the directives of the script and refuses what sbatch or
// qsub itself would refuse, without asking the controller.
func newRecord(spec Spec, pbs bool, now time.Time) (*record, error) {
	rec := &record{Job: Job{State: Pending, Reason: "None", Nodes: 1}}
	read, name := applyDirectives, "sbatch"
	if pbs {
		read, name = applyPBSDirectives, "STDIN"
	} else if err := checkScript(spec.Script); err != nil {
		return nil, err
	}
	if err := read(rec, spec, now); err != nil {
		return nil, err
	}
	if rec.Spec.Name == "" {
		rec.Spec.Name = name
	}
	if rec.Held { // needs no look at the queue
		rec.Reason = "JobHeldUser"
	}
	if rec.Spec.Env == nil {
		rec.Spec.Env = map[string]string{"F7T_version": "v2.0.0"}
	} else {
		rec.Spec.Env = maps.Clone(rec.Spec.Env)
	}
	if !filepath.IsAbs(rec.Spec.WorkingDir) {
		return nil, fmt.Errorf("working directory %q is not an absolute path", rec.Spec.WorkingDir)
	}
	for name, value := range rec.Spec.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return nil, rejected("invalid environment variable %q", name)
		}
	}
	return rec, nil
}

func (r *record) number() uint64 {
	n, _ := strconv.ParseUint(r.ID, 10, 64) // checked by load, made by Submit
	return n
}
