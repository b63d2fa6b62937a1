package firecrest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const redacted = "«redacted»"

// Secret is text that prints as «redacted», whatever prints it. Convert it to
// a string only to send it.
type Secret string

// String returns «redacted».
func (Secret) String() string { return redacted }

// GoString returns «redacted».
func (Secret) GoString() string { return redacted }

// Format prints «redacted» for every verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// MarshalText returns «redacted»; JSON and most encoders use it.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns «redacted».
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Token is a bearer token.
type Token struct {
	// Value goes into the Authorization header.
	Value Secret
	// Expiry is when the token ends. Zero means unknown: it is used until the
	// server refuses it, at most a minute if its source can give another.
	Expiry time.Time
}

// TokenSource obtains tokens. The client keeps what it gets and asks again
// shortly before the end of a token, or when the server refuses it; calls do
// not overlap. Token must return promptly when its context ends.
//
// [ClientCredentials], [StaticToken] and [TokenCommand] are token sources.
type TokenSource interface {
	Token(ctx context.Context) (Token, error)
}

// tokenError says why there is no token.
type tokenError struct {
	refused bool // the identity provider said no; waiting does not help
	err     error
}

func (e *tokenError) Error() string { return "no token: " + e.err.Error() }
func (e *tokenError) Unwrap() error { return e.err }

const (
	tokenTimeout     = 30 * time.Second // for one request to the source
	refreshMargin    = time.Minute      // servers refuse tokens with < 30 s left
	opaqueTokenReuse = time.Minute      // tokens whose end is unknown
)

// tokenCache keeps the current token of a source.
type tokenCache struct {
	source TokenSource
	flight singleflight.Group

	mu      sync.Mutex
	current Token
	until   time.Time // when to ask for another; monotonic
}

// token returns a token that is good for a while. However many callers wait,
// the source is asked once; a caller that gives up does not disturb the rest.
func (c *tokenCache) token(ctx context.Context) (Token, error) {
	if current, fresh := c.cached(); fresh {
		return current, nil
	}
	done := c.flight.DoChan("token", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
		defer cancel()
		return c.fetch(ctx)
	})
	select {
	case <-ctx.Done():
		return Token{}, context.Cause(ctx)
	case r := <-done:
		if r.Err != nil {
			return Token{}, r.Err
		}
		return r.Val.(Token), nil
	}
}

func (c *tokenCache) cached() (current Token, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current, c.current.Value != "" && time.Now().Before(c.until)
}

func (c *tokenCache) fetch(ctx context.Context) (Token, error) {
	if current, fresh := c.cached(); fresh { // got while this caller was on its way here
		return current, nil
	}
	asked := time.Now() // before the request: the lifetime counts from there at the latest
	token, err := c.source.Token(ctx)
	if err != nil {
		return Token{}, err
	}
	if token.Value == "" {
		return Token{}, &tokenError{refused: true, err: fmt.Errorf("the source gave an empty token")}
	}
	reuse := opaqueTokenReuse
	if !token.Expiry.IsZero() {
		reuse = usableFor(token.Expiry.Sub(asked))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.until = token, asked.Add(reuse)
	return token, nil
}

// usableFor is how long a token that lives for life is used: until a minute,
// or a tenth of its life, is left, but at least for half of its life.
func usableFor(life time.Duration) time.Duration {
	return life - min(max(refreshMargin, life/10), life/2)
}

// drop forgets a token that the server refused, unless another one has taken
// its place already.
func (c *tokenCache) drop(refused Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current.Value == refused.Value {
		c.current, c.until = Token{}, time.Time{}
	}
}

// jwtExpiry reads the end of a token from its claims, without verifying
// anything. It returns the zero time for tokens that are not JWTs or do not
// end.
func jwtExpiry(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Exp number `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Exp.n <= 0 {
		return time.Time{}
	}
	return time.Unix(claims.Exp.n, 0)
}
