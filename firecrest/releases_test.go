package firecrest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// theater plays servers of all releases to one client: every request gets the
// recorded answer that is on.
type theater struct {
	t       *testing.T
	all     map[string]map[string]recordedAnswer
	release string
	on      string
	sent    []string // bodies
}

func (th *theater) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	th.sent = append(th.sent, string(body))
	name := th.on
	nested := strings.Contains(string(body), `"transferDirectives"`)
	if strings.HasSuffix(req.URL.Path, "/transfer/upload") && nested && th.release < "2.4.0" {
		name = "upload-method-mismatch-streamer" // what these say to a request with directives
	}
	a, ok := th.all[th.release][name]
	if !ok {
		th.t.Errorf("%s: nothing recorded as %s", th.release, name)
		return nil, errors.New("nothing recorded")
	}
	if method, path, _ := strings.Cut(a.Operation, " "); method != req.Method || withoutNames(path) != withoutNames(strings.TrimPrefix(req.URL.Path, "/v2")) {
		th.t.Errorf("%s: %s was recorded for %s, and is played for %s %s", th.release, name, a.Operation, req.Method, req.URL.Path)
	}
	return a.response(), nil
}

// withoutNames takes the name of the system and the id of the job out of a
// path.
func withoutNames(path string) string {
	parts := strings.Split(path, "/")
	if len(parts) > 2 && parts[2] != "systems" && parts[2] != "liveness" {
		parts[2] = "*"
	}
	if len(parts) > 4 && parts[3] == "jobs" {
		parts[4] = "*"
	}
	return strings.Join(parts, "/")
}

