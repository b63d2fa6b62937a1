package firecrest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://f7t.example.org", "https://f7t.example.org:8443/hpc/v2/", "http://localhost:1", "http://LOCALHOST", "http://f7t.localhost/x",
		"http://127.0.0.1:8", "http://127.9.9.9", "http://[::1]:8", "http://[::ffff:127.0.0.1]",
	} {
		client, err := New(good)
		if err != nil {
			t.Errorf("%s: %v", good, err)
		} else if strings.HasSuffix(client.BaseURL(), "/") {
			t.Errorf("%s: base %q", good, client.BaseURL())
		}
	}
	for _, bad := range []string{
		"", "f7t.example.org", "ftp://f7t.example.org", "http://f7t.example.org", "http://localhost.example.org", "http://10.0.0.1", "http://[fe80::1]",
		"http://127.0.0.1.example.org", "http://notlocalhost", "http://2130706433", "https://alice:pass@f7t.example.org", "https://f7t.example.org?x=1", "https://f7t.example.org#x", "https:f7t", "://alice:pass@x", "https://",
	} {
		_, err := New(bad)
		if err == nil {
			t.Errorf("%s was accepted", bad)
		} else if strings.Contains(err.Error(), "pass") && !strings.Contains(err.Error(), "password") {
			t.Errorf("%s: the error repeats the password: %v", bad, err)
		}
		credentials := ClientCredentials{TokenURL: bad, ClientID: "a", ClientSecret: "b"}
		for _, source := range []TokenSource{credentials, &credentials} {
			if _, err := New("https://f7t.example.org", WithTokenSource(source)); err == nil {
				t.Errorf("token endpoint %s was accepted", bad)
			}
		}
		if _, err := credentials.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "token endpoint") {
			t.Errorf("token endpoint %s was asked: %v", bad, err)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := newRecorder(t, 200, `{"systems":[]}`, nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := newRecorder(t, status, "", http.Header{"Location": {elsewhere.URL + "/status/systems"}})
		_, err := newClient(t, server.URL).Status.Systems(t.Context())
		if err == nil || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("%d: got %v", status, err)
		}
	}
	if seen := elsewhere.seen(); len(seen) > 0 {
		t.Errorf("followed: %v", seen)
	}
}

func TestCABundle(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("F7T-AppVersion", "2.5.6")
		io.WriteString(w, `{"systems":[]}`)
	}))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

	if _, err := newClient(t, server.URL, WithCABundle(bundle)).Status.Systems(t.Context()); err != nil {
		t.Errorf("with the bundle: %v", err)
	}
	_, err := newClient(t, server.URL).Status.Systems(t.Context())
	if err == nil || asError(t, err).Retryable() || !errors.Is(err, ErrUnavailable) {
		t.Errorf("without: got %v", err)
	}
	if _, err := New(server.URL, WithCABundle([]byte("nothing"))); err == nil {
		t.Error("an empty bundle was accepted")
	}
}

func TestOldTLSIsNotSpoken(t *testing.T) {
	t.Parallel()
	for _, config := range []*tls.Config{nil, {}, {MinVersion: tls.VersionTLS10}} {
		if got := newTransport(config).TLSClientConfig.MinVersion; got != tls.VersionTLS12 {
			t.Errorf("%+v: TLS %x is spoken", config, got)
		}
	}
	own := &tls.Config{MinVersion: tls.VersionTLS13}
	client, err := New("https://f7t.example.org", WithTLSConfig(own))
	if err != nil {
		t.Fatal(err)
	}
	if got := client.http.Transport.(*http.Transport).TLSClientConfig; got == own || got.MinVersion != tls.VersionTLS13 {
		t.Errorf("the configuration is shared, or was not used: %x", got.MinVersion)
	}
	if _, err := New("https://f7t.example.org", WithTLSConfig(own), WithTransport(http.DefaultTransport)); err == nil {
		t.Error("TLS settings that have no effect were accepted")
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer *http.Response
		is     error
		text   string
	}{
		"login page":     {gateway(answer(200, "<html>please log in</html>")), ErrUnavailable, "other than FirecREST"},
		"gateway's list": {gateway(answer(200, `{"systems":[]}`)), ErrUnavailable, "other than FirecREST"},
		"gateway's 404":  {gateway(answer(404, "<html>404</html>")), ErrUnavailable, "404 not found"},
		"other object":   {answer(200, `{}`), ErrUnavailable, `no "systems"`},
		"truncated":      {answer(200, `{"systems":[`), ErrUnavailable, "cannot be read"},
		"other success":  {answer(204, ""), ErrUnavailable, "not the status"},
		"too large":      {answer(200, `{"systems":[`+strings.Repeat(" ", maxAnswer)), ErrTooLarge, "16 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := memoryClient(t, func(*http.Request) (*http.Response, error) { return test.answer, nil }, WithRetry(RetryPolicy{MaxAttempts: 1}))
			_, err := client.Status.Systems(t.Context())
			if !errors.Is(err, test.is) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %v with %q", err, test.is, test.text)
			}
		})
	}
}

func TestSlowAnswerIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
			pr, pw := io.Pipe()
			go func() {
				for {
					select {
					case <-time.After(10 * time.Second):
						pw.Write([]byte(" "))
					case <-r.Context().Done():
						pw.CloseWithError(r.Context().Err())
						return
					}
				}
			}()
			a := answer(200, "")
			a.Body, a.ContentLength = pr, -1
			return a, nil
		}, WithRetry(RetryPolicy{MaxAttempts: 1}), WithRequestTimeout(time.Minute))
		start := time.Now()
		_, err := client.Status.Systems(t.Context())
		if !errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("cut after %s", d)
		}
	})
}

func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		reason := errors.New("the step was cancelled")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(reason) })
		_, err := client.Status.Systems(ctx)
		if !errors.Is(err, reason) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTimeout) || asError(t, err).Attempts != 1 {
			t.Errorf("got %v", err)
		}
	})
}

func TestRequestsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		client := memoryClient(t, func(*http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return answer(200, `{"systems":[]}`), nil
		})
		start := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := client.Status.Systems(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() != 4 || time.Since(start) != 5*time.Second {
			t.Errorf("%d at once, done after %s", most.Load(), time.Since(start))
		}
	})
}

func TestRequestsPerMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := memoryClient(t, func(*http.Request) (*http.Response, error) { return answer(200, `{"systems":[]}`), nil }, WithRequestsPerMinute(30))
		start := time.Now()
		for range 31 {
			if _, err := client.Status.Systems(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		// The server counts arrivals: those of a minute must fit even if the first
		// of them was three seconds late.
		if d := time.Since(start).Round(time.Second); d != 63*time.Second {
			t.Errorf("31 requests in %s", d)
		}
	})
}

// Nothing secret may show in an error, a printed value or an observation, even
// if a server repeats it.
func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	const token, secret = "tok3n-canary", "s3cret-canary"
	var out strings.Builder
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			fmt.Fprintf(w, `{"access_token":%q,"expires_in":300}`, token)
			return
		}
		w.Header().Set("F7T-AppVersion", "2.5.6 "+token)
		w.Header().Set("auth-token", token)
		w.WriteHeader(401)
		fmt.Fprintf(w, `{"errorType":"error %[1]s","message":"bad token %[1]s","causedBy":["%[1]s"],"data":{"fields":[{"location":"%[1]s","name":"%[1]s","message":"%[1]s"}]}}`, token)
	}))
	t.Cleanup(server.Close)
	credentials := ClientCredentials{TokenURL: server.URL + "/token", ClientID: "id", ClientSecret: secret}
	client := newClient(t, server.URL, WithTokenSource(credentials), WithObserver(func(info RequestInfo) {
		fmt.Fprintf(&out, "%v %+v %#v\n", info, info, info)
	}))
	_, err := client.Status.Systems(t.Context())
	if !errors.Is(err, ErrUnauthenticated) {
		t.Fatalf("got %v", err)
	}
	fmt.Fprintf(&out, "%v %+v %#v\n", err, err, *asError(t, err))
	for _, v := range []any{credentials, Token{Value: token}, StaticToken(token), Secret(secret), &credentials, client.tokens.current} {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		out.Write(log.Bytes())
	}
	for _, canary := range []string{token, secret, fmt.Sprintf("%x", token), fmt.Sprintf("%x", secret)} {
		if i := strings.Index(out.String(), canary); i >= 0 {
			t.Errorf("%q shows: …%s", canary, out.String()[max(0, i-200):i+len(canary)])
		}
	}
}

// TestRequestsAreToldByAList: what is told of a request is a list of its own, on
// which no header, query or body is. A field more is a decision.
func TestRequestsAreToldByAList(t *testing.T) {
	t.Parallel()
	var told []string
	for i := range reflect.TypeFor[RequestInfo]().NumField() {
		told = append(told, reflect.TypeFor[RequestInfo]().Field(i).Name)
	}
	want := []string{
		"Operation", "Path", "System", "Attempt", "Status", "RequestID", "ServerVersion", "Start", "Duration", "Sent", "Received", "ServerTime", "Err",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told is %q, want %q", told, want)
	}
}

