package sandbox

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// call is one routed request on its way through the checks.
type call struct {
	r      *http.Request
	route  *route
	vars   map[string]string
	body   []byte // of a jsonBody route
	user   string // "" until authenticated
	system string // "" if the route has none
	site   *SystemConfig
	path   string // primary path of a gated route
	plain  string // path of the request, lower case, without the prefix
	fault  *Fault

	subject subject // of fault switches
}

// maxJSONBody is far above any job script the reference server would take.
const maxJSONBody = 16 << 20

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$`)

// serve is the way of every request: tracing headers, routing, fault, handling.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{"X-Request-ID", "X-Correlation-ID"} {
		if id := r.Header.Get(name); id != "" && !s.release.has(lacksRequestIDs) && !uuid.MatchString(id) {
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	path := r.URL.Path
	if !s.release.has(mindsCase) {
		path = strings.ToLower(path)
	}
	prefix, path := s.splitPrefix(path)
	row, other, vars := s.router.find(r.Method, path)
	if row == nil {
		p := s.router.unrouted(r, path, other)
		if to := p.header.Get("Location"); to != "" && prefix != "" {
			p.header.Set("Location", strings.Replace(to, r.Host, r.Host+prefix, 1))
		}
		s.answer(w, r, p, true)
		return
	}
	c := &call{r: r, route: row, vars: vars, plain: path, subject: requested(r, row, path)}
	c.fault = s.fault(c)
	if c.fault.before(w, r) {
		s.observe(row.op, c.fault.Status)
		return
	}
	p, traced := s.handle(c)
	if c.fault.after(w) {
		s.observe(row.op, c.fault.Status)
		return
	}
	s.answer(w, r, p, traced)
	s.observe(row.op, p.status)
}

func (s *Server) observe(op string, status int) {
	if s.cfg.Observe != nil {
		s.cfg.Observe(op, status)
	}
}

// splitPrefix takes the configured prefix off a path; it is optional.
func (s *Server) splitPrefix(path string) (prefix, rest string) {
	if s.cfg.Prefix != "/" {
		if rest, ok := strings.CutPrefix(path, s.cfg.Prefix); ok && strings.HasPrefix(rest, "/") {
			return s.cfg.Prefix, rest
		}
	}
	return "", path
}

// answer adds the headers every answer has and sends p.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, p reply, traced bool) {
	h := w.Header()
	h.Set("F7T-AppVersion", s.release.name)
	h.Set("F7T-Timestamp", strconv.FormatFloat(unixSeconds(time.Now()), 'f', -1, 64))
	for _, name := range []string{"X-Request-ID", "X-Correlation-ID"} {
		traced = traced && !s.release.has(lacksRequestIDs)
		if id := r.Header.Get(name); traced && id != "" {
			h.Set(name, id)
		} else if traced {
			h.Set(name, newID())
		}
	}
	if err := s.release.finish(p).write(w, r); err != nil {
		s.log.Debug("answer not sent", "path", r.URL.Path, "error", err)
	}
}

// newID is a random UUID of version 4 without dashes.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}

// handle runs the checks in the order of the reference server, then the
// operation. traced is false where that server loses its request ids.
func (s *Server) handle(c *call) (p reply, traced bool) {
	p, err := s.attempt(c)
	if err == nil {
		return p, true
	}
	var e *apiError
	if !errors.As(err, &e) {
		if c.r.Context().Err() == nil { // else the client left, and nobody reads the answer
			s.log.Error("operation failed inside the sandbox", "op", c.route.op, "error", err)
		}
		e = &apiError{status: 500, message: fmt.Sprintf("(%q,)", err.Error()), unhandled: true}
	}
	e = s.release.refusal(c, e)
	return e.reply(c.user), !e.unhandled
}

func (s *Server) attempt(c *call) (reply, error) {
	if c.route.body == jsonBody {
		if err := c.readJSON(); err != nil {
			return reply{}, err
		}
	}
	if err := s.admit(c); err != nil {
		return reply{}, err
	}
	if name, has := c.vars["system_name"]; has {
		c.system, c.site = name, s.site.system(name)
		if c.site == nil {
			return reply{}, fail(404, "System not found")
		}
		if err := s.healthy(c); err != nil {
			return reply{}, err
		}
	}
	if c.route.gated {
		if err := s.gate(c); err != nil {
			return reply{}, err
		}
	}
	if c.fault.own != nil && !c.fault.Late {
		return reply{}, c.fault.own
	}
	if err := s.release.request(s, c); err != nil {
		return reply{}, err
	}
	p, err := c.route.handle(s, c)
	if err == nil {
		err = s.release.answer(s, c, &p)
	}
	if err == nil && c.fault.own != nil {
		err = c.fault.own
	}
	return p, err
}

// admit authenticates the caller as the route asks.
func (s *Server) admit(c *call) (err error) {
	switch c.route.access {
	case member:
		c.user, err = s.authenticate(c.r)
	case admin:
		if !isLoopback(c.r.RemoteAddr) || !sameText(bearer(c.r), s.site.AdminSecret) {
			err = fail(401, "Not authenticated")
		}
	case anyone:
	}
	return err
}

// readJSON reads the body and refuses what is not JSON. An empty body is for
// the later checks to complain about.
func (c *call) readJSON() error {
	body, err := io.ReadAll(io.LimitReader(c.r.Body, maxJSONBody+1))
	if err != nil {
		return fmt.Errorf("read request body: %w", err)
	}
	if len(body) > maxJSONBody {
		return fail(413, "Request body is too large.")
	}
	c.body = bytes.TrimSpace(body)
	if len(c.body) == 0 {
		return nil
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(c.body, new(any)); errors.As(err, &syntax) {
		at := syntax.Offset
		if at < int64(len(c.body)) {
			at--
		}
		var k checker
		k.add("body", at, fmt.Sprint(at), "JSON decode error")
		return k.err()
	}
	return nil
}
