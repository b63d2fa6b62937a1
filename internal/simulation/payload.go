package simulation

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// payload is what a script does, as a comment line in it says:
//
//	# sim: 90s exit=0 after=a,b
//
// It takes 90 seconds, ends with 0, and must not start before the units a and b
// have succeeded. Several words after exit= are for the first attempt of the
// unit, the second and so on; the last is for all others. Besides exit codes
// they may be oom, walltime or node_fail.
type payload struct {
	takes time.Duration
	ends  []string
	after []string
}

var simLine = regexp.MustCompile(`(?m)^\s*# sim: (.*)$`)

func readPayload(script string) payload {
	p := payload{takes: 30 * time.Second, ends: []string{"0"}}
	m := simLine.FindStringSubmatch(script)
	if m == nil {
		return p
	}
	for word := range strings.FieldsSeq(m[1]) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "exit":
			p.ends = strings.Split(value, ",")
		case "after":
			p.after = strings.Split(value, ",")
		default:
			if d, err := time.ParseDuration(word); err == nil {
				p.takes = d
			}
		}
	}
	return p
}

// end is how the n-th attempt ends, from 1.
func (p payload) end(n int) string { return p.ends[min(n, len(p.ends))-1] }

var (
	fenceLine   = regexp.MustCompile(`fcflow_at=('(?:[^']|'\\'')*')`)
	payloadLine = regexp.MustCompile(`(?m)^cat >('(?:[^']|'\\'')*') <<`)
	limitLine   = regexp.MustCompile(`(?m)^#SBATCH --time=(?:(\d+)-)?(\d+):(\d+):(\d+)`)
	noRequeue   = regexp.MustCompile(`(?m)^#SBATCH --no-requeue`)
)

// fenceOf is the path at which a script claims its token; "" if it does not.
func fenceOf(script string) string {
	m := fenceLine.FindStringSubmatch(script)
	if m == nil {
		return ""
	}
	return unquote(m[1])
}

func unquote(word string) string {
	return strings.ReplaceAll(strings.Trim(word, "'"), `'\''`, "'")
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// limitOf is the wall time a script asks for.
func limitOf(script string) time.Duration {
	m := limitLine.FindStringSubmatch(script)
	if m == nil {
		return time.Hour
	}
	var n [4]int
	for i, digits := range m[1:] {
		n[i], _ = strconv.Atoi(digits) // an absent group is 0
	}
	return time.Duration(n[0])*24*time.Hour + time.Duration(n[1])*time.Hour + time.Duration(n[2])*time.Minute + time.Duration(n[3])*time.Second
}

// Exit codes of a script that does not run its payload.
const (
	exitDirectory = 78
	exitDuplicate = 79
)

// prologue does what the beginning of a script does that claims its token, and
// returns the code it ends with if the payload is not to run.
func (w *World) prologue(j *job) (code int, runs bool) {
	at := fenceOf(j.script)
	if at == "" {
		return w.withoutFence(j)
	}
	dir := path.Dir(at)
	if blind := "mkdir -p -- " + quote(dir); strings.Contains(beforeFence(j.script), blind) && w.disk.mkdirAll(dir) != "" {
		return exitDirectory, false
	}
	if n := w.disk.follow(dir); n == nil || n.kind != isDir {
		return exitDirectory, false
	}
	if marker := w.disk.readlink(at + ".x"); marker != "" {
		return readMarker(marker, j.id)
	}
	mine := ".o-" + j.id
	if n := w.disk.follow(at); (n == nil || n.kind != isDir) && w.disk.link(at, mine) == "" {
		w.slow(j, at)
	}
	switch w.disk.readlink(at) {
	case mine:
		return 0, true
	case "":
		return exitDirectory, false
	}
	return exitDuplicate, false
}

// withoutFence is the beginning of a script that claims nothing: it may need a
// place for its payload.
func (w *World) withoutFence(j *job) (code int, runs bool) {
	if m := payloadLine.FindStringSubmatch(j.script); m != nil {
		if n := w.disk.follow(path.Dir(unquote(m[1]))); n == nil || n.kind != isDir {
			return exitDirectory, false
		}
	}
	return 0, true
}

// beforeFence is what a script does before it says where its claim is.
func beforeFence(script string) string { return script[:fenceLine.FindStringIndex(script)[0]] }

// readMarker is what an exit marker that is there already tells a job: its own
// code, if it has run before, or that another one has.
func readMarker(marker, id string) (code int, runs bool) {
	number, owner, _ := strings.Cut(strings.TrimPrefix(marker, "x-"), ".")
	if code, err := strconv.Atoi(number); err == nil && owner == id && strings.HasPrefix(marker, "x-") {
		return code, false
	}
	return exitDuplicate, false
}

// slow lets what a job has just made show in listings later than it is there.
func (w *World) slow(j *job, at string) {
	if d, hit := w.batch.troubled(staleList, j); hit {
		if n := w.disk[path.Clean(at)]; n != nil {
			n.shows = time.Now().Add(d.between(time.Second, 240*time.Second))
		}
	}
}

// epilogue leaves the exit marker of a payload that came to its own end.
func (w *World) epilogue(j *job, code int) {
	if at := fenceOf(j.script); at != "" {
		if w.disk.link(at+".x", "x-"+strconv.Itoa(code)+"."+j.id) == "" {
			w.slow(j, at+".x")
		}
	}
}

// Trial is what a job script came to that was tried out by itself.
type Trial struct {
	Code          int
	Ran           bool   // its payload ran
	Claim, Marker string // what the links say then
}

// Try executes a job script as a job of the world, alone in a control directory
// that may hold a claim and an exit marker, so that it can be compared with what
// a shell makes of it. The claim "dir" is a directory in its place.
func Try(script, control, token, id string, there bool, claim, marker string) Trial {
	w := newWorld(Schedule{}, false)
	at := path.Join(control, token)
	if there {
		w.disk.mkdirAll(control)
	}
	switch claim {
	case "":
	case "dir":
		w.disk.mkdirAll(at)
	default:
		w.disk.link(at, claim)
	}
	if marker != "" {
		w.disk.link(at+".x", marker)
	}
	j := &job{id: id, token: token, script: script, payload: readPayload(script)}
	var t Trial
	t.Code, t.Ran = w.prologue(j)
	if t.Ran {
		t.Code, _ = strconv.Atoi(j.payload.end(1)) // a number here
		w.epilogue(j, t.Code)
	}
	t.Claim, t.Marker = w.disk.readlink(at), w.disk.readlink(at+".x")
	return t
}
