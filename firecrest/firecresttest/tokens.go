package firecresttest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) tokens() []subtest {
	list := []subtest{
		{"without a token nobody is known", s.testNoToken},
		{"nonsense is no token", s.testNonsenseToken},
		{"the word Bearer may be in any case", s.testBearerCase},
		{"the token endpoint takes credentials in form and header", s.testTokenEndpoint},
		{"the token endpoint says how long and what kind", s.testTokenKind},
		{"the token endpoint refuses wrong credentials", s.testWrongCredentials},
	}
	for odd, want := range map[OddToken]struct {
		status int
		text   string
	}{
		ExpiredToken:     {http.StatusUnauthorized, "Access token expired"},
		ShortToken:       {http.StatusUnauthorized, "Access token expires too soon (less than 30s remaining)."},
		NotYetValidToken: {http.StatusUnauthorized, "Access token is invalid."},
		NamelessToken:    {http.StatusBadRequest, "claim is missing"},
	} {
		list = append(list, subtest{"a token that is " + string(odd) + " is refused", func(t *testing.T) {
			if odd == ShortToken {
				s.except(t, TakesDyingTokens)
			}
			_, err := s.newClient(t, oddSource(s.odd(t, odd))).Status.Systems(t.Context())
			failure := wantError(t, err, firecrest.ErrUnauthenticated, want.text)
			if failure.Status != want.status || odd != NamelessToken && failure.Message != want.text {
				t.Errorf("%d %q, want %d %q", failure.Status, failure.Message, want.status, want.text)
			}
		}})
	}
	return list
}

// oddSource is a token that the client uses without looking at it.
type oddSource string

// Token returns the token.
func (o oddSource) Token(context.Context) (firecrest.Token, error) {
	return firecrest.Token{Value: firecrest.Secret(o)}, nil
}

func (s *suite) testNoToken(t *testing.T) {
	_, err := s.newClient(t, nil).Status.Systems(t.Context())
	if failure := wantError(t, err, firecrest.ErrUnauthenticated, "Not authenticated"); failure.Status == http.StatusForbidden {
		s.skip(t, "the framework of the server is an old one, which answers 403")
	}
	for _, scheme := range []string{"", "Basic YTpi", "Bearer", "Bearer "} {
		req := s.request(t, http.MethodGet, "/status/systems", nil, nil)
		req.Header.Set("Authorization", scheme)
		a := s.send(t, req)
		a.wantMessage(t, http.StatusUnauthorized, "Not authenticated")
		if a.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%q: WWW-Authenticate %q, want Bearer", scheme, a.header.Get("WWW-Authenticate"))
		}
	}
}

func (s *suite) testNonsenseToken(t *testing.T) {
	_, err := s.newClient(t, firecrest.StaticToken("nonsense")).Status.Systems(t.Context())
	failure := wantError(t, err, firecrest.ErrUnauthenticated, "Access token is invalid.")
	if failure.Status != http.StatusUnauthorized || failure.Message != "Access token is invalid." {
		t.Errorf("%d %q, want 401", failure.Status, failure.Message)
	}
}

func (s *suite) testBearerCase(t *testing.T) {
	req := s.request(t, http.MethodGet, "/status/systems", nil, nil)
	req.Header.Set("Authorization", strings.Replace(req.Header.Get("Authorization"), "Bearer", "bearer", 1))
	s.send(t, req).want(t, http.StatusOK, nil)
}

func (s *suite) testTokenEndpoint(t *testing.T) {
	credentials := s.credentials(t)
	for _, basic := range []bool{false, true} {
		credentials.Basic = basic
		token, err := credentials.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !token.Expiry.After(time.Now()) {
			t.Errorf("the token expires at %s", token.Expiry)
		}
		if _, err := s.newClient(t, credentials).Status.Systems(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// testTokenKind posts the form as the official client does.
func (s *suite) testTokenKind(t *testing.T) {
	credentials := s.credentials(t)
	post := func(secret firecrest.Secret) answer {
		form := url.Values{
			"grant_type": {"client_credentials"}, "client_id": {credentials.ClientID}, "client_secret": {string(secret)},
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, credentials.TokenURL, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return s.send(t, req)
	}
	var got struct {
		Token    string   `json:"access_token"`
		Lifetime *float64 `json:"expires_in"`
		Kind     string   `json:"token_type"`
	}
	post(credentials.ClientSecret).want(t, http.StatusOK, &got)
	if got.Token == "" || got.Lifetime == nil || *got.Lifetime <= 0 || !strings.EqualFold(got.Kind, "Bearer") {
		t.Errorf("a token of %d bytes for %v s of the kind %q", len(got.Token), got.Lifetime, got.Kind)
	}
	var refusal struct {
		Error string `json:"error"`
	}
	a := post("wrong")
	if err := json.Unmarshal(a.body, &refusal); err != nil || a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized || refusal.Error == "" {
		t.Errorf("%d %s, %v, want a refusal in JSON", a.status, a.body, err)
	}
}

func (s *suite) testWrongCredentials(t *testing.T) {
	credentials := s.credentials(t)
	credentials.ClientSecret = "wrong"
	for _, basic := range []bool{false, true} {
		credentials.Basic = basic
		_, err := s.newClient(t, credentials).Status.Systems(t.Context())
		if !errors.Is(err, firecrest.ErrUnauthenticated) || !strings.Contains(err.Error(), "refused client") {
			t.Errorf("got %v, want a refusal", err)
		}
	}
}

// credentials returns those of the target for a test that changes them.
func (s *suite) credentials(t *testing.T) firecrest.ClientCredentials {
	t.Helper()
	if s.Credentials == nil {
		s.skip(t, "the target has no token endpoint")
	}
	credentials := *s.Credentials
	credentials.HTTP = s.Target.Transport
	return credentials
}
