package firecrest

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every method: the request it makes, what it makes of a good answer, and of an
// error.
func TestMethods(t *testing.T) {
	t.Parallel()
	const entry = `{"output":{"name":"/d/x","type":"d","linkTarget":null,"user":"u","group":"g","permissions":"rwxr-xr-x","lastModified":"2026-01-05T10:00:00","size":"40"}}`
	wantEntry := &FileEntry{Name: "/d/x", Type: "d", User: "u", Group: "g", Permissions: "rwxr-xr-x", LastModified: "2026-01-05T10:00:00", Size: 40}
	const transfer = `{"transferJob":{"jobId":7,"system":"alps","workingDirectory":"/w","logs":{"outputLog":"/w/o","errorLog":"/w/e"}}}`
	wantJob := func(kind TransferKind) *TransferJob {
		return &TransferJob{ID: "7", System: "alps", Kind: kind, WorkDir: "/w", OutputLog: "/w/o", ErrorLog: "/w/e"}
	}
	json := "application/json"
	tests := []struct {
		name   string
		call   func(context.Context, *Client) (any, error)
		want   request
		status int
		body   string
		result any
	}{
		{
			name: "systems", status: 200, body: `{"systems":[]}`,
			call:   func(ctx context.Context, c *Client) (any, error) { return c.Status.Systems(ctx) },
			want:   request{Method: "GET", Path: "/hpc/status/systems"},
			result: []System{},
		},
		{
			name: "userinfo", status: 200, body: `{"user":{"id":"1","name":"u"},"group":{"id":"2","name":"g"},"groups":[],"accounts":null}`,
			call:   func(ctx context.Context, c *Client) (any, error) { return c.Status.UserInfo(ctx, "alps") },
			want:   request{Method: "GET", Path: "/hpc/status/alps/userinfo"},
			result: &UserInfo{User: Identity{"1", "u"}, Group: Identity{"2", "g"}, Groups: []Identity{}},
		},
		{
			name: "liveness", status: 200, body: `{"healthcheckRuns":{"alps":"2026-01-05T10:00:00.5Z","new":null},"lastUpdate":42}`,
			call:   func(ctx context.Context, c *Client) (any, error) { return c.Status.Liveness(ctx) },
			want:   request{Method: "GET", Path: "/hpc/status/liveness/"},
			result: &Liveness{Probed: map[string]time.Time{"alps": time.Date(2026, 1, 5, 10, 0, 0, 5e8, time.UTC)}, Age: 42 * time.Second},
		},
		{
			name: "nodes", status: 200, body: `{"nodes":[{"name":"n1","cpus":"8","state":"mixed+drain*","features":"(null)","partitions":null,"cpuLoad":null}]}`,
			call:   func(ctx context.Context, c *Client) (any, error) { return c.Status.Nodes(ctx, "alps") },
			want:   request{Method: "GET", Path: "/hpc/status/alps/nodes"},
			result: []Node{{Name: "n1", CPUs: 8, States: []string{"MIXED", "DRAIN"}}},
		},
		{
			name: "reservations", status: 200, body: `{"reservations":[]}`,
			call:   func(ctx context.Context, c *Client) (any, error) { return c.Status.Reservations(ctx, "alps") },
			want:   request{Method: "GET", Path: "/hpc/status/alps/reservations"},
			result: []Reservation{},
		},
		{
			name: "partitions", status: 200, body: `{"partitions":[{"name":"p","cpus":null,"totalNodes":2,"partition":["UP"]}]}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Status.Partitions(ctx, "alps", &PartitionOptions{ShowHidden: true})
			},
			want:   request{Method: "GET", Path: "/hpc/status/alps/partitions", Query: "show_hidden=true"},
			result: []Partition{{"p", 0, 2, []string{"UP"}}},
		},
		{
			name: "list", status: 200, body: `{"output":[{"name":"a","type":"-","size":"3"}]}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.List(ctx, "alps", "/d/x y", nil)
			},
			want:   request{Method: "GET", Path: "/hpc/filesystem/alps/ops/ls", Query: "path=%2Fd%2Fx+y"},
			result: []FileEntry{{Name: "a", Type: "-", Size: 3}},
		},
		{
			name: "list, all options", status: 200, body: `{"output":[]}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.List(ctx, "alps", "/d", &ListOptions{true, true, true, true})
			},
			want:   request{Method: "GET", Path: "/hpc/filesystem/alps/ops/ls", Query: "dereference=true&numericUid=true&path=%2Fd&recursive=true&showHidden=true"},
			result: []FileEntry{},
		},
		{
			name: "stat", status: 200, body: `{"output":{"mode":16877,"size":40,"mtime":5}}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.Stat(ctx, "alps", "/d", true)
			},
			want:   request{Method: "GET", Path: "/hpc/filesystem/alps/ops/stat", Query: "dereference=true&path=%2Fd"},
			result: &FileStat{Mode: 0o40755, Size: 40, Mtime: 5},
		},
		{
			name: "view", status: 200, body: `{"output":"ell"}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.View(ctx, "alps", "/f", &ViewOptions{Offset: 1, Size: 3})
			},
			want:   request{Method: "GET", Path: "/hpc/filesystem/alps/ops/view", Query: "offset=1&path=%2Ff&size=3"},
			result: "ell",
		},
		{
			name: "head", status: 200, body: `{"output":{"content":"a\n","contentType":"lines","startPosition":0,"endPosition":-1}}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.Head(ctx, "alps", "/f", &PartOptions{Lines: 1, Skip: true})
			},
			want:   request{Method: "GET", Path: "/hpc/filesystem/alps/ops/head", Query: "lines=1&path=%2Ff&skipTrailing=true"},
			result: &Content{"a\n", "lines", 0, -1},
		},
		{
			name: "tail", status: 200, body: `{"output":{"content":"a\n","contentType":"bytes","startPosition":2,"endPosition":-1}}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.Tail(ctx, "alps", "/f", &PartOptions{Bytes: 2, Skip: true})
			},
			want:   request{Method: "GET", Path: "/hpc/filesystem/alps/ops/tail", Query: "bytes=2&path=%2Ff&skipHeading=true"},
			result: &Content{"a\n", "bytes", 2, -1},
		},
		{
			name: "checksum", status: 200, body: `{"output":{"algorithm":"SHA256","checksum":"ab"}}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.Checksum(ctx, "alps", "/f")
			},
			want:   request{Method: "GET", Path: "/hpc/filesystem/alps/ops/checksum", Query: "path=%2Ff"},
			result: "ab",
		},
		{
			name: "file type", status: 200, body: `{"output":"ASCII text"}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.FileType(ctx, "alps", "/d/x y")
			},
			want:   request{Method: "GET", Path: "/hpc/filesystem/alps/ops/file", Query: "path=%2Fd%2Fx+y"},
			result: "ASCII text",
		},
		{
			name: "chmod", status: 200, body: entry,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.Chmod(ctx, "alps", "/d/x", "u+x,go-w")
			},
			want:   request{Method: "PUT", Path: "/hpc/filesystem/alps/ops/chmod", Body: `{"path":"/d/x","mode":"u+x,go-w"}`, ContentType: json},
			result: wantEntry,
		},
		{
			name: "chown", status: 200, body: entry,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.Chown(ctx, "alps", "/d/x", "", "proj")
			},
			want:   request{Method: "PUT", Path: "/hpc/filesystem/alps/ops/chown", Body: `{"path":"/d/x","owner":"","group":"proj"}`, ContentType: json},
			result: wantEntry,
		},
		{
			name: "mkdir", status: 201, body: entry,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.Mkdir(ctx, "alps", "/d/x", true)
			},
			want:   request{Method: "POST", Path: "/hpc/filesystem/alps/ops/mkdir", Body: `{"sourcePath":"/d/x","parent":true}`, ContentType: json},
			result: wantEntry,
		},
		{
			name: "symlink", status: 201, body: entry,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Filesystem.Symlink(ctx, "alps", "/t", "/d/x")
			},
			want:   request{Method: "POST", Path: "/hpc/filesystem/alps/ops/symlink", Body: `{"sourcePath":"/t","linkPath":"/d/x"}`, ContentType: json},
			result: wantEntry,
		},
		{
			name: "compress", status: 204,
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.Filesystem.Compress(ctx, "alps", "/d", "/d.tgz", nil)
			},
			want: request{Method: "POST", Path: "/hpc/filesystem/alps/ops/compress", Body: `{"sourcePath":"/d","targetPath":"/d.tgz","dereference":false,"compression":"gzip"}`, ContentType: json},
		},
		{
			name: "compress, all options", status: 204,
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.Filesystem.Compress(ctx, "alps", "/d", "/d.tar", &CompressOptions{CompressionNone, true, ""})
			},
			want: request{Method: "POST", Path: "/hpc/filesystem/alps/ops/compress", Body: `{"sourcePath":"/d","targetPath":"/d.tar","dereference":true,"compression":"none"}`, ContentType: json},
		},
		{
			name: "extract", status: 204,
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.Filesystem.Extract(ctx, "alps", "/d.txz", "/d", CompressionXz)
			},
			want: request{Method: "POST", Path: "/hpc/filesystem/alps/ops/extract", Body: `{"sourcePath":"/d.txz","targetPath":"/d","compression":"xz"}`, ContentType: json},
		},
		{
			name: "remove", status: 204,
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.Filesystem.Remove(ctx, "alps", "/d")
			},
			want: request{Method: "DELETE", Path: "/hpc/filesystem/alps/ops/rm", Query: "path=%2Fd"},
		},
		{
			name: "download", status: 200, body: "\x00\xffbytes",
			call: func(ctx context.Context, c *Client) (any, error) {
				var b bytes.Buffer
				n, err := c.Filesystem.Download(ctx, "alps", "/f", &b)
				if err == nil && n != int64(b.Len()) {
					t.Errorf("Download returned %d for %d bytes", n, b.Len())
				}
				return b.String(), err
			},
			want:   request{Method: "GET", Path: "/hpc/filesystem/alps/ops/download", Query: "path=%2Ff"},
			result: "\x00\xffbytes",
		},
		{
			name: "submit", status: 201, body: `{"jobId":"123"}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Compute.Submit(ctx, "alps", JobSpec{WorkingDirectory: "/d", Script: "#!/bin/sh\ntrue\n"})
			},
			want:   request{Method: "POST", Path: "/hpc/compute/alps/jobs", Body: `{"job":{"working_directory":"/d","script":"#!/bin/sh\ntrue\n"}}`, ContentType: json},
			result: JobID("123"),
		},
		{
			name: "submit, all fields, old and PBS id", status: 201, body: `{"jobId":123}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Compute.Submit(ctx, "alps", JobSpec{
					Name: "n", WorkingDirectory: "/d", ScriptPath: "/d/run.sh", Account: "a", Partition: "p", Reservation: "r",
					StandardInput: "in", StandardOutput: "out.%j", StandardError: "err.%j",
				})
			},
			want: request{Method: "POST", Path: "/hpc/compute/alps/jobs", ContentType: json, Body: `{"job":{"name":"n","account":"a","partition":"p","reservation":"r","working_directory":"/d",` +
				`"standardInput":"in","standardOutput":"out.%j","standardError":"err.%j","scriptPath":"/d/run.sh"}}`},
			result: JobID("123"),
		},
		{
			name: "list jobs", status: 200, body: `{"jobs":null}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Compute.List(ctx, "alps", &JobListOptions{true, "a", "n", Window8h})
			},
			want:   request{Method: "GET", Path: "/hpc/compute/alps/jobs", Query: "account=a&allusers=true&name=n&time_window=8h"},
			result: []Job(nil),
		},
		{
			name: "get job", status: 200, body: `{"jobs":[{"jobId":"123","status":{"state":"RUNNING"}}]}`,
			call:   func(ctx context.Context, c *Client) (any, error) { return c.Compute.Get(ctx, "alps", "123") },
			want:   request{Method: "GET", Path: "/hpc/compute/alps/jobs/123"},
			result: []Job{{ID: "123", Status: JobStatus{State: "RUNNING"}}},
		},
		{
			name: "job metadata", status: 200, body: `{"jobs":[{"jobId":"123","script":null,"standardOutput":"/o"}]}`,
			call:   func(ctx context.Context, c *Client) (any, error) { return c.Compute.Metadata(ctx, "alps", "123") },
			want:   request{Method: "GET", Path: "/hpc/compute/alps/jobs/123/metadata"},
			result: []JobMetadata{{ID: "123", StandardOutput: "/o"}},
		},
		{
			name: "cancel job", status: 204,
			call: func(ctx context.Context, c *Client) (any, error) { return nil, c.Compute.Cancel(ctx, "alps", "123") },
			want: request{Method: "DELETE", Path: "/hpc/compute/alps/jobs/123"},
		},
		{
			name: "attach", status: 204,
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.Compute.Attach(ctx, "alps", "123", "touch 'it is there'")
			},
			want: request{Method: "PUT", Path: "/hpc/compute/alps/jobs/123/attach", Body: `{"command":"touch 'it is there'"}`, ContentType: json},
		},
		{
			name: "move", status: 201, body: transfer,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Transfer.Move(ctx, "alps", "/a b", "/c", &TransferOptions{Account: "proj"})
			},
			want:   request{Method: "POST", Path: "/hpc/filesystem/alps/transfer/mv", Body: `{"sourcePath":"/a b","targetPath":"/c","account":"proj"}`, ContentType: json},
			result: wantJob(TransferMove),
		},
		{
			name: "copy", status: 201, body: transfer,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Transfer.Copy(ctx, "alps", "/a", "/c", &CopyOptions{Dereference: true})
			},
			want:   request{Method: "POST", Path: "/hpc/filesystem/alps/transfer/cp", Body: `{"sourcePath":"/a","targetPath":"/c","dereference":true}`, ContentType: json},
			result: wantJob(TransferCopy),
		},
		{
			name: "remove by job", status: 200, body: transfer,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Transfer.Remove(ctx, "alps", "/a", &TransferOptions{Account: "proj"})
			},
			want:   request{Method: "DELETE", Path: "/hpc/filesystem/alps/transfer/rm", Query: "account=proj&path=%2Fa"},
			result: wantJob(TransferRemove),
		},
		{
			name: "compress by job", status: 201, body: transfer,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Transfer.Compress(ctx, "alps", "/a", "/a.tar", &CompressJobOptions{CompressOptions: CompressOptions{CompressionXz, true, ".*x"}})
			},
			want: request{
				Method: "POST", Path: "/hpc/filesystem/alps/transfer/compress", ContentType: json,
				Body: `{"sourcePath":"/a","targetPath":"/a.tar","matchPattern":".*x","dereference":true,"compression":"xz"}`,
			},
			result: wantJob(TransferCompress),
		},
		{
			name: "extract by job", status: 201, body: transfer,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Transfer.Extract(ctx, "alps", "/a.tgz", "/a", nil)
			},
			want: request{
				Method: "POST", Path: "/hpc/filesystem/alps/transfer/extract", ContentType: json,
				Body: `{"sourcePath":"/a.tgz","targetPath":"/a","compression":"gzip"}`,
			},
			result: wantJob(TransferExtract),
		},
		{
			name: "upload by wormhole", status: 201, body: transfer[:len(transfer)-1] + `,"transferDirectives":{"transferMethod":"wormhole"}}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Transfer.Upload(ctx, "alps", "/a/b", UploadRequest{Method: MethodWormhole, WormholeCode: "4-a-b", Account: "proj"})
			},
			want: request{
				Method: "POST", Path: "/hpc/filesystem/alps/transfer/upload", ContentType: json,
				Body: `{"path":"/a/b","account":"proj","transferDirectives":{"transferMethod":"wormhole","wormholeCode":"4-a-b"}}`,
			},
			result: &UploadTransfer{Job: *wantJob(TransferPeer), Method: MethodWormhole},
		},
		{
			name: "download by S3", status: 201, body: transfer[:len(transfer)-1] + `,"transferDirectives":{"transferMethod":"s3","downloadUrl":"https://s3/x"}}`,
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.Transfer.Download(ctx, "alps", "/a/b", DownloadRequest{Method: MethodS3})
			},
			want: request{
				Method: "POST", Path: "/hpc/filesystem/alps/transfer/download", ContentType: json,
				Body: `{"path":"/a/b","transferDirectives":{"transferMethod":"s3"}}`,
			},
			result: &DownloadTransfer{Job: *wantJob(TransferEgress), Method: MethodS3, URL: "https://s3/x"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := newRecorder(t, test.status, test.body, nil)
			got, err := test.call(t.Context(), newClient(t, server.URL+"/hpc/", WithUserAgent("me/1")))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.result, got, cmp.AllowUnexported(System{})); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]request{test.want}, server.seen()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			header := server.headers[0]
			if got := header.Get("Authorization"); got != "Bearer t0k3n" && test.name != "liveness" || got != "" && test.name == "liveness" {
				t.Errorf("Authorization: %q", got)
			}
			if got := header.Get("User-Agent"); got != "me/1" {
				t.Errorf("User-Agent: %q", got)
			}
			if id := header.Get("X-Request-ID"); len(id) != 36 || strings.Count(id, "-") != 4 || id[14] != '4' {
				t.Errorf("X-Request-ID %q is not a UUID", id)
			}
		})
		t.Run(test.name+", error", func(t *testing.T) {
			t.Parallel()
			server := newRecorder(t, 403, errorBody("ls: cannot open directory '/d': Permission denied"), http.Header{"X-Request-ID": {"ignored"}})
			_, err := test.call(t.Context(), newClient(t, server.URL+"/hpc"))
			if !errors.Is(err, ErrForbidden) || errors.Is(err, ErrNotFound) {
				t.Fatalf("got %v, want ErrForbidden", err)
			}
			failure := asError(t, err)
			if failure.ServerVersion != "2.5.6" || failure.Attempts != 1 || failure.Retryable() || failure.System != "alps" && strings.Contains(failure.Operation, "{system_name}") {
				t.Errorf("got %+v", failure)
			}
			if !strings.Contains(err.Error(), "Permission denied") || !strings.Contains(err.Error(), failure.RequestID) {
				t.Errorf("text %q", err)
			}
		})
	}
}

// A server that is to search a directory it cannot enter packs the home
// directory.
func TestCompressMatchingLooksFirst(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		looked *http.Response
		want   error
		sent   []string
	}{
		"a directory": {answer(200, `{"output":{"mode":16877,"size":40}}`), nil, []string{"GET /stat", "POST /compress"}},
		"none":        {answer(404, errorBody("stat: cannot statx '/d/.': No such file or directory")), ErrNotFound, []string{"GET /stat"}},
		"closed":      {answer(403, errorBody("stat: cannot statx '/d/.': Permission denied")), ErrForbidden, []string{"GET /stat"}},
	} {
		var sent []string
		client := memoryClient(t, func(req *http.Request) (*http.Response, error) {
			sent = append(sent, req.Method+" "+req.URL.Path[strings.LastIndexByte(req.URL.Path, '/'):])
			if req.Method == http.MethodGet {
				if got := req.URL.Query().Get("path"); got != "/d/." {
					t.Errorf("%s: looked at %q", name, got)
				}
				return test.looked, nil
			}
			return answer(204, ""), nil
		})
		err := client.Filesystem.Compress(t.Context(), "alps", "/d/source", "/d.tgz", &CompressOptions{MatchPattern: ".*x"})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		if diff := cmp.Diff(test.sent, sent); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", name, diff)
		}
	}
}

func TestPathsRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
		t.Errorf("sent %s %s", r.Method, r.URL)
		return nil, errors.New("no")
	})
	ctx := t.Context()
	file, size := content("x")
	for path, reason := range map[string]string{
		"": "empty", "rel/x": "not absolute", "~/x": "does not expand", "/it's": "single quote", "/a\nb": "newline", "/a\x00b": "NUL",
	} {
		fs := client.Filesystem
		calls := map[string]func() error{
			"ls":           func() error { _, err := fs.List(ctx, "alps", path, nil); return err },
			"stat":         func() error { _, err := fs.Stat(ctx, "alps", path, false); return err },
			"view":         func() error { _, err := fs.View(ctx, "alps", path, nil); return err },
			"head":         func() error { _, err := fs.Head(ctx, "alps", path, nil); return err },
			"tail":         func() error { _, err := fs.Tail(ctx, "alps", path, nil); return err },
			"checksum":     func() error { _, err := fs.Checksum(ctx, "alps", path); return err },
			"mkdir":        func() error { _, err := fs.Mkdir(ctx, "alps", path, true); return err },
			"symlink":      func() error { _, err := fs.Symlink(ctx, "alps", path, "/ok"); return err },
			"symlink link": func() error { _, err := fs.Symlink(ctx, "alps", "/ok", path); return err },
			"compress":     func() error { return fs.Compress(ctx, "alps", path, "/ok", nil) },
			"compress to":  func() error { return fs.Compress(ctx, "alps", "/ok", path, nil) },
			"extract":      func() error { return fs.Extract(ctx, "alps", path, "/ok", "") },
			"extract to":   func() error { return fs.Extract(ctx, "alps", "/ok", path, "") },
			"file":         func() error { _, err := fs.FileType(ctx, "alps", path); return err },
			"chmod":        func() error { _, err := fs.Chmod(ctx, "alps", path, "640"); return err },
			"chown":        func() error { _, err := fs.Chown(ctx, "alps", path, "", "g"); return err },
			"rm":           func() error { return fs.Remove(ctx, "alps", path) },
			"upload":       func() error { return fs.Upload(ctx, "alps", path, "f", file, size) },
			"download":     func() error { _, err := fs.Download(ctx, "alps", path, nil); return err },
			"submit": func() error {
				_, err := client.Compute.Submit(ctx, "alps", JobSpec{WorkingDirectory: path, Script: "#!"})
				return err
			},
		}
		for name, call := range calls {
			if err := call(); !errors.Is(err, ErrPath) || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s %q: got %v, want a path error with %q", name, path, err, reason)
			}
		}
	}
	for name, reason := range map[string]string{
		"": "not a file name", "..": "not a file name", "a/b": "slash", "it's": "single quote", "a\nb": "newline",
		"a\tb": "control character", "\x1b[31m": "control character", "a\x7f": "control character", "a\u0085b": "control character",
	} {
		if err := client.Filesystem.Upload(ctx, "alps", "/dir", name, file, size); !errors.Is(err, ErrPath) || !strings.Contains(err.Error(), reason) {
			t.Errorf("upload as %q: got %v, want a path error with %q", name, err, reason)
		}
	}
	for _, mode := range []string{"", "rw-r--r--", "888", "u+q", "-R", "u+x;id", "u+x 'x"} {
		if _, err := client.Filesystem.Chmod(ctx, "alps", "/f", mode); err == nil {
			t.Errorf("mode %q was accepted", mode)
		}
	}
	for _, name := range []string{"-R", "a b", "it's", "a:b", "x\n", "$HOME"} {
		if _, err := client.Filesystem.Chown(ctx, "alps", "/f", name, ""); err == nil {
			t.Errorf("owner %q was accepted", name)
		}
		if _, err := client.Filesystem.Chown(ctx, "alps", "/f", "", name); err == nil {
			t.Errorf("group %q was accepted", name)
		}
	}
	for _, command := range []string{"", " ", "a\nb", "a\x00"} {
		if err := client.Compute.Attach(ctx, "alps", "1", command); err == nil {
			t.Errorf("command %q was accepted", command)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "it's"} {
		if err := client.Filesystem.Upload(ctx, "alps", "/d", name, file, size); !errors.Is(err, ErrPath) {
			t.Errorf("upload as %q: got %v", name, err)
		}
	}
	if _, err := client.Filesystem.Checksum(ctx, "alps", "/a b"); !errors.Is(err, ErrPath) {
		t.Errorf("checksum with a space: got %v", err)
	}
	for _, system := range []string{"", "a/b", "..", "a b", "alps?x"} {
		if _, err := client.Filesystem.List(ctx, system, "/", nil); err == nil {
			t.Errorf("system %q was accepted", system)
		}
	}
	for _, id := range []JobID{"", "123_4", "200+0", "../x", "1/metadata"} {
		if _, err := client.Compute.Get(ctx, "alps", id); err == nil {
			t.Errorf("job id %q was accepted", id)
		}
	}
	for _, spec := range []JobSpec{
		{WorkingDirectory: "/d"},
		{WorkingDirectory: "/d", Script: "#!/bin/sh", ScriptPath: "/s"},
		{WorkingDirectory: "/d", Script: "echo no shebang"},
	} {
		_, err := client.Compute.Submit(ctx, "alps", spec)
		var submit *SubmitError
		if !errors.As(err, &submit) || submit.Class != SubmitNotSent || !submit.Permanent {
			t.Errorf("submit %+v: got %v", spec, err)
		}
	}
}