func TestServerTime(t *testing.T) {
	t.Parallel()
	const date = "Mon, 05 Jan 2026 10:00:00 GMT"
	for _, test := range []struct{ stamp, date, want string }{
		{"1767607200.25", "", "2026-01-05T10:00:00.25Z"},
		{"1767607260", date, "2026-01-05T10:01:00Z"},
		{"soon", date, "2026-01-05T10:00:00Z"},
		{"-1", date, "2026-01-05T10:00:00Z"},
		{"1e99", "", "0001-01-01T00:00:00Z"},
		{"", "", "0001-01-01T00:00:00Z"},
	} {
		got := serverTime(http.Header{"F7t-Timestamp": {test.stamp}, "Date": {test.date}}).Format(time.RFC3339Nano)
		if got != test.want {
			t.Errorf("%q, %q: %s, want %s", test.stamp, test.date, got, test.want)
		}
	}
}

func TestTokenAndTransportForOthers(t *testing.T) {
	t.Parallel()
	rt := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("no") })
	client := memoryClient(t, rt, WithTokenSource(StaticToken("t0k3n")))
	if token, err := client.Token(t.Context()); err != nil || token.Value != "t0k3n" {
		t.Errorf("token %q, %v", string(token.Value), err)
	}
	if _, ok := client.Transport().(roundTrip); !ok {
		t.Errorf("transport %T", client.Transport())
	}
	if token, err := memoryClient(t, rt).Token(t.Context()); err != nil || token.Value != "" {
		t.Errorf("without a source: %q, %v", string(token.Value), err)
	}
	if agent := client.settings.userAgent; !strings.HasPrefix(agent, "fcflow-firecrest") {
		t.Errorf("User-Agent %q", agent)
	}
}

func TestObserver(t *testing.T) {
	t.Parallel()
	var infos []RequestInfo
	tries := 0
	client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			io.Copy(io.Discard, r.Body)
		}
		if tries++; tries == 1 {
			return answer(503, errorBody("x")), nil
		}
		return withHeader(answer(201, `{"output":{}}`), "F7T-Timestamp", "1767607200.25"), nil
	}, WithRetry(RetryPolicy{Base: 1}), WithObserver(func(info RequestInfo) { infos = append(infos, info) }))
	if _, err := client.Filesystem.Mkdir(t.Context(), "alps", "/d", true); err != nil {
		t.Fatal(err)
	}
	if len(infos) != 2 || infos[0].Status != 503 || infos[0].Err == nil || infos[1].Attempt != 2 || infos[1].Status != 201 || infos[1].Err != nil {
		t.Fatalf("got %+v", infos)
	}
	last := infos[1]
	if last.Operation != "POST /filesystem/{system_name}/ops/mkdir" || last.Path != "/v2/filesystem/alps/ops/mkdir" || last.System != "alps" ||
		last.ServerVersion != "2.5.6" || last.Sent != 33 || last.Received != 13 || last.RequestID == infos[0].RequestID || last.ServerTime.Unix() != 1767607200 {
		t.Errorf("got %+v", last)
	}
	if client.ServerVersion() != "2.5.6" {
		t.Errorf("version %q", client.ServerVersion())
	}
}

// TestTraceOfTrace: a context that tells of its requests already goes on to.
func TestTraceOfTrace(t *testing.T) {
	t.Parallel()
	client := memoryClient(t, func(*http.Request) (*http.Response, error) { return answer(201, `{"output":{}}`), nil })
	var told []string
	note := func(who string) func(RequestInfo) {
		return func(r RequestInfo) { told = append(told, who+" "+r.Operation) }
	}
	ctx := WithTrace(WithTrace(t.Context(), note("outer")), note("inner"))
	if _, err := client.Filesystem.Mkdir(ctx, "alps", "/d", true); err != nil {
		t.Fatal(err)
	}
	const operation = " POST /filesystem/{system_name}/ops/mkdir"
	if want := []string{"outer" + operation, "inner" + operation}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST.": true, "a.localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"localhost.example.org": false, "127.0.0.1.example.org": false, "10.0.0.1": false, "": false, "2130706433": false,
	} {
		if IsLoopback(host) != want {
			t.Errorf("%q", host)
		}
	}
}
