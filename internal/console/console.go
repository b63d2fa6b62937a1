// Package console is the only place of fcflow that writes to a terminal.
//
// Everything it prints is cleaned: control characters, escape sequences and
// invisible characters that came from a server, a job or a file are made
// visible, and known secrets are masked. Colours and cursor movement are its
// own and appear only on a terminal; state is told by word and symbol, never by
// colour alone.
package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/fcflow/fcflow/internal/redact"
)

// Streams are the standard streams of one invocation.
type Streams struct {
	In  io.Reader
	Out *Stream // data: what was asked for
	Err *Stream // progress, notes, errors
	// Secrets masks what both streams print.
	Secrets *redact.Redactor
}

// Standard returns the streams of the process. getenv is asked for NO_COLOR and
// TERM.
func Standard(getenv func(string) string) *Streams {
	secrets := redact.New(Clean)
	return &Streams{
		In: os.Stdin, Out: open(os.Stdout, getenv, secrets), Err: open(os.Stderr, getenv, secrets),
		Secrets: secrets,
	}
}

// Plain returns streams that are no terminal.
func Plain(in io.Reader, out, err io.Writer) *Streams {
	secrets := redact.New(Clean)
	return &Streams{In: in, Out: &Stream{w: out, secrets: secrets}, Err: &Stream{w: err, secrets: secrets}, Secrets: secrets}
}

// Stream is one output. Its methods may be called concurrently; each call is
// one write.
type Stream struct {
	mu       sync.Mutex
	w        io.Writer
	secrets  *redact.Redactor
	terminal bool
	colour   bool
	size     func() (width, height int)
	cleaner  cleaner
	err      error
}

func open(f *os.File, getenv func(string) string, secrets *redact.Redactor) *Stream {
	s := &Stream{w: f, secrets: secrets}
	if !term.IsTerminal(int(f.Fd())) || getenv("TERM") == "dumb" {
		return s
	}
	s.terminal = true
	s.colour = getenv("NO_COLOR") == ""
	s.size = func() (int, int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width < 20 || height < 4 {
			return 80, 24
		}
		return width, height
	}
	return s
}

// Terminal reports whether a person is looking at the stream.
func (s *Stream) Terminal() bool { return s.terminal }

// Size is the width and height of the terminal in characters; 0, 0 when there
// is none.
func (s *Stream) Size() (width, height int) {
	if s.size == nil {
		return 0, 0
	}
	return s.size()
}

// Write prints text, cleaned. It always reports success for the whole of it; a
// failed write is told by [Stream.Err].
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emit(s.cleaner.next(p))
	return len(p), nil
}

// Printf prints formatted text, cleaned.
func (s *Stream) Printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emit(s.cleaner.flush() + Clean(fmt.Sprintf(format, args...)))
}

// Println prints one line.
func (s *Stream) Println(line ...Text) { s.Lines(line) }

// Lines prints lines in one write.
func (s *Stream) Lines(lines ...Line) {
	var b strings.Builder
	for _, line := range lines {
		line.render(&b, s.colour, 0)
		b.WriteByte('\n')
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emit(s.cleaner.flush() + b.String())
}

// JSON prints v as indented JSON with a final newline. Characters that would
// act on a terminal are escaped, so that it is safe to look at.
func (s *Stream) JSON(v any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emit(EscapeJSON(b.String()))
	return nil
}

// JSONLine prints v as JSON on one line.
func (s *Stream) JSONLine(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emit(EscapeJSON(string(text)) + "\n")
	return nil
}

// Err returns the first failure to write, such as a full disk or a reader that
// went away.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// emit writes finished text; the caller holds the lock.
func (s *Stream) emit(text string) {
	if text == "" || s.err != nil {
		return
	}
	_, s.err = io.WriteString(s.w, s.secrets.Redact(text))
}
