package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// RunID names a run: a ULID, so that ids sort by time and are safe in file
// names.
type RunID string

// EventKind names what an event states. Kinds are stable words on disk.
type EventKind string

// MaxEventBytes bounds an encoded event; larger values travel as a [Blob].
const MaxEventBytes = 64 << 10

// Event is one appended fact about a run. Events are the only truth: state is a
// fold over them.
type Event struct {
	Seq   int64
	At    time.Time // UTC
	Epoch int64
	// Step, Instance and Attempt say what the event is about; empty for events
	// about the run.
	Step     string
	Instance string
	Attempt  int
	Data     Payload
}

// Payload is the kind-specific part of an event. Each kind is one type in
// payload.go, which knows its name and how it changes a run.
type Payload interface {
	Kind() EventKind
	apply(*Run, *Event) error
}

// Kinds lists the kinds of events, sorted.
func Kinds() []EventKind { return slices.Sorted(maps.Keys(payloads)) }

// envelope is the stored form of an event.
type envelope struct {
	Seq      int64           `json:"seq"`
	At       time.Time       `json:"at"`
	Epoch    int64           `json:"epoch"`
	Kind     EventKind       `json:"kind"`
	V        int             `json:"v"`
	Step     string          `json:"step,omitempty"`
	Instance string          `json:"instance,omitempty"`
	Attempt  int             `json:"attempt,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
}

// eventVersion is the version of every kind so far. A kind whose meaning
// changes gets a higher one and an upcaster in decodePayload.
const eventVersion = 1

// MarshalJSON writes the envelope with the payload under "data".
func (e Event) MarshalJSON() ([]byte, error) {
	data, err := encode(e.Data)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(data, []byte("{}")) {
		data = nil
	}
	version := eventVersion
	if u, ok := e.Data.(Unknown); ok {
		version = u.V
	}
	return encode(envelope{
		Seq: e.Seq, At: e.At, Epoch: e.Epoch, Kind: e.Data.Kind(), V: version,
		Step: e.Step, Instance: e.Instance, Attempt: e.Attempt, Data: data,
	})
}

// encode leaves out the escapes that are only for HTML: they would make a value
// up to six times as long as when it was measured.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// UnmarshalJSON reads an event. A kind or version this program does not know
// becomes an [Unknown] payload: it can be shown, not owned.
func (e *Event) UnmarshalJSON(text []byte) error {
	var env envelope
	if err := json.Unmarshal(text, &env); err != nil {
		return err
	}
	payload, err := decodePayload(env)
	if err != nil {
		return fmt.Errorf("event %d %s: %w", env.Seq, env.Kind, err)
	}
	*e = Event{
		Seq: env.Seq, At: env.At, Epoch: env.Epoch,
		Step: env.Step, Instance: env.Instance, Attempt: env.Attempt, Data: payload,
	}
	return nil
}

// NewPayload makes an empty payload of a kind; nil if the kind is unknown.
func NewPayload(kind EventKind) Payload {
	if fresh, known := payloads[kind]; known {
		return fresh()
	}
	return nil
}

func decodePayload(env envelope) (Payload, error) {
	p := NewPayload(env.Kind)
	if p == nil || env.V > eventVersion {
		return Unknown{Name: env.Kind, V: env.V, Data: env.Data}, nil
	}
	if len(env.Data) == 0 {
		return p, nil
	}
	return p, json.Unmarshal(env.Data, p)
}

// Unknown is the payload of an event written by a newer fcflow.
type Unknown struct {
	Name EventKind
	V    int
	Data json.RawMessage
}

// Kind is the name the newer program gave it.
func (u Unknown) Kind() EventKind { return u.Name }

// MarshalJSON keeps the data as it was.
func (u Unknown) MarshalJSON() ([]byte, error) {
	if u.Data == nil {
		return []byte("{}"), nil
	}
	return u.Data, nil
}

func (u Unknown) apply(*Run, *Event) error {
	return fmt.Errorf("kind %q version %d: %w", u.Name, u.V, ErrNewer)
}

// UnitRef names a unit within its run.
type UnitRef struct {
	Step     string `json:"step"`
	Instance string `json:"instance,omitempty"`
}

// String prints STEP or STEP/KEY.
func (u UnitRef) String() string {
	if u.Instance == "" {
		return u.Step
	}
	return u.Step + "/" + u.Instance
}

// inlineLimit is where a value moves from its event into a blob.
const inlineLimit = 32 << 10

// Body is a JSON value of an event: inline when small, else the digest of a
// blob stored in the same commit.
type Body struct {
	JSON json.RawMessage `json:"json,omitempty"`
	Blob string          `json:"blob,omitempty"`
}

// NewBody holds text inline, or returns the blob to store beside the event.
func NewBody(text json.RawMessage) (Body, []Blob) {
	if len(text) <= inlineLimit {
		return Body{JSON: text}, nil
	}
	b := NewBlob(text)
	return Body{Blob: b.Digest}, []Blob{b}
}

// IsZero reports whether there is no value at all.
func (b Body) IsZero() bool { return b.JSON == nil && b.Blob == "" }

// Load returns the value, fetching a blob when it must.
func (b Body) Load(fetch func(digest string) ([]byte, error)) (json.RawMessage, error) {
	if b.Blob == "" {
		return b.JSON, nil
	}
	return fetch(b.Blob)
}
