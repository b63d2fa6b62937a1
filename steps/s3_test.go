package steps

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/sandbox/objects"
	"github.com/fcflow/fcflow/workflow"
)

// storeFaults lets requests to the object store misbehave: f gets their number,
// from 1 for each operation.
func storeFaults(f func(op string, n int) *objects.Fault) func(*sandbox.Config) {
	var mu sync.Mutex
	asked := map[string]int{}
	return func(c *sandbox.Config) {
		c.StoreFault = func(op string, _ *http.Request) *objects.Fault {
			mu.Lock()
			defer mu.Unlock()
			asked[op]++
			return f(op, asked[op])
		}
	}
}

// TestObjects puts, lists and gets, small and large.
func TestObjects(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	large := strings.Repeat("0123456789abcdef", 20<<20/16)
	s.file("large.bin", large)
	s.file("empty.txt", "")
	s.file("a b+ü.txt", "notes\n")
	r := s.run(`
	- { id: large, uses: s3_put, with: { from: large.bin, to: "s3://demo/t/" } }
	- { id: empty, uses: s3_put, with: { from: empty.txt, to: "s3://demo/t/none" } }
	- { id: name, uses: s3_put, with: { from: a b+ü.txt, to: "s3://demo/t/deep/" } }
	- { id: list, uses: s3_list, with: { path: "s3://demo/t/" }, needs: [large, empty, name] }
	- { id: all, uses: s3_list, with: { path: "s3://demo/t/", recursive: true, limit: 2 }, needs: [list] }
	- { id: nothing, uses: s3_list, with: { path: "s3://demo/x" } }
	- { id: back, uses: s3_get, with: { from: "${{ steps.large.outputs.uri }}" } }
	- { id: none, uses: s3_get, with: { from: "${{ steps.empty.outputs.uri }}", to: deep/er/empty } }
	- { id: named, uses: s3_get, with: { from: "${{ steps.name.outputs.uri }}", to: deep/ } }
	- { id: again, uses: s3_get, with: { from: "${{ steps.large.outputs.uri }}" }, needs: [back] }
	- { id: put_again, uses: s3_put, with: { from: large.bin, to: "s3://demo/t/" }, needs: [large] }`)
	back := s.outputs(r, "back")
	if back["verified"] != "sha256" || back["sha256"] != s.outputs(r, "large")["sha256"] || back["size_bytes"] != float64(len(large)) {
		t.Errorf("%v", back)
	}
	for name, want := range map[string]string{"large.bin": large, "deep/er/empty": "", "deep/a b+ü.txt": "notes\n"} {
		got, err := os.ReadFile(filepath.Join(s.output, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for _, step := range []string{"again", "put_again"} {
		if s.outputs(r, step)["skipped"] != true {
			t.Errorf("%s was done again", step)
		}
	}
	list := s.outputs(r, "list")
	if diff := cmp.Diff([]any{"t/large.bin", "t/none"}, list["keys"]); diff != "" || fmt.Sprint(list["prefixes"]) != "[t/deep/]" || list["truncated"] != false {
		t.Errorf("%s %v", diff, list)
	}
	if all := s.outputs(r, "all"); len(all["objects"].([]any)) != 2 || all["truncated"] != true {
		t.Errorf("%v", all)
	}
	if nothing := s.outputs(r, "nothing"); len(nothing["objects"].([]any)) != 0 {
		t.Errorf("%v", nothing)
	}
	if left, err := filepath.Glob(filepath.Join(s.output, "*", ".*.part")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestStoreRefusals shows how the main errors of an object store end a step.
func TestStoreRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("notes.txt", "notes\n")
	s.file("dir/x", "")
	key, secret := s.objects.AccessKey, string(s.objects.SecretKey)
	keys := func(access, secret string) string { return "access_key: " + access + ", secret_key: " + secret }
	tests := []struct{ name, with, message string }{
		{"s3_get", `from: "s3://demo/nothing"`, "look up s3://demo/nothing: object store 127.0.0.1: NotFound; there is no such object"},
		{"s3_get", `from: "s3://nowhere/x"`, "NotFound"},
		{"s3_get", `from: "s3://demo/dir/"`, "names no object"},
		{"s3_get", `from: "s3://demo/x", to: ../x`, "leaves the output directory"},
		{"s3_get", `from: "s3://demo/..", `, "leaves the output directory"},
		{"s3_get", `from: "s3://demo/x", ` + keys(key, "wrong"), "check the keys"},
		{"s3_list", `path: "s3://nowhere"`, "NoSuchBucket"},
		{"s3_list", `path: "s3://demo", ` + keys(key, "wrong"), "SignatureDoesNotMatch"},
		{"s3_list", `path: "s3://demo", ` + keys("nobody", secret), "check the access key"},
		{"s3_list", `path: "s3://demo", session_token: old, ` + keys(key, secret), "InvalidToken"},
		{"s3_list", `path: "s3://demo", region: mars-1`, "the region may be wrong"},
		{"s3_list", `path: "s3://demo", anonymous: true`, "AccessDenied"},
		{"s3_list", `path: "s3://demo", endpoint: "ftp://x", anonymous: true`, "no address like https://"},
		{"s3_put", `from: notes.txt, to: "s3://nowhere/"`, "NoSuchBucket"},
		{"s3_put", `from: dir, to: "s3://demo/"`, "not a regular file"},
	}
	for _, test := range tests {
		t.Run(test.name+"/"+test.with, func(t *testing.T) {
			t.Parallel()
			r := s.run("- id: x\n  uses: " + test.name + "\n  with: { " + strings.TrimSuffix(test.with, ", ") + " }")
			u := unit(t, r, "x")
			if u.State != workflow.Failed || u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, test.message) {
				t.Errorf("%s %s: %s\nwant %s", u.State, u.Cause, u.Message, test.message)
			}
			if strings.Contains(u.Message, secret) {
				t.Error("the message holds the secret")
			}
		})
	}
}

// TestObjectExists: what on_exists says about what is there.
func TestObjectExists(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("one.txt", "one\n")
	s.file("two.txt", "two\n")
	r := s.run(`
	- { id: one, uses: s3_put, with: { from: one.txt, to: "s3://demo/e/x" } }
	- { id: other, uses: s3_put, with: { from: two.txt, to: "s3://demo/e/x" }, needs: [one] }
	- { id: never, uses: s3_put, with: { from: one.txt, to: "s3://demo/e/x", on_exists: fail }, needs: [one] }
	- { id: get, uses: s3_get, with: { from: "s3://demo/e/x" }, needs: [one] }
	- { id: no_get, uses: s3_get, with: { from: "s3://demo/e/x", on_exists: fail }, needs: [get] }
	- { id: dir, uses: s3_get, with: { from: "s3://demo/e/x", to: x/y }, needs: [get] }`)
	for step, want := range map[string]string{
		"other": "s3://demo/e/x exists and is not known to be the same; set on_exists: replace",
		"never": "s3://demo/e/x exists", "no_get": "/x exists", "dir": "not a directory",
	} {
		if u := unit(t, r, step); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, want) {
			t.Errorf("%s: %s: %s", step, u.Cause, u.Message)
		}
	}
	r = s.run(`
	- { id: put, uses: s3_put, with: { from: two.txt, to: "s3://demo/e/x", on_exists: replace } }
	- { id: keep, uses: s3_get, with: { from: "s3://demo/e/x" }, needs: [put] }`)
	s.outputs(r, "put")
	if u := unit(t, r, "keep"); !strings.Contains(u.Message, "not known to be the same") {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
	r = s.run(`
	- { id: get, uses: s3_get, with: { from: "s3://demo/e/x", on_exists: replace } }`)
	s.outputs(r, "get")
	if got, err := os.ReadFile(filepath.Join(s.output, "x")); err != nil || string(got) != "two\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestStoreOutage: a store in trouble is waited for; what is damaged is not taken.
func TestStoreOutage(t *testing.T) {
	t.Parallel()
	s := newSite(t, storeFaults(func(op string, n int) *objects.Fault {
		if n <= 8 { // more often than one entry of the step tries
			return &objects.Fault{Status: http.StatusServiceUnavailable, Code: "SlowDown"}
		}
		return nil
	}))
	s.file("notes.txt", "notes\n")
	r := s.run(`
	- { id: put, uses: s3_put, with: { from: notes.txt, to: "s3://demo/" } }
	- { id: get, uses: s3_get, with: { from: "${{ steps.put.outputs.uri }}" } }
	- { id: list, uses: s3_list, with: { path: "s3://demo" } }`)
	for _, step := range []string{"put", "get", "list"} {
		s.outputs(r, step)
	}
}

func TestDamagedObject(t *testing.T) {
	t.Parallel()
	s := newSite(t, storeFaults(func(op string, n int) *objects.Fault {
		if op == "PutObject" {
			return &objects.Fault{Truncate: true, After: 3}
		}
		return nil
	}))
	s.file("notes.txt", "notes\n")
	r := s.run("- id: x\n  uses: s3_put\n  with: { from: notes.txt, to: \"s3://demo/\" }\n  max_attempts: 1")
	if u := unit(t, r, "x"); u.Cause != workflow.CauseTransfer || !strings.Contains(u.Message, "it has 3 bytes of the 6 that were sent") {
		t.Errorf("%s %s: %s", u.State, u.Cause, u.Message)
	}
	r = s.run("- id: x\n  uses: s3_get\n  with: { from: \"s3://demo/notes.txt\" }\n  max_attempts: 1")
	if u := unit(t, r, "x"); u.Cause != workflow.CauseTransfer || !strings.Contains(u.Message, "digest") {
		t.Errorf("%s %s: %s", u.State, u.Cause, u.Message)
	}
	if left, err := os.ReadDir(s.output); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestStoreOfInputs: which store the inputs name, and with whose keys.
func TestStoreOfInputs(t *testing.T) {
	t.Parallel()
	own := &datatransfer.StoreConfig{Endpoint: "http://own", AccessKey: "own", SecretKey: "own"}
	env := func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL": "https://env", "AWS_REGION": "env", "AWS_ACCESS_KEY_ID": "env", "AWS_SECRET_ACCESS_KEY": "env", "AWS_SESSION_TOKEN": "env"}[name]
	}
	tests := []struct {
		name string
		in   storeIn
		own  *datatransfer.StoreConfig
		want datatransfer.StoreConfig
	}{
		{"environment", storeIn{}, nil, datatransfer.StoreConfig{Endpoint: "https://env", Region: "env", AccessKey: "env", SecretKey: "env", SessionToken: "env"}},
		{"sandbox", storeIn{PathStyle: true}, own, datatransfer.StoreConfig{Endpoint: "http://own", AccessKey: "own", SecretKey: "own", PathStyle: true}},
		{"elsewhere from a sandbox", storeIn{Endpoint: "https://in", Region: "in"}, own, datatransfer.StoreConfig{Endpoint: "https://in", Region: "in", AccessKey: "env", SecretKey: "env", SessionToken: "env"}},
		{"own keys", storeIn{AccessKey: "in", SecretKey: "in"}, nil, datatransfer.StoreConfig{Endpoint: "https://env", Region: "env", AccessKey: "in", SecretKey: "in"}},
		{"no keys", storeIn{Anonymous: true, Endpoint: "https://in"}, nil, datatransfer.StoreConfig{Endpoint: "https://in", Region: "env", Anonymous: true, AccessKey: "env", SecretKey: "env", SessionToken: "env"}},
	}
	for _, test := range tests {
		got := test.in.config(test.own, nil, env)
		if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b firecrest.Secret) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// TestSharedStore: the same store is opened once, another one by itself.
func TestSharedStore(t *testing.T) {
	t.Parallel()
	var stores objectStores
	defer stores.close()
	config := datatransfer.StoreConfig{Endpoint: "https://one", Anonymous: true}
	first, err := stores.get(config)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := stores.get(config); err != nil || again != first {
		t.Errorf("opened twice: %v", err)
	}
	config.Region = "other"
	if other, err := stores.get(config); err != nil || other == first {
		t.Errorf("not opened: %v", err)
	}
	if _, err := stores.get(datatransfer.StoreConfig{}); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("%v", err)
	}
}
