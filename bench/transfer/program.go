package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed official.py
var officialScript string

// official moves the file with the official client.
func (s *site) official(ctx context.Context, l *line, python, way, local, name string) (float64, error) {
	return s.program(ctx, l, python, "-c", officialScript, way, system, local, s.remote, name)
}

// fcflow moves the file with a run of one step, and returns the most memory that
// the program had, in MiB.
func (s *site) fcflow(ctx context.Context, l *line, program, way, local, name string) (float64, error) {
	remote := filepath.Join(s.remote, name)
	with := fmt.Sprintf("{ from: %q, to: %q, method: s3 }", local, remote)
	args := []string{}
	if way == "download" {
		with = fmt.Sprintf("{ from: %q, to: %q, method: s3 }", remote, filepath.Base(local))
		args = append(args, "--output-dir", filepath.Dir(local))
	}
	file := filepath.Join(s.dir, way+".yaml")
	text := fmt.Sprintf("version: 1\nname: %s\nsteps:\n  - id: move\n    uses: %s\n    with: %s\n", way, way, with)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return 0, err
	}
	return s.program(ctx, l, program, append([]string{"run", file}, args...)...)
}

// program runs a client of the service in a process of its own.
func (s *site) program(ctx context.Context, l *line, name string, args ...string) (peak float64, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Env = append(os.Environ(),
		"FIRECREST_URL="+l.url, "FIRECREST_SYSTEM="+system, "AUTH_TOKEN_URL="+l.url+s.credentials.TokenPath,
		"FIRECREST_CLIENT_ID="+s.credentials.ClientID, "FIRECREST_CLIENT_SECRET="+s.credentials.ClientSecret,
		"XDG_CONFIG_HOME="+s.dir, "FCFLOW_STATE_DIR="+filepath.Join(s.dir, "state"), "NO_PROXY=127.0.0.1",
	)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return peak, fmt.Errorf("%s %s: %w\n%s", name, args[0], err, said.String())
			}
			return peak, nil
		case <-look.C:
			if mib, err := peakMemory(cmd.Process.Pid); err == nil { // else it has just ended
				peak = mib
			}
		}
	}
}

// peakMemory is the largest resident size that a process has had, in MiB.
func peakMemory(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		var kib float64
		if n, _ := fmt.Sscanf(string(line), "VmHWM: %f kB", &kib); n == 1 {
			return kib / 1024, nil
		}
	}
	return 0, errors.New("the system does not say how much memory was used")
}
