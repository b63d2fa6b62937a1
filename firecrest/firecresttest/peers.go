package firecresttest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) peers() []subtest {
	return []subtest{
		{"a stream goes up", s.testStreamUp},
		{"a stream that was damaged leaves no file", s.testStreamDamaged},
		{"a stream comes down", s.testStreamDown},
		{"a stream is for who knows the secret", s.testStreamSecret},
		{"a stream replaces nothing and sends nothing that is missing", s.testStreamRefused},
		{"a wormhole needs a code for one way and gives one for the other", s.testWormhole},
	}
}

const (
	streamFrame = 5 << 20   // bytes of data in a frame
	streamLimit = 6_553_600 // bytes of the largest message
)

// coordinates say where the job of a stream listens.
type coordinates struct {
	Ports  [2]int   `json:"ports"`
	IPs    []string `json:"ips"`
	Secret string   `json:"secret"`
}

// stream asks for a stream up or down.
func (s *suite) stream(t *testing.T, system *firecrest.System, operation, path string) (submission, coordinates) {
	t.Helper()
	s.except(t, SpellsDirectives)
	body := members{"path": path, "transferDirectives": members{"transferMethod": "streamer"}}
	if operation == "upload" { // the size that the official client adds is ignored
		body = members{"path": path, "transfer_directives": members{"transfer_method": "streamer", "file_size": 1 << 20}}
	}
	sub := s.accepted(t, s.post(t, transferPath(system.Name, operation), body), http.StatusCreated)
	s.endLater(t, system.Name, sub.Job.ID)
	if got := keys(sub.Directives); strings.Join(got, " ") != "coordinates transferMethod" {
		t.Errorf("directives %q", got)
	}
	text, _ := sub.Directives["coordinates"].(string)
	plain, err := base64.URLEncoding.DecodeString(text)
	if err != nil {
		t.Fatalf("coordinates: %v", err)
	}
	var where coordinates
	if err := json.Unmarshal(plain, &where); err != nil || where.Ports[0] <= 0 || where.Ports[1] < where.Ports[0] || len(where.IPs) == 0 {
		t.Fatalf("coordinates of %d members, %v", len(plain), err)
	}
	if secret, err := base64.RawURLEncoding.DecodeString(where.Secret); err != nil || len(secret) != 16 {
		t.Errorf("the secret has %d bytes, %v; want 16", len(secret), err)
	}
	return sub, where
}

// addresses are all places where the job may listen.
func (c coordinates) addresses() (list []string) {
	for _, ip := range c.IPs {
		for port := c.Ports[0]; port <= c.Ports[1]; port++ {
			list = append(list, net.JoinHostPort(ip, strconv.Itoa(port)))
		}
	}
	return list
}

// dial tries each address until one lets it in.
func (s *suite) dial(t *testing.T, where coordinates) *websocket.Conn {
	t.Helper()
	var conn *websocket.Conn
	s.eventually(t, "nobody listens for the stream", func() bool {
		for _, address := range where.addresses() {
			c, resp, err := websocket.Dial(t.Context(), "ws://"+address+"/", &websocket.DialOptions{
				HTTPClient: &http.Client{Transport: s.Transport},
				HTTPHeader: http.Header{"Authorization": {"Bearer " + where.Secret}},
			})
			if resp != nil && resp.Body != nil {
				resp.Body.Close()
			}
			if err == nil {
				c.SetReadLimit(streamLimit)
				conn = c
				return true
			}
		}
		return false
	})
	t.Cleanup(func() { _ = conn.CloseNow() }) // it is closed already, or the test has failed
	return conn
}

// The two ways to end a stream: that of the published program, which sends
// binary frames with spaces, and that which its receiver recognises.
var streamEnds = map[string]struct {
	kind   websocket.MessageType
	format string
}{
	"as the published sender ends it":      {websocket.MessageBinary, `{"type": "eof", "sha256_hash": "%s"}`},
	"as the published receiver expects it": {websocket.MessageText, `{"type":"eof","sha256_hash":"%s"}`},
}

func (s *suite) testStreamUp(t *testing.T) {
	system := s.oddSystem(t, StreamerSystem)
	dir := s.homeOn(t, system)
	for name, end := range streamEnds {
		t.Run(name, func(t *testing.T) {
			if end.kind == websocket.MessageBinary {
				s.except(t, SwallowsEnds)
			}
			content := pattern(streamFrame + 1000)
			file := fmt.Sprintf("%s/%s", dir, s.newID())
			t.Cleanup(func() { s.discard(t, system.Name, file) })
			s.streamFile(t, system, file, content, end.kind, fmt.Sprintf(end.format, fmt.Sprintf("%x", sha256.Sum256(content))))
			s.wantOn(t, system.Name, file, content)
		})
	}
}

// streamFile streams content to a file and returns when the job is over.
func (s *suite) streamFile(t *testing.T, system *firecrest.System, file string, content []byte, kind websocket.MessageType, end string) {
	t.Helper()
	sub, where := s.stream(t, system, "upload", file)
	conn := s.dial(t, where)
	write := func(kind websocket.MessageType, data []byte) {
		if err := conn.Write(t.Context(), kind, data); err != nil {
			t.Fatal(err)
		}
	}
	chunks := (len(content) + streamFrame - 1) / streamFrame
	write(websocket.MessageBinary, fmt.Appendf(nil, `{"type":"init","num_chunks":%d,"file_size":%d}`, chunks, len(content)))
	for chunk := range slices.Chunk(content, streamFrame) {
		write(websocket.MessageBinary, chunk)
	}
	write(kind, []byte(end))
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	s.finish(t, sub)
}

