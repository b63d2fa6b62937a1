package firecrest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// identityProvider answers with tokens t1, t2, … and counts them.
type identityProvider struct {
	mu    sync.Mutex
	count int
	life  time.Duration
	delay time.Duration
	fail  error
}

func (p *identityProvider) Token(ctx context.Context) (Token, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := sleep(ctx, p.delay); err != nil {
		return Token{}, err
	}
	if p.fail != nil {
		return Token{}, p.fail
	}
	p.count++
	return Token{Value: Secret(fmt.Sprintf("t%d", p.count)), Expiry: time.Now().Add(p.life)}, nil
}

func TestUsableFor(t *testing.T) {
	t.Parallel()
	for life, want := range map[time.Duration]time.Duration{
		10 * time.Second: 5 * time.Second, // half of a short life
		time.Minute:      30 * time.Second,
		5 * time.Minute:  4 * time.Minute, // a minute left
		time.Hour:        54 * time.Minute,
	} {
		if got := usableFor(life); got != want {
			t.Errorf("a token of %s is used for %s, want %s", life, got, want)
		}
	}
}

func TestTokenIsRefreshedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &identityProvider{life: 5 * time.Minute, delay: time.Second}
		var mu sync.Mutex
		used := map[string]int{}
		client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			used[r.Header.Get("Authorization")]++
			return answer(200, `{"systems":[]}`), nil
		}, WithTokenSource(source), WithMaxInFlight(50))
		burst := func() {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if _, err := client.Status.Systems(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		burst()
		time.Sleep(4*time.Minute - 2*time.Second)
		burst()
		time.Sleep(2 * time.Second) // less than a minute left
		burst()
		if used["Bearer t1"] != 100 || used["Bearer t2"] != 50 || source.count != 2 {
			t.Errorf("used %v, %d tokens", used, source.count)
		}
	})
}

// TestLateComersTakeTheNewToken: who saw that there is none just before another
// got it does not ask for one more.
func TestLateComersTakeTheNewToken(t *testing.T) {
	t.Parallel()
	source := &identityProvider{life: time.Hour}
	cache := &tokenCache{source: source}
	for range 2 {
		if token, err := cache.fetch(t.Context()); err != nil || string(token.Value) != "t1" {
			t.Errorf("got %q: %v", string(token.Value), err)
		}
	}
}

func TestWaitingForATokenCanBeGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &identityProvider{life: time.Hour, delay: 10 * time.Second}
		client := memoryClient(t, func(*http.Request) (*http.Response, error) { return answer(200, `{"systems":[]}`), nil }, WithTokenSource(source))
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := client.Status.Systems(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the first caller got %v", err)
			}
		})
		wg.Go(func() {
			if _, err := client.Status.Systems(t.Context()); err != nil {
				t.Errorf("the second caller got %v", err)
			}
		})
		wg.Wait()
		if source.count != 1 {
			t.Errorf("%d tokens", source.count)
		}
	})
}

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		good  string // the token the server takes
		tries int
		ok    bool
	}{
		"second is good": {"Bearer t2", 2, true},
		"none is good":   {"Bearer t9", 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
				tries++
				if body, _ := io.ReadAll(r.Body); !strings.Contains(string(body), "sourcePath") {
					t.Errorf("try %d has the body %q", tries, body)
				}
				if r.Header.Get("Authorization") != test.good {
					return answer(401, errorBody("Access token expired")), nil
				}
				return answer(201, `{"output":{}}`), nil
			}, WithTokenSource(&identityProvider{life: time.Hour}), WithRetry(RetryPolicy{Base: 1}))
			_, err := client.Filesystem.Mkdir(t.Context(), "alps", "/d", false)
			if (err == nil) != test.ok || tries != test.tries || err != nil && !errors.Is(err, ErrUnauthenticated) {
				t.Errorf("%d tries: %v", tries, err)
			}
		})
	}
}

