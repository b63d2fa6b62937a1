package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const maxSecretBytes = 64 << 10

// ErrNoSecret: a workflow names a secret that has no value here.
var ErrNoSecret = errors.New("secret has no value")

// Secret returns the value of a workflow's secret: FCFLOW_SECRET_<NAME> of the
// environment, else the content of <secrets_dir>/<NAME> without its final line
// break. The file must be ours and readable by nobody else.
func (s *Settings) Secret(name string) (string, error) {
	if value := s.getenv("FCFLOW_SECRET_" + name); value != "" {
		return value, nil
	}
	dir, err := s.Path("secrets_dir")
	if err != nil {
		return "", err
	}
	if !filepath.IsLocal(name) || strings.ContainsAny(name, `/\`) {
		return "", fmt.Errorf("%q is no name of a secret", name)
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDONLY|syscall.O_NONBLOCK, 0) // never hang on a named pipe
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %q; set FCFLOW_SECRET_%s or write it to %s with mode 0600",
			ErrNoSecret, name, name, filepath.Join(dir, name))
	}
	if err != nil {
		return "", fmt.Errorf("secret %q: %w", name, err)
	}
	defer f.Close()
	if err := checkOwner(f, true); err != nil {
		return "", fmt.Errorf("secret %q: %w", name, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("secret %q: %w", name, err)
	case len(text) > maxSecretBytes:
		return "", fmt.Errorf("secret %q: %s is larger than 64 KiB", name, f.Name())
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if value == "" {
		return "", fmt.Errorf("%w: %q; %s is empty", ErrNoSecret, name, f.Name())
	}
	return value, nil
}
