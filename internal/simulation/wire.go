package simulation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// request is one request on its way.
type request struct {
	op     op
	key    string // what it is, about what, and from whom
	nth    string // of its key, as text
	path   []string
	query  url.Values
	header http.Header
	body   []byte
	// Of a submission.
	job   jobBody
	token string
}

// jobBody is a submission as it is sent.
type jobBody struct {
	Name             string `json:"name"`
	WorkingDirectory string `json:"working_directory"`
	WorkingDir       string `json:"workingDirectory"`
	StandardOutput   string `json:"standardOutput"`
	Script           string `json:"script"`
	ScriptPath       string `json:"scriptPath"`
}

// tokenLength is how many characters of a job's name say which attempt it is.
const tokenLength = 20

// tokenOf is the token that a job's name begins with.
func tokenOf(name string) string {
	token, _, _ := strings.Cut(name, "-")
	if len(token) > tokenLength {
		return token[:tokenLength]
	}
	return token
}

// label is the rest of the name: the unit that the job is for.
func label(name string) string {
	_, label, _ := strings.Cut(name, "-")
	return label
}

// read takes a request apart.
func (w *World) read(r *http.Request) (*request, error) {
	req := &request{query: r.URL.Query(), header: r.Header}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err := errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
		req.body = body
	}
	req.path = strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var subject string
	req.op, subject = route(r.Method, req.path)
	switch {
	case req.op == opSubmit:
		var body struct{ Job jobBody }
		if json.Unmarshal(req.body, &body) == nil {
			req.job = body.Job
		}
		req.token = tokenOf(req.job.Name)
		subject = req.job.Name
	case req.op.files():
		subject = req.filePath()
	}
	req.key = req.op.String() + " " + subject
	if !req.op.shared() {
		req.key += " " + callerOf(r.Context())
	}
	return req, nil
}

// RoundTrip carries one request: it departs, arrives, has its effect, and is
// answered, each at a moment of its own.
func (h *Host) RoundTrip(r *http.Request) (*http.Response, error) {
	w := h.world
	req, err := w.read(r)
	if err != nil {
		return nil, err
	}
	d, err := h.number(r, req)
	if err != nil {
		return nil, err
	}
	if !h.wait(d.between(1, 5*time.Millisecond)) {
		return nil, ErrKilled
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	t := &trip{host: h, request: req, raw: r, dice: d, reply: make(chan *answer, 1)}
	if err := t.depart(); err != nil {
		return nil, err
	}
	return t.finish()
}

// number counts a request, unless nobody wants it any more.
func (h *Host) number(r *http.Request, req *request) (*dice, error) {
	w := h.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if h.isDead {
		return nil, ErrKilled
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w.requests[req.key]++
	req.nth = strconv.Itoa(w.requests[req.key])
	return w.about("latency", req.key, req.nth), nil
}

// trip is a request between its departure and its answer.
type trip struct {
	host    *Host
	request *request
	raw     *http.Request
	dice    *dice
	fate    fate
	reply   chan *answer // nil in it: the connection broke
}

// depart sends the request off.
func (t *trip) depart() error {
	w := t.host.world
	w.mu.Lock()
	defer w.mu.Unlock()
	w.boundary(t.host, "before "+t.request.key)
	if t.host.isDead {
		return ErrKilled
	}
	w.count()
	t.fate = w.fate(t.request)
	if t.fate.strikes {
		w.strike(t.fate.fault)
	}
	if t.fate.refuse {
		w.note("→ %s #%s: %s", t.request.key, t.request.nth, t.fate.fault)
		return &netError{"dial", syscall.ECONNREFUSED}
	}
	w.left(t.request)
	if w.traced {
		doom := ""
		if t.fate.strikes {
			doom = "  (" + t.fate.fault.String() + ")"
		}
		w.note("→ %s #%s%s", t.request.key, t.request.nth, doom)
	}
	if trace := httptrace.ContextClientTrace(t.raw.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	there := t.dice.between(5*time.Millisecond, 120*time.Millisecond)
	w.after(there, t.arrive)
	return nil
}

// left checks, as the first byte of a submission leaves, that the intention to
// send it is on record.
func (w *World) left(r *request) {
	if r.op != opSubmit {
		return
	}
	w.posts[r.token]++
	if w.posts[r.token] > w.sendings[r.token] {
		w.wrong(Order, "submission %d of %s left, and %d are on record", w.posts[r.token], r.token, w.sendings[r.token])
	}
}

// arrive is what happens at the service. A request in flight when its sender is
// killed arrives all the same, or not.
func (t *trip) arrive() {
	w := t.host.world
	back := t.dice.between(10*time.Millisecond, 400*time.Millisecond)
	if t.host.isDead && t.dice.hits(0.5) {
		w.note("  %s #%s never arrives: its sender is dead", t.request.key, t.request.nth)
		return
	}
	f := t.fate
	switch {
	case f.drop:
		t.answer(back, nil)
		return
	case f.instead != nil:
		t.answer(back, f.instead)
		return
	case f.late > 0:
		w.later(f.late, t.request)
		t.answer(5*time.Second+back, f.replace)
		return
	}
	a := w.serve(t.request)
	if f.copied > 0 {
		w.later(f.copied, t.request)
	}
	w.boundary(t.host, "after "+t.request.key)
	if f.kill {
		w.kill(t.host, "after "+t.request.key)
	}
	switch {
	case f.mute:
	case f.cut:
		t.answer(back, nil)
	case f.replace != nil:
		t.answer(back, f.replace)
	default:
		t.answer(back, a)
	}
}

// later carries a request out that much later, whatever becomes of its sender.
func (w *World) later(d time.Duration, r *request) {
	w.late++
	w.after(d, func() {
		w.late--
		w.note("  %s #%s has its effect late, or again", r.key, r.nth)
		w.serve(r)
	})
}

// answer brings an answer back; nil is a broken connection.
func (t *trip) answer(after time.Duration, a *answer) {
	t.host.world.after(after, func() {
		if !t.host.isDead {
			w := t.host.world
			if a == nil {
				w.note("← %s #%s: connection reset", t.request.key, t.request.nth)
			} else if w.traced {
				w.note("← %s #%s: %s", t.request.key, t.request.nth, a.words())
			}
		}
		t.reply <- a
	})
}

// finish waits for the answer.
func (t *trip) finish() (*http.Response, error) {
	select {
	case a := <-t.reply:
		if a == nil {
			return nil, &netError{"read", syscall.ECONNRESET}
		}
		return a.response(t.raw), nil
	case <-t.raw.Context().Done():
		// Those who are told together go on one after another.
		t.host.wait(t.host.world.about("gone", t.request.key, t.request.nth).between(1, 5*time.Millisecond))
		return nil, t.raw.Context().Err()
	case <-t.host.dead:
		return nil, ErrKilled
	}
}

// netError is a failure of the connection.
type netError struct {
	op  string
	err error
}

func (e *netError) Error() string { return fmt.Sprintf("%s tcp: %v", e.op, e.err) }
func (e *netError) Unwrap() error { return e.err }
