package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDigests(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	for name, c := range map[string]struct {
		d    digests
		size int64
		want string
	}{
		"small":           {size: 3, want: abc},
		"grown since":     {size: 2},
		"shrunk since":    {size: 4},
		"large":           {size: smallFile + 1},
		"many":            {d: digests{files: mostSmallFiles}, size: 3},
		"enough was read": {d: digests{bytes: mostSmallBytes - 2}, size: 3},
	} {
		if got, err := c.d.of(file, c.size); got != c.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
	if _, err := new(digests).of(file+"x", 3); err == nil {
		t.Error("a file that is not there has a digest")
	}
}
