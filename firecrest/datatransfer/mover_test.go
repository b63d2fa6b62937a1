package datatransfer_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/sandbox"
)

const system = "one"

// service is a sandbox and a client of it.
func service(t *testing.T, transfer sandbox.TransferConfig) (client *firecrest.Client, home string) {
	t.Helper()
	transfer.Poll = sandbox.Duration(50 * time.Millisecond)
	server, err := sandbox.Open(sandbox.Config{
		Root: t.TempDir(), MaxOpsFileSize: 100_000,
		Site: &sandbox.SiteConfig{Systems: []sandbox.SystemConfig{{Name: system, Transfer: transfer}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server.Handler())
	credentials := server.Credentials()
	client, err = firecrest.New(listener.URL, firecrest.WithTokenSource(firecrest.ClientCredentials{
		TokenURL: listener.URL + credentials.TokenPath, ClientID: credentials.ClientID, ClientSecret: firecrest.Secret(credentials.ClientSecret),
	}), firecrest.WithPollSettings(firecrest.PollSettings{
		First: []time.Duration{20 * time.Millisecond}, Min: 50 * time.Millisecond, Max: 100 * time.Millisecond,
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	user, err := client.Status.UserInfo(t.Context(), system)
	if err != nil {
		t.Fatal(err)
	}
	systems, err := client.Status.Systems(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return client, filepath.Join(systems[0].WorkDir(), user.User.Name)
}

// TestMover: without an engine, by every way the sandbox has.
func TestMover(t *testing.T) {
	t.Parallel()
	for way, config := range map[firecrest.TransferMethod]sandbox.TransferConfig{
		firecrest.MethodS3: {MaxPartSize: 6 << 20}, firecrest.MethodStreamer: {Method: "streamer"},
	} {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			client, home := service(t, config)
			mover := datatransfer.New(client, datatransfer.Settings{Flush: 10 * time.Millisecond})
			defer mover.Close()
			dir := t.TempDir()
			content := make([]byte, 13<<20+7)
			rand.NewChaCha8([32]byte{1}).Read(content)
			if err := os.WriteFile(filepath.Join(dir, "a"), content, 0o600); err != nil {
				t.Fatal(err)
			}
			var last int64
			up, err := mover.Upload(t.Context(), &datatransfer.Upload{
				System: system, From: filepath.Join(dir, "a"), To: home + "/deep/er/a", PartSize: 5 << 20,
				Progress: func(done, total int64) {
					if last = done; total != int64(len(content)) {
						t.Errorf("%d of %d bytes", done, total)
					}
				},
			})
			if err != nil || up.Method != way || up.Verified != datatransfer.VerifiedDigest || last != int64(len(content)) {
				t.Fatalf("%+v, %v, last %d", up, err, last)
			}
			down, err := mover.Download(t.Context(), &datatransfer.Download{System: system, From: home + "/deep/er/a", To: filepath.Join(dir, "sub", "b")})
			if err != nil || *down != *up {
				t.Fatalf("%+v, %v; up %+v", down, err, up)
			}
			got, err := os.ReadFile(filepath.Join(dir, "sub", "b"))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("what came is not what went (%v)", err)
			}
		})
	}
}

// TestMoverRefused: what fails leaves nothing behind, neither here nor in the
// queue.
func TestMoverRefused(t *testing.T) {
	t.Parallel()
	client, home := service(t, sandbox.TransferConfig{})
	refusing := roundTrip(func(r *http.Request) (*http.Response, error) {
		answer := httptest.NewRecorder()
		answer.WriteHeader(http.StatusConflict)
		return answer.Result(), nil
	})
	mover := datatransfer.New(client, datatransfer.Settings{Transport: refusing})
	defer mover.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := mover.Upload(t.Context(), &datatransfer.Upload{
		System: system, From: filepath.Join(dir, "a"), To: home + "/a", Method: firecrest.MethodS3,
	})
	if err == nil || !strings.Contains(err.Error(), "409 conflict") {
		t.Errorf("upload: %v", err)
	}
	if _, err := mover.Download(t.Context(), &datatransfer.Download{System: system, From: home + "/none", To: filepath.Join(dir, "b")}); err == nil {
		t.Error("a file that does not exist is downloaded")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	ended := func() bool {
		jobs, err := client.Compute.List(context.Background(), system, nil)
		if err != nil {
			t.Error(err)
		}
		return len(jobs) == 1 && jobs[0].Status.State.IsTerminal()
	}
	for deadline := time.Now().Add(30 * time.Second); !ended(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the job of an upload that failed goes on")
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
