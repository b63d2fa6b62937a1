package sandbox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// TestReplayTransfers sends what was sent to the transfers of a real server and
// wants the same answers, jobs and logs, save what chance decides.
func TestReplayTransfers(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/replay-transfer-2.5.6.json")
	if err != nil {
		t.Fatal(err)
	}
	r := described(t)
	furnish(t, r)
	furnishTransfers(r)
	root := r.srv.Root()
	text := strings.NewReplacer("/home/", root+"/home/", "/scratch/", root+"/scratch/", "http://firecrest.example.org", r.url).Replace(string(data))
	var requests []recorded
	if err := json.Unmarshal([]byte(text), &requests); err != nil {
		t.Fatal(err)
	}
	var learned []string // recorded names and ours, in pairs
	for _, rec := range requests {
		t.Run(rec.Name, func(t *testing.T) {
			ours := strings.NewReplacer(learned...)
			rec.Path = ours.Replace(rec.Path)
			for name, value := range rec.Query {
				rec.Query[name] = ours.Replace(value)
			}
			got := replay(t, r, rec, nil)
			if got.status != rec.Answer.Status {
				t.Fatalf("status %d, want %d; body %.300s", got.status, rec.Answer.Status, got.body)
			}
			checkHeaders(t, got.header, rec.Answer.Headers, nil)
			if rec.Answer.Body == nil {
				if len(got.body) > 0 {
					t.Errorf("body %q, want none", got.body)
				}
				if rec.Name == "cancel-upload-s3-never-completed" {
					r.wait(rec.Path[strings.LastIndex(rec.Path, "/")+1:])
				}
				return
			}
			learned = append(learned, learn(rec.Answer.Body, got.body)...)
			want, have := withoutLuck(t, rec.Answer.Body), withoutLuck(t, got.body)
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if strings.Contains(rec.Path, "/transfer/") && got.status < 300 {
				r.attend(t, rec.Name, got)
			}
		})
	}
}

// furnishTransfers makes the files that only the recorded transfers used.
func furnishTransfers(r *rig) {
	for name, content := range map[string]string{
		"mv1": "move 1\n", "mv2": "move2\n", "a&b": "amp\n", "s3/small.bin": "small", "s3/dl.bin": strings.Repeat("dl", 6<<20),
		filepath.Join(r.srv.Root(), "scratch/bob/b"): "",
	} {
		r.write(name, content)
	}
}

// attend waits for the job of a transfer, and plays the client's part in the
// one upload that is completed.
func (r *rig) attend(t *testing.T, name string, got answer) {
	t.Helper()
	var tr transferred
	got.decode(t, &tr)
	switch {
	case name == "upload-s3-11MB-three-parts":
		tr.send(t, bytes.Repeat([]byte{0}, 11_000_000))
	case strings.HasPrefix(name, "upload-"), strings.Contains(name, "streamer"), strings.Contains(name, "wormhole"):
		return
	}
	r.untilOn(tr.Job.System, tr.Job.ID, batch.State.Terminal)
}

// learn pairs the names that chance gave to a job, recorded and now.
func learn(recorded, got []byte) (pairs []string) {
	var was, is transferred
	if json.Unmarshal(recorded, &was) != nil || json.Unmarshal(got, &is) != nil || was.Job.ID == "" {
		return nil
	}
	return []string{
		was.Job.Logs.Output, is.Job.Logs.Output, was.Job.Logs.Error, is.Job.Logs.Error,
		"/jobs/" + was.Job.ID, "/jobs/" + is.Job.ID,
	}
}

var (
	dates     = regexp.MustCompile(`(?m)^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d UTC \d{4}`)
	jobIDs    = regexp.MustCompile(`\(id:\d+\)`)
	stepIDs   = regexp.MustCompile(`^\d+\.batch$`)
	jobDirs   = regexp.MustCompile(`job0\d{4}`)
	etags     = regexp.MustCompile(`ETag: [0-9a-f]{32}\|`)
	uuids     = regexp.MustCompile(`[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}`)
	wormholes = regexp.MustCompile(`^\d{1,2}-[a-z]+-[a-z]+-[a-z]+$`)
)

