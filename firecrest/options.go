package firecrest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

type settings struct {
	transport   http.RoundTripper
	tls         *tls.Config
	source      TokenSource
	userAgent   string
	inFlight    int
	perMinute   int
	limiter     *Limiter
	timeout     time.Duration
	retry       RetryPolicy
	chance      *chance
	poll        PollSettings
	observer    func(RequestInfo)
	optionError error
}

// Option changes a default of [New].
type Option func(*settings)

// WithTokenSource says where tokens come from. Without it requests are sent
// without a token, which only tests and the liveness probe can use.
func WithTokenSource(source TokenSource) Option {
	return func(s *settings) { s.source = source }
}

// WithTransport replaces the HTTP transport. TLS is then the transport's
// matter. It should not reuse connections for requests that must not run twice:
// on a connection used before, more of their failures are of unknown outcome.
func WithTransport(rt http.RoundTripper) Option {
	return func(s *settings) { s.transport = rt }
}

// WithTLSConfig sets the TLS configuration. TLS below 1.2 is never spoken.
func WithTLSConfig(config *tls.Config) Option {
	return func(s *settings) { s.tls = config.Clone() }
}

// WithCABundle trusts the certificates of a PEM bundle instead of those of the
// operating system. It comes after WithTLSConfig, if both are given.
func WithCABundle(pem []byte) Option {
	return func(s *settings) {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			s.optionError = errors.New("the CA bundle holds no certificate")
		}
		if s.tls == nil {
			s.tls = &tls.Config{}
		}
		s.tls.RootCAs = pool
	}
}

// WithUserAgent sets the User-Agent header; the default is "fcflow-firecrest/"
// and the release of the module.
func WithUserAgent(agent string) Option {
	return func(s *settings) { s.userAgent = agent }
}

// WithMaxInFlight bounds the requests in flight, all systems together. The
// default is 4: a login node gives one user about ten channels, and a job
// query takes two. See [NewLimiter].
func WithMaxInFlight(n int) Option {
	return func(s *settings) { s.inFlight = n }
}

// WithRequestsPerMinute spreads requests so that no more than n start in a
// minute, where a site asks for that. The default, 0, is no such limit.
func WithRequestsPerMinute(n int) Option {
	return func(s *settings) { s.perMinute = n }
}

// WithLimiter shares a limiter between clients of one host, in place of
// WithMaxInFlight and WithRequestsPerMinute.
func WithLimiter(l *Limiter) Option {
	return func(s *settings) { s.limiter = l }
}

// WithRequestTimeout bounds one try of a request from its start to the last
// byte of the answer; moving the bytes of a file has ten times as long. The
// default is one minute.
func WithRequestTimeout(d time.Duration) Option {
	return func(s *settings) { s.timeout = d }
}

// WithRetry changes how requests are repeated.
func WithRetry(policy RetryPolicy) Option {
	return func(s *settings) { s.retry = policy }
}

// WithRandom takes the random parts of pauses, of retries and pollers alike,
// from r, so that a simulation can be repeated exactly. The client must be the
// only one that uses it. The default is the generator of the runtime.
func WithRandom(r *rand.Rand) Option {
	return func(s *settings) { s.chance = &chance{random: r} }
}

// WithPollSettings changes how [Client.Poller] asks for jobs.
func WithPollSettings(p PollSettings) Option {
	return func(s *settings) { s.poll = p }
}

// WithObserver calls f after every try of every request, from the goroutine
// that sent it. It gets nothing secret.
func WithObserver(f func(RequestInfo)) Option {
	return func(s *settings) { s.observer = f }
}

// WithTrace returns a context whose requests are told to f as well, after every
// try, as the observer of [WithObserver] is, and before it to the function that
// ctx has already.
func WithTrace(ctx context.Context, f func(RequestInfo)) context.Context {
	told := f
	if outer, ok := ctx.Value(traceKey).(func(RequestInfo)); ok {
		told = func(r RequestInfo) {
			outer(r)
			f(r)
		}
	}
	return context.WithValue(ctx, traceKey, told)
}
