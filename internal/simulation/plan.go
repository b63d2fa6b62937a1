package simulation

import (
	"fmt"
	"slices"
	"time"
)

// Plan is work for a program: tasks that wait for others. A program writes it
// down in its own language.
type Plan struct {
	Name  string
	Tasks []Task
}

// Task is one job.
type Task struct {
	Unit  string
	After []string
	Takes time.Duration
	// Ends are the ends of its attempts, as a script says them, see exit= in a
	// script; "" is success.
	Ends string
	// Retry lists causes after which it may be tried again, at most Max times.
	Retry []string
	Max   int
	// Timeout bounds an attempt, waiting in the queue included; 0 does not.
	Timeout time.Duration
	// Requeue lets the scheduler run a job again whose node died.
	Requeue bool
	// Fence is how the program makes sure that a job is the only one, in its own
	// words; "" leaves that to the program.
	Fence string
}

// Unfenced is the plan without any precaution against a second execution but the
// name of a job.
func (p Plan) Unfenced() Plan {
	tasks := slices.Clone(p.Tasks)
	for i := range tasks {
		tasks[i].Fence = "off"
	}
	return Plan{p.Name, tasks}
}

// Script is the job of a task.
func (t Task) Script() string {
	ends, after := t.Ends, ""
	if ends == "" {
		ends = "0"
	}
	for i, unit := range t.After {
		after += map[bool]string{true: " after=", false: ","}[i == 0] + unit
	}
	return fmt.Sprintf("#!/bin/bash\n# sim: %s exit=%s%s\n", t.Takes, ends, after)
}

// Plans are the shapes that random schedules choose from.
func Plans() []Plan {
	stubborn := []string{"node_fail", "killed", "out_of_memory", "walltime", "preempted"}
	task := func(unit string, takes time.Duration, after ...string) Task {
		return Task{Unit: unit, Takes: takes, After: after, Retry: stubborn, Max: 3}
	}
	wide := Plan{Name: "wide"}
	for i := range 8 {
		wide.Tasks = append(wide.Tasks, task(fmt.Sprintf("w%d", i), time.Duration(20+17*i)*time.Second))
	}
	failing := task("b", 40*time.Second)
	failing.Ends = "node_fail,oom,0"
	broken := task("b", 40*time.Second)
	broken.Ends = "3"
	slow := task("b", 20*time.Minute)
	slow.Timeout = 5 * time.Minute
	again := []Task{task("a", 40*time.Second), task("b", 60*time.Second), task("c", 30*time.Second, "a", "b")}
	for i := range again {
		again[i].Requeue = true
	}
	return []Plan{
		{"requeue", again},
		{"one", []Task{task("a", 60*time.Second)}},
		{"chain", []Task{task("a", 40*time.Second), task("b", 70*time.Second, "a"), task("c", 30*time.Second, "b")}},
		{"fan_in", []Task{
			task("a", 40*time.Second), task("b", 90*time.Second), task("c", 20*time.Second), task("d", 50*time.Second, "a", "b", "c"),
		}},
		{"diamond", []Task{
			task("a", 40*time.Second), task("b", 90*time.Second, "a"), task("c", 20*time.Second, "a"), task("d", 50*time.Second, "b", "c"),
		}},
		wide,
		{"retry", []Task{task("a", 30*time.Second), failing, task("c", 30*time.Second, "a", "b")}},
		{"broken", []Task{task("a", 30*time.Second), broken, task("c", 30*time.Second, "b")}},
		{"slow", []Task{task("a", 30*time.Second), slow}},
	}
}
