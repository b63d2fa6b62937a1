package objects

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a store behind a listener, mounted below /s3.
type served struct {
	*Store
	t    *testing.T
	http *http.Client
	base string
}

func serve(t *testing.T, cfg Config) *served {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	cfg.Path = "/s3"
	store, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := httptest.NewServer(store)
	t.Cleanup(l.Close)
	return &served{store, t, l.Client(), l.URL + "/s3"}
}

func (s *served) bucket(name string) *served {
	s.t.Helper()
	if err := s.MakeBucket(name, BucketOptions{}); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// sdk is the client that everybody uses, with credentials of the store unless
// change says otherwise.
func (s *served) sdk(change ...func(*s3.Options)) *s3.Client {
	options := s3.Options{
		BaseEndpoint: aws.String(s.base), UsePathStyle: true, Region: DefaultRegion, HTTPClient: s.http, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return s.awsCredentials(), nil }),
	}
	return s3.New(options, change...)
}

func (s *served) presign(method, key string, query url.Values) string {
	s.t.Helper()
	u, err := s.Presign(s.base, method, "box", key, query, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

type answer struct {
	*http.Response
	body string
}

// do makes a request as a program without any knowledge of S3 does.
func (s *served) do(method, u, body string, header ...string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, u, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp, string(text)}
}

// want checks the status, and that the body holds a text.
func (a answer) want(t *testing.T, status int, text string) answer {
	t.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, text) {
		t.Errorf("%s %s: %s\n%s\nwant %d with %q", a.Request.Method, a.Request.URL.Path, a.Status, a.body, status, text)
	}
	return a
}

func (s *served) content(key string) string {
	s.t.Helper()
	r, err := s.Open("box", key)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *served) put(key, text string) {
	s.t.Helper()
	if _, err := s.Put("box", key, strings.NewReader(text)); err != nil {
		s.t.Fatal(err)
	}
}