func (s *suite) testStreamDamaged(t *testing.T) {
	system := s.oddSystem(t, StreamerSystem)
	file := s.homeOn(t, system) + "/" + s.newID()
	end := streamEnds["as the published receiver expects it"]
	s.streamFile(t, system, file, []byte("damaged"), end.kind, fmt.Sprintf(end.format, fmt.Sprintf("%x", sha256.Sum256([]byte("as it was")))))
	_, err := s.client.Filesystem.Stat(t.Context(), system.Name, file, false)
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
}

// discard removes a file of another system than the main one.
func (s *suite) discard(t *testing.T, system, file string) {
	if err := s.client.Filesystem.Remove(context.WithoutCancel(t.Context()), system, file); err != nil {
		t.Error(err)
	}
}

func (s *suite) wantOn(t *testing.T, system, file string, content []byte) {
	t.Helper()
	got, err := s.client.Filesystem.Checksum(t.Context(), system, file)
	if want := fmt.Sprintf("%x", sha256.Sum256(content)); err != nil || got != want {
		t.Errorf("checksum %s, %v, want %s", got, err, want)
	}
}

func (s *suite) testStreamDown(t *testing.T) {
	system := s.oddSystem(t, StreamerSystem)
	content := pattern(1<<20 + 1)
	dir, name := s.homeOn(t, system), s.newID()
	if err := s.client.Filesystem.Upload(t.Context(), system.Name, dir, name, strings.NewReader(string(content)), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.discard(t, system.Name, dir+"/"+name) })
	sub, where := s.stream(t, system, "download", dir+"/"+name)
	conn := s.dial(t, where)
	read := func() []byte {
		_, data, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var first struct {
		Type   string `json:"type"`
		Chunks int    `json:"num_chunks"`
		Size   int64  `json:"file_size"`
	}
	if err := json.Unmarshal(read(), &first); err != nil || first.Type != "init" || first.Chunks != 1 || first.Size != int64(len(content)) {
		t.Fatalf("first frame %+v, %v", first, err)
	}
	if got := read(); string(got) != string(content) {
		t.Errorf("%d bytes came, and not those of the file", len(got))
	}
	var last struct {
		Type string `json:"type"`
		Hash string `json:"sha256_hash"`
	}
	if err := json.Unmarshal(read(), &last); err != nil || last.Type != "eof" || last.Hash != fmt.Sprintf("%x", sha256.Sum256(content)) {
		t.Errorf("last frame %+v, %v", last, err)
	}
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the end: %v, want a normal closure", err)
	}
	s.finish(t, sub)
}

func (s *suite) testStreamSecret(t *testing.T) {
	system := s.oddSystem(t, StreamerSystem)
	_, where := s.stream(t, system, "upload", s.homeOn(t, system)+"/"+s.newID())
	knock := func(authorization string, want int) bool {
		for _, address := range where.addresses() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{
				"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
				"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Authorization": authorization,
			} {
				if value != "" {
					req.Header.Set(name, value)
				}
			}
			resp, err := s.http.Do(req)
			if err != nil {
				continue // nobody there
			}
			resp.Body.Close()
			if resp.StatusCode == want {
				return true
			}
		}
		return false
	}
	s.eventually(t, "nobody misses the secret", func() bool { return knock("", http.StatusUnauthorized) })
	if !knock("Bearer "+strings.Repeat("A", 22), http.StatusForbidden) {
		t.Error("a wrong secret is not refused")
	}
}

func (s *suite) testStreamRefused(t *testing.T) {
	s.except(t, LacksStreams)
	system := s.oddSystem(t, StreamerSystem)
	dir, name := s.homeOn(t, system), s.newID()
	if err := s.client.Filesystem.Upload(t.Context(), system.Name, dir, name, strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.discard(t, system.Name, dir+"/"+name) })
	_, err := s.client.Transfer.Upload(t.Context(), system.Name, dir+"/"+name, firecrest.UploadRequest{Method: firecrest.MethodStreamer})
	wantError(t, err, firecrest.ErrForbidden, "Target file '"+dir+"/"+name+"' already exists.")
	_, err = s.client.Transfer.Download(t.Context(), system.Name, dir+"/missing", firecrest.DownloadRequest{Method: firecrest.MethodStreamer})
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
}

var wormholeCode = regexp.MustCompile(`^[0-9]{1,2}(-[a-z]+){3}$`)

func (s *suite) testWormhole(t *testing.T) {
	s.except(t, SpellsDirectives)
	system := s.oddSystem(t, WormholeSystem)
	dir := s.homeOn(t, system)
	path := dir + "/" + s.newID()
	s.post(t, transferPath(system.Name, "upload"), members{"path": path, "transferDirectives": members{"transferMethod": "wormhole"}}).
		wantRefused(t, "body", "transferDirectives")
	sub := s.accepted(t, s.post(t, transferPath(system.Name, "upload"), members{
		"path": path, "transfer_directives": members{"transfer_method": "wormhole", "wormholeCode": "7-alpha-beta-gamma-delta"},
	}), http.StatusCreated)
	s.endLater(t, system.Name, sub.Job.ID)
	if got := keys(sub.Directives); strings.Join(got, " ") != "transferMethod" {
		t.Errorf("directives of an upload %q", got)
	}
	sub = s.accepted(t, s.post(t, transferPath(system.Name, "download"), members{
		"source_path": path, "transfer_directives": members{"transferMethod": "wormhole"},
	}), http.StatusCreated)
	s.endLater(t, system.Name, sub.Job.ID)
	code, _ := sub.Directives["wormholeCode"].(string)
	if got := keys(sub.Directives); strings.Join(got, " ") != "transferMethod wormholeCode" || !wormholeCode.MatchString(code) {
		t.Errorf("directives of a download %q with a code of %d bytes", got, len(code))
	}
}