func TestNoTokenToBeHad(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err      error
		is       error
		attempts int
	}{
		"refused": {&tokenError{refused: true, err: errors.New("invalid_client")}, ErrUnauthenticated, 1},
		"down":    {&tokenError{err: errors.New("connection refused")}, ErrUnavailable, 4},
		"foreign": {errors.New("vault sealed"), ErrUnavailable, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := memoryClient(t, func(*http.Request) (*http.Response, error) {
				t.Error("sent without a token")
				return nil, io.EOF
			}, WithTokenSource(&identityProvider{fail: test.err}), WithRetry(RetryPolicy{Base: 1}))
			_, err := client.Status.Systems(t.Context())
			if !errors.Is(err, test.is) || asError(t, err).Attempts != test.attempts {
				t.Errorf("got %v", err)
			}
			_, err = client.Compute.Submit(t.Context(), "alps", JobSpec{WorkingDirectory: "/d", Script: "#!"})
			if SubmitClassOf(err) != SubmitNotSent || !errors.Is(err, test.is) {
				t.Errorf("submit: got %v", err)
			}
		})
	}
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   string // token, or text of the error
		is     error
	}{
		{"good", 200, `{"access_token":"abc","expires_in":300,"token_type":"Bearer"}`, "abc", nil},
		{"text number", 201, `{"access_token":"abc","expires_in":"300"}`, "abc", nil},
		{"refused", 401, `{"error":"invalid_client","error_description":"wrong shh"}`, "invalid_client wrong «redacted»", ErrUnauthenticated},
		{"refused without words", 400, `<html>`, "400", ErrUnauthenticated},
		{"down", 503, `<html>`, "503", ErrUnavailable},
		{"redirect", 302, ``, "302", ErrUnavailable},
		{"web page", 200, `<html>`, "something other than JSON", ErrUnavailable},
		{"no token", 200, `{"expires_in":300}`, "without an access_token", ErrUnavailable},
	} {
		for _, basic := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, basic %t", test.name, basic), func(t *testing.T) {
				t.Parallel()
				endpoint := newRecorder(t, test.status, test.body, http.Header{"Location": {"http://evil.example.org"}})
				api := newRecorder(t, 200, `{"systems":[]}`, nil)
				credentials := ClientCredentials{TokenURL: endpoint.URL + "/token", ClientID: "me", ClientSecret: "shh", Basic: basic}
				client := newClient(t, api.URL, WithTokenSource(credentials))
				_, err := client.Status.Systems(t.Context())
				seen, header := endpoint.seen()[0], endpoint.headers[0]
				form, _ := url.ParseQuery(seen.Body)
				wantForm, wantAuth := "client_id=me&client_secret=shh&grant_type=client_credentials", ""
				if basic {
					wantForm, wantAuth = "grant_type=client_credentials", "Basic "+base64.StdEncoding.EncodeToString([]byte("me:shh"))
				}
				if seen.Method != "POST" || form.Encode() != wantForm || header.Get("Authorization") != wantAuth || seen.ContentType != "application/x-www-form-urlencoded" {
					t.Errorf("request %+v, Authorization %q", seen, header.Get("Authorization"))
				}
				if test.is != nil {
					if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "shh") {
						t.Errorf("got %v, want %v with %q", err, test.is, test.want)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := api.headers[0].Get("Authorization"); got != "Bearer "+test.want {
					t.Errorf("Authorization %q", got)
				}
			})
		}
	}
}

// jwt makes a token that ends in d.
func jwt(d time.Duration) string {
	claims := fmt.Sprintf(`{"sub":"alice","exp":%d}`, time.Now().Add(d).Unix())
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

func TestStaticToken(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"opaque", jwt(time.Hour), "a.b.c"} {
		if token, err := StaticToken(good).Token(t.Context()); err != nil || string(token.Value) != good {
			t.Errorf("got %v", err)
		}
	}
	for _, bad := range []string{"", jwt(-time.Hour)} {
		if _, err := StaticToken(bad).Token(t.Context()); err == nil {
			t.Errorf("a token that is empty or has ended was given out")
		}
	}
}

func TestTokenCommand(t *testing.T) {
	t.Parallel()
	token, err := TokenCommand("echo " + jwt(time.Hour)).Token(t.Context())
	if err != nil || time.Until(token.Expiry) < 59*time.Minute {
		t.Errorf("got %v, which ends %s", err, token.Expiry)
	}
	for command, text := range map[string]string{
		"echo canary; exit 3": "exit status 3",
		"true":                "one token",
		"echo canary two":     "one token",
	} {
		_, err := TokenCommand(command).Token(t.Context())
		if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want %q", command, err, text)
		}
	}
}
