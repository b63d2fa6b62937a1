package simulation

import (
	"fmt"
	"strings"
	"time"
)

// Schedule is everything that will happen to a program.
type Schedule struct {
	Seed Seed
	Plan Plan
	// Weather has the chance of each kind of trouble, each time it could strike.
	Weather [faults]float64
	// Troubles strike requests of one kind, beside the weather.
	Troubles []Trouble
	Outages  []Outage
	// Horizon is when all trouble ends, kills apart.
	Horizon time.Duration
	Kills   []Kill
	// Story is what happens besides.
	Story Story
	// Cancel is when somebody cancels the work; 0 = nobody does.
	Cancel time.Duration
}

// Outage is something that is down for a while.
type Outage struct {
	Fault     Fault
	From, For time.Duration
	Hard      bool // no connection, rather than an answer
}

// Trouble is a fault that strikes requests of an operation, such as "POST job",
// with a chance: the Nth about the same thing, or any if that is 0.
type Trouble struct {
	Fault     Fault
	Operation string
	Nth       int
	Chance    float64
}

// Kill is a moment at which the program is killed: a time since the beginning,
// or, if that is 0, a boundary: the n-th moment right before or after a commit
// or a request. A kill finds the program only if it lives.
type Kill struct {
	At       time.Duration
	Boundary int
}

// Clean is how long a plan takes that nothing disturbs, in time and boundaries.
type Clean struct {
	Took       time.Duration
	Boundaries int
}

// Undisturbed is a schedule in which nothing goes wrong.
func Undisturbed(seed Seed, plan Plan) Schedule { return Schedule{Seed: seed, Plan: plan} }

// NewSchedule draws a schedule. clean tells of each plan how it goes when
// nothing disturbs it, for kills are spread evenly over that.
func NewSchedule(seed Seed, plans []Plan, clean map[string]Clean) Schedule {
	d := seed.about("schedule")
	s := Schedule{Seed: seed, Plan: pick(d, plans)}
	c := clean[s.Plan.Name]
	s.Horizon = c.Took + d.between(0, 2*c.Took)
	s.weather(d)
	s.outages(d, c)
	if d.hits(0.2) {
		s.Cancel = d.between(0, c.Took)
	}
	if d.hits(0.75) {
		for range 1 + d.below(3) {
			s.Kills = append(s.Kills, kill(d, c))
		}
	}
	return s
}

func kill(d *dice, c Clean) Kill {
	if d.hits(0.5) {
		return Kill{At: d.between(0, c.Took)}
	}
	return Kill{Boundary: 1 + d.below(c.Boundaries+20)} // a disturbed run has more
}

// weather chooses a few kinds of trouble, and how often they strike.
func (s *Schedule) weather(d *dice) {
	kinds := []Fault{
		refused, lostRequest, LostReply, silentReply, lateEffect, twice, tokenRefused, tokenDown, tooMany, tooManyBare,
		serverError, gatewayError, htmlError, htmlSuccess, timedOut, timedOutLate, dependency, listFails, HiddenRows,
		acceptLag, endLag, jobLimit, adminCancel, killed, nodeFail, requeued, outOfMemory, walltime,
		forgotten, staleList,
	}
	for range d.below(8) {
		s.Weather[pick(d, kinds)] = pick(d, []float64{0.05, 0.15, 0.3, 0.5})
	}
	if s.Plan.Tasks[0].Requeue {
		s.Weather[requeued] = 0.4
	}
}

// outages takes something down now and then.
func (s *Schedule) outages(d *dice, c Clean) {
	if !d.hits(0.3) {
		return
	}
	o := Outage{Fault: pick(d, []Fault{noFiles, noScheduler, apiDown}), From: d.between(0, c.Took), Hard: d.hits(0.5)}
	o.For = d.between(30*time.Second, 10*time.Minute)
	if o.Fault == apiDown && d.hits(0.5) {
		o.For = d.between(time.Hour, 6*time.Hour)
	}
	s.Outages = append(s.Outages, o)
	s.Horizon = max(s.Horizon, o.From+o.For)
}

// LostReplies is a schedule with a list that hides 30 of 100 rows, and half of
// the replies to submissions lost after the job was accepted.
func LostReplies(seed Seed, plan Plan) Schedule {
	s := Schedule{Seed: seed, Plan: plan, Horizon: 1000 * time.Hour}
	s.Weather[HiddenRows] = 0.3
	s.Troubles = []Trouble{{Fault: LostReply, Operation: opSubmit.String(), Chance: 0.5}}
	return s
}

// String says what is in store.
func (s Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s", s.Seed, s.Plan.Name)
	for _, f := range Faults() {
		if chance := s.Weather[f]; chance > 0 {
			fmt.Fprintf(&b, ", %s %v", f, chance)
		}
	}
	for _, t := range s.Troubles {
		fmt.Fprintf(&b, ", %s of %s", t.Fault, t.Operation)
	}
	for _, o := range s.Outages {
		fmt.Fprintf(&b, ", %s from %s for %s", o.Fault, o.From.Round(time.Second), o.For.Round(time.Second))
	}
	for _, k := range s.Kills {
		if k.Boundary > 0 {
			fmt.Fprintf(&b, ", killed at boundary %d", k.Boundary)
		} else {
			fmt.Fprintf(&b, ", killed at %s", k.At)
		}
	}
	if s.Cancel > 0 {
		fmt.Fprintf(&b, ", cancelled at %s", s.Cancel.Round(time.Second))
	}
	fmt.Fprintf(&b, ", all well from %s", s.Horizon.Round(time.Second))
	return b.String()
}
