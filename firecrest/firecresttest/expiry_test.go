package firecresttest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
)

// tokens hands out one token after the other, the last one again and again.
type tokens struct {
	mu   sync.Mutex
	list []string
}

func (s *tokens) Token(context.Context) (firecrest.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.list[0]
	if len(s.list) > 1 {
		s.list = s.list[1:]
	}
	return firecrest.Token{Value: firecrest.Secret(next)}, nil
}

// A token that has expired unnoticed is replaced. A read is sent again with the
// new one. A submission is not, but is known not to have been carried out.
func TestExpiredToken(t *testing.T) {
	t.Parallel()
	srv := serve(t, sandbox.Config{TokenAlgorithm: "HS256"})
	expired, good := srv.token(t, "demo", -time.Second, nil), srv.token(t, "demo", time.Hour, nil)
	client := newClient(t, srv, firecrest.WithTokenSource(&tokens{list: []string{expired, good}}))
	if _, err := client.Filesystem.List(t.Context(), system, srv.home, nil); err != nil {
		t.Error(err)
	}

	client = newClient(t, srv, firecrest.WithTokenSource(&tokens{list: []string{expired, good}}))
	f := faulty{srv, nil, client}
	_, err := f.submit(t, "late")
	if !errors.Is(err, firecrest.ErrUnauthenticated) || firecrest.SubmitClassOf(err) != firecrest.SubmitNotSent {
		t.Errorf("got %v, want not sent for want of a token", err)
	}
	if strings.Contains(err.Error(), expired) {
		t.Error("the error holds the token")
	}
	if _, err := f.submit(t, "late"); err != nil {
		t.Error(err)
	}
	if jobs := f.jobs(t, "late"); len(jobs) != 1 {
		t.Errorf("jobs %+v, want one", jobs)
	}
}

// The server refuses tokens in their last half minute, sooner than the client
// would replace one that lives so short: the client has to notice by itself.
func TestTokensEndWhileWorking(t *testing.T) {
	t.Parallel()
	s := &script{seen: map[string]int{}, answers: map[string][]int{}}
	srv := serve(t, sandbox.Config{TokenLifetime: 31 * time.Second, Fault: s.fault, Observe: s.observe})
	client := newClient(t, srv)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	calls := 0
	for s.count(issuing) < 3 {
		if _, err := client.Status.Systems(ctx); err != nil {
			t.Fatal(err)
		}
		calls++
	}
	refused := 0
	for _, status := range s.answers[telling] {
		if status == http.StatusUnauthorized {
			refused++
		}
	}
	if got := len(s.answers[telling]); refused != 2 || got != calls+refused {
		t.Errorf("%d calls made %d requests, %d of them refused; want 2 refused", calls, got, refused)
	}
}
