package canary

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"go.etcd.io/bbolt"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

const smallWindow = 256 << 10

const bird = "k4n4ri-Vogel/7531+Zeisig"

// artefacts are what runs and programs around them leave, each with the text in
// it.
var artefacts = map[string]func(t *testing.T, dir, text string){
	"log":              file("x.1.log", func(s string) []byte { return []byte("12:00:00 token is " + s + "\nnext\n") }),
	"JSON log":         file("err", func(s string) []byte { return append(inJSON(map[string]string{"error": s}), '\n') }),
	"JSON":             file("run.json", func(s string) []byte { return inJSON(map[string]any{"outputs": map[string]string{"a": s}}) }),
	"JSON in JSON":     file("run.json", func(s string) []byte { return inJSON(string(inJSON(s))) }),
	"YAML":             file("workflow.yaml", func(s string) []byte { return []byte("env:\n  KEY: " + s + "\n") }),
	"script":           file("t.sh", func(s string) []byte { return []byte("#!/bin/sh\nexport KEY='" + s + "'\n") }),
	"address":          file("x.json", func(s string) []byte { return []byte("https://x/?k=" + url.QueryEscape(s)) }),
	"form":             file("x", func(s string) []byte { return []byte(strings.ToLower(url.QueryEscape(s))) }),
	"Basic header":     file("x", func(s string) []byte { return []byte(base64.StdEncoding.EncodeToString([]byte("ada:" + s))) }),
	"base64, first":    file("x", func(s string) []byte { return []byte(base64.StdEncoding.EncodeToString([]byte(s))) }),
	"base64, second":   file("x", func(s string) []byte { return []byte(base64.URLEncoding.EncodeToString([]byte("a" + s + "b"))) }),
	"base64, third":    file("x", func(s string) []byte { return []byte(base64.RawURLEncoding.EncodeToString([]byte("ab" + s + "b"))) }),
	"base64 in lines":  file("x", func(s string) []byte { return lines(base64.StdEncoding.EncodeToString([]byte("a"+s)), 8) }),
	"hexadecimal":      file("x", func(s string) []byte { return []byte(hex.EncodeToString([]byte(s))) }),
	"large digits":     file("x", func(s string) []byte { return []byte(strings.ToUpper(hex.EncodeToString([]byte(s)))) }),
	"UTF-16":           file("x.txt", inUTF16),
	"two lines":        file("x.log", func(s string) []byte { return lines(s, 13) }),
	"two lines, DOS":   file("x.log", func(s string) []byte { return bytes.ReplaceAll(lines(s, 7), []byte("\n"), []byte("\r\n")) }),
	"lines in JSON":    file("x.json", func(s string) []byte { return inJSON(string(lines(s, 7))) }),
	"cut at the end":   file("x.log", func(s string) []byte { return []byte("a" + s[:len(s)-3]) }),
	"cut at the start": file("x.log", func(s string) []byte { return []byte(s[3:] + "b") }),
	"panic":            file("err", func(s string) []byte { return fmt.Appendf(nil, "panic: %v\n\ngoroutine 1", fmt.Errorf("bad %q", s)) }),
	"gzip":             file("x.gz", zipped),
	"gzip in a file":   file("x.db", func(s string) []byte { return append([]byte("before"), append(zipped(s), "after"...)...) }),
	"gzip in gzip":     file("x", func(s string) []byte { return zipped(string(zipped(s))) }),
	"gzip, cut short":  file("x", func(s string) []byte { z := zipped(s + strings.Repeat("0123456789abcdef", 1000)); return z[:len(z)-10] }),
	"zlib":             file("x", deflated),
	"tar.gz":           file("out.tar.gz", func(s string) []byte { return zipped(string(archived("a/key", s))) }),
	"name in tar.gz":   file("out.tar.gz", func(s string) []byte { return zipped(string(archived(strings.ReplaceAll(s, "/", "-"), "x"))) }),
	"zip":              file("out.zip", zipArchive),
	"name":             func(t *testing.T, dir, s string) { put(t, filepath.Join(dir, strings.ReplaceAll(s, "/", "-")), nil) },
	"name of a folder": func(t *testing.T, dir, s string) {
		must(t, os.MkdirAll(filepath.Join(dir, strings.ReplaceAll(s, "/", "-")), 0o700))
	},
	"link":      func(t *testing.T, dir, s string) { must(t, os.Symlink("/x/"+s, filepath.Join(dir, "l"))) },
	"history":   func(t *testing.T, dir, s string) { history(t, dir, s) },
	"blob":      func(t *testing.T, dir, s string) { history(t, dir, strings.Repeat("x", 30<<10)+s) },
	"free page": freePage,
	"end of a large file": func(t *testing.T, dir, s string) {
		f, err := os.Create(filepath.Join(dir, "large"))
		must(t, err)
		defer f.Close()
		_, err = f.WriteAt([]byte(s), smallWindow-10) // across two pieces; the rest is a hole
		must(t, err)
	},
}

