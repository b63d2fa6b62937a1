package simulation

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Program is what is under test. It keeps across its lives what it would keep
// on disk, and nothing else.
type Program interface {
	// Run is one life. It returns nil when its work is over, and an error when it
	// gives up for now and wants to be started again. After a kill, when ctx is
	// over, it and everything that it started must end soon, whatever it returns.
	Run(ctx context.Context, host *Host) error
}

// Account is what a program says in the end.
type Account struct {
	State string // succeeded, failed or cancelled
	Units map[string]UnitAccount
}

// UnitAccount is what a program says of one unit.
type UnitAccount struct {
	State string // succeeded, failed, skipped or cancelled
	Cause string
	Job   string // the id of its last job, if it knows one
}

// ErrKilled is what everything comes to once a life is over.
var ErrKilled = errors.New("killed")

// Host is where a life of a program runs.
type Host struct {
	world  *World
	life   int
	dead   chan struct{} // closed by the kill
	isDead bool          // the same; guarded by the world
	stop   context.CancelCauseFunc
	pauses map[string]int
	asked  chan struct{} // closed when somebody asks for a cancel
}

// Transport carries the requests of this life.
func (h *Host) Transport() http.RoundTripper { return h }

// Commit makes something durable: f must do so at once and all or nothing.
// What names it, word by word; "submission.sending=TOKEN" is on record before
// the first byte of that submission may leave, "run.cancel_requested" is the
// request to cancel. A life can end right before f and right after it. A commit
// takes no time: what waited for it together would go on together.
func (h *Host) Commit(what string, f func() error) error {
	w := h.world
	w.mu.Lock()
	defer w.mu.Unlock()
	w.boundary(h, "before commit "+what)
	if h.isDead {
		return ErrKilled
	}
	if err := f(); err != nil {
		return err
	}
	w.count()
	w.durable(what)
	w.boundary(h, "after commit "+what)
	if h.isDead {
		return ErrKilled
	}
	return nil
}

// durable notes what a commit held.
func (w *World) durable(what string) {
	w.lastDurable = what
	w.note("commit %s", what)
	for word := range strings.FieldsSeq(what) {
		if token, ok := strings.CutPrefix(word, "submission.sending="); ok {
			w.sendings[token]++
		}
		if word == "run.cancel_requested" {
			w.cancelled = true
		}
	}
}

// Pause holds a goroutine for up to five milliseconds, each time it is called for
// other ones, so that those that are woken together go on one after another.
func (h *Host) Pause(who string) {
	h.world.mu.Lock()
	h.pauses[who]++
	n := h.pauses[who]
	h.world.mu.Unlock()
	h.wait(h.world.about("pause", strconv.Itoa(h.life), who, strconv.Itoa(n)).between(1, 5*time.Millisecond))
}

// wait reports false if the life ended first.
func (h *Host) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-h.dead:
		return false
	}
}

// CancelAsked is closed when a person asks for the work to be cancelled and the
// request is not on record yet.
func (h *Host) CancelAsked() <-chan struct{} { return h.asked }

// Attention says whether the program waits for a person. Waiting for one is no
// way to end a schedule.
func (h *Host) Attention(waits bool) {
	w := h.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if h.isDead {
		return
	}
	if waits && !w.attention {
		w.note("the program asks for a person")
	}
	w.attention = waits
}

// Report is the last account of a program, given before Run returns nil.
func (h *Host) Report(a Account) {
	w := h.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if !h.isDead {
		w.account = &a
	}
}

// boundary is a moment at which a schedule may kill the program.
func (w *World) boundary(h *Host, where string) {
	if h.isDead {
		return
	}
	w.boundaries++
	for _, k := range w.schedule.Kills {
		if k.Boundary > 0 && k.Boundary == w.boundaries {
			w.kill(h, where)
		}
	}
}

// kill ends a life at once: nothing of it is sent or stored any more.
func (w *World) kill(h *Host, where string) {
	if h.isDead {
		return
	}
	w.strike(crash)
	w.kills = append(w.kills, Killed{w.now(), w.lastDurable})
	w.note("killed %s", where)
	w.end(h)
}

func (w *World) end(h *Host) {
	if !h.isDead {
		h.isDead = true
		close(h.dead)
		h.stop(ErrKilled)
	}
}

type callerKey struct{}

// WithCaller names who sends the requests made with a context. Two callers may
// be served in any order; the requests of one are numbered.
func WithCaller(ctx context.Context, caller string) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

func callerOf(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}
