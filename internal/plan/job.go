package plan

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/fcflow/fcflow/steps/jobscript"
	"github.com/fcflow/fcflow/workflow"
)

// Job is what a step asks a scheduler for: by its resources, or by directives
// that say the same. What is not asked for, or only known to the run, is empty.
type Job struct {
	Partition   string `json:"partition,omitempty"`
	Account     string `json:"account,omitempty"`
	Reservation string `json:"reservation,omitempty"`
	QOS         string `json:"qos,omitempty"`
	Nodes       int64  `json:"nodes,omitempty"`
	// Time is the wall time.
	Time time.Duration `json:"-"`
	// Walltime is Time as text; empty = the default of the partition.
	Walltime string `json:"walltime,omitempty"`

	from map[string]string // key → the input that says it
}

// submits reports whether a step type sends a batch script.
func submits(spec *workflow.StepSpec) bool {
	_, resources := spec.Input("resources")
	return spec.Remote && resources
}

func (r *reader) job() *Job {
	j := &Job{from: map[string]string{}}
	j.directives(r)
	resources, known := r.value("resources")
	if !known {
		resources = literals(r.step.With, "resources")
	}
	if m, ok := resources.(map[string]any); ok {
		for key, value := range m {
			j.set(key, value, "resources."+key)
		}
	}
	if j.Account == "" {
		if text, known := r.text("account"); known && text != "" {
			j.set("account", text, "account")
		} else if known {
			j.Account = r.options.Account
		}
	}
	if j.Time > 0 {
		j.Walltime = short(j.Time)
	}
	return j
}

// directives reads what the script and the list of directives ask for; resources
// that repeat one are a mistake that was found before.
func (j *Job) directives(r *reader) {
	script, _ := r.text("script")
	var options []string
	if given, known := r.value("directives"); known {
		items, _ := given.([]any)
		for _, item := range items {
			if text, ok := item.(string); ok {
				options = append(options, text)
			}
		}
	}
	scheduler := jobscript.Guess(script, options)
	for key, text := range jobscript.Requested(scheduler, script, nil) {
		j.set(key, text, "script")
	}
	for key, text := range jobscript.Requested(scheduler, "", options) {
		j.set(key, text, "directives")
	}
}

// set notes one thing that is asked for. Values that cannot be read are left to
// the step type, which checks them.
func (j *Job) set(key string, value any, from string) {
	text, _ := value.(string)
	if number, ok := value.(json.Number); ok {
		text = number.String()
	}
	if text == "" {
		return
	}
	j.from[key] = from
	switch key {
	case "partition":
		j.Partition = text
	case "account":
		j.Account = text
	case "reservation":
		j.Reservation = text
	case "qos":
		j.QOS = text
	case "nodes":
		j.Nodes, _ = strconv.ParseInt(text, 10, 64)
	case "time":
		j.Time = walltime(text)
	}
}

// walltime reads a wall time: a Go duration, or one of Slurm's forms, in which a
// bare number is minutes.
func walltime(text string) time.Duration {
	if minutes, err := strconv.Atoi(text); err == nil {
		return time.Duration(minutes) * time.Minute
	}
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	d, _ := workflow.ParseDuration(text) // 0: what no scheduler reads either
	return d
}

// literals are the members of a mapping that hold no expression.
func literals(with *workflow.Value, name string) any {
	m, ok := with.Member(name)
	if !ok {
		return nil
	}
	found := map[string]any{}
	for _, member := range m.Value.Members {
		switch v := member.Value; {
		case v.Template != nil:
		case v.Kind == workflow.NumberValue:
			found[member.Name] = json.Number(v.Text)
		case v.Kind == workflow.TextValue:
			found[member.Name] = v.Text
		}
	}
	return found
}
