// Package scheduler knows when the schedules of a workflow are due.
//
// It reads cron lines of five fields, or six with seconds in front, and the
// descriptors @hourly, @daily, @weekly, @monthly, @yearly and @every. Time zones
// are IANA names; their rules are part of the program.
package scheduler

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // login nodes and containers often have no zone files

	"github.com/robfig/cron/v3"

	"github.com/fcflow/fcflow/workflow"
)

// What is wrong with a schedule.
const (
	CodeCron     workflow.ProblemCode = "cron_syntax"
	CodeTimezone workflow.ProblemCode = "unknown_timezone"
	CodeNeverDue workflow.ProblemCode = "never_due"
)

// ProblemCodes lists every code that [Check] can report.
func ProblemCodes() []workflow.ProblemCode {
	return []workflow.ProblemCode{CodeCron, CodeTimezone, CodeNeverDue}
}

// Check finds the mistakes in the schedules of a workflow.
func Check(w *workflow.Workflow) workflow.Problems {
	var problems workflow.Problems
	for _, s := range w.Schedules {
		zone, err := loadZone(s.Timezone)
		if err != nil {
			zone = time.UTC
			problems = append(problems, workflow.Problem{
				Code: CodeTimezone, Pos: s.ZonePos, Message: err.Error(),
				Hint: "write an IANA name such as Europe/Zurich, or UTC",
			})
		}
		due, err := parse(s.Cron)
		switch {
		case s.Cron == "": // reported as a missing key
		case err != nil:
			problems = append(problems, workflow.Problem{
				Code: CodeCron, Pos: s.CronPos, Message: err.Error(), Hint: cronHint(s.Cron),
			})
		case !due.everDue(zone, s.DST):
			problems = append(problems, workflow.Problem{
				Code: CodeNeverDue, Pos: s.CronPos,
				Message: fmt.Sprintf("cron line %q is not due once in five years", s.Cron),
				Hint:    "is there such a day in that month?",
			})
		}
	}
	return problems
}

// loadZone returns the zone of that name; "" is UTC. The zone of the machine is
// no zone: a run would then depend on where it was started.
func loadZone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New(`timezone "Local" depends on the machine`)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("unknown timezone %q", name)
	}
	return zone, nil
}

const maxCronLine = 256

var parser = cron.NewParser(
	cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// parse reads a cron line for a calendar without a zone. It refuses what the cron
// library accepts without meaning, or panics on.
func parse(line string) (*Calendar, error) {
	fields := strings.Fields(line)
	switch {
	case len(line) > maxCronLine:
		return nil, fmt.Errorf("cron line is longer than %d characters", maxCronLine)
	case len(fields) == 0:
		return nil, errors.New("cron line is empty")
	case strings.HasPrefix(fields[0], "TZ=") || strings.HasPrefix(fields[0], "CRON_TZ="):
		return nil, fmt.Errorf("cron line %q carries a time zone", line)
	case fields[0] == "@every":
		return parseEvery(line, fields)
	case line[0] != '@' && len(fields) != 5 && len(fields) != 6:
		return nil, fmt.Errorf("cron line %q has %d fields; want five, or six with seconds", line, len(fields))
	}
	due, err := parser.Parse(strings.TrimSpace(line))
	if err != nil {
		return nil, fmt.Errorf("cron line %q: %w", line, err)
	}
	spec, ok := due.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("cron line %q is of an unknown kind", line)
	}
	// A field of commas alone parses to no value at all, and looking for the next
	// time would then take seconds.
	for _, bits := range []uint64{spec.Second, spec.Minute, spec.Hour, spec.Dom, spec.Month, spec.Dow} {
		if bits == 0 {
			return nil, fmt.Errorf("cron line %q has a field without a value", line)
		}
	}
	spec.Location = time.UTC
	return &Calendar{zone: time.UTC, line: spec, timeOfDay: namesTimeOfDay(fields)}, nil
}

// namesTimeOfDay reports whether a cron line has one hour in its hour field.
func namesTimeOfDay(fields []string) bool {
	if len(fields) == 1 {
		return fields[0] != "@hourly"
	}
	return !strings.ContainsAny(fields[len(fields)-4], "*?/-,")
}

// parseEvery reads "@every 90m". The library takes zero and negative lengths
// for one second, and counts from when the program was started.
func parseEvery(line string, fields []string) (*Calendar, error) {
	if len(fields) != 2 {
		return nil, fmt.Errorf("cron line %q: want @every and one duration", line)
	}
	every, err := workflow.ParseDuration(fields[1])
	switch {
	case err != nil:
		return nil, fmt.Errorf("cron line %q: %w", line, err)
	case every < time.Second:
		return nil, fmt.Errorf("cron line %q: the shortest interval is one second", line)
	case every%time.Second != 0:
		return nil, fmt.Errorf("cron line %q: the interval must be whole seconds", line)
	}
	return &Calendar{zone: time.UTC, every: int64(every / time.Second)}, nil
}

// everDue reports whether there is a slot within five years.
func (c *Calendar) everDue(zone *time.Location, dst string) bool {
	in := *c
	in.zone, in.skipGap = zone, dst == "skip"
	return !in.Next(time.Now()).IsZero()
}

func cronHint(line string) string {
	switch {
	case strings.Contains(line, "TZ="):
		return "write the zone under timezone"
	case strings.HasPrefix(line, "@every"):
		return `such as "@every 90m"`
	}
	return `minute hour day month weekday, such as "30 2 * * *"`
}
