package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Guard lets requests in that come over a network: with a token, for a name that
// the server has, and from no foreign page. There are no cookies, hence a page of
// somebody else has nothing to send.
type Guard struct {
	// Full and ReadOnly are the tokens; "" is none.
	Full, ReadOnly string
	// Hosts are the names, with ports, by which the server may be asked.
	Hosts []string
	// Page answers what is not below /v1, without a token; nil is nothing.
	Page http.Handler
}

// LoopbackHosts are the names of an address of this machine, with those that a
// proxy in front of it uses.
func LoopbackHosts(addr net.Addr, more ...string) []string {
	hosts := append([]string{addr.String()}, more...)
	if _, port, err := net.SplitHostPort(addr.String()); err == nil {
		for _, name := range []string{"127.0.0.1", "localhost", "::1"} {
			hosts = append(hosts, net.JoinHostPort(name, port))
		}
	}
	return hosts
}

// access is what a request may do.
type access int

const (
	accessNone access = iota
	accessRead
	accessFull
)

func (g *Guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header(w)
		if err := g.check(r); err != nil {
			if errors.Is(err, errToken) {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			writeError(w, err)
			return
		}
		switch {
		case guarded(r.URL.Path):
			next.ServeHTTP(w, r.WithContext(visiting(r.Context(), visitor{readOnly: g.access(r) == accessRead})))
		case r.URL.Path == "/healthz":
			next.ServeHTTP(w, r)
		case g.Page != nil:
			g.Page.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}

// guarded reports whether a path needs a token.
func guarded(path string) bool {
	return path == "/metrics" || path == "/v1" || strings.HasPrefix(path, "/v1/")
}

// header forbids what an answer must not be used for.
func header(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

func (g *Guard) check(r *http.Request) error {
	if !slices.ContainsFunc(g.Hosts, func(host string) bool { return strings.EqualFold(host, r.Host) }) {
		return fmt.Errorf("%w: the server is not %q; name it with --host-name", errForbidden, r.Host)
	}
	if err := checkOrigin(r); err != nil {
		return err
	}
	if !guarded(r.URL.Path) {
		return nil
	}
	allowed := g.access(r)
	switch {
	case allowed == accessNone:
		return fmt.Errorf("%w: open the link that fcflow serve token prints", errToken)
	case allowed == accessRead && r.Method != http.MethodGet && r.Method != http.MethodHead:
		return fmt.Errorf("%w: the token is for reading only", errForbidden)
	}
	return nil
}

// checkKind wants JSON, which no form of a page can send.
func checkKind(r *http.Request) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return errKind
	}
	return nil
}

// checkOrigin refuses what a page of another origin sends.
func checkOrigin(r *http.Request) error {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, r.Host) {
			return fmt.Errorf("%w: a page of %q may not ask", errForbidden, origin)
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" && (r.Method != http.MethodGet || guarded(r.URL.Path)) {
		return fmt.Errorf("%w: another site may not ask", errForbidden)
	}
	return nil
}

func (g *Guard) access(r *http.Request) access {
	kind, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return accessNone
	}
	full, read := same(given, g.Full), same(given, g.ReadOnly)
	switch {
	case full:
		return accessFull
	case read:
		return accessRead
	}
	return accessNone
}

// same compares in a time that tells nothing, their lengths included.
func same(given, token string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && token != ""
}
