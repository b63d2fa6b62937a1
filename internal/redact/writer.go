package redact

import (
	"bytes"
	"io"
	"sync"
)

const (
	maxLogLine  = 256 << 10 // bounds a line
	maxLogLines = 64        // bounds the lines that are held back together
)

// Writer returns a writer that masks secrets in the text written to it, wherever
// writes are split. It holds back an unfinished line, and a finished one with
// whose end a secret may begin that goes on in the next. It cuts a line at 256 KiB.
// Close it to write out what it holds.
func (r *Redactor) Writer(w io.Writer) io.WriteCloser {
	return &redactWriter{redactor: r, w: w, text: true}
}

// LineWriter is Writer for lines that have nothing to do with each other, such as
// those of a log: each is written as soon as it is complete.
func (r *Redactor) LineWriter(w io.Writer) io.WriteCloser {
	return &redactWriter{redactor: r, w: w}
}

type redactWriter struct {
	redactor *Redactor
	w        io.Writer
	text     bool // lines may go on in the next

	mu      sync.Mutex
	held    []byte // finished lines
	lines   int    // of held
	tail    []byte // the end of held without its line breaks
	line    []byte
	cutting bool // until the line ends
}

func (w *redactWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := p; len(rest) > 0; {
		piece, after, ended := bytes.Cut(rest, []byte("\n"))
		rest = after
		w.add(piece)
		if !ended {
			break
		}
		if err := w.end(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// add adds to the line, and cuts one that is too long. It is masked first, or
// the cut could go through a secret and leave a part of it.
func (w *redactWriter) add(piece []byte) {
	if w.cutting {
		return
	}
	w.line = append(w.line, piece...)
	longest := w.redactor.longest()
	if len(w.line) <= maxLogLine+longest {
		return
	}
	masked := w.redactor.Redact(string(w.line))
	masked = masked[:min(maxLogLine, max(0, len(masked)-longest))]
	w.line, w.cutting = append([]byte(masked), " … (cut)"...), true
}

// end finishes the line.
func (w *redactWriter) end() error {
	wait := w.text && w.goesOn(bytes.TrimSuffix(w.line, []byte("\r")))
	w.held = append(append(w.held, w.line...), '\n')
	w.line, w.cutting = w.line[:0], false
	if w.lines++; wait && w.lines < maxLogLines && len(w.held) < maxLogLine {
		return nil
	}
	return w.flush()
}

// goesOn reports whether a secret may begin with the end of a line, or of the
// lines that are held back and this one.
func (w *redactWriter) goesOn(line []byte) bool {
	w.tail = append(w.tail, line...)
	w.tail = w.tail[max(0, len(w.tail)-w.redactor.longest()):]
	return w.redactor.mayGoOn(string(w.tail))
}

func (w *redactWriter) flush() error {
	text := w.redactor.Redact(string(w.held))
	w.held, w.lines, w.tail = w.held[:0], 0, nil
	_, err := io.WriteString(w.w, text)
	return err
}

// Close writes what is held back, if there is anything.
func (w *redactWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, w.line...)
	w.line = nil
	if len(w.held) == 0 {
		return nil
	}
	return w.flush()
}
