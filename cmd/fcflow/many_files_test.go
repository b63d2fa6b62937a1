package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestManyFiles: a run can have hundreds of input files, and so can one that it
// starts, and one that goes on with another workflow.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var meshes []string
	for i := range 300 {
		meshes = append(meshes, write(fmt.Sprintf("mesh-with-a-name-of-some-length-%03d", i), "x"))
	}
	list, err := json.Marshal(meshes)
	if err != nil {
		t.Fatal(err)
	}
	const text = `version: 1
name: flow
inputs:
  meshes: { type: "list<file>" }
steps:
  - { id: each, uses: workflow, with: { file: child.yaml, inputs: { meshes: "${{ inputs.meshes }}" } } }
  - { id: last, uses: run, needs: each, with: { command: ["false"] } }
`
	write("child.yaml", `version: 1
name: child
inputs:
  meshes: { type: "list<file>" }
steps:
  - { id: nap, uses: sleep, with: { duration: 1ms } }
outputs: { count: "${{ len(inputs.meshes) }}" }
`)
	flow := write("flow.yaml", text)
	if _, _, err := command(t, dir, "run", flow, "-i", "meshes="+string(list)); outcomeOf(err).code != "run_failed" {
		t.Fatal(err)
	}
	write("flow.yaml", strings.Replace(text, "false", "true", 1)+"outputs: { count: \"${{ steps.each.outputs.count }}\" }\n")
	if out, _, err := command(t, dir, "resume", "flow", "--workflow", flow); err != nil || !strings.Contains(out, "300") {
		t.Fatal(out, err)
	}
	write("mesh-with-a-name-of-some-length-150", "y")
	out, _, err := command(t, dir, "resume", "flow", "--workflow", flow, "--dry-run")
	if err != nil || !strings.Contains(out, "length-150 changed") {
		t.Fatal(out, err)
	}
}
