// Package record is the stored form of events, the same in every store: the
// CRC-32C of the text, then the event as JSON. It also holds the rules that an
// append has to keep, so that no store is more lenient than another.
//
// The stores import it; it does no I/O.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/fcflow/fcflow/workflow"
)

const sumBytes = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Head is where a history stands: its last sequence number and the epoch of the
// owner who wrote it. The zero Head is that of an empty history.
type Head struct {
	Seq   int64
	Epoch int64
}

// Check tells whether an owner of that epoch may append events after sequence
// number after to a history that stands at head: [workflow.ErrStale] if the
// history moved on or the events are of another epoch. A blob must have the
// digest it claims.
func Check(head Head, epoch, after int64, events []workflow.Event, blobs []workflow.Blob) error {
	if head.Seq != after {
		return fmt.Errorf("append after event %d, the last is %d: %w", after, head.Seq, workflow.ErrStale)
	}
	if head.Epoch > epoch {
		return fmt.Errorf("append in epoch %d, the last is %d: %w", epoch, head.Epoch, workflow.ErrStale)
	}
	for i := range events {
		switch e := &events[i]; {
		case e.Seq != after+1+int64(i):
			return fmt.Errorf("event %d in the place of event %d", e.Seq, after+1+int64(i))
		case e.Epoch != epoch:
			return fmt.Errorf("event %d of epoch %d in epoch %d: %w", e.Seq, e.Epoch, epoch, workflow.ErrStale)
		case e.Data == nil:
			return fmt.Errorf("event %d has no payload", e.Seq)
		}
	}
	for _, b := range blobs {
		if got := workflow.NewBlob(b.Bytes).Digest; got != b.Digest {
			return fmt.Errorf("blob %q has digest %s", b.Digest, got)
		}
	}
	return nil
}

// Append adds the record of an event to buf. An event larger than
// [workflow.MaxEventBytes] is refused.
func Append(buf []byte, e *workflow.Event) ([]byte, error) {
	text, err := e.MarshalJSON()
	if err != nil {
		return buf, fmt.Errorf("event %d %s: %w", e.Seq, e.Data.Kind(), err)
	}
	if len(text) > workflow.MaxEventBytes {
		return buf, fmt.Errorf("event %d %s: %d bytes, the limit is %d: keep large values in a blob",
			e.Seq, e.Data.Kind(), len(text), workflow.MaxEventBytes)
	}
	buf = binary.LittleEndian.AppendUint32(buf, crc32.Checksum(text, castagnoli))
	return append(buf, text...), nil
}

// Decode reads the record stored under a sequence number. It keeps no reference
// to rec. An error is [workflow.ErrCorrupt] and names the number.
func Decode(seq int64, rec []byte) (workflow.Event, error) {
	var e workflow.Event
	if len(rec) < sumBytes {
		return e, corrupt(seq, errors.New("the record is cut"))
	}
	text := rec[sumBytes:]
	if crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(rec) {
		return e, corrupt(seq, errors.New("the checksum differs"))
	}
	if err := e.UnmarshalJSON(text); err != nil {
		return e, corrupt(seq, err)
	}
	if e.Seq != seq {
		return e, corrupt(seq, fmt.Errorf("the record is that of event %d", e.Seq))
	}
	return e, nil
}

func corrupt(seq int64, err error) error {
	return fmt.Errorf("event %d: %w: %w", seq, workflow.ErrCorrupt, err)
}
