package sandbox

import (
	"crypto/rand"
	"crypto/subtle"
	"math"
	"net/http"
	"strings"
	"time"
)

// minTokenTTL is what a token must still be worth when it arrives.
const minTokenTTL = 30 * time.Second

// authenticate returns the user a request's bearer token names.
func (s *Server) authenticate(r *http.Request) (user string, err error) {
	token := bearer(r)
	if token == "" {
		return "", &apiError{status: 401, message: "Not authenticated", header: http.Header{"WWW-Authenticate": {"Bearer"}}}
	}
	// The reference server echoes the token it refuses; so must we, and so must
	// clients keep that header out of their logs.
	refuse := func(message string) error {
		return &apiError{status: 401, message: message, header: http.Header{"Auth-Token": {token}}}
	}
	claims, refusal := s.key.verify(token)
	if refusal != "" {
		return "", refuse(refusal)
	}
	now := time.Now()
	for _, name := range []string{"nbf", "iat"} {
		if t, ok := claims[name].(float64); ok && t > unixSeconds(now) {
			return "", refuse(badToken)
		}
	}
	if exp, ok := claims["exp"].(float64); ok {
		switch left := exp - unixSeconds(now); {
		case left <= 0:
			return "", refuse("Access token expired")
		case left < minTokenTTL.Seconds() && !s.release.has(takesDyingTokens):
			return "", refuse("Access token expires too soon (less than 30s remaining).")
		}
	}
	user, ok := claims["preferred_username"].(string)
	if !ok {
		return "", fail(400, "Authentication token 'preferred_username' claim is missing")
	}
	return user, nil
}

// bearer is the token of the Authorization header, "" if there is none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// postToken is the token endpoint: OAuth2 client credentials, the secret in the
// form or in a Basic header.
func (s *Server) postToken(c *call) (reply, error) {
	if err := c.r.ParseForm(); err != nil {
		return oauthError(400, "invalid_request", "the body is not a form"), nil
	}
	if grant := c.r.PostForm.Get("grant_type"); grant != "client_credentials" {
		return oauthError(400, "unsupported_grant_type", "grant_type must be client_credentials"), nil
	}
	id, secret, basic := c.r.BasicAuth()
	if !basic {
		id, secret = c.r.PostForm.Get("client_id"), c.r.PostForm.Get("client_secret")
	}
	client, known := s.site.client(id)
	if !known || !sameText(secret, client.ClientSecret) {
		return oauthError(401, "invalid_client", "unknown client or wrong secret"), nil
	}
	lifetime := s.lasting(c, "token-lifetime", s.cfg.TokenLifetime)
	token, err := s.issueToken(client.Name, lifetime)
	if err != nil {
		return reply{}, err
	}
	return reply{
		status: 200,
		header: http.Header{"Cache-Control": {"no-store"}},
		json: struct {
			AccessToken string `json:"access_token"`
			ExpiresIn   int64  `json:"expires_in"` // whole seconds; clients refuse fractions
			TokenType   string `json:"token_type"`
		}{token, int64(math.Ceil(lifetime.Seconds())), "Bearer"},
	}, nil
}

func (s *Server) issueToken(user string, lifetime time.Duration) (string, error) {
	now := time.Now()
	return s.key.sign(map[string]any{
		"iss":                "fcflow-sandbox",
		"sub":                user,
		"preferred_username": user,
		"iat":                now.Unix(),
		"exp":                unixSeconds(now.Add(lifetime)),
		"jti":                rand.Text(),
	})
}

func oauthError(status int, code, description string) reply {
	return reply{status: status, json: struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description}}
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
