package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/settings"
)

// checkPatience is how long one check may take, repeats of requests included.
const checkPatience = time.Minute

var errNoAnswer = fmt.Errorf("no answer within %s: %w", checkPatience, firecrest.ErrTimeout)

// probesTooOld is when a server that has not looked at its systems is ill.
const probesTooOld = 15 * time.Minute

// reach asks what needs no login.
func (d *doctor) reach(ctx context.Context) (string, error) {
	alive, err := d.client.Status.Liveness(ctx)
	var answer *firecrest.Error
	switch {
	case errors.As(err, &answer) && answer.FromServer():
		return fmt.Sprintf("FirecREST %s answers", d.client.ServerVersion()), nil // one that has no such operation
	case err != nil && d.found.Sandbox != "":
		return "", err
	case err != nil:
		return "", withHint(err, "is %s right? It came from %s. A proxy is taken from HTTPS_PROXY, certificates from ca_bundle",
			d.found.URL, d.settings.Value("url").Source)
	case alive.Age > probesTooOld:
		return "", withHint(doubtf("FirecREST answers, but looked at its systems %s ago: what it says of their health is old",
			console.Duration(alive.Age)), "tell the people who run the service")
	}
	return fmt.Sprintf("FirecREST %s answers", d.client.ServerVersion()), nil
}

// login gets a token.
func (d *doctor) login(ctx context.Context) (string, error) {
	began := time.Now()
	token, err := d.client.Token(ctx)
	if err != nil {
		if !errors.Is(err, firecrest.ErrUnauthenticated) && !errors.Is(err, firecrest.ErrUnavailable) {
			err = &kinded{err, kindOfTokenError(err)}
		}
		return "", withHint(err, "check client_id, client_secret and token_url, or token_command; fcflow config show says where they come from")
	}
	d.app.streams.Secrets.Add(string(token.Value))
	return fmt.Sprintf("got a token %s in %s", d.way(), console.Duration(time.Since(began))), nil
}

// kindOfTokenError tells an identity provider that cannot be reached from one
// that says no.
func kindOfTokenError(err error) error {
	if unreachable := net.Error(nil); errors.As(err, &unreachable) {
		return firecrest.ErrUnavailable
	}
	return firecrest.ErrUnauthenticated
}

// kinded is an error that counts as another one, too.
type kinded struct {
	error
	kind error
}

func (e *kinded) Unwrap() []error { return []error{e.error, e.kind} }

// way says how tokens are had.
func (d *doctor) way() string {
	switch {
	case d.found.Sandbox != "":
		return "from the sandbox"
	case d.settings.Text("token_command") != "":
		return "from the token command"
	}
	return fmt.Sprintf("for %s from %s", d.settings.Text("client_id"), d.settings.Text("token_url"))
}

// Servers refuse tokens that live for less than 30 s more, and requests are sent
// with tokens that live for a minute more where they live long enough.
const (
	shortestToken = 30 * time.Second
	goodToken     = 2 * time.Minute
)

// token says how long tokens live.
func (d *doctor) token(ctx context.Context) (string, error) {
	token, err := d.client.Token(ctx)
	if err != nil {
		return "", err
	}
	return lifetime(token.Expiry, time.Now())
}

func lifetime(expiry, now time.Time) (string, error) {
	left := expiry.Sub(now).Round(time.Second)
	switch {
	case expiry.IsZero():
		return "the token does not say how long it lives; it is asked for anew every minute", nil
	case left <= shortestToken:
		return "", withHint(fmt.Errorf("%w: the token lives for %s only; servers refuse it with less than %s left",
			firecrest.ErrUnauthenticated, left, shortestToken), "ask for longer tokens; look at the clock, too")
	case left < goodToken:
		return "", withHint(doubtf("the token lives for %s only: it is renewed every few seconds", left), "ask for longer tokens")
	}
	return fmt.Sprintf("lives for %s, renewed in time", console.Duration(left)), nil
}

