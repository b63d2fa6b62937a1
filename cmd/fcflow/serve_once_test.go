package main

import (
	"strings"
	"testing"
	"time"

	ids "github.com/oklog/ulid/v2"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

// TestRequestName: the id of a run tells its request from any other, whenever it was
// made, and looks like all ids.
func TestRequestName(t *testing.T) {
	t.Parallel()
	name := requestName("nonce", "key", []byte("body"))
	now := engine.NewRunID(time.Now())
	id := name.at(now)
	if parsed, err := ids.ParseStrict(string(id)); err != nil || ids.Time(parsed.Time()).Before(time.Now().Add(-time.Minute)) {
		t.Errorf("%s: %v", id, err)
	}
	late := name.at(engine.NewRunID(time.Now().Add(time.Hour)))
	if id == late {
		t.Error("the time of the run is not in its id")
	}
	for _, c := range []struct {
		what string
		name requestNamed
		id   workflow.RunID
		want kinship
	}{
		{"the same", requestName("nonce", "key", []byte("body")), id, sameRequest},
		{"the same later", name, late, sameRequest},
		{"another body", requestName("nonce", "key", []byte("other")), id, otherRequest},
		{"another key", requestName("nonce", "other", []byte("body")), id, noRequest},
		{"another state directory", requestName("other", "key", []byte("body")), id, noRequest},
		{"a run without a key", name, now, noRequest},
	} {
		if got := c.name.of(c.id); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
	if other := requestName("nonce", "other", []byte("body")).at(now); strings.HasSuffix(string(other), shortID(id)) {
		t.Error("two runs of the same body have the same short id")
	}
}
