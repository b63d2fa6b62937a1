package main

import (
	"os/exec"
	"testing"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// TestDeadOwner: a lock that outlives its owner, in a child that the owner was
// starting when it was killed, is no owner.
func TestDeadOwner(t *testing.T) {
	t.Parallel()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		pid   int // 0 = this process
		alive bool
	}{
		"this process":             {0, true},
		"a process that has ended": {gone.Process.Pid, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, err := store.Open(t.TempDir(), store.Options{Owner: workflow.Owner{PID: c.pid}})
			if err != nil {
				t.Fatal(err)
			}
			id := engine.NewRunID(time.Now())
			first := []workflow.Event{{Seq: 1, Epoch: 1, At: time.Now().UTC(), Data: &workflow.RunCreated{ID: id}}}
			h, err := st.Create(t.Context(), id, []byte("name: test\n"), first, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			live, err := newApp(console.Standard(func(string) string { return "" }), func(string) string { return "" }).alive(t.Context(), st, id)
			if err != nil || (live != nil) != c.alive {
				t.Errorf("owner %+v, %v; want alive %v", live, err, c.alive)
			}
		})
	}
}
