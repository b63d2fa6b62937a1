package oracle

import (
	"fmt"
	"strings"
	"time"
)

// Hold is what an attempt does before it ends.
type Hold string

const (
	NoHold   Hold = ""         // it ends at once
	Busy     Hold = "busy"     // it works, and ends when it is told to stop
	Deaf     Hold = "deaf"     // it works, and does not heed being told to stop
	Timer    Hold = "timer"    // it waits for an instant
	Job      Hold = "job"      // it waits for remote work, which ends when it is told to stop
	Stubborn Hold = "stubborn" // it waits for remote work that nobody can stop
)

// waits reports whether an attempt gives its slot back meanwhile.
func (h Hold) waits() bool { return h == Timer || h == Job || h == Stubborn }

// heeds reports whether an attempt that is told to stop ends by that.
func (h Hold) heeds() bool { return h == Busy || h == Timer || h == Job }

// Act is what one attempt does: a hold of some length, and an end.
type Act struct {
	Hold Hold
	For  time.Duration
	// Then is "ok", "mute" (a success that lacks a declared output), "panic", or
	// "fail" and a cause.
	Then string
}

// ParseAct reads words such as "ok", "job 3m fail node_fail".
func ParseAct(words string) (Act, error) {
	var a Act
	first, rest, _ := strings.Cut(words, " ")
	switch h := Hold(first); h {
	case Busy, Deaf, Timer, Job, Stubborn:
		length, then, _ := strings.Cut(rest, " ")
		d, err := time.ParseDuration(length)
		if err != nil {
			return Act{}, fmt.Errorf("%q: %w", words, err)
		}
		a = Act{Hold: h, For: d, Then: then}
	default:
		a.Then = words
	}
	if a.Then != "ok" && a.Then != "mute" && a.Then != "panic" && !strings.HasPrefix(a.Then, "fail ") {
		return Act{}, fmt.Errorf("%q says nothing about the end", words)
	}
	return a, nil
}

func (a Act) String() string {
	if a.Hold == NoHold {
		return a.Then
	}
	return fmt.Sprintf("%s %s %s", a.Hold, a.For, a.Then)
}

// cause is why the attempt fails, "" if it does not.
func (a Act) cause() string {
	switch a.Then {
	case "ok":
		return ""
	case "mute":
		return "output_missing"
	case "panic":
		return "panic"
	}
	return strings.TrimPrefix(a.Then, "fail ")
}

// Script says what an attempt of a unit does: attempts count from 1, a unit is
// named by its step and key.
type Script func(step, key string, attempt int) Act

// Acts is a script in words: by "step/key", or else by "step", what each attempt
// does; the last entry repeats. What is not there succeeds at once.
type Acts map[string][]string

// Script makes a script of the words.
func (a Acts) Script() (Script, error) {
	read := map[string][]Act{}
	for unit, list := range a {
		for _, words := range list {
			act, err := ParseAct(words)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", unit, err)
			}
			read[unit] = append(read[unit], act)
		}
	}
	return func(step, key string, attempt int) Act {
		list, ok := read[step+"/"+key]
		if !ok {
			list = read[step]
		}
		if len(list) == 0 {
			return Act{Then: "ok"}
		}
		return list[min(attempt, len(list))-1]
	}, nil
}
