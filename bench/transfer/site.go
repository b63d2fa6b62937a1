package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
)

const (
	system = "bench"
	user   = "demo"
	// parts is how many the service makes of the file.
	parts = 8
	// source is the name of the file on both sides.
	source = "source"
)

// site is the service, and the file that goes to and fro.
type site struct {
	dir         string
	remote      string // directory on the system, which is one here too
	service     *sandbox.Server
	credentials sandbox.Credentials
	behind      *http.Server
	address     string // of behind, which the proxies lead to
	size        int64
	digest      string
}

func openSite(dir string, size int64) (*site, error) {
	service, err := sandbox.Open(sandbox.Config{
		Root: filepath.Join(dir, "sandbox"),
		Site: &sandbox.SiteConfig{
			Systems: []sandbox.SystemConfig{{Name: system, Transfer: sandbox.TransferConfig{MaxPartSize: (size + parts - 1) / parts}}},
			Users:   []sandbox.UserConfig{{Name: user}},
		},
		TokenLifetime: time.Hour, CommandTimeout: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, service.Close())
	}
	s := &site{
		dir: dir, remote: filepath.Join(service.Root(), "scratch", user), service: service, credentials: service.Credentials(),
		behind: &http.Server{Handler: service.Handler(), ReadHeaderTimeout: time.Minute}, address: l.Addr().String(), size: size,
	}
	go func() { _ = s.behind.Serve(l) }() // until close
	if err := s.makeSource(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// makeSource makes the file, of bytes that show when they are in the wrong place,
// and a configuration of fcflow that is as patient as the reference ways.
func (s *site) makeSource() error {
	file, err := os.Create(s.local(source))
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(file, h), rand.NewChaCha8([32]byte{}), s.size)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	s.digest = hex.EncodeToString(h.Sum(nil))
	if err := os.MkdirAll(filepath.Join(s.dir, "fcflow"), 0o700); err != nil {
		return err
	}
	config := filepath.Join(s.dir, "fcflow", "config.yaml")
	if err := os.WriteFile(config, []byte("profile: bench\nprofiles:\n  bench:\n    poll: { min: 1s, max: 1s }\n"), 0o600); err != nil {
		return err
	}
	return os.Link(s.local(source), filepath.Join(s.remote, source))
}

func (s *site) local(name string) string { return filepath.Join(s.dir, name) }

// settle checks that a copy is what it should be, and removes it.
func (s *site) settle(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(h, file)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != s.digest {
		return fmt.Errorf("%s has the digest %s instead of %s", path, sum, s.digest)
	}
	return os.Remove(path)
}

// client reaches the API for a reference way.
func (s *site) client(l *line) (*firecrest.Client, error) {
	return firecrest.New(l.url,
		firecrest.WithTokenSource(firecrest.ClientCredentials{
			TokenURL: l.url + s.credentials.TokenPath, ClientID: s.credentials.ClientID, ClientSecret: firecrest.Secret(s.credentials.ClientSecret),
		}),
		firecrest.WithPollSettings(firecrest.PollSettings{Min: time.Second, Max: time.Second}),
	)
}

// download has the service stage the file, and fetches it in one stream.
func (s *site) download(ctx context.Context, l *line, c *http.Client, to string) error {
	client, err := s.client(l)
	if err != nil {
		return err
	}
	defer client.Close()
	transfer, err := client.Transfer.Download(ctx, system, filepath.Join(s.remote, source), firecrest.DownloadRequest{Method: firecrest.MethodS3})
	if err != nil {
		return err
	}
	if err := wait(ctx, client, transfer.Job); err != nil {
		return err
	}
	return oneStream(ctx, c, string(transfer.URL), to)
}

// upload sends the file in parts, some at a time, and waits for the service to
// put it in its place.
func (s *site) upload(ctx context.Context, l *line, c *http.Client, width int, name string) error {
	client, err := s.client(l)
	if err != nil {
		return err
	}
	defer client.Close()
	transfer, err := client.Transfer.Upload(ctx, system, filepath.Join(s.remote, name), firecrest.UploadRequest{Method: firecrest.MethodS3, FileSize: s.size})
	if err != nil {
		return err
	}
	file, err := os.Open(s.local(source))
	if err != nil {
		return err
	}
	defer file.Close()
	var urls []string
	for _, url := range transfer.PartURLs {
		urls = append(urls, string(url))
	}
	if err := inParts(ctx, c, width, file, s.size, transfer.PartSize, urls, string(transfer.CompleteURL)); err != nil {
		return err
	}
	return wait(ctx, client, transfer.Job)
}

// wait blocks until a job is over.
func wait(ctx context.Context, client *firecrest.Client, job firecrest.TransferJob) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	over := make(chan struct{})
	client.Poller(system).Watch(watching, firecrest.Query{ID: job.ID}, func(o firecrest.Observation) {
		if o.Job.Status.State.IsTerminal() {
			close(over) // it is the last observation
		}
	})
	select {
	case <-over:
		return client.Transfer.Result(ctx, job)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *site) close() error { return errors.Join(s.behind.Close(), s.service.Close()) }
