package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorded is one request a FirecREST 2.5.6 server got, and its answer.
type recorded struct {
	Name      string            `json:"name"`
	Method    string            `json:"method"`
	Path      string            `json:"path"`
	Query     map[string]string `json:"query"`
	Headers   map[string]string `json:"headers"`
	Anonymous bool              `json:"anonymous"`
	Body      json.RawMessage   `json:"body"`
	Answer    struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
		Base64  []byte            `json:"base64"`
	} `json:"answer"`
}

// TestReplay sends what was sent to a real server, in the same order to the
// same files, and wants the same answers: status, headers, texts and values,
// save times and numbers that no two machines share.
func TestReplay(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/replay-2.5.6.json")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	furnish(t, r)
	translate := strings.NewReplacer(
		"/home/alice", r.home,
		"/scratch/alice", r.scratch,
		"/scratch/locked", filepath.Join(filepath.Dir(r.scratch), "locked"),
		"http://firecrest.example.org", r.url,
		`"alice"`, `"demo"`,
		`\\303\\251t\\303\\251`, "été", // the recorded login node had no UTF-8 locale
	)
	var requests []recorded
	if err := json.Unmarshal([]byte(translate.Replace(string(data))), &requests); err != nil {
		t.Fatal(err)
	}
	tokens := oddTokens(t, r)
	for _, rec := range requests {
		t.Run(rec.Name, func(t *testing.T) {
			got := replay(t, r, rec, tokens)
			want := rec.Answer
			if got.status != want.Status {
				t.Fatalf("status %d, want %d; body %.300s", got.status, want.Status, got.body)
			}
			checkHeaders(t, got.header, want.Headers, tokens)
			switch {
			case want.Base64 != nil:
				if diff := cmp.Diff(want.Base64, got.body); diff != "" {
					t.Errorf("body (-want +got):\n%s", diff)
				}
			case want.Body != nil:
				if diff := cmp.Diff(withoutChance(t, want.Body), withoutChance(t, got.body)); diff != "" {
					t.Errorf("body (-want +got):\n%s", diff)
				}
			case len(got.body) > 0:
				t.Errorf("body %q, want none", got.body)
			}
		})
	}
}

