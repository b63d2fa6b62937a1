// Package archtest checks who may import whom.
package archtest

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/fcflow/fcflow"

// rule is a row of the table in docs/architecture.md: what a package may import
// of fcflow, and which modules only it may import.
type rule struct {
	own  []string // packages of fcflow
	mods []string // modules outside the standard library
}

// rules has a row for each package. Tests may import more.
var rules = map[string]rule{
	"workflow":        {mods: []string{"gopkg.in/yaml.v3", "github.com/expr-lang/expr"}},
	"engine":          {own: []string{"workflow"}, mods: []string{"github.com/rs/zerolog", "github.com/oklog/ulid/v2"}},
	"store":           {own: []string{"workflow", "store/record"}, mods: []string{"go.etcd.io/bbolt", "golang.org/x/sys"}},
	"store/record":    {own: []string{"workflow"}},
	"store/memory":    {own: []string{"workflow", "store/record"}},
	"store/storetest": {own: []string{"workflow"}, mods: []string{"github.com/google/go-cmp"}},
	"firecrest":       {mods: []string{"golang.org/x/sync", "golang.org/x/time"}},
	"firecrest/firecresttest": {
		own:  []string{"firecrest"},
		mods: []string{"github.com/coder/websocket", "github.com/google/go-cmp", "github.com/santhosh-tekuri/jsonschema/v6"},
	},
	"firecrest/datatransfer": {
		own:  []string{"firecrest", "internal/netguard"},
		mods: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go", "github.com/coder/websocket"},
	},
	"steps":                       {own: []string{"workflow", "engine", "firecrest", "firecrest/datatransfer", "steps/jobscript", "internal/redact"}},
	"steps/jobscript":             {},
	"scheduler":                   {own: []string{"workflow"}, mods: []string{"github.com/robfig/cron/v3", "github.com/oklog/ulid/v2", "github.com/rs/zerolog"}},
	"server/ui":                   {},
	"server":                      {own: []string{"workflow"}, mods: []string{"golang.org/x/sys"}},
	"sandbox":                     {own: []string{"sandbox/batch", "sandbox/objects"}, mods: []string{"golang.org/x/sys", "github.com/coder/websocket"}},
	"sandbox/batch":               {mods: []string{"golang.org/x/sys"}},
	"sandbox/objects":             {mods: []string{"github.com/aws/aws-sdk-go-v2"}},
	"conformance":                 {},
	"schema":                      {own: []string{"workflow"}, mods: []string{"github.com/santhosh-tekuri/jsonschema/v6"}},
	"internal/settings":           {mods: []string{"gopkg.in/yaml.v3"}, own: []string{"workflow"}},
	"internal/plan":               {own: []string{"workflow", "steps/jobscript"}},
	"internal/redact":             {},
	"internal/netguard":           {},
	"internal/why":                {own: []string{"workflow", "internal/console"}},
	"internal/crate":              {own: []string{"workflow"}},
	"internal/results":            {own: []string{"workflow"}},
	"internal/compare":            {own: []string{"workflow", "internal/results"}, mods: []string{"github.com/rogpeppe/go-internal"}},
	"internal/console":            {own: []string{"workflow", "internal/redact"}, mods: []string{"golang.org/x/term"}},
	"internal/dagsvg":             {},
	"internal/archtest":           {},
	"internal/crashtest":          {},
	"internal/transfertest":       {},
	"bench":                       {own: []string{"workflow", "engine", "store", "bench/figures"}},
	"bench/figures":               {own: []string{"workflow"}},
	"bench/transfer":              {own: []string{"firecrest", "sandbox", "store", "bench/figures"}},
	"internal/gentletest":         {},
	"internal/grouptest":          {},
	"internal/servetest":          {},
	"internal/program":            {},
	"internal/mutants":            {},
	"internal/oracle":             {}, // nothing at all: it must not share a mistake with what it judges
	"internal/securitytest":       {},
	"internal/canary":             {},
	"internal/canary/scan":        {own: []string{"internal/canary"}},
	"internal/protocoltest":       {},
	"internal/simulation":         {},
	"internal/simulation/subject": {own: []string{"workflow", "engine", "steps", "firecrest", "store/memory", "internal/simulation"}},
	"internal/simulation/naive":   {own: []string{"internal/simulation"}},
	"cmd/fcflow": {
		own: []string{
			"workflow", "engine", "store", "firecrest", "firecrest/datatransfer", "steps", "scheduler", "server", "server/ui", "sandbox", "schema",
			"internal/settings", "internal/console", "internal/dagsvg", "internal/plan", "internal/why", "internal/crate",
			"internal/results", "internal/compare",
		},
		mods: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/rs/zerolog", "golang.org/x/term"},
	},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []listed
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func TestImports(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		seen[name] = true
		r, ok := rules[name]
		if !ok {
			t.Errorf("package %s has no row in the table of imports", name)
			continue
		}
		for _, path := range p.Imports {
			if !allowed(r, path) {
				t.Errorf("package %s must not import %s", name, path)
			}
		}
	}
	for name := range rules {
		if !seen[name] {
			t.Errorf("the table of imports has a row for %s, which does not exist", name)
		}
	}
}

func allowed(r rule, path string) bool {
	if own, ok := strings.CutPrefix(path, module+"/"); ok {
		return slices.Contains(r.own, own)
	}
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return true // standard library
	}
	return slices.ContainsFunc(r.mods, func(mod string) bool {
		return path == mod || strings.HasPrefix(path, mod+"/")
	})
}

// TestDirection: nothing below the command line depends on it, and the pure
// packages stay pure.
func TestDirection(t *testing.T) {
	t.Parallel()
	for name, r := range rules {
		for _, own := range r.own {
			if own == "cmd/fcflow" {
				t.Errorf("%s may import the command line", name)
			}
		}
	}
	for _, pure := range []string{"workflow", "firecrest"} {
		if len(rules[pure].own) > 0 {
			t.Errorf("%s may import packages of fcflow", pure)
		}
	}
}

// TestClientAlone: who imports the client gets the client. What moves bytes, and
// its libraries, come with the packages below it.
func TestClientAlone(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", module+"/firecrest").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		first, _, _ := strings.Cut(path, "/")
		switch {
		case !strings.Contains(first, "."): // standard library
		case path == module+"/firecrest", strings.HasPrefix(path, "golang.org/x/sync/"), strings.HasPrefix(path, "golang.org/x/time/"):
		default:
			t.Errorf("an import of the client pulls in %s", path)
		}
	}
}
