package firecrest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// JobState is the state of a job in the scheduler's own words: "RUNNING",
// "CANCELLED by 1000", PBS's "Q". Questions about it compare the exact [JobState.Name].
// A state that is not known is not terminal.
type JobState string

// phase is what a state means for somebody who waits.
type phase int

const (
	phaseUnknown phase = iota
	phasePending
	phaseActive
	phaseTerminal
)

// phases holds every state of Slurm, by its long name, and of PBS, by its
// letter.
var phases = map[string]phase{
	"PENDING": phasePending, "CONFIGURING": phasePending, "REQUEUED": phasePending, "REQUEUE_HOLD": phasePending,
	"REQUEUE_FED": phasePending, "RESV_DEL_HOLD": phasePending, "SPECIAL_EXIT": phasePending,

	"RUNNING": phaseActive, "COMPLETING": phaseActive, "SUSPENDED": phaseActive, "STOPPED": phaseActive,
	"SIGNALING": phaseActive, "STAGE_OUT": phaseActive, "RESIZING": phaseActive,

	"COMPLETED": phaseTerminal, "CANCELLED": phaseTerminal, "FAILED": phaseTerminal, "TIMEOUT": phaseTerminal,
	"NODE_FAIL": phaseTerminal, "PREEMPTED": phaseTerminal, "BOOT_FAIL": phaseTerminal, "DEADLINE": phaseTerminal,
	"OUT_OF_MEMORY": phaseTerminal, "REVOKED": phaseTerminal, "LAUNCH_FAILED": phaseTerminal, "RECONFIG_FAIL": phaseTerminal,

	"Q": phasePending, "H": phasePending, "W": phasePending, "T": phasePending, "M": phasePending,
	"R": phaseActive, "E": phaseActive, "B": phaseActive, "S": phaseActive, "U": phaseActive,
	"F": phaseTerminal, "X": phaseTerminal,
}

// Name returns the first word in upper case: "CANCELLED" for "CANCELLED by
// 1000".
func (s JobState) Name() string {
	words := strings.Fields(string(s))
	if len(words) == 0 {
		return ""
	}
	return strings.ToUpper(words[0])
}

// IsTerminal reports whether a job in this state will not run again, short of
// being requeued.
func (s JobState) IsTerminal() bool { return phases[s.Name()] == phaseTerminal }

// IsPending reports whether the job has yet to start.
func (s JobState) IsPending() bool { return phases[s.Name()] == phasePending }

// IsActive reports whether the job has started and not ended.
func (s JobState) IsActive() bool { return phases[s.Name()] == phaseActive }

// IsKnown reports whether the state is in the vocabulary of Slurm or PBS.
func (s JobState) IsKnown() bool { return phases[s.Name()] != phaseUnknown }

// UnmarshalJSON reads a text, or a list of texts, as Slurm's REST interface
// has it: a base state and flags. Of a list it keeps the first state that is
// not terminal, so that ["COMPLETED","COMPLETING"] is not over; else the first.
func (s *JobState) UnmarshalJSON(b []byte) error {
	var list []string
	if len(b) > 0 && b[0] == '[' {
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
	} else {
		var one text
		if err := one.UnmarshalJSON(b); err != nil {
			return fmt.Errorf("job state: %w", err)
		}
		list = []string{string(one)}
	}
	*s = ""
	for i, text := range list {
		state := JobState(clean(text))
		if i == 0 {
			*s = state
		}
		if !state.IsTerminal() {
			*s = state
			break
		}
	}
	return nil
}
