package firecresttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// Texts of remote commands and of the server.
const (
	noSuchFile     = "No such file or directory"
	noSuchSystem   = "System not found"
	noSuchJob      = "Job not found"
	denied         = "Permission denied"
	fileExists     = "File exists"
	isDirectory    = "Is a directory"
	foreignPath    = "does not match any of the defined filesystem paths"
	tooMuchOutput  = "Command output exceeded buffer limit."
	unreadablePath = "Unable to decode request and retreive the required path or source_path parameter."
)

// answer is what came back for a raw request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// failure is the body of an error.
type failure struct {
	Type     string   `json:"errorType"`
	Message  string   `json:"message"`
	CausedBy []string `json:"causedBy"`
	Data     struct {
		Fields []struct {
			Location string `json:"location"`
			Name     any    `json:"name"`
			Message  string `json:"message"`
		} `json:"fields"`
	} `json:"data"`
	User *string `json:"user"`
}

// members is a JSON object.
type members map[string]any

// ops and jobsPath are the paths of raw requests.
func (s *suite) ops(operation string) string {
	return "/filesystem/" + s.System + "/ops/" + operation
}

func (s *suite) jobsPath(more string) string { return "/compute/" + s.System + "/jobs" + more }

// request makes a raw request with a good token. The body is nil, text, or a
// value that becomes JSON.
func (s *suite) request(t *testing.T, method, path string, query url.Values, body any) *http.Request {
	t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(b)
	}
	address := strings.TrimRight(s.URL, "/") + path
	if query != nil {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, reader)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token(t))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// token returns a good token for raw requests, a new one every minute.
func (s *suite) token(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.tokenFrom) > time.Minute {
		token, err := s.Tokens.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.tokenValue, s.tokenFrom = string(token.Value), time.Now()
	}
	return s.tokenValue
}

func (s *suite) send(t *testing.T, req *http.Request) answer {
	t.Helper()
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

func (s *suite) get(t *testing.T, path string, query url.Values) answer {
	t.Helper()
	return s.send(t, s.request(t, http.MethodGet, path, query, nil))
}

func (s *suite) post(t *testing.T, path string, body any) answer {
	t.Helper()
	return s.send(t, s.request(t, http.MethodPost, path, nil, body))
}

// postFile uploads a form with one file.
func (s *suite) postFile(t *testing.T, dir, part, name, content string) answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile(part, name)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(file, content) // into memory
	form.Close()
	req := s.request(t, http.MethodPost, s.ops("upload"), url.Values{"path": {dir}}, body.String())
	req.Header.Set("Content-Type", form.FormDataContentType())
	return s.send(t, req)
}

// want checks the status, and gives the body into a value unless that is nil.
func (a answer) want(t *testing.T, status int, into any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d; body %.500s", a.status, status, a.body)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("body %.500s: %v", a.body, err)
	}
}

// wantFailure checks the status and that the message contains a text.
func (a answer) wantFailure(t *testing.T, status int, text string) failure {
	t.Helper()
	var f failure
	a.want(t, status, &f)
	if !strings.Contains(f.Message, text) {
		t.Fatalf("message %q, want it to contain %q", f.Message, text)
	}
	return f
}

// wantMessage is wantFailure for a message that is known to the letter.
func (a answer) wantMessage(t *testing.T, status int, message string) {
	t.Helper()
	if f := a.wantFailure(t, status, message); f.Message != message {
		t.Errorf("message %q, want %q", f.Message, message)
	}
}

// wantRefused checks that a field of the request is refused.
func (a answer) wantRefused(t *testing.T, location, name string) {
	t.Helper()
	f := a.wantFailure(t, http.StatusBadRequest, "")
	if f.Type != "validation" {
		t.Fatalf("errorType %q, want validation; body %.500s", f.Type, a.body)
	}
	for _, field := range f.Data.Fields {
		if field.Location == location && field.Name == name {
			return
		}
	}
	t.Errorf("refused fields %+v, want %s in the %s", f.Data.Fields, name, location)
}

// wantError checks that err is one of the client's, that it matches the
// sentinel, or none if that is nil, and what the server said.
func wantError(t *testing.T, err, sentinel error, text string) *firecrest.Error {
	t.Helper()
	var failure *firecrest.Error
	if !errors.As(err, &failure) {
		t.Fatalf("got %v (%T), want an error of a request", err, err)
	}
	for _, condition := range []error{
		firecrest.ErrInvalid, firecrest.ErrUnauthenticated, firecrest.ErrForbidden, firecrest.ErrNotFound,
		firecrest.ErrExists, firecrest.ErrTooLarge, firecrest.ErrTimeout, firecrest.ErrRateLimited,
		firecrest.ErrUnsupported, firecrest.ErrUnavailable,
	} {
		if errors.Is(err, condition) != (condition == sentinel) {
			t.Errorf("%v: matches %q: %t; want %v", err, condition, errors.Is(err, condition), sentinel)
		}
	}
	if !strings.Contains(failure.Message, text) {
		t.Errorf("message %q, want it to contain %q", failure.Message, text)
	}
	return failure
}

// wantRefusedField checks that the server refused a field of a client's request.
func wantRefusedField(t *testing.T, err error, name string) {
	t.Helper()
	failure := wantError(t, err, firecrest.ErrInvalid, "")
	named := func(f firecrest.FieldError) bool { return f.Name == name }
	if !slices.ContainsFunc(failure.Fields, named) {
		t.Errorf("refused fields %+v, want %s", failure.Fields, name)
	}
}
