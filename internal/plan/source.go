package plan

import (
	"slices"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// Source is a file, directory or pattern that a step reads.
type Source struct {
	// Input is the input of the step that names it, as Given.
	Input string `json:"input"`
	Given string `json:"given"`
	// Side is where it is: local, remote, or elsewhere (an object store).
	Side workflow.PathKind `json:"side"`
	// Path is the full path; of a Fresh one relative to the run's own directory
	// on the system, which is empty when the run begins.
	Path  string `json:"path,omitempty"`
	Fresh bool   `json:"fresh,omitempty"`
	// Seen is what was found there; nil if nobody looked.
	Seen *Seen `json:"seen,omitempty"`
}

// Elsewhere is the side of what is neither here nor on the system.
const Elsewhere workflow.PathKind = "elsewhere"

// Seen is what is found at a path.
type Seen struct {
	Exists bool `json:"exists"`
	// Dir: a directory, or several files that a pattern names.
	Dir       bool  `json:"dir"`
	Files     int   `json:"files"`
	SizeBytes int64 `json:"size_bytes"` // of all of them
	// Problem says why it cannot be read, or looked at.
	Problem string `json:"problem,omitempty"`
}

// LocalSources lists the paths on this machine that steps read, each once.
func (p *Plan) LocalSources() []string {
	var paths []string
	seen := map[string]bool{}
	for _, s := range p.Steps {
		for _, r := range s.Reads {
			if r.Side == workflow.LocalPath && !seen[r.Path] {
				seen[r.Path] = true
				paths = append(paths, r.Path)
			}
		}
	}
	return paths
}

// RemotePath is a path on a system.
type RemotePath struct{ System, Path string }

// RemoteSources lists the paths on systems that steps read and that may be there
// before the run, each once.
func (p *Plan) RemoteSources() []RemotePath {
	var paths []RemotePath
	seen := map[RemotePath]bool{}
	for _, s := range p.Steps {
		for _, r := range s.Reads {
			at := RemotePath{s.System, r.Path}
			if r.Side == workflow.RemotePath && !r.Fresh && s.System != "" && !seen[at] {
				seen[at] = true
				paths = append(paths, at)
			}
		}
	}
	return paths
}

// SeeLocal is told what is at the paths of [Plan.LocalSources].
func (p *Plan) SeeLocal(seen map[string]Seen) {
	for _, s := range p.Steps {
		for _, r := range s.Reads {
			found, looked := seen[r.Path]
			if r.Side != workflow.LocalPath || !looked {
				continue
			}
			r.Seen = &found
			switch {
			case found.Problem != "":
				p.add(s, r.Input, Finding{Severity: Error, Code: LocalUnreadable, Message: found.Problem})
			case found.Exists:
			case s.mayFollow(writesHere):
				p.add(s, r.Input, Finding{
					Severity: Unknown, Code: LocalMissing, Message: r.missing() + " yet; a step before may make it",
				})
			default:
				p.add(s, r.Input, Finding{
					Severity: s.needs(), Code: LocalMissing, Message: r.missing() + ", and no step before makes it",
				})
			}
		}
	}
}

// missing says that nothing is there.
func (r *Source) missing() string {
	if strings.ContainsAny(r.Given, "*?[") {
		return "nothing matches " + r.Path
	}
	return "there is no " + r.Path
}

// needs is how bad it is that something is missing which the step needs if it
// runs.
func (s *Step) needs() Severity {
	if s.Runs == Depends {
		return Warning
	}
	return Error
}

// mayFollow reports whether a step that has ended by then may have done
// something.
func (s *Step) mayFollow(did func(earlier, s *Step) bool) bool {
	return slices.ContainsFunc(s.before, func(earlier *Step) bool { return did(earlier, s) })
}

// writesHere: steps of no system that name a directory or file here, as commands
// do, and those that bring files.
func writesHere(earlier, _ *Step) bool {
	if earlier.step.Spec().SubWorkflow { // whose steps may do anything
		return true
	}
	return slices.ContainsFunc(earlier.step.Spec().Inputs, func(f workflow.Field) bool {
		return f.Path == workflow.LocalPath && !f.Source
	})
}

// writesThere: steps on the same system, but for those that only read it, and
// commands here, of which nobody knows.
func writesThere(earlier, s *Step) bool {
	if !earlier.step.Remote() {
		return earlier.Transfer == nil && writesHere(earlier, s)
	}
	return earlier.System == "" || s.System == "" || earlier.System == s.System
}

// seeRemote judges what a step reads on its system.
func (p *Plan) seeRemote(s *Step, site *Site, seen map[RemotePath]Seen) {
	for _, r := range s.Reads {
		if r.Side != workflow.RemotePath {
			continue
		}
		made := s.mayFollow(writesThere)
		if r.Fresh {
			if !made {
				p.add(s, r.Input, Finding{
					Severity: Warning, Code: RemoteMissing,
					Message: "nothing puts " + r.Given + " into the directory of the run before this step starts",
					Hint:    "name the step that makes it in `needs`, or write the full path",
				})
			}
			continue
		}
		if !site.holds(r.Path) {
			p.add(s, r.Input, Finding{
				Severity: Error, Code: OutsideFileSystems,
				Message: r.Path + " lies in no file system of " + site.Name + ": " + list(site.FileSystems),
			})
			continue
		}
		found, looked := seen[RemotePath{s.System, r.Path}]
		if !looked {
			continue
		}
		r.Seen = &found
		switch {
		case found.Problem != "":
			p.add(s, r.Input, Finding{Severity: Unknown, Code: RemoteUnreadable, Message: r.Path + " cannot be looked at: " + found.Problem})
		case found.Exists:
		case made:
			p.add(s, r.Input, Finding{
				Severity: Unknown, Code: RemoteMissing, Message: r.missing() + " on " + s.System + " yet; a step before may make it",
			})
		default:
			p.add(s, r.Input, Finding{
				Severity: s.needs(), Code: RemoteMissing,
				Message: r.missing() + " on " + s.System + ", and no step before makes it",
			})
		}
	}
}