// One client, which no one told a version, gets the answers of all releases,
// and reads the same from them, as far as they say the same.
func TestOneClientReadsEveryRelease(t *testing.T) {
	t.Parallel()
	th := &theater{t: t, all: recordings(t)}
	client, err := New("https://f7t.example.org/v2", WithTransport(th), WithRetry(RetryPolicy{MaxAttempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, release := range []string{"2.5.7-dev", "2.1.3", "2.5.0", "2.3.1", "2.4.2", "2.5.6", "2.4.0"} { // there is no order to rely on
		t.Run(release, func(t *testing.T) {
			th.t, th.release = t, release
			(&act{t, th, client}).all()
		})
	}
}

// act is what one release plays.
type act struct {
	*testing.T
	theater *theater
	client  *Client
}

func (a *act) since(release string) bool { return a.theater.release >= release }

func (a *act) all() {
	a.status()
	a.files()
	a.jobTransfers()
	a.uploads()
	a.downloads()
	if version := a.client.ServerVersion(); version != a.theater.all[a.theater.release]["systems"].Version {
		a.Errorf("server version %q", version)
	}
}

// play puts an answer on and compares what the client makes of it.
func (a *act) play(name string, want any, call func() (any, error)) {
	a.Helper()
	a.theater.on, a.theater.sent = name, nil
	got, err := call()
	if wantErr, isError := want.(error); isError {
		if !errors.Is(err, wantErr) {
			a.Errorf("%s: got %v, want %v", name, err, wantErr)
		}
		return
	}
	if err != nil {
		a.Errorf("%s: %v", name, err)
		return
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(x, y Secret) bool { return x == y })); diff != "" {
		a.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func (a *act) status() {
	ctx, status := a.Context(), a.client.Status
	states := []string{"MIXED"}
	a.play("nodes", []Node{{
		Name: "nid001", Address: "nid001", Hostname: "nid001", States: states, Partitions: []string{"normal", "debug"}, Features: []string{"gpu"},
		CPUs: 128, AllocCPUs: new(int64(64)), IdleCPUs: new(int64(64)), CPULoad: new(0.5), FreeMemory: new(int64(100000)), AllocMemory: new(int64(256000)),
		Sockets: new(int64(1)), Cores: new(int64(1)), Threads: new(int64(1)), Weight: new(int64(1)),
	}, {
		Name: "nid002", Address: "nid002", Hostname: "nid002", States: []string{"DOWN"}, Partitions: []string{"normal"},
		CPUs: 128, AllocCPUs: new(int64(0)), IdleCPUs: new(int64(0)), AllocMemory: new(int64(256000)),
		Sockets: new(int64(1)), Cores: new(int64(1)), Threads: new(int64(1)), Weight: new(int64(1)),
	}}, func() (any, error) { return status.Nodes(ctx, "alps") })

	all := []Partition{{"normal", 256, 2, []string{"UP"}}, {"debug", 128, 1, []string{"DOWN"}}, {"xfer", 8, 1, []string{"UP"}}}
	shown := all
	if a.since("2.5.4") {
		shown = all[:2]
	}
	a.play("partitions", shown, func() (any, error) { return status.Partitions(ctx, "alps", nil) })
	a.play("partitions-show-hidden", all, func() (any, error) {
		return status.Partitions(ctx, "alps", &PartitionOptions{ShowHidden: true})
	})

	reservations := []Reservation{
		{Name: "maint", Nodes: "nid[001-002]", Start: time.Unix(1797850000, 0).UTC(), End: time.Unix(1797853600, 0).UTC()},
		{Name: "course", Nodes: "nid002", Start: time.Unix(1795300000, 0).UTC(), End: time.Unix(1797800000, 0).UTC(), Features: []string{"gpu"}},
	}
	if a.since("2.5.4") {
		reservations[0].State, reservations[1].State = "inactive", "active"
	}
	a.play("reservations", reservations, func() (any, error) { return status.Reservations(ctx, "alps") })

	if !a.since("2.2.3") {
		a.play("liveness", ErrUnsupported, func() (any, error) { return status.Liveness(ctx) })
		return
	}
	a.play("liveness", []any{true, true}, func() (any, error) {
		l, err := status.Liveness(ctx)
		if err != nil {
			return nil, err
		}
		return []any{l.Probed["alps"].Year() == 2026, l.Age > 0 && l.Age < time.Hour}, nil
	})
}

func (a *act) files() {
	ctx, files := a.Context(), a.client.Filesystem
	a.play("file-text", "ASCII text", func() (any, error) { return files.FileType(ctx, "alps", "/home/alice/data/f.txt") })
	a.play("file-missing", ErrNotFound, func() (any, error) { return files.FileType(ctx, "alps", "/home/alice/nope") })
	a.play("chmod-octal", "rwxr-x---", func() (any, error) {
		f, err := files.Chmod(ctx, "alps", "/home/alice/data/f.txt", "750")
		if err != nil {
			return nil, err
		}
		return f.Permissions, nil
	})
	a.play("chmod-missing-file", ErrNotFound, func() (any, error) { return files.Chmod(ctx, "alps", "/home/alice/nope", "777") })
	a.play("chmod-not-permitted", ErrForbidden, func() (any, error) { return files.Chmod(ctx, "alps", "/home/alice/rootfile", "777") })
	a.play("chown-own-group", []string{"alice", "proj"}, func() (any, error) {
		f, err := files.Chown(ctx, "alps", "/home/alice/data/f.txt", "alice", "proj")
		if err != nil {
			return nil, err
		}
		return []string{f.User, f.Group}, nil
	})
	a.play("attach", nil, func() (any, error) { return nil, a.client.Compute.Attach(ctx, "alps", "1046", "touch attached") })
}

func (a *act) jobTransfers() {
	ctx, transfer := a.Context(), a.client.Transfer
	for name, call := range map[string]func() (*TransferJob, error){
		"mv": func() (*TransferJob, error) { return transfer.Move(ctx, "alps", "/a", "/b", nil) },
		"cp": func() (*TransferJob, error) { return transfer.Copy(ctx, "alps", "/a", "/b", nil) },
		"rm": func() (*TransferJob, error) { return transfer.Remove(ctx, "alps", "/a", nil) },
		"compress-gzip": func() (*TransferJob, error) {
			return transfer.Compress(ctx, "alps", "/a", "/b", nil)
		},
		"extract": func() (*TransferJob, error) { return transfer.Extract(ctx, "alps", "/a", "/b", nil) },
	} {
		var want any = []any{"alps", "/home/alice", 4, true, true}
		if !a.since("2.2.0") && (name == "compress-gzip" || name == "extract") {
			want = ErrUnsupported
		}
		a.play(name, want, func() (any, error) {
			job, err := call()
			if err != nil {
				return nil, err
			}
			return []any{
				job.System, job.WorkDir, len(job.ID),
				strings.HasPrefix(job.OutputLog, "/home/alice/.f7t_file_handling_job_"), strings.HasPrefix(job.ErrorLog, "/home/alice/.f7t_file_handling_job_error_"),
			}, nil
		})
	}
}

const recordedCoordinates = "eyJwb3J0cyI6IFs1NjY1LCA1NjY4XSwgImlwcyI6IFsiMjAzLjAuMTEzLjciXSwgInNlY3JldCI6ICJBQUFBQUFBQUFBQUFBQUFBQUFBQUFBIn0="

func (a *act) uploads() {
	ctx, transfer := a.Context(), a.client.Transfer
	s3 := UploadRequest{Method: MethodS3, FileSize: 11000000}
	a.play("upload-s3-11MB-three-parts", []any{MethodS3, TransferIngress, 3, int64(5 << 20), true, true}, func() (any, error) {
		u, err := transfer.Upload(ctx, "alps", "/home/alice/s3/up.bin", s3)
		if err != nil {
			return nil, err
		}
		return []any{
			u.Method, u.Job.Kind, len(u.PartURLs), u.PartSize,
			strings.Contains(string(u.PartURLs[2]), "partNumber=3&"), strings.Contains(string(u.CompleteURL), "up.bin?uploadId="),
		}, nil
	})
	bodies := []string{`{"path":"/home/alice/s3/up.bin","transferDirectives":{"transferMethod":"s3","fileSize":11000000}}`}
	if !a.since("2.4.0") {
		bodies = append(bodies, `{"path":"/home/alice/s3","fileName":"up.bin","fileSize":11000000}`)
	}
	if diff := cmp.Diff(bodies, a.theater.sent); diff != "" {
		a.Errorf("bodies of an upload (-want +got):\n%s", diff)
	}

	upload := func(req UploadRequest) func() (any, error) {
		return func() (any, error) {
			u, err := transfer.Upload(ctx, "strm", "/home/alice/s3/strm.bin", req)
			if err != nil {
				return nil, err
			}
			return []any{u.Method, u.Job.Kind, u.Coordinates}, nil
		}
	}
	var want any = ErrUnsupported
	switch {
	case a.since("2.4.1"):
		want = []any{MethodStreamer, TransferPeer, Secret(recordedCoordinates)}
	case a.since("2.4.0"):
		want = ErrInvalid // it knows directives, and not this one
	}
	a.play("upload-streamer", want, upload(UploadRequest{Method: MethodStreamer}))

	want = []any{MethodWormhole, TransferPeer, Secret("")}
	if !a.since("2.4.0") || a.theater.release == "2.4.2" { // which cannot take its own directive
		want = ErrUnsupported
	}
	a.play("upload-wormhole", want, upload(UploadRequest{Method: MethodWormhole, WormholeCode: "7-alpha-beta"}))

	if a.theater.release == "2.4.2" { // the server's choice
		want = []any{MethodStreamer, TransferPeer, Secret(recordedCoordinates)}
		a.play("upload-streamer-method-mismatch", want, upload(s3))
	}
}

func (a *act) downloads() {
	ctx, transfer := a.Context(), a.client.Transfer
	download := func(method TransferMethod) func() (any, error) {
		return func() (any, error) {
			d, err := transfer.Download(ctx, "alps", "/home/alice/s3/small.bin", DownloadRequest{Method: method})
			if err != nil {
				return nil, err
			}
			return []any{d.Method, d.Job.Kind, strings.Contains(string(d.URL), "small.bin"), d.Coordinates != "", strings.Count(string(d.WormholeCode), "-")}, nil
		}
	}
	s3 := []any{MethodS3, TransferEgress, true, false, 0}
	a.play("download-s3", s3, download(MethodS3))
	streamer, wormhole, other := s3, s3, any(s3) // releases that know one method use that
	if a.since("2.4.1") {
		streamer = []any{MethodStreamer, TransferPeer, false, true, 0}
	}
	if a.since("2.4.0") {
		wormhole = []any{MethodWormhole, TransferPeer, false, false, 3}
	}
	if a.since("2.5.0") {
		other = ErrUnsupported
	}
	a.play("download-streamer", streamer, download(MethodStreamer))
	a.play("download-wormhole", wormhole, download(MethodWormhole))
	a.play("download-method-mismatch", other, download(MethodStreamer))
}
