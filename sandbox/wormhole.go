package sandbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// wormholeWords are what the codes of downloads are made of: 64 of them.
var wormholeWords = strings.Fields(`
	albedo andromeda aphelion apogee asteroid aurora azimuth binary cassini comet corona
	cosmos crater declination dwarf eclipse ecliptic ellipse equinox exoplanet galaxy gravity
	halo helium horizon hydrogen kepler lander lunar magnetar meridian meteor moon
	nebula neutron nova nucleus orbit parallax parsec penumbra perigee photon planet
	pulsar quasar redshift rover saturn solstice spectrum starlight sunspot supernova telescope
	terminator tidal transit umbra vacuum voyager wavelength zenith zodiac`)

// newWormholeCode invents the code of a download. The peer has to have it
// before anybody else guesses it, which is all that protects it.
func newWormholeCode() string {
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails
	code := fmt.Sprint(1 + random[0]%98)
	for _, b := range random[1:] {
		code += "-" + wormholeWords[int(b)%len(wormholeWords)]
	}
	return code
}

// wormholeReceive is the job of an upload: the wormhole program receives a file
// in a directory of its own, from where it goes to the target as the user of the
// job may write it.
func (t *transferJob) wormholeReceive() (exitCode int) {
	return t.inPrivateDir(func(dir string) int {
		// The code goes through standard input, off the command line.
		if rc := t.runWormhole(dir, t.Code+"\n", "receive", "--accept-file", "--hide-progress", "--output-file", dir); rc != 0 {
			return rc
		}
		if err := t.takeReceived(dir, t.Target); err != nil {
			fmt.Fprintf(t.stderr, "wormhole: cannot write %s: %s\n", t.Target, strerror(err))
			return 1
		}
		return 0
	})
}

// takeReceived copies the only file of a directory of this machine to a target
// of the site; below it if the target is a directory.
func (x session) takeReceived(dir, target string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) != 1 || !entries[0].Type().IsRegular() {
		return syscall.EINVAL // a text, a directory
	}
	if p, err := x.existing(target, true); err == nil && p.info.IsDir() {
		target = path.Join(target, entries[0].Name())
	}
	in, err := os.Open(filepath.Join(dir, entries[0].Name()))
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := x.create(target)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, x.limited(in))
	return errors.Join(err, out.Close())
}

// wormholeSend is the job of a download. The program has no other way to take
// a code than its command line, so others on this machine may see it.
func (t *transferJob) wormholeSend() (exitCode int) {
	return t.inPrivateDir(func(dir string) int {
		copied, err := t.copyOut(t.Source, dir)
		if err != nil {
			fmt.Fprintf(t.stderr, "Error: Invalid value for '[WHAT]': %s: %s\n", t.Source, strerror(err))
			return 2
		}
		return t.runWormhole(dir, "", "send", "--hide-progress", "--code", t.Code, copied)
	})
}

// copyOut copies a file of the site to a directory of this machine.
func (x session) copyOut(source, dir string) (string, error) {
	p, err := x.existing(source, true)
	if err != nil {
		return "", err
	}
	if !p.info.Mode().IsRegular() {
		return "", syscall.EISDIR
	}
	in, err := x.open(p)
	if err != nil {
		return "", err
	}
	defer in.Close()
	to := filepath.Join(dir, path.Base(p.rel))
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, x.limited(in))
	return to, errors.Join(err, out.Close())
}

// inPrivateDir gives the program a directory outside the site, so that it
// neither reads nor writes with more rights than the user of the job. What an
// earlier process left in it is removed first.
func (t *transferJob) inPrivateDir(do func(dir string) int) (exitCode int) {
	dir := filepath.Join(t.dir, "wormhole")
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		fmt.Fprintf(t.stderr, "wormhole: %v\n", err)
		return 1
	}
	defer os.RemoveAll(dir)
	return do(dir)
}

// passedOn matches the variables that the program gets from this process: what it
// takes to run and to reach its servers. Others may hold secrets that are none of
// its business.
var passedOn = regexp.MustCompile(`^(PATH|HOME|LANG|LC_\w+|TMPDIR|LD_LIBRARY_PATH|PYTHON\w*|(?i:(https?|all|no)_proxy)|SSL_CERT_\w+|WORMHOLE_\w+)=`)

// runWormhole runs the program that is found in PATH. It is asked to end, and
// killed ten seconds later, when the context does.
func (t *transferJob) runWormhole(dir, input string, args ...string) (exitCode int) {
	program, err := exec.LookPath("wormhole")
	if err != nil {
		fmt.Fprintln(t.stderr, "wormhole: command not found; install it with: pip install magic-wormhole")
		return 127
	}
	cmd := exec.CommandContext(t.ctx, program, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(input), t.stdout, t.stderr
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return !passedOn.MatchString(v) }), "WORMHOLE_QR=false")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1) // -1 when killed
	}
	fmt.Fprintf(t.stderr, "wormhole: %v\n", err)
	return 1
}
