package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

// once makes the run of a request, whose key the same request has when it is sent
// again, at most once. The id of the run says which request it is of, so that nothing
// but the run need be kept: as long as it is there, the request is answered with it.
func (h *host) once(ctx context.Context, key string, request any, begin func(workflow.RunID) error) (workflow.RunID, error) {
	id := engine.NewRunID(time.Now())
	if key == "" {
		return id, begin(id)
	}
	free, err := h.started.wait(ctx, key)
	if err != nil {
		return "", err
	}
	defer free()
	sent, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	name := requestName(h.book.Nonce(), key, sent)
	all, err := h.session.store.List(ctx)
	if err != nil {
		return "", err
	}
	for _, made := range all {
		switch name.of(made) {
		case sameRequest:
			return made, nil
		case otherRequest:
			return "", fmt.Errorf("run %s: another request with this key made it: %w", made, workflow.ErrConflict)
		}
	}
	id = name.at(id)
	return id, begin(id)
}

// requestNamed is what the id of a run tells of the request that made it, in the
// letters of ids: what was asked for, and by which key. The end, which people see,
// is of the key alone: no two runs have it.
type requestNamed struct{ body, key string }

// An id has 10 letters of the time, then 16 of the rest.
const (
	timeLetters = 10
	bodyLetters = 6
	idLetters   = 26
)

// requestName names a request that was sent to the server with a nonce.
func requestName(nonce, key string, body []byte) requestNamed {
	return requestNamed{letters("body", nonce, string(body))[:bodyLetters], letters("key", nonce, key)[:idLetters-timeLetters-bodyLetters]}
}

// letters makes letters of ids out of texts.
func letters(texts ...string) string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	var b strings.Builder
	for _, c := range sum {
		b.WriteByte(alphabet[int(c)%len(alphabet)])
	}
	return b.String()
}

// at is the id of the run of the request, of the time of another id.
func (n requestNamed) at(id workflow.RunID) workflow.RunID {
	return id[:timeLetters] + workflow.RunID(n.body+n.key)
}

// What a run can be to a request.
type kinship int

const (
	noRequest    kinship = iota
	sameRequest          // the run of the request
	otherRequest         // that of another request with the same key
)

func (n requestNamed) of(id workflow.RunID) kinship {
	rest, mine := strings.CutSuffix(string(id), n.key)
	switch {
	case !mine:
		return noRequest
	case strings.HasSuffix(rest, n.body):
		return sameRequest
	}
	return otherRequest
}
