package firecrest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// ClientCredentials is the OAuth 2 client credentials grant: a service account
// with an id and a secret.
type ClientCredentials struct {
	// TokenURL is the token endpoint; https, or http on loopback.
	TokenURL string
	// ClientID and ClientSecret are the account.
	ClientID     string
	ClientSecret Secret
	// Basic sends id and secret in a Basic header (client_secret_basic, not
	// percent-encoded, as the official client does). The default sends them in
	// the form (client_secret_post).
	Basic bool
	// HTTP is used for the request. Nil means the transport of the client the
	// source is given to.
	HTTP http.RoundTripper
}

// Token asks the token endpoint. Redirects are not followed. An answer of 400,
// 401 or 403 means that the account is refused; any other failure may pass.
func (c ClientCredentials) Token(ctx context.Context) (Token, error) {
	if _, err := checkBaseURL(c.TokenURL); err != nil {
		return Token{}, &tokenError{refused: true, err: fmt.Errorf("token endpoint: %w", err)}
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if !c.Basic {
		form.Set("client_id", c.ClientID)
		form.Set("client_secret", string(c.ClientSecret))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return Token{}, &tokenError{refused: true, err: err}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if c.Basic {
		req.SetBasicAuth(c.ClientID, string(c.ClientSecret))
	}
	rt := c.HTTP
	if rt == nil {
		rt = http.DefaultTransport
	}
	asked := time.Now()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return Token{}, &tokenError{err: fmt.Errorf("token endpoint %s: %w", req.URL.Host, err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return Token{}, &tokenError{err: fmt.Errorf("token endpoint %s: %w", req.URL.Host, err)}
	}
	return c.read(req.URL.Host, asked, resp.StatusCode, body)
}

func (c ClientCredentials) read(host string, asked time.Time, status int, body []byte) (Token, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   number `json:"expires_in"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	decodeErr := json.Unmarshal(body, &answer)
	switch {
	case status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden:
		reason := strings.TrimSpace(answer.Error + " " + answer.Description)
		return Token{}, &tokenError{refused: true, err: fmt.Errorf("token endpoint %s refused client %q: %d %s", host, c.ClientID, status, c.scrub(reason))}
	case status >= 300:
		return Token{}, &tokenError{err: fmt.Errorf("token endpoint %s answered %d", host, status)}
	case decodeErr != nil:
		return Token{}, &tokenError{err: fmt.Errorf("token endpoint %s answered %d with something other than JSON, such as a web page: check its URL", host, status)}
	case answer.AccessToken == "":
		return Token{}, &tokenError{err: fmt.Errorf("token endpoint %s answered without an access_token", host)}
	}
	token := Token{Value: Secret(answer.AccessToken)}
	if answer.ExpiresIn.n > 0 {
		token.Expiry = asked.Add(time.Duration(min(answer.ExpiresIn.n, 1<<31)) * time.Second)
	} else {
		token.Expiry = jwtExpiry(answer.AccessToken)
	}
	return token, nil
}

// scrub removes the secret from what the endpoint says about it.
func (c ClientCredentials) scrub(s string) string {
	if c.ClientSecret == "" {
		return clean(s)
	}
	return clean(strings.ReplaceAll(s, string(c.ClientSecret), redacted))
}

// StaticToken is a token from elsewhere. When it ends, requests fail with
// [ErrUnauthenticated].
type StaticToken Secret

// Token returns the token, with the end that its claims give if it is a JWT.
func (t StaticToken) Token(context.Context) (Token, error) {
	if t == "" {
		return Token{}, &tokenError{refused: true, err: errors.New("the token is empty")}
	}
	if end := jwtExpiry(string(t)); !end.IsZero() && time.Now().After(end) {
		return Token{}, &tokenError{refused: true, err: fmt.Errorf("the token expired at %s", end.UTC().Format(time.RFC3339))}
	}
	return Token{Value: Secret(t)}, nil
}

// String returns «redacted».
func (StaticToken) String() string { return redacted }

// GoString returns «redacted».
func (StaticToken) GoString() string { return redacted }

// Format prints «redacted» for every verb.
func (StaticToken) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// MarshalText returns «redacted».
func (StaticToken) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// TokenCommand is a shell command that prints a token on standard output.
type TokenCommand string

// commandVariable carries a token command to the shell: everybody can read the
// arguments of a process, its environment only its user.
const commandVariable = "FCFLOW_TOKEN_COMMAND"

// Token runs the command with sh and returns what it prints, trimmed. The end is
// read from the claims of the token if it is a JWT. The command inherits the
// environment, except for FCFLOW_SECRET_*, which are not meant for it, and is on
// no command line itself.
func (c TokenCommand) Token(ctx context.Context) (Token, error) {
	var stdout bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-c", "c=$"+commandVariable+"; unset "+commandVariable+`; eval "$c"`)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FCFLOW_SECRET_") })
	cmd.Env = append(cmd.Env, commandVariable+"="+string(c))
	cmd.Stdout = &stdout
	cmd.WaitDelay = time.Second // a grandchild may keep the pipes open
	if err := cmd.Run(); err != nil {
		return Token{}, &tokenError{refused: ctx.Err() == nil, err: fmt.Errorf("token command: %w", err)}
	}
	value := strings.TrimSpace(stdout.String())
	if value == "" || strings.ContainsAny(value, " \t\r\n") {
		return Token{}, &tokenError{refused: true, err: errors.New("token command: it did not print one token")}
	}
	return Token{Value: Secret(value), Expiry: jwtExpiry(value)}, nil
}
