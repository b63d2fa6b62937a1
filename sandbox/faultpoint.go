package sandbox

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
	"github.com/fcflow/fcflow/sandbox/objects"
)

// subject is what a switch looks at.
type subject struct {
	ops   []string // names of the operation
	text  string   // path, query, key, name
	token bool     // the operation needs a token
}

func (f *faultSwitch) applies(to subject) bool {
	if !strings.Contains(to.text, f.match) {
		return false
	}
	if f.ops == "" {
		return to.token
	}
	return slices.ContainsFunc(to.ops, func(op string) bool { return glob(f.ops, op) })
}

// requested is a request as fault switches see it.
func requested(r *http.Request, row *route, path string) subject {
	text := r.URL.Path
	for _, values := range r.URL.Query() {
		text += "?" + strings.Join(values, "?")
	}
	return subject{ops: []string{row.op, r.Method + " " + path}, text: text, token: row.access == member}
}

// fault is what the switches, or else Config.Fault, do to a request.
func (s *Server) fault(c *call) *Fault {
	if s.cfg.Fault != nil {
		if f := s.cfg.Fault(c.route.op, c.r); f != nil {
			return f
		}
	}
	var result Fault
	if c.route.access == admin { // else nobody could switch them off
		return &result
	}
	s.faults.each(c.subject, func(f *faultSwitch) bool { return f.kind.request != nil }, func(f *faultSwitch) bool {
		next := f.kind.request(f)
		next.Delay += result.Delay
		result = *next
		return f.kind.name == latency // and what else will happen?
	})
	return &result
}

// storeFault is what the switches, or else Config.StoreFault, do to a request to
// the object store.
func (s *Server) storeFault(op string, r *http.Request) *objects.Fault {
	if s.cfg.StoreFault != nil {
		if f := s.cfg.StoreFault(op, r); f != nil {
			return f
		}
	}
	var result objects.Fault
	at := subject{ops: []string{"s3 " + op}, text: r.URL.Path}
	s.faults.each(at, func(f *faultSwitch) bool { return f.kind.store != nil }, func(f *faultSwitch) bool {
		next := f.kind.store(f)
		next.Delay += result.Delay
		result = *next
		return f.kind.name == latency
	})
	return &result
}

// lasting is the duration a switch of that kind puts in place of usual.
func (s *Server) lasting(c *call, kind string, usual time.Duration) time.Duration {
	if f := s.faults.named(kind, c.subject); f != nil {
		return f.duration
	}
	return usual
}

// hides says whether a switch keeps a job of that age from a query.
func (s *Server) hides(c *call, age time.Duration) bool {
	return s.faults.any(c.subject, func(f *faultSwitch) bool {
		return f.kind.name == "hide-rows" || f.kind.name == "accounting-lag" && age < f.duration
	})
}

// broken says whether a switch has the service fail for a request.
func (s *Server) broken(c *call, service string) bool {
	return s.faults.any(c.subject, func(f *faultSwitch) bool { return f.breaks(c.system, service) })
}

func (f *faultSwitch) breaks(system, service string) bool {
	return f.kind.name == "unhealthy" && f.service == service && (f.system == "" || f.system == system)
}

// doom is how a switch has a job end that starts, and after how long.
func (s *Server) doom(job batch.Job) (batch.State, time.Duration) {
	f := s.faults.named("fail-job", subject{ops: []string{jobStart}, text: job.Spec.Name})
	if f == nil {
		return "", 0
	}
	return batch.State(strings.ToUpper(f.end)), f.duration
}

// quota is w, unless a switch has the disk full.
func (s *Server) quota(w io.Writer, op, name string) io.Writer {
	full := s.faults.named("disk-quota", subject{ops: []string{op}, text: name})
	if full == nil {
		return w
	}
	return &fullDisk{w, full.bytes}
}

// fullDisk takes so many bytes and no more.
type fullDisk struct {
	w    io.Writer
	left int64
}

func (d *fullDisk) Write(p []byte) (int, error) {
	n, err := d.w.Write(p[:min(int64(len(p)), d.left)])
	d.left -= int64(n)
	if err == nil && n < len(p) {
		err = syscall.EDQUOT
	}
	return n, err
}
