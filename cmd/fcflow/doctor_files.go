package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
)

// tryFiles works in a directory of its own, and removes it whatever happens.
func (p *patient) tryFiles(ctx context.Context) {
	var dir string
	made := p.check(ctx, "directory", p.name, func(ctx context.Context) (message string, err error) {
		dir, err = p.makeDir(ctx)
		return dir, err
	})
	if dir == "" {
		for _, name := range []string{"files", "claim"} {
			p.skip(name, p.name, "there is no directory to try it in")
		}
		return
	}
	if made {
		p.check(ctx, "files", p.name, func(ctx context.Context) (string, error) { return p.roundTrip(ctx, dir) })
		p.check(ctx, "claim", p.name, func(ctx context.Context) (string, error) { return p.claim(ctx, dir) })
	}
	// An interrupted check must not leave anything either.
	interrupted := ctx.Err() != nil
	p.check(context.WithoutCancel(ctx), "cleanup", p.name, func(ctx context.Context) (string, error) {
		err := p.client.Filesystem.Remove(ctx, p.name, dir)
		if err != nil && interrupted { // what was under way then may have come in between
			err = p.client.Filesystem.Remove(ctx, p.name, dir)
		}
		if err != nil && !(errors.Is(err, firecrest.ErrNotFound) && !made) {
			return "", withHint(&doubt{err}, "remove %s on %s", dir, p.name)
		}
		return "nothing is left", nil
	})
}

// makeDir makes a directory below the one where runs keep their files, or, so
// that nothing else is left behind, below the nearest one above that exists. The
// name comes back as soon as the directory may exist.
func (p *patient) makeDir(ctx context.Context) (string, error) {
	parent, err := p.root()
	if err != nil {
		return "", err
	}
	for ; parent != "/"; parent = path.Dir(parent) {
		stat, err := p.client.Filesystem.Stat(ctx, p.name, parent, true)
		if err == nil && stat.IsDir() {
			break
		}
		if err != nil && !errors.Is(err, firecrest.ErrNotFound) {
			return "", p.fileError(err, parent)
		}
	}
	dir := path.Join(parent, ".fcflow-doctor-"+strings.ToLower(rand.Text()[:10]))
	if _, err := p.client.Filesystem.Mkdir(ctx, p.name, dir, false); err != nil {
		if errors.Is(err, firecrest.ErrTimeout) || errors.Is(err, firecrest.ErrUnavailable) {
			return dir, err // it may exist
		}
		return "", p.fileError(err, parent)
	}
	return dir, nil
}

// fileError says what to do when runs could not keep files in a place.
func (p *patient) fileError(err error, place string) error {
	switch {
	case errors.Is(err, firecrest.ErrForbidden), errors.Is(err, firecrest.ErrNotFound), errors.Is(err, firecrest.ErrInvalid):
		return withHint(err, "runs cannot keep their files in %s: set remote_root to a directory of yours in a file system of %s", place, p.name)
	case errors.Is(err, firecrest.ErrUnsupported):
		return withHint(err, "this release works only in file systems that it probes: set remote_root to a directory in one of them")
	}
	return err
}

// roundTrip sends a small file and reads it back in each way that runs use.
func (p *patient) roundTrip(ctx context.Context, dir string) (string, error) {
	const name = "round trip.txt"
	text := "sent by fcflow doctor: " + rand.Text() + "\n"
	file, files := path.Join(dir, name), p.client.Filesystem
	plain := path.Join(dir, "plain.txt") // digests are not computed for names with spaces
	began := time.Now()
	for _, one := range []string{name, path.Base(plain)} {
		if err := files.Upload(ctx, p.name, dir, one, strings.NewReader(text), int64(len(text))); err != nil {
			return "", fmt.Errorf("upload: %w", err)
		}
	}
	took := time.Since(began) / 2
	seen, err := files.View(ctx, p.name, file, nil)
	if err != nil {
		return "", fmt.Errorf("view: %w", err)
	}
	var back strings.Builder
	if _, err := files.Download(ctx, p.name, file, &back); err != nil {
		return "", fmt.Errorf("download: %w", err)
	}
	if seen != text || back.String() != text {
		return "", fmt.Errorf("what was sent is not what came back: %q was sent, %q seen, %q came", text, seen, back.String())
	}
	sum := sha256.Sum256([]byte(text))
	digest, err := files.Checksum(ctx, p.name, plain)
	switch {
	case err != nil:
		return "", withHint(doubtf("sent and read back in %s a request; its SHA-256 cannot be had: %w", console.Duration(took), err),
			"transfers are then verified by size only")
	case digest != hex.EncodeToString(sum[:]):
		return "", fmt.Errorf("the SHA-256 of what was sent is %x, the server says %s", sum, digest)
	}
	return fmt.Sprintf("sent, read back and compared; %s a request", console.Duration(took)), nil
}

// claim tries by what a job proves that it is the only one: a link is made once,
// its text can be read, and a second one by that name is refused.
func (p *patient) claim(ctx context.Context, dir string) (string, error) {
	control, files := path.Join(dir, ".fcflow"), p.client.Filesystem
	if _, err := files.Mkdir(ctx, p.name, path.Join(control, "000"), true); err != nil {
		return "", fmt.Errorf("make a directory: %w", err)
	}
	link, mine, theirs := path.Join(control, "run"), path.Join(control, ".o-mine"), path.Join(control, ".o-theirs")
	_, err := files.Symlink(ctx, p.name, mine, link)
	switch {
	case errors.Is(err, firecrest.ErrForbidden), errors.Is(err, firecrest.ErrUnsupported):
		return "", withHint(doubtf("links cannot be made through the service: %w", err),
			"jobs then claim by themselves only, and what nobody knows needs a person")
	case err != nil && !errors.Is(err, firecrest.ErrNotFound): // old servers make it and then miss its target
		return "", fmt.Errorf("make a link: %w", err)
	}
	entries, err := files.List(ctx, p.name, control, &firecrest.ListOptions{ShowHidden: true})
	if err != nil {
		return "", fmt.Errorf("read the link back: %w", err)
	}
	text := ""
	for _, e := range entries {
		if path.Base(e.Name) == path.Base(link) && e.IsLink() {
			text = e.LinkTarget
		}
	}
	if text != mine {
		return "", fmt.Errorf("the link to %s reads %q", mine, text)
	}
	if _, err = files.Symlink(ctx, p.name, theirs, link); !errors.Is(err, firecrest.ErrExists) {
		if err == nil {
			err = errors.New("it was made")
		}
		return "", withHint(fmt.Errorf("a second link by the same name must be refused as existing: %w", err),
			"this file system cannot tell two jobs apart: set remote_root to another one")
	}
	return "a link is made once, and its text read back", nil
}
