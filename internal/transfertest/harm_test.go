package transfertest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"

	"github.com/fcflow/fcflow/sandbox"
)

// What faults do that the sandbox has no words for.

// cutDownload sends a part of the answer and cuts the connection.
func (m *move) cutDownload(_ *http.Request, answer *httptest.ResponseRecorder) bool {
	if answer.Code != http.StatusOK || answer.Body.Len() < 2 {
		return false
	}
	m.cutAfter = m.within(int64(answer.Body.Len()))
	return true
}

// truncateDownload sends a part of the answer as if it were all.
func (m *move) truncateDownload(_ *http.Request, answer *httptest.ResponseRecorder) bool {
	if answer.Code != http.StatusOK || answer.Body.Len() < 2 {
		return false
	}
	answer.Body.Truncate(int(m.within(int64(answer.Body.Len())) - 1))
	return true
}

// flipAnswer changes one byte.
func (m *move) flipAnswer(_ *http.Request, answer *httptest.ResponseRecorder) bool {
	content := answer.Body.Bytes()
	if answer.Code >= 300 || len(content) == 0 {
		return false
	}
	content[m.within(int64(len(content)))-1] ^= 0x40
	return true
}

// flipRequest changes one byte of what is sent.
func (m *move) flipRequest(r *http.Request) error {
	content, err := io.ReadAll(r.Body)
	if err != nil || len(content) == 0 {
		return errors.Join(errors.New("nothing came"), err)
	}
	content[m.within(int64(len(content)))-1] ^= 0x40
	r.Body = io.NopCloser(bytes.NewReader(content))
	return nil
}

// truncateTarget leaves a part of what was uploaded, and answers as if it were
// all.
func (m *move) truncateTarget(r *http.Request, answer *httptest.ResponseRecorder) bool {
	name, size := m.uploaded(r)
	if answer.Code >= 300 || size < 2 {
		return false
	}
	return m.do(os.Truncate(name, m.within(size)-1))
}

// halfDone leaves a part of what was uploaded, and answers that it took too
// long.
func (m *move) halfDone(r *http.Request, answer *httptest.ResponseRecorder) bool {
	if !m.truncateTarget(r, answer) {
		return false
	}
	answer.Code, answer.Body = http.StatusRequestTimeout, bytes.NewBufferString(
		`{"errorType":"error","message":"Command execution timeout limit exceeded.","data":null,"user":"demo"}`)
	answer.Header().Set("Content-Type", "application/json")
	return true
}

// timedOut: the server waits for input of an empty upload until it gives up.
func timedOut(_ *move, _ *http.Request, answer *httptest.ResponseRecorder) bool {
	return answer.Code == http.StatusRequestTimeout
}

func nothingSent(_ *move, _ *http.Request, answer *httptest.ResponseRecorder) bool {
	return answer.Code == http.StatusOK && answer.Body.Len() == 0
}

// flipTarget changes one byte of what came to the system.
func (m *move) flipTarget(*http.Request) error {
	name := m.target("data.bin")
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	content[m.within(int64(len(content)))-1] ^= 0x40
	return os.WriteFile(name, content, 0o644)
}

// losePart takes a piece out of the object that the job has made.
func (m *move) losePart(r *http.Request) error {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, sandbox.StorePath+"/"), "/")
	store := m.site.server.ObjectStore()
	object, err := store.Open(bucket, key)
	if err != nil {
		return err
	}
	defer object.Close()
	content := make([]byte, object.Size())
	if _, err := object.ReadAt(content, 0); err != nil {
		return err
	}
	at := m.within(int64(len(content))) - 1
	rest := content[min(at+partSize, int64(len(content))):]
	_, err = store.Put(bucket, key, bytes.NewReader(append(content[:at:at], rest...)))
	return err
}

// changeLocal gives the source other content of the same size.
func (m *move) changeLocal(*http.Request) error { return m.change(m.place.source() + "/data.bin") }

func (m *move) changeRemote(*http.Request) error { return m.change(m.remote("source/data.bin")) }

func (m *move) change(name string) error {
	content := m.files["data.bin"]
	m.changed = strconv.Itoa(len(content)) + content
	m.changed = m.changed[:len(content)]
	return os.WriteFile(name, []byte(m.changed), 0o644)
}

// cancelJob cancels a job while its id is still on the way to the client.
func (m *move) cancelJob(r *http.Request, _ *httptest.ResponseRecorder) bool {
	return m.cancelLast(r) == nil
}

// cancelLast cancels the job that was submitted last.
func (m *move) cancelLast(r *http.Request) error {
	jobs := m.knownJobs()
	if len(jobs) == 0 {
		return errors.New("there is no job yet")
	}
	return m.site.client.Compute.Cancel(r.Context(), m.place.System, jobs[len(jobs)-1])
}
