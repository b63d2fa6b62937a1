package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// serveTokens are the tokens of a server, as its file has them.
type serveTokens struct {
	Full     string `json:"full"`
	ReadOnly string `json:"read_only"`
}

func newServeTokenCommand(a *app) *cobra.Command {
	var readOnly, fresh bool
	c := &cobra.Command{
		Use:   "token",
		Short: "Print the link with the token of the server",
		Long: `Prints the link to open: whoever has it can do what you can do on this server. With
--read-only it is one that shows everything and changes nothing.

With --new the tokens are replaced by new ones; a server that runs takes them when
it is started again.`,
		Example: "  fcflow serve token\n  fcflow serve token --read-only",
	}
	c.Flags().BoolVar(&readOnly, "read-only", false, "the token that may only look")
	c.Flags().BoolVar(&fresh, "new", false, "replace the tokens by new ones")
	return a.command(c, func(*cobra.Command, []string) error {
		s, err := a.settings("")
		if err != nil {
			return err
		}
		state, err := s.Path("state_dir")
		if err != nil {
			return err
		}
		dir := filepath.Join(state, "serve")
		if fresh {
			if err := os.Remove(tokenFile(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		tokens, err := readTokens(dir)
		if err != nil {
			return err
		}
		token := tokens.Full
		if readOnly {
			token = tokens.ReadOnly
		}
		at := address{URL: "http://127.0.0.1:8888/"}
		if text, err := os.ReadFile(filepath.Join(dir, "server.json")); err == nil {
			_ = json.Unmarshal(text, &at) // of another version: the default will do
		}
		a.streams.Out.Printf("%s#token=%s\n", at.URL, token)
		return nil
	})
}

func tokenFile(dir string) string { return filepath.Join(dir, "tokens.json") }

func (h *host) tokens() (serveTokens, error) { return readTokens(h.dir) }

// readTokens returns the tokens of a server, which it makes the first time. A file
// that others could read is refused.
func readTokens(dir string) (t serveTokens, err error) {
	if err := os.MkdirAll(dir, dirOnlyMine); err != nil {
		return t, err
	}
	path := tokenFile(dir)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t = serveTokens{Full: rand.Text(), ReadOnly: rand.Text()}
		text, err := json.Marshal(t)
		if err != nil {
			return t, err
		}
		return t, writePrivate(path, text)
	case err != nil:
		return t, err
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0:
		return t, withHint(fmt.Errorf("%s can be read by others (mode %04o)", path, info.Mode().Perm()), "make new ones: fcflow serve token --new")
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err == nil && (len(t.Full) < minToken || len(t.ReadOnly) < minToken) {
		err = errors.New("a token is too short")
	}
	if err != nil {
		return serveTokens{}, withHint(fmt.Errorf("%s: %w", path, err), "make new ones: fcflow serve token --new")
	}
	return t, nil
}

// minToken is the length of a token, which has 128 bits.
const minToken = 26
