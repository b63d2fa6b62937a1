package datatransfer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

const wormholeCode = "7-alpha-beta-gamma-delta"

// fakeWormhole writes a program that says what the real one does.
func fakeWormhole(t *testing.T, script string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "wormhole")
	syscall.ForkLock.RLock() // a program that a child just being forked has open cannot run
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// sends ends when its peer, a file that is called received, is there.
const sends = `
for file; do :; done
test "$1" = send || exit 2
echo "Wormhole code is: ` + wormholeCode + `" >&2
echo "On the other computer, please run:" >&2
echo "wormhole receive ` + wormholeCode + `" >&2
until test -e "$file.received"; do sleep 0.01; done
echo "Confirmation received. Transfer complete." >&2`

func TestSendWormhole(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "-odd name")
	write := func(name string) {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	write(file)
	var codes []firecrest.Secret
	err := SendWormhole(t.Context(), fakeWormhole(t, sends), file, func(code firecrest.Secret) error {
		codes = append(codes, code)
		write(file + ".received")
		return nil
	})
	if err != nil || len(codes) != 1 || codes[0] != wormholeCode {
		t.Errorf("%d codes, error %v", len(codes), err)
	}
}

func TestSendWormholeFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("the server has no room")
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	for name, c := range map[string]struct {
		ctx    context.Context
		script string
		have   func(firecrest.Secret) error
		want   error
		says   string
	}{
		"the code is refused": {t.Context(), sends, func(firecrest.Secret) error { return refused }, refused, ""},
		"cancelled":           {ctx, sends, func(firecrest.Secret) error { cancel(why); return nil }, why, ""},
		"it does not mind being asked to end": {
			t.Context(), "trap '' TERM; echo 'Wormhole code is: " + wormholeCode + "'; exec sleep 0.2", func(firecrest.Secret) error { return refused }, refused, "",
		},
		"it fails": {
			t.Context(), sends[:strings.Index(sends, "until")] + `echo "TransferError: ` + wormholeCode + ` is bad" >&2; exit 1`, nil, nil, "TransferError: «redacted» is bad",
		},
		"it is another program": {t.Context(), "exit 0", nil, nil, "without a code"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			have := c.have
			if have == nil {
				have = func(firecrest.Secret) error { return nil }
			}
			err := SendWormhole(c.ctx, fakeWormhole(t, c.script), file, have)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), wormholeCode) {
				t.Errorf("error %v, want %v %s", err, c.want, c.says)
			}
		})
	}
	for name, at := range map[string]string{"a directory": filepath.Dir(file), "nothing": file + "x"} {
		if err := SendWormhole(t.Context(), fakeWormhole(t, sends), at, nil); err == nil {
			t.Errorf("%s was sent", name)
		}
	}
}

// receives takes the code where a user would type it, and writes a file.
const receives = `
while [ $# -gt 0 ]; do
  case $1 in
    --output-file) out=$2; shift;;
    *` + wormholeCode + `*) exit 9;;
  esac
  shift
done
printf 'Enter receive wormhole code: '
read code
test "$code" = ` + wormholeCode + ` || { echo "ERROR: wrong code $code" >&2; exit 1; }
`

func TestReceiveWormhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("older"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(target+incoming, "file"), 0o700); err != nil { // of a process that was killed
		t.Fatal(err)
	}
	if err := ReceiveWormhole(t.Context(), fakeWormhole(t, receives+`printf content > "$out"`), wormholeCode, target); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(target); string(b) != "content" {
		t.Errorf("received %q, %v", b, err)
	}
	checkAlone(t, dir)
}

// checkAlone: nothing but the target is left in its directory.
func checkAlone(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
}

func TestReceiveWormholeFails(t *testing.T) {
	t.Parallel()
	why := errors.New("enough")
	for name, c := range map[string]struct {
		code   firecrest.Secret
		script string
		want   error
		says   string
	}{
		"wrong code":          {"8-wrong-code", receives, nil, "wrong code «redacted»"},
		"no code":             {"", receives, nil, "no wormhole code"},
		"no code, but a line": {"7-alpha\nbeta", receives, nil, "no wormhole code"},
		"an option":           {"nonsense", receives, nil, "no wormhole code"},
		"a text":              {wormholeCode, receives + "echo hello", nil, "sent no file"},
		"a directory":         {wormholeCode, receives + `mkdir "$out"`, nil, "a directory"},
		"a link":              {wormholeCode, receives + `ln -s /etc/passwd "$out"`, nil, "not a file"},
		"cancelled":           {wormholeCode, receives + "exec sleep 60", why, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if c.want != nil {
				time.AfterFunc(50*time.Millisecond, func() { cancel(c.want) })
			}
			dir := t.TempDir()
			target := filepath.Join(dir, "target")
			if err := os.WriteFile(target, []byte("older"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := ReceiveWormhole(ctx, fakeWormhole(t, c.script), c.code, target)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) ||
				c.code != "" && strings.Contains(err.Error(), string(c.code)) {
				t.Errorf("error %v, want %v %s", err, c.want, c.says)
			}
			if b, err := os.ReadFile(target); string(b) != "older" {
				t.Errorf("the target is %q, %v", b, err)
			}
			checkAlone(t, dir)
		})
	}
}

func TestWormholeMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"no-such-wormhole", filepath.Join(dir, "wormhole")} {
		for _, err := range []error{
			SendWormhole(t.Context(), program, target, nil),
			ReceiveWormhole(t.Context(), program, wormholeCode, target),
		} {
			if !errors.Is(err, ErrNoWormhole) || !strings.Contains(err.Error(), "pip install magic-wormhole") {
				t.Errorf("%s: %v", program, err)
			}
		}
	}
	checkAlone(t, dir)
}

// Credentials of the process do not reach the program.
func TestWormholeEnvironment(t *testing.T) {
	for _, name := range []string{"FCFLOW_SECRET_TOKEN", "FIRECREST_CLIENT_SECRET", "AWS_SECRET_ACCESS_KEY", "SOME_TOKEN"} {
		t.Setenv(name, "hush")
	}
	t.Setenv("WORMHOLE_RELAY_URL", "ws://127.0.0.1:1/v1")
	target := filepath.Join(t.TempDir(), "target")
	if err := ReceiveWormhole(t.Context(), fakeWormhole(t, receives+`env > "$out"`), wormholeCode, target); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	if env := string(b); strings.Contains(env, "hush") || !strings.Contains(env, "WORMHOLE_RELAY_URL=ws://127.0.0.1:1/v1") {
		t.Errorf("environment %s", env)
	}
}