// systems lists what the service offers, and takes of it what was asked for.
func (d *doctor) systems(chosen *[]firecrest.System) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		all, err := d.client.Status.Systems(ctx)
		if err != nil {
			if errors.Is(err, firecrest.ErrUnauthenticated) {
				return "", withHint(err, "the service does not take the token: does its identity provider belong to this service? Look at the clock, too")
			}
			if errors.Is(err, firecrest.ErrUnsupported) { // every release has this operation
				return "", withHint(&kinded{err, settings.ErrInvalid}, "does %s lack the end of its path, such as /hpc/firecrest/v2, or have one too many? It came from %s",
					d.found.URL, d.settings.Value("url").Source)
			}
			return "", err
		}
		var names []string
		for _, s := range all {
			names = append(names, s.Name)
		}
		*chosen = all
		if name := d.settings.Text("system"); name != "" && (d.found.Sandbox == "" || d.app.given("system")) {
			one, err := findSystem(all, name)
			if err != nil {
				return "", fmt.Errorf("%w (%s)", err, d.settings.Value("system").Source)
			}
			*chosen = []firecrest.System{*one}
		}
		return joinNames(names), nil
	}
}

// clock compares the clock of the server with ours. Its zero value is ready.
type clock struct {
	mu     sync.Mutex
	known  bool
	ahead  time.Duration // the server's clock before ours
	within time.Duration // of the truth
}

// observe keeps the measurement of the quickest answer.
func (c *clock) observe(r firecrest.RequestInfo) {
	if r.ServerTime.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if within := r.Duration/2 + time.Second; !c.known || within < c.within {
		c.known, c.within = true, within
		c.ahead = r.ServerTime.Sub(r.Start.Add(r.Duration / 2))
	}
}

// mostSkew is how far clocks may differ before something goes wrong: tokens that
// are not valid yet, or are believed to live longer than they do.
const mostSkew = 20 * time.Second

func (d *doctor) skew(context.Context) (string, error) {
	d.clock.mu.Lock()
	defer d.clock.mu.Unlock()
	return d.clock.judge()
}

func (c *clock) judge() (string, error) {
	ahead := c.ahead.Round(time.Second)
	way := "behind"
	if ahead < 0 {
		way = "ahead of"
	}
	switch {
	case !c.known:
		return "", doubtf("the service does not tell its time")
	case ahead.Abs() > mostSkew:
		return "", withHint(doubtf("this clock is %s %s the service's", ahead.Abs(), way),
			"set this machine's clock (NTP); tokens and signed addresses depend on it")
	}
	return fmt.Sprintf("agrees with the service's within %s", max(ahead.Abs(), time.Second)), nil
}

// feature is what a release brought that runs make use of.
type feature struct{ since, what string }

// features in the order of their releases. Nothing needs them: without one there
// is another way, or something less.
func features() []feature {
	return []feature{
		{"2.2.0", "archives as jobs"}, {"2.2.6", "the account of a job"}, {"2.3.0", "parts of files"},
		{"2.4.0", "compressions other than gzip"}, {"2.4.2", "jobs by account"},
		{"2.5.0", "how large files are moved, arrays"}, {"2.5.1", "your accounts"}, {"2.5.4", "hidden partitions"},
		{"2.5.5", "reasons of errors"}, {"2.5.6", "commands of several users at once"}, {"2.5.7", "jobs by name, the window of lists"},
	}
}

func (d *doctor) release(context.Context) (string, error) {
	return releaseText(d.client.ServerVersion())
}

// releaseText names what a release lacks.
func releaseText(version string) (string, error) {
	if _, known := parseRelease(version); !known {
		return fmt.Sprintf("%q, which is no release; what it can is found out as it goes", version), nil
	}
	var lacks []string
	for _, f := range features() {
		if !atLeast(version, f.since) {
			lacks = append(lacks, fmt.Sprintf("%s (%s)", f.what, f.since))
		}
	}
	if len(lacks) == 0 {
		return version + ", with everything that runs make use of", nil
	}
	return fmt.Sprintf("%s; newer ones tell or take also: %s", version, strings.Join(lacks, ", ")), nil
}

// development is what builds between releases call themselves.
const development = "2.x.x"

// atLeast reports whether a server is of a release or a later one; a server that
// names no release is not.
func atLeast(version, release string) bool {
	number, known := parseRelease(version)
	oldest, _ := parseRelease(release)
	return known && number >= oldest || version == development
}

// parseRelease makes 2.5.6 comparable.
func parseRelease(version string) (number int, known bool) {
	var major, minor, patch int
	if n, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil || n != 3 {
		return 0, false
	}
	return major*1_000_000 + minor*1000 + patch, true
}