// TestPlanted: a canary is found in every kind of artefact, and nothing is found
// in the same artefacts without one.
func TestPlanted(t *testing.T) {
	t.Parallel()
	scanner, err := NewScanner(map[string]string{"bird": bird})
	must(t, err)
	scanner.window = smallWindow
	for name, plant := range artefacts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			plant(t, dir, bird)
			hits, seen, err := scanner.Tree(dir)
			if err != nil || len(hits) == 0 {
				t.Errorf("not found in %s, error %v", seen, err)
			}
			clean := t.TempDir()
			plant(t, clean, "an ordinary text, some words")
			if hits, _, err := scanner.Tree(clean); err != nil || len(hits) > 0 {
				t.Errorf("found where none is: %v, error %v", hits, err)
			}
		})
	}
}

func TestShortCanaries(t *testing.T) {
	t.Parallel()
	if _, err := NewScanner(map[string]string{"short": "k4n4ri"}); err == nil {
		t.Error("a canary that is found anywhere was accepted")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, name string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(name, content, 0o600))
}

func file(name string, content func(text string) []byte) func(t *testing.T, dir, text string) {
	return func(t *testing.T, dir, text string) { put(t, filepath.Join(dir, name), content(text)) }
}

func inJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func lines(s string, width int) []byte {
	var b bytes.Buffer
	for ; len(s) > width; s = s[width:] {
		b.WriteString(s[:width] + "\n")
	}
	b.WriteString(s + "\n")
	return b.Bytes()
}

func inUTF16(s string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return b
}

func zipped(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, s)
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}

func deflated(s string) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, err := io.WriteString(w, s)
	if closeErr := w.Close(); err != nil || closeErr != nil {
		panic(closeErr)
	}
	return b.Bytes()
}

func archived(name, content string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))})
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if closeErr := w.Close(); err != nil || closeErr != nil {
		panic(err)
	}
	return b.Bytes()
}

func zipArchive(s string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	member, err := w.Create("key")
	if err == nil {
		_, err = io.WriteString(member, s+strings.Repeat(" and more", 100)+s)
	}
	if closeErr := w.Close(); err != nil || closeErr != nil {
		panic(err)
	}
	return b.Bytes()
}

// history makes a run whose definition and events hold a text.
func history(t *testing.T, dir, text string) {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	must(t, err)
	blob := workflow.NewBlob([]byte(text))
	events := []workflow.Event{{Seq: 1, Epoch: 1, At: time.Now().UTC(), Data: &workflow.RunFinished{State: workflow.RunFailed, Message: text}}}
	h, err := s.Create(context.Background(), storetest.ID(1), []byte("name: x\n"), events, []workflow.Blob{blob})
	must(t, err)
	must(t, h.Close())
}

// freePage makes a database that does not hold the text any more, but whose file
// does.
func freePage(t *testing.T, dir, text string) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "run.db"), 0o600, nil)
	must(t, err)
	change := func(f func(b *bbolt.Bucket) error) {
		must(t, db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return f(b)
		}))
	}
	change(func(b *bbolt.Bucket) error { return b.Put([]byte("k"), bytes.Repeat([]byte(text), 1000)) })
	change(func(b *bbolt.Bucket) error { return b.Delete([]byte("k")) })
	must(t, db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket([]byte("b")).Get([]byte("k")) != nil {
			return fmt.Errorf("the text is still there")
		}
		return nil
	}))
	must(t, db.Close())
}
