package transfertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/sandbox/objects"
)

// move is a transfer on its way, as the server's side sees it.
type move struct {
	transfer
	site  *site
	place place

	mu        sync.Mutex
	seen      int // requests, since the program was started, that could be struck
	struck    int // requests
	jobs      []firecrest.JobID
	lost      int    // ids of jobs that nobody got
	untidy    bool   // a request to tidy up was struck
	changed   string // new content of the source
	cutAfter  int64  // bytes of the answer that is on its way
	log       []string
	problems  []error
	process   *process // that carries the transfer out, if it is another
	succeeded bool
}

// strikes counts a request, and reports whether the fault strikes it.
func (m *move) strikes(op string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.due(op) {
		return false
	}
	m.strike(op)
	return true
}

func (m *move) due(op string) bool {
	if !m.fault.meant(op) || m.struck >= m.hits {
		return false
	}
	m.seen++
	return m.seen > m.spare
}

func (m *move) strike(op string) {
	m.struck++
	m.untidy = m.untidy || op == "ops/rm"
	m.log = append(m.log, fmt.Sprintf("%s   strike %d at %s", time.Now().Format("05.000"), m.struck, op))
	if m.fault.loses && !m.fault.kill {
		m.lost++
	}
}

func (m *move) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log = append(m.log, time.Now().Format("05.000")+" "+fmt.Sprintf(format, args...))
}

// do notes an error of the test's own doing.
func (m *move) do(err error) bool {
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.problems = append(m.problems, err)
	}
	return err == nil
}

// storeFault is asked about every request to the object store.
func (m *move) storeFault(r *http.Request) *objects.Fault {
	if m.fault.store == nil || !m.strikes(opOf(r)) {
		return nil
	}
	return m.fault.store(&m.transfer, r)
}

// apiFault is asked about every request to the service.
func (m *move) apiFault(r *http.Request) *sandbox.Fault {
	if m.fault.api == nil || !m.strikes(opOf(r)) {
		return nil
	}
	return m.fault.api(&m.transfer)
}

// serve answers a request of the transfer, with what the sandbox answers.
func (m *move) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	op := opOf(r)
	m.note("%s %s", r.Method, op)
	when := m.death(op)
	switch when {
	case beforeRequest:
		m.die(op)
	case inRequest:
		_, _ = io.CopyN(io.Discard, r.Body, int64(m.share*float64(max(r.ContentLength, 0))))
		m.die(op)
	}
	if m.fault.before != nil {
		m.doBefore(op, r)
	}
	submits := strings.HasPrefix(op, "transfer/") && r.Method != http.MethodGet
	if !submits && m.fault.reply == nil && when == never {
		next.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	if when == afterRequest {
		if submits {
			m.lose()
		}
		m.die(op)
	}
	if submits {
		m.learn(answer)
	}
	if m.fault.reply != nil {
		m.changeReply(op, r, answer)
	}
	m.answer(w, answer)
}

func (m *move) doBefore(op string, r *http.Request) {
	m.mu.Lock()
	due := m.due(op)
	m.mu.Unlock()
	if !due {
		return
	}
	err := m.fault.before(m, r)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.strike(op)
	} else {
		m.log = append(m.log, "  not struck: "+err.Error())
	}
}

func (m *move) changeReply(op string, r *http.Request, answer *httptest.ResponseRecorder) {
	m.mu.Lock()
	due := m.due(op)
	m.mu.Unlock()
	if due && m.fault.reply(m, r, answer) {
		m.mu.Lock()
		m.strike(op)
		m.mu.Unlock()
	}
}

// answer passes an answer on, perhaps only the beginning.
func (m *move) answer(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	body := answer.Body.Bytes()
	if answer.Code != http.StatusNoContent && answer.Code != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(answer.Code)
	m.mu.Lock()
	cut := m.cutAfter
	m.cutAfter = 0
	m.mu.Unlock()
	if cut > 0 {
		_, _ = w.Write(body[:cut-1])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body) // a client that left needs no answer
}

// learn takes the id of a job from the answer to its submission.
func (m *move) learn(answer *httptest.ResponseRecorder) {
	var reply struct {
		Job struct {
			ID firecrest.JobID `json:"jobId"`
		} `json:"transferJob"`
	}
	if answer.Code < 300 && json.Unmarshal(answer.Body.Bytes(), &reply) == nil && reply.Job.ID != "" {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.jobs = append(m.jobs, reply.Job.ID)
	}
}

func (m *move) lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost++
}

func (m *move) knownJobs() []firecrest.JobID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]firecrest.JobID(nil), m.jobs...)
}

// remote is a file of the transfer on the system, as a path of this machine.
func (m *move) remote(name string) string { return filepath.Join(m.place.Remote, name) }

func (m *move) target(name string) string { return m.remote(filepath.Join("target", name)) }

// uploaded is the file that an upload in one request has made: the target, or an
// archive on its way.
func (m *move) uploaded(r *http.Request) (name string, size int64) {
	dir := r.URL.Query().Get("path")
	names, _ := filepath.Glob(filepath.Join(dir, "*.tar.gz")) // the pattern is good
	for _, name := range append(names, filepath.Join(dir, "data.bin")) {
		if info, err := os.Stat(name); err == nil {
			return name, info.Size()
		}
	}
	return "", 0
}