// furnish makes the files the recorded server had.
func furnish(t *testing.T, r *rig) {
	t.Helper()
	rows := ""
	for i := 1; i <= 25; i++ {
		rows += "row " + strconv.Itoa(i) + "\n"
	}
	for name, content := range map[string]string{
		"data/.hidden": "", "data/bin": "\xff\xfe\x00bin", "data/f.txt": "line 1\nline 2\nline 3\n", "data/q'uote": "q\n",
		"data/rows.txt": rows, "data/with space": "hello\n", "data/été": "u\n",
		"tree/.h": "", "n2/deep/x": "", "tree/a/x": "x\n", "tree/a/b/y": "y\n",
		"empty": "", "secret": "s\n", "run.sh": "#!/bin/bash\necho from path\n",
		"big": strings.Repeat("0123456789", 600_000),
	} {
		r.write(name, content)
	}
	locked := filepath.Join(filepath.Dir(r.scratch), "locked")
	for _, dir := range []string{"data/empty", "data/sub", "tree/z", locked} {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(r.home, dir)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"data/broken": "nowhere", "data/link": "f.txt"} {
		if err := os.Symlink(target, filepath.Join(r.home, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{filepath.Join(r.home, "secret"): 0, locked: 0} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(locked, 0o700) })
}

// oddTokens are the tokens the recordings name by what is wrong with them.
func oddTokens(t *testing.T, r *rig) map[string]string {
	t.Helper()
	sign := func(key *signingKey, change func(map[string]any)) string {
		claims := map[string]any{"preferred_username": "demo", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
		change(claims)
		token, err := key.sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	set := func(name string, v any) func(map[string]any) { return func(c map[string]any) { c[name] = v } }
	stranger, err := newKey(filepath.Join(t.TempDir(), "key.json"), "ES256")
	if err != nil {
		t.Fatal(err)
	}
	impostor := *stranger
	impostor.kid = r.srv.key.kid
	return map[string]string{
		"<token>":                r.token,
		"<token:expired>":        sign(r.srv.key, set("exp", time.Now().Add(-time.Minute).Unix())),
		"<token:short>":          sign(r.srv.key, set("exp", time.Now().Add(15*time.Second).Unix())),
		"<token:not-yet-valid>":  sign(r.srv.key, set("nbf", time.Now().Add(time.Minute).Unix())),
		"<token:no-username>":    sign(r.srv.key, func(c map[string]any) { delete(c, "preferred_username") }),
		"<token:no-exp>":         sign(r.srv.key, func(c map[string]any) { delete(c, "exp") }),
		"<token:bad-signature>":  sign(&impostor, func(map[string]any) {}),
		"<token:unknown-key-id>": sign(stranger, func(map[string]any) {}),
	}
}

func replay(t *testing.T, r *rig, rec recorded, tokens map[string]string) answer {
	t.Helper()
	var body any
	if rec.Body != nil {
		text := string(rec.Body)
		if s, isText := decodeText(rec.Body); isText { // not JSON, or not sent as such
			text = zeroBytes(s)
		}
		body = text
	}
	q := url.Values{}
	for name, value := range rec.Query {
		q.Set(name, value)
	}
	target := rec.Path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	req := r.request(rec.Method, target, body)
	if strings.HasPrefix(rec.Path, "//") { // else taken for a host
		req.URL = &url.URL{Scheme: "http", Host: strings.TrimPrefix(r.url, "http://"), Path: rec.Path}
	}
	if rec.Anonymous {
		req.Header.Del("Authorization")
	}
	for name, value := range rec.Headers {
		for placeholder, token := range tokens {
			value = strings.ReplaceAll(value, placeholder, token)
		}
		req.Header.Set(name, value)
	}
	return r.send(req)
}

// zeroBytes writes out the recordings' short form of large uploads.
func zeroBytes(text string) string {
	before, rest, found := strings.Cut(text, "<")
	count, after, end := strings.Cut(rest, " zero bytes>")
	n, err := strconv.Atoi(count)
	if !found || !end || err != nil {
		return text
	}
	return before + strings.Repeat("\x00", n) + after
}

func checkHeaders(t *testing.T, got http.Header, want map[string]string, tokens map[string]string) {
	t.Helper()
	for _, name := range []string{"Allow", "Location", "WWW-Authenticate", "Auth-Token", "F7T-AuthUsername", "Content-Type"} {
		value := want[strings.ToLower(name)]
		if token, isToken := tokens[value]; isToken {
			value = token
		}
		if got.Get(name) != value {
			t.Errorf("header %s is %q, want %q", name, got.Get(name), value)
		}
	}
	if traced := got.Get("X-Request-ID") != "" && got.Get("X-Correlation-ID") != ""; traced != (want["traced"] == "true") {
		t.Errorf("request ids present: %t, want %s", traced, want["traced"])
	}
}

// withoutChance takes out of a body what differs from machine to machine.
func withoutChance(t *testing.T, body []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	volatile := []string{"ino", "dev", "nlink", "atime", "ctime", "mtime", "lastModified", "jobId"}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				if slices.Contains(volatile, key) {
					v[key] = nil
				}
				walk(inner)
			}
			isDir := v["type"] == "d" || v["mode"] != nil && v["mode"] != float64(33188)
			if _, has := v["size"]; has && (isDir || v["type"] == "l" && v["linkTarget"] != nil && strings.HasPrefix(v["linkTarget"].(string), "/")) {
				v["size"] = nil
			}
			if v["errorType"] == "validation" {
				v["message"] = nil // free text of a framework
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(v)
	return v
}
