package main

import (
	"io"
	"strings"

	"github.com/fcflow/fcflow/internal/console"
)

// logScreen prints several outputs below each other as they come.
type logScreen struct {
	app     *app
	current *logOutput // that was printed last
	broken  bool       // in the middle of a line
}

// logOutput is one of them: a file of an attempt. Its heading is repeated where
// another one was printed in between. Secrets are masked also where they go on in
// the next line: one that may begin one is held back until more comes, or nothing
// did.
type logOutput struct {
	screen  *logScreen
	heading string
	masked  io.WriteCloser
}

func (s *logScreen) output(heading string) *logOutput {
	o := &logOutput{screen: s, heading: heading}
	o.masked = s.app.streams.Secrets.Writer(o)
	return o
}

// head prints a line between outputs.
func (s *logScreen) head(text string) {
	if s.broken {
		s.app.streams.Out.Printf("\n")
		s.broken = false
	}
	s.current = nil
	s.app.streams.Err.Println(console.Text{S: "── " + text, Style: console.Bold})
}

// print takes the next part of the output, which is empty if nothing came.
func (o *logOutput) print(text string) {
	if text == "" {
		o.close()
		o.masked = o.screen.app.streams.Secrets.Writer(o)
		return
	}
	_, _ = o.masked.Write([]byte(text)) // a Stream keeps its own error
}

// close prints what was held back.
func (o *logOutput) close() { _ = o.masked.Close() }

// say tells something about the output.
func (o *logOutput) say(text string) { o.screen.head(o.heading + ": " + text) }

// Write prints what has been masked.
func (o *logOutput) Write(p []byte) (int, error) {
	if o.screen.current != o {
		o.screen.head(o.heading)
		o.screen.current = o
	}
	o.screen.broken = !strings.HasSuffix(string(p), "\n")
	return o.screen.app.streams.Out.Write(p)
}
