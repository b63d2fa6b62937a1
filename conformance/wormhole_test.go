package conformance

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/sandbox"
)

func isKind(err, kind error) bool { return errors.Is(err, kind) }

// wormholeSizes are fewer than those of streams: the program is not ours.
var wormholeSizes = map[string]int64{"0B": 0, "1B": 1, "20MiB": 20 << 20}

func eachWormhole(t *testing.T, test func(t *testing.T, dir, file string)) {
	needPeers(t)
	for name, size := range wormholeSizes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test(t, dir, content(t, filepath.Join(dir, "original"), size))
		})
	}
}

// Our two sides, and the program between them.
func TestWormholeBothSides(t *testing.T) {
	eachWormhole(t, func(t *testing.T, dir, file string) {
		target := filepath.Join(dir, "target")
		received := make(chan error, 1)
		err := datatransfer.SendWormhole(deadline(t), "wormhole", file, func(code firecrest.Secret) error {
			if words := strings.Split(string(code), "-"); len(words) != 5 {
				t.Errorf("the code has %d words", len(words)-1)
			}
			go func() { received <- datatransfer.ReceiveWormhole(deadline(t), "wormhole", code, target) }()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := <-received; err != nil {
			t.Fatal(err)
		}
		same(t, target, file)
	})
}

// An upload: the job in the sandbox receives.
func TestWormholeToSandbox(t *testing.T) {
	eachWormhole(t, func(t *testing.T, _, file string) {
		s := newSite(t, sandbox.TransferConfig{Method: "wormhole"})
		target := filepath.Join(s.home, "target")
		var up *firecrest.UploadTransfer
		err := datatransfer.SendWormhole(deadline(t), "wormhole", file, func(code firecrest.Secret) (err error) {
			up, err = s.Transfer.Upload(t.Context(), system, target, firecrest.UploadRequest{Method: firecrest.MethodWormhole, WormholeCode: code})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s.until(t, up.Job.ID, firecrest.JobState.IsTerminal)
		if _, err := os.Stat(target); err != nil {
			t.Fatalf("%v; the job says %s", err, s.log(t, up.Job))
		}
		same(t, target, file)
	})
}

// A download: the job in the sandbox sends.
func TestWormholeFromSandbox(t *testing.T) {
	eachWormhole(t, func(t *testing.T, dir, file string) {
		s := newSite(t, sandbox.TransferConfig{Method: "wormhole"})
		source, target := filepath.Join(s.home, "source"), filepath.Join(dir, "target")
		if err := os.Rename(file, source); err != nil {
			t.Fatal(err)
		}
		down, err := s.Transfer.Download(t.Context(), system, source, firecrest.DownloadRequest{Method: firecrest.MethodWormhole})
		if err != nil {
			t.Fatal(err)
		}
		if err := datatransfer.ReceiveWormhole(deadline(t), "wormhole", down.WormholeCode, target); err != nil {
			t.Fatalf("%v; the job says %s", err, s.log(t, down.Job))
		}
		s.until(t, down.Job.ID, firecrest.JobState.IsTerminal)
		same(t, target, source)
	})
}

func TestWormholeWrongCode(t *testing.T) {
	needPeers(t)
	dir := t.TempDir()
	file := content(t, filepath.Join(dir, "file"), 10)
	received := make(chan error, 1)
	err := datatransfer.SendWormhole(deadline(t), "wormhole", file, func(code firecrest.Secret) error {
		wrong := firecrest.Secret(string(code)[:strings.LastIndex(string(code), "-")] + "-wrong")
		go func() {
			received <- datatransfer.ReceiveWormhole(deadline(t), "wormhole", wrong, filepath.Join(dir, "target"))
		}()
		return nil
	})
	if err == nil {
		t.Error("it was sent")
	}
	if err := <-received; err == nil || strings.Contains(err.Error(), "-wrong") {
		t.Errorf("received: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
