package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fcflow/fcflow/workflow"
)

// private knows which attempts may have private files, so that the many that
// have none cost nothing when they end.
type private struct {
	mu     sync.Mutex
	tokens map[string]bool
}

func (p *private) add(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tokens == nil {
		p.tokens = map[string]bool{}
	}
	p.tokens[token] = true
}

// take reports whether an attempt may have private files, once.
func (p *private) take(token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	had := p.tokens[token]
	delete(p.tokens, token)
	return had
}

func (r *attemptRecorder) privatePath(token, name string) (string, error) {
	if r.x.engine.cfg.PrivateDir == nil {
		return "", errors.New("no directory for private files is configured")
	}
	dir := r.x.engine.cfg.PrivateDir(r.x.id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	r.x.private.add(token)
	return filepath.Join(dir, token+"."+name), nil
}

// forgetPrivate deletes the private files of an attempt whose end is durable.
func (x *Execution) forgetPrivate(token string) {
	if x.private.take(token) {
		x.removePrivate(func(t string) bool { return t == token })
	}
}

// sweepPrivate deletes the private files of all attempts that are not under way:
// their owner may have died before it came to that.
func (x *Execution) sweepPrivate() {
	if len(x.privateFiles()) == 0 {
		return
	}
	live := map[string]bool{}
	for _, s := range x.run.Steps {
		for _, u := range s.Units {
			if a := u.Attempt(); a != nil && a.End == nil && !u.State.Done() {
				live[workflow.Token(x.run.Created.Nonce, u.Ref(), a.Number)] = true
			}
		}
	}
	x.removePrivate(func(token string) bool {
		if live[token] {
			x.private.add(token)
		}
		return !live[token]
	})
}

// privateFiles lists the private files of the run.
func (x *Execution) privateFiles() []fs.DirEntry {
	if x.engine.cfg.PrivateDir == nil {
		return nil
	}
	entries, err := os.ReadDir(x.engine.cfg.PrivateDir(x.id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		x.logger.Warn().Err(err).Msg("private files not looked through")
	}
	return entries
}

func (x *Execution) removePrivate(over func(token string) bool) {
	for _, entry := range x.privateFiles() {
		if token, _, _ := strings.Cut(entry.Name(), "."); !over(token) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(x.engine.cfg.PrivateDir(x.id), entry.Name())); err != nil {
			x.logger.Warn().Err(err).Msg("private file not deleted")
		}
	}
}
