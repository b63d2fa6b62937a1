package batch

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed standins
var standIns embed.FS

// writeStandIns puts the programs that scripts expect on a machine with Slurm
// into bin. Each is replaced by rename: jobs of an earlier process may be
// running them.
func writeStandIns(bin, jobs string) error {
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return fmt.Errorf("stand-ins: %w", err)
	}
	entries, err := standIns.ReadDir("standins")
	if err != nil {
		return fmt.Errorf("stand-ins: %w", err)
	}
	for _, e := range entries {
		text, err := standIns.ReadFile("standins/" + e.Name())
		if err != nil {
			return fmt.Errorf("stand-ins: %w", err)
		}
		text = bytes.ReplaceAll(text, []byte("@JOBS@"), []byte(shellQuote(jobs)))
		path := filepath.Join(bin, e.Name())
		if err := writeExecutable(path+".new", text); err != nil {
			return fmt.Errorf("stand-ins: %w", err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			return fmt.Errorf("stand-ins: %w", err)
		}
	}
	return nil
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
