package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fcflow/fcflow/internal/console"
)

const packagingDir = "../../packaging"

// unitOptions are the options of the systemd unit, by name.
func unitOptions() (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(packagingDir, "fcflow.service"))
	if err != nil {
		return nil, err
	}
	options := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "[") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if _, twice := options[name]; !ok || twice || strings.HasSuffix(value, `\`) {
			return nil, fmt.Errorf("fcflow.service: %q cannot be read", line)
		}
		options[name] = value
	}
	return options, nil
}

// lastStage are the instructions of the Containerfile that make the image, each
// with what the last one of its kind says.
func lastStage() (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(packagingDir, "Containerfile"))
	if err != nil {
		return nil, err
	}
	stage := map[string]string{}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "FROM" {
			clear(stage)
		}
		stage[name] = rest
	}
	return stage, nil
}

// unitCommand is what the unit starts, with the home directory of the script.
func unitCommand() ([]string, error) {
	options, err := unitOptions()
	if err != nil {
		return nil, err
	}
	args := strings.Fields(strings.ReplaceAll(options["ExecStart"], "%h", "$HOME"))
	if len(args) == 0 || args[0] != "$HOME/.local/bin/fcflow" {
		return nil, fmt.Errorf("ExecStart is %q", options["ExecStart"])
	}
	return args[1:], nil
}

// imageCommand is what the image starts, with the volumes of the script.
func imageCommand() ([]string, error) {
	stage, err := lastStage()
	if err != nil {
		return nil, err
	}
	var entrypoint, args []string
	for name, words := range map[string]*[]string{"ENTRYPOINT": &entrypoint, "CMD": &args} {
		if err := json.Unmarshal([]byte(stage[name]), words); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(entrypoint) != 1 || entrypoint[0] != "fcflow" {
		return nil, fmt.Errorf("ENTRYPOINT is %q", entrypoint)
	}
	for i, arg := range args {
		if arg == "/workflows" {
			args[i] = "$WORK/workflows"
		}
	}
	return args, nil
}

// packaged unit|image FILE writes a script that starts what packaging/ starts.
func packaged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: packaged unit|image FILE")
	}
	read := map[string]func() ([]string, error){"unit": unitCommand, "image": imageCommand}[args[0]]
	command, err := read()
	ts.Check(err)
	script := fmt.Sprintf("exec fcflow %s \"$@\" 2>>log\n", strings.Join(command, " "))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(script), 0o600))
}

// jsonlines FILE checks that each line of a file is JSON.
func jsonlines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: jsonlines FILE")
	}
	n := 0
	for lines := bufio.NewScanner(strings.NewReader(ts.ReadFile(args[0]))); lines.Scan(); n++ {
		if !json.Valid(lines.Bytes()) {
			ts.Fatalf("%s: no JSON: %s", args[0], lines.Text())
		}
	}
	if n == 0 {
		ts.Fatalf("%s is empty", args[0])
	}
}

// TestPackagingAgrees compares what packaging/ says of the program with the
// program.
func TestPackagingAgrees(t *testing.T) {
	t.Parallel()
	options, err := unitOptions()
	if err != nil {
		t.Fatal(err)
	}
	if want := strconv.Itoa(outcomeOf(errUsage).exit); options["RestartPreventExitStatus"] != want {
		t.Errorf("RestartPreventExitStatus is %q; a wrong setting ends with %s", options["RestartPreventExitStatus"], want)
	}
	stage, err := lastStage()
	if err != nil {
		t.Fatal(err)
	}
	listen := newServeCommand(newApp(console.Standard(os.Getenv), os.Getenv)).Flags().Lookup("listen").DefValue
	if !strings.HasSuffix(stage["HEALTHCHECK"], " http://"+listen+"/healthz") {
		t.Errorf("HEALTHCHECK is %q; the server listens on %s", stage["HEALTHCHECK"], listen)
	}
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(stage["USER"]) {
		t.Errorf("USER is %q, which must be a number other than that of root", stage["USER"])
	}
	if !strings.Contains(stage["ENV"], "FCFLOW_STATE_DIR="+stage["VOLUME"]) {
		t.Errorf("ENV is %q and VOLUME %q", stage["ENV"], stage["VOLUME"])
	}
}