// withoutLuck is withoutChance, and takes out of logs and URLs what no two
// servers share.
func withoutLuck(t *testing.T, body []byte) any {
	t.Helper()
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				v[key] = walk(inner)
				if slices.Contains([]string{"time", "cluster"}, key) {
					v[key] = nil
				}
			}
		case []any:
			for i, inner := range v {
				v[i] = walk(inner)
			}
		case string:
			return plain(t, v)
		}
		return v
	}
	return walk(withoutChance(t, body))
}

// plain takes chance out of one text.
func plain(t *testing.T, s string) any {
	t.Helper()
	switch {
	case strings.Contains(s, "X-Amz-Signature="):
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for name := range u.Query() {
			names = append(names, name)
		}
		slices.Sort(names)
		return []any{u.Host, uuids.ReplaceAllString(u.Path, "UUID"), names, u.Query().Get("partNumber"), u.Query().Get("X-Amz-Expires")}
	case wormholes.MatchString(s):
		return "CODE"
	case strings.HasPrefix(s, "eyJ"): // coordinates
		text, err := base64.URLEncoding.DecodeString(s)
		var c struct {
			Ports  []int
			IPs    []string
			Secret string
		}
		if err == nil {
			err = json.Unmarshal(text, &c)
		}
		if err != nil {
			t.Fatalf("coordinates %q: %v", text, err)
		}
		return []any{c.Ports, len(c.IPs), len(c.Secret), strings.Contains(string(text), "operation")}
	}
	s = dates.ReplaceAllString(s, "DATE")
	s = jobIDs.ReplaceAllString(s, "(id:N)")
	s = stepIDs.ReplaceAllString(s, "N.batch")
	s = jobDirs.ReplaceAllString(s, "jobN")
	s = etags.ReplaceAllString(s, "ETag: E|")
	s = uuids.ReplaceAllString(s, "UUID")
	if before, list, found := strings.Cut(s, "Files compressed:\n"); found { // in the order of the directory
		lines := strings.Split(list, "\n")
		slices.Sort(lines)
		s = before + strings.Join(lines, "\n")
	}
	return s
}

// transferred is the answer to a transfer as a client sees it.
type transferred struct {
	Job struct {
		ID         string `json:"jobId"`
		System     string
		WorkingDir string `json:"workingDirectory"`
		Logs       struct {
			Output string `json:"outputLog"`
			Error  string `json:"errorLog"`
		}
	} `json:"transferJob"`
	Directives struct {
		Method      string   `json:"transferMethod"`
		Parts       []string `json:"partsUploadUrls"`
		Complete    string   `json:"completeUploadUrl"`
		MaxPartSize int64    `json:"maxPartSize"`
		Download    string   `json:"downloadUrl"`
	} `json:"transferDirectives"`
}

// send uploads content to the presigned URLs, one part after the other.
func (tr transferred) send(t *testing.T, content []byte) {
	t.Helper()
	done := `<?xml version='1.0' encoding='utf-8'?>` + "\n" + `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
	for i, u := range tr.Directives.Parts {
		part := content[:min(int64(len(content)), tr.Directives.MaxPartSize)]
		content = content[len(part):]
		resp := stored(t, "PUT", u, part)
		done += `<Part><ETag>` + resp.Get("ETag") + `</ETag><PartNumber>` + string(rune('1'+i)) + `</PartNumber></Part>`
	}
	stored(t, "POST", tr.Directives.Complete, []byte(done+`</CompleteMultipartUpload>`))
}

// stored makes one request to the object store that has to succeed.
func stored(t *testing.T, method, u string, body []byte) http.Header {
	t.Helper()
	req, err := http.NewRequest(method, u, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t}
	got := r.send(req)
	if got.status != 200 {
		t.Fatalf("%s: status %d, body %s", method, got.status, got.body)
	}
	return got.header
}
