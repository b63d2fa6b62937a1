package ui

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func ask(t *testing.T, method, target string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestEveryFileIsServed(t *testing.T) {
	t.Parallel()
	for name, text := range files(t) {
		resp := ask(t, http.MethodGet, name, nil)
		h := resp.Header
		if resp.StatusCode != http.StatusOK || h.Get("Content-Type") == "" || h.Get("Content-Security-Policy") != policy || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s, %v", name, resp.Status, h)
		}
		body := make([]byte, len(text)+1)
		if n, _ := resp.Body.Read(body); string(body[:n]) != text {
			t.Errorf("%s: other content", name)
		}
		again := ask(t, http.MethodGet, name, http.Header{"If-None-Match": {h.Get("ETag")}})
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: asked again: %s, want 304", name, again.Status)
		}
	}
	if resp := ask(t, http.MethodGet, "/", nil); resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("/: %s", resp.Status)
	}
}

func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/static/app.js", "/../ui.go", "/ui.go", "/runs", "/.", "//app.js", "/%2e%2e/ui.go"} {
		if resp := ask(t, http.MethodGet, target, nil); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", target, resp.Status)
		}
	}
	if resp := ask(t, http.MethodPost, "/", nil); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s, want 405", resp.Status)
	}
}

// TestNoMarkupFromData: whatever would turn text into markup or code is not used,
// and nothing that the policy forbids.
func TestNoMarkupFromData(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc|setTimeout\("|https?://[a-z0-9]+\.`)
	inline := regexp.MustCompile(`\son[a-z]+=|\sstyle=|<style|<script(?:>| [^>]*[^>]>[^<])`)
	for name, text := range files(t) {
		if found := forbidden.FindString(strings.ReplaceAll(text, "http://www.w3.org/", "")); found != "" {
			t.Errorf("%s has %q", name, found)
		}
		if found := inline.FindString(text); path.Ext(name) == ".html" && found != "" {
			t.Errorf("%s has %q", name, found)
		}
	}
}

// TestModules: every module that is imported is there and exports what is taken
// of it, and none is longer than one can read.
func TestModules(t *testing.T) {
	t.Parallel()
	all := files(t)
	imports := regexp.MustCompile(`(?m)^import \{([^}]*)\} from "\./([^"]+)";$`)
	exports := regexp.MustCompile(`(?m)^export (?:async )?(?:function|const|class|let) (\w+)`)
	for name, text := range all {
		if n := strings.Count(text, "\n"); n > 350 {
			t.Errorf("%s has %d lines", name, n)
		}
		for _, found := range imports.FindAllStringSubmatch(text, -1) {
			has := map[string]bool{}
			for _, e := range exports.FindAllStringSubmatch(all["/"+found[2]], -1) {
				has[e[1]] = true
			}
			for _, taken := range strings.Split(found[1], ",") {
				original, local, renamed := strings.Cut(strings.TrimSpace(taken), " as ")
				if !renamed {
					local = original
				}
				if !has[original] {
					t.Errorf("%s takes %s of %s, which has no such export", name, original, found[2])
				}
				if strings.Count(text, local) < 2 || len(regexp.MustCompile(`\b`+local+`\b`).FindAllString(text, 2)) < 2 {
					t.Errorf("%s does not use %s of %s", name, local, found[2])
				}
			}
		}
	}
}

func files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(static, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := static.ReadFile(name)
		all[strings.TrimPrefix(name, "static")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d files", len(all))
	}
	return all
}
