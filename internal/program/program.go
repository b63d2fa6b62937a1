// Package program builds fcflow for tests that start it as people do.
package program

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is that of the sources, as tests of packages below internal/ see it.
const root = "../.."

// Main runs the tests of a package with a directory for all of them, whose path it
// puts into dir: for the program, and for the sockets of runs, whose paths must be
// short.
func Main(m *testing.M, dir *string) {
	flag.Parse()
	var err error
	if *dir, err = os.MkdirTemp("", "fc"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(*dir) // it is below the directory for temporary files
	os.Exit(code)
}

// Build builds fcflow as it is released and returns its path, below dir.
func Build(dir string) (string, error) {
	if err := lookAtSources(); err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "bin", "fcflow")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "github.com/fcflow/fcflow/cmd/fcflow")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
}

// lookAtSources touches every source of the program, so that `go test` knows what
// a cached result of these tests depends on.
func lookAtSources() error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		_, err = os.Stat(path)
		return err
	})
}
