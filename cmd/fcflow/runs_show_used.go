package main

import (
	"fmt"
	"strings"
)

// usage is what runs have used.
type usage struct {
	runs     int
	hours    *float64
	requests map[string]int
}

// add counts a run, and all that its steps have started.
func (s *usage) add(r *shownRun) {
	s.runs++
	if r.NodeHours != nil {
		sum := *r.NodeHours
		if s.hours != nil {
			sum += *s.hours
		}
		s.hours = &sum
	}
	for operation, n := range r.Requests {
		s.requests[operation] += n
	}
	for i := range r.Children {
		s.add(&r.Children[i])
	}
}

// String says it for people; "" if nothing was used.
func (s *usage) String() string {
	var parts []string
	if s.hours != nil {
		parts = append(parts, hoursText(*s.hours)+" node-hours")
	}
	sum := 0
	for _, n := range s.requests {
		sum += n
	}
	if sum > 0 {
		parts = append(parts, count(sum, "request"))
	}
	return strings.Join(parts, ", ")
}

// used says what the run and those that it has started have used.
func (r *shownRun) used() string {
	own := usage{hours: r.NodeHours, requests: r.Requests}
	below := usage{requests: map[string]int{}}
	for i := range r.Children {
		below.add(&r.Children[i])
	}
	text, more := own.String(), below.String()
	if more == "" {
		return text
	}
	return strings.TrimPrefix(fmt.Sprintf("%s; in %s: %s", text, count(below.runs, "child run"), more), "; ")
}
