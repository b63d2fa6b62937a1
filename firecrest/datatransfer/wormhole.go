package datatransfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// ErrNoWormhole says that the wormhole program is not installed.
var ErrNoWormhole = errors.New("the wormhole program was not found; install it with: pip install magic-wormhole")

// SendWormhole sends a file with the wormhole program, a name to look for in
// PATH or a path. The program invents a code, haveCode gets it and passes it to
// the receiver; if that fails, nothing is sent. It returns when the file has
// been received, its checksum confirmed, or ctx has ended.
//
// The code is in no error, and the program is not given it on a command line,
// where others could read it. Of the environment of this process it gets what it
// takes to run and to reach its servers, which WORMHOLE_RELAY_URL and
// WORMHOLE_TRANSIT_HELPER choose; no credentials.
func SendWormhole(ctx context.Context, program, file string, haveCode func(code firecrest.Secret) error) error {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(file)
	}
	if err != nil {
		return err
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w, err := newWormhole(ctx, program, "send", "--hide-progress", "--code-length", "4", "--", file)
	if err != nil {
		return err
	}
	var refused error
	w.said = func(line string) {
		code, found := strings.CutPrefix(line, "Wormhole code is: ")
		if !found || w.code != "" {
			return
		}
		w.code = firecrest.Secret(strings.TrimSpace(code))
		if refused = haveCode(w.code); refused != nil {
			cancel(refused)
		}
	}
	err = w.run(ctx)
	switch {
	case refused != nil:
		return refused
	case err == nil && w.code == "":
		return errors.New("wormhole ended without a code: is it another program of that name?")
	}
	return err
}

// incoming ends the name of the directory, beside its target, that a file comes
// into.
const incoming = ".incoming"

// ReceiveWormhole receives the file of a code with the wormhole program and
// gives it the name target, replacing what has it. The file appears complete,
// its checksum verified by the program. A text or a directory is refused.
//
// What it says of SendWormhole's code and environment holds here, too.
func ReceiveWormhole(ctx context.Context, program string, code firecrest.Secret, target string) (err error) {
	if strings.ContainsFunc(string(code), func(r rune) bool { return r <= ' ' || r > '~' }) || !strings.Contains(string(code), "-") {
		return errors.New("the server gave no wormhole code")
	}
	dir, err := filepath.Abs(target + incoming)
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil { // of a process that was killed
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	received := filepath.Join(dir, "file")
	w, err := newWormhole(ctx, program, "receive", "--accept-file", "--hide-progress", "--output-file", received)
	if err != nil {
		return err
	}
	w.code = code
	w.cmd.Stdin = strings.NewReader(string(code) + "\n") // what it would ask a user for
	if err := w.run(ctx); err != nil {
		return err
	}
	info, err := os.Lstat(received)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("the other side of the wormhole sent no file")
	case err == nil && !info.Mode().IsRegular():
		return errors.New("the other side of the wormhole sent a directory, not a file")
	case err != nil:
		return err
	}
	return os.Rename(received, target)
}

// wormhole is one run of the program.
type wormhole struct {
	cmd  *exec.Cmd
	code firecrest.Secret  // to keep out of errors
	said func(line string) // called for each line, if set
	last []string          // lines
}

// Its output: how much of it an error quotes.
const (
	maxWormholeLine  = 4096
	maxWormholeLines = 3
)

// passedOn matches the variables that the program gets from this process: what it
// takes to run and to reach its servers. Others may hold secrets that are none of
// its business.
var passedOn = regexp.MustCompile(`^(PATH|HOME|LANG|LC_\w+|TMPDIR|LD_LIBRARY_PATH|PYTHON\w*|(?i:(https?|all|no)_proxy)|SSL_CERT_\w+|WORMHOLE_\w+)=`)

func newWormhole(ctx context.Context, program string, args ...string) (*wormhole, error) {
	found, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoWormhole, err)
	}
	cmd := exec.CommandContext(ctx, found, args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return !passedOn.MatchString(v) }), "WORMHOLE_QR=false")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it says goodbye to the mailbox
	cmd.WaitDelay = 5 * time.Second
	return &wormhole{cmd: cmd}, nil
}

// run runs the program to its end and reads what it says, on either stream.
func (w *wormhole) run(ctx context.Context) error {
	r, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	w.cmd.Stdout, w.cmd.Stderr = out, out
	if err := w.cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start wormhole: %w", err), out.Close())
	}
	_ = out.Close() // the program has its own
	read := make(chan struct{})
	go func() {
		defer close(read)
		w.read(r)
	}()
	err = w.cmd.Wait()
	_ = r.SetReadDeadline(time.Now().Add(w.cmd.WaitDelay)) // a child of it may hold the pipe
	<-read
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("wormhole: %w: %s", err, w.lastWords())
}

func (w *wormhole) read(r io.Reader) {
	lines := bufio.NewReaderSize(r, maxWormholeLine)
	for {
		line, _, err := lines.ReadLine() // the rest of a long line comes as another
		if err != nil {
			return
		}
		if text := strings.TrimSpace(string(line)); text != "" {
			w.last = append(w.last[max(0, len(w.last)+1-maxWormholeLines):], text)
			if w.said != nil {
				w.said(text)
			}
		}
	}
}

// lastWords are the last lines without the code.
func (w *wormhole) lastWords() string {
	text := strings.Join(w.last, "; ")
	if w.code != "" {
		text = strings.ReplaceAll(text, string(w.code), w.code.String())
	}
	return clean(text)
}
