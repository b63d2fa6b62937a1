package simulation_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/internal/simulation"
	"github.com/fcflow/fcflow/steps/jobscript"
)

// TestPrologue: the world does at the start of a job what its script would do.
// The real script runs in bash, in a directory in which others were before, and
// must end with the same code, run its payload or not, and leave the same links.
func TestPrologue(t *testing.T) {
	t.Parallel()
	first := firstSeed(t)
	chance := rand.New(rand.NewPCG(uint64(first), 0))
	for n := range 60 {
		p := randomPlace(chance)
		t.Run(fmt.Sprintf("%d %+v", n, p), func(t *testing.T) {
			t.Parallel()
			p.compare(t)
		})
	}
}

// place is what a job finds when it starts.
type place struct {
	fence  jobscript.Fence
	gone   bool   // the directory is not there
	claim  string // text of the claim, "" = none; "dir" is a directory in its place
	marker string // text of the exit marker
	code   int    // with which the payload ends
}

const (
	placeToken = "ftokentokentokentoken"
	placeJob   = "17"
)

func randomPlace(chance *rand.Rand) place {
	pick := func(of ...string) string { return of[chance.IntN(len(of))] }
	p := place{
		fence:  jobscript.Fence(pick("claim", "claim", "blind", "off")),
		gone:   chance.IntN(4) == 0,
		claim:  pick("", "", ".o-17", ".o-16", ".o-tombstone-x", "/elsewhere/.o-17", "dir"),
		marker: pick("", "", "", "x-0.17", "x-3.17", "x-0.16", "junk"),
		code:   chance.IntN(2) * 3,
	}
	if p.gone {
		p.claim, p.marker = "", ""
	}
	return p
}

// compare runs the script in bash and in the world.
func (p place) compare(t *testing.T) {
	dir := t.TempDir()
	control := filepath.Join(dir, "control")
	script, err := jobscript.Render(jobscript.Script{
		Payload: []byte(fmt.Sprintf("#!/bin/bash\n# sim: 1s exit=%d\n: > %s/ran\nexit %[1]d\n", p.code, dir)),
		Control: control, Token: placeToken, Fence: p.fence, WorkDir: filepath.Join(dir, "work"),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.furnish(t, control)
	job := exec.Command("bash", "-s")
	job.Stdin, job.Env, job.Dir = strings.NewReader(string(script)), []string{"PATH=" + os.Getenv("PATH"), "SLURM_JOB_ID=" + placeJob}, dir
	var exit *exec.ExitError
	if err := job.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	_, notRun := os.Stat(filepath.Join(dir, "ran"))
	real := simulation.Trial{Code: job.ProcessState.ExitCode(), Ran: notRun == nil}
	real.Claim, _ = os.Readlink(filepath.Join(control, placeToken))
	real.Marker, _ = os.Readlink(filepath.Join(control, placeToken+".x"))

	at := "/home/control"
	text := strings.ReplaceAll(string(script), control, at)
	imitated := simulation.Try(text, at, placeToken, placeJob, !p.gone, p.claim, p.marker)
	if real != imitated {
		t.Errorf("in bash %+v, in the world %+v", real, imitated)
	}
}

// furnish puts there what the job finds.
func (p place) furnish(t *testing.T, control string) {
	t.Helper()
	if p.gone {
		return
	}
	err := os.Mkdir(control, 0o755)
	claim := filepath.Join(control, placeToken)
	switch p.claim {
	case "":
	case "dir":
		err = errors.Join(err, os.Mkdir(claim, 0o755))
	default:
		err = errors.Join(err, os.Symlink(p.claim, claim))
	}
	if p.marker != "" {
		err = errors.Join(err, os.Symlink(p.marker, claim+".x"))
	}
	if err != nil {
		t.Fatal(err)
	}
}
