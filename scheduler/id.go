package scheduler

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fcflow/fcflow/workflow"
)

// RunID is the id of the run of a slot. It follows from the slot and the state
// directory, which the nonce stands for, so that a slot has at most one run in it
// however often that is started.
func RunID(nonce string, k Key, slot time.Time) workflow.RunID {
	sum := sha256.Sum256([]byte(strings.Join([]string{nonce, k.Workflow, k.Schedule, slot.UTC().Format(time.RFC3339Nano)}, "\x00")))
	id := ulid.ULID(append(make([]byte, 6), sum[:10]...))
	_ = id.SetTime(ulid.Timestamp(slot)) // fails after the year 10889
	return workflow.RunID(id.String())
}

// freshID is the id of a run that a person asked for.
func freshID(now time.Time) workflow.RunID {
	id := ulid.ULID{}
	_, _ = io.ReadFull(rand.Reader, id[6:]) // never fails
	_ = id.SetTime(ulid.Timestamp(now))
	return workflow.RunID(id.String())
}

// jitterOf is how much later than its slot a run of the schedule starts: less than
// the most that is allowed, and always the same.
func jitterOf(k Key, most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(k.Workflow + "\x00" + k.Schedule))
	return time.Duration(binary.BigEndian.Uint64(sum[:8]) % uint64(most)).Truncate(time.Millisecond)
}
