package datatransfer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/netguard"
)

// streamPeer is where a streamer job may listen.
type streamPeer struct {
	ports  [2]int // inclusive
	ips    []string
	secret firecrest.Secret
	dial   dialFunc // nil: as usual
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// guard keeps to addresses that are not this machine's, as far as the names tell
// already, and has the others looked at when they are dialled.
func (p *streamPeer) guard() error {
	p.ips = slices.DeleteFunc(p.ips, func(ip string) bool { return netguard.CheckHost(ip) != nil })
	if len(p.ips) == 0 {
		return fmt.Errorf("the coordinates of the stream name no host that a job could listen on: %w", netguard.ErrRefused)
	}
	p.dial = netguard.Dialer().DialContext
	return nil
}

// parseCoordinates reads what the API gives: base64 of JSON, with or without
// padding. Errors do not quote it.
func parseCoordinates(coordinates firecrest.Secret) (*streamPeer, error) {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(string(coordinates)), "="))
	if err != nil {
		return nil, errors.New("the coordinates of the stream are not base64")
	}
	var c struct {
		Ports  []int    `json:"ports"`
		IPs    []string `json:"ips"`
		Secret string   `json:"secret"`
	}
	if json.Unmarshal(text, &c) != nil || c.Secret == "" {
		return nil, errors.New("the coordinates of the stream are not a JSON object with ports, ips and a secret")
	}
	if len(c.Ports) != 2 || c.Ports[0] < 1 || c.Ports[1] < c.Ports[0] || c.Ports[1] > 65535 {
		return nil, fmt.Errorf("the coordinates of the stream have no range of ports, but %d", c.Ports)
	}
	if len(c.IPs) == 0 {
		c.IPs = []string{"localhost"}
	}
	return &streamPeer{ports: [2]int(c.Ports), ips: c.IPs, secret: firecrest.Secret(c.Secret)}, nil
}

// Dialling: how long one address may take, and the pauses between rounds.
const (
	dialPatience = 10 * time.Second
	minDialPause = 500 * time.Millisecond
	maxDialPause = 10 * time.Second
)

// connect goes through the addresses until the job lets it in or ctx ends.
// Whatever else listens on a port of the range is passed by. Pongs are sent on
// request only while receiving: one that waits for long behind a message ends the
// connection, and the job does not insist on them.
func (p *streamPeer) connect(ctx context.Context, pongs bool) (*websocket.Conn, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: p.dial} // and no proxy, which could not pass it on
	defer transport.CloseIdleConnections()
	opts := &websocket.DialOptions{
		HTTPClient:     &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		HTTPHeader:     http.Header{"Authorization": {"Bearer " + string(p.secret)}},
		OnPingReceived: func(context.Context, []byte) bool { return pongs },
	}
	var last error
	for wait := minDialPause; ; wait = min(wait*3/2, maxDialPause) {
		conn, err := p.round(ctx, opts)
		if last == nil || ctx.Err() == nil { // a round that was cut short tells nothing
			last = err
		}
		if conn != nil {
			conn.SetReadLimit(streamMessage)
			return conn, nil
		}
		if err := pause(ctx, wait+rand.N(wait/5)); err != nil {
			return nil, fmt.Errorf("no streamer job let us in: %w; last answer: %w", err, last)
		}
	}
}

// round tries each address once.
func (p *streamPeer) round(ctx context.Context, opts *websocket.DialOptions) (conn *websocket.Conn, last error) {
	last = errors.New("none")
	for _, ip := range p.ips {
		for port := p.ports[0]; port <= p.ports[1]; port++ {
			if ctx.Err() != nil {
				return nil, last
			}
			address := net.JoinHostPort(ip, strconv.Itoa(port))
			limited, cancel := context.WithTimeout(ctx, dialPatience)
			conn, answer, err := websocket.Dial(limited, (&url.URL{Scheme: "ws", Host: address, Path: "/"}).String(), opts)
			cancel()
			if err == nil {
				return conn, nil
			}
			last = p.dialError(address, answer, err)
		}
	}
	return nil, last
}

// dialError says in a few words why an address did not do.
func (p *streamPeer) dialError(address string, answer *http.Response, err error) error {
	if answer == nil || answer.StatusCode == http.StatusSwitchingProtocols {
		return p.hide(err)
	}
	text := answer.Status
	if answer.Body != nil {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, 100)) // at hand already
		text += " " + string(body)
	}
	return fmt.Errorf("%s answers %s", address, p.hideText(text))
}

// hide takes the secret out of an error that quotes the other side.
func (p *streamPeer) hide(err error) error {
	if strings.Contains(err.Error(), string(p.secret)) {
		return errors.New(p.hideText(err.Error()))
	}
	return err
}

func (p *streamPeer) hideText(text string) string {
	return clean(strings.ReplaceAll(text, string(p.secret), p.secret.String()))
}

// orderly reports whether a connection was closed for no bad reason.
func orderly(err error) bool {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return true
	}
	return false
}

// whyEnded puts the end of a connection before that of the stream into words.
func (p *streamPeer) whyEnded(ctx context.Context, err error, sending bool) error {
	var closed websocket.CloseError
	var network *net.OpError
	switch {
	case orderly(err):
		return fmt.Errorf("%w: the other side closed it", ErrTruncated)
	case errors.As(err, &closed):
		return &StreamError{sending, int(closed.Code), p.hideText(closed.Reason)}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, websocket.ErrMessageTooBig):
		return fmt.Errorf("the stream has a message of more than %d bytes", streamMessage)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return fmt.Errorf("%w: the connection broke", ErrTruncated)
	case errors.As(err, &network):
		return fmt.Errorf("%w: the connection broke: %w", ErrTruncated, network)
	}
	return p.hide(err)
}

// keepAlive pings the other side every minute until stop.
func keepAlive(ctx context.Context, conn *websocket.Conn) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				wg.Go(func() { _ = conn.Ping(ctx) }) // no pong is no failure
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}
