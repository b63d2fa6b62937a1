package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// ErrGone: the owner stopped before the run ended, or answers no more.
var ErrGone = errors.New("the owner of the run is gone")

// Client asks the process that owns a run.
type Client struct {
	socket string
	me     int // the id of our user
	http   *http.Client
}

// Dial connects to the socket of an owner. [ErrGone] if nobody listens.
func Dial(ctx context.Context, socket string) (*Client, error) {
	return dialAs(ctx, socket, os.Geteuid())
}

// dialAs is Dial for a user with an id.
func dialAs(ctx context.Context, socket string, me int) (*Client, error) {
	c := &Client{socket: socket, me: me}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
	}}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	return c, conn.Close()
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err := checkPeer(conn, c.me); err != nil {
		return nil, errors.Join(fmt.Errorf("socket %s: %w", c.socket, err), conn.Close())
	}
	return conn, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// List returns summaries of the runs that the process owns, newest first.
func (c *Client) List(ctx context.Context) ([]workflow.Summary, error) {
	var answer runList
	err := c.get(ctx, "/v1/runs", &answer)
	return answer.Runs, err
}

// View returns the full picture of a run.
func (c *Client) View(ctx context.Context, id workflow.RunID) (workflow.RunView, error) {
	var view workflow.RunView
	err := c.get(ctx, runPath(id, ""), &view)
	return view, err
}

// Blob returns a value that a run keeps apart from its events.
func (c *Client) Blob(ctx context.Context, id workflow.RunID, digest string) ([]byte, error) {
	resp, err := c.send(ctx, http.MethodGet, runPath(id, "/blobs/")+url.PathEscape(digest), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	if workflow.NewBlob(text).Digest != digest {
		return nil, fmt.Errorf("the owner sent another value than the one asked for: %w", workflow.ErrCorrupt)
	}
	return text, nil
}

// Cancel asks for the end of a run. The request is durable when it returns.
func (c *Client) Cancel(ctx context.Context, id workflow.RunID, by string) error {
	return c.post(ctx, runPath(id, "/cancel"), cancelRequest{By: by})
}

// Start has a server make a run and drive it, and returns its id.
func (c *Client) Start(ctx context.Context, r StartRequest) (workflow.RunID, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	var answer Started
	err = c.read(ctx, http.MethodPost, "/v1/runs", body, &answer)
	return answer.ID, err
}

// Serves reports whether the owner is a server, which has more than its runs.
func (c *Client) Serves(ctx context.Context) (bool, error) {
	err := c.get(ctx, "/v1/session", new(session))
	if errors.Is(err, workflow.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Resume has a server go on with a run, with another workflow if the request has
// one. That is durable when it returns.
func (c *Client) Resume(ctx context.Context, id workflow.RunID, r ResumeRequest) (answer Resumed, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return answer, err
	}
	err = c.read(ctx, http.MethodPost, runPath(id, "/resume"), body, &answer)
	return answer, err
}

// Resolve says what became of the submission of a unit of a run. The word is
// durable when it returns.
func (c *Client) Resolve(ctx context.Context, id workflow.RunID, unit workflow.UnitRef, word workflow.SubmissionResolved) error {
	return c.post(ctx, runPath(id, "/resolve"), resolveRequest{unit, word})
}

// Retry has units of a run done again. That is durable when it returns.
func (c *Client) Retry(ctx context.Context, id workflow.RunID, choice workflow.UnitsReset) error {
	return c.post(ctx, runPath(id, "/retry"), choice)
}

// Approve answers the units with a name, or part of it, that ask for approval,
// and returns which they are. The answer is durable when it returns.
func (c *Client) Approve(ctx context.Context, id workflow.RunID, units workflow.UnitRef, word workflow.ApprovalGiven) ([]workflow.UnitRef, error) {
	body, err := json.Marshal(approveRequest{units, word})
	if err != nil {
		return nil, err
	}
	var answer unitList
	err = c.read(ctx, http.MethodPost, runPath(id, "/approve"), body, &answer)
	return answer.Units, err
}

// Events calls f with each event of a run from sequence number from on. With
// follow it goes on until the run has ended; [ErrGone] if its owner stops before
// that.
func (c *Client) Events(ctx context.Context, id workflow.RunID, from int64, follow bool, f func(workflow.Event) error) error {
	query := url.Values{"from": {strconv.FormatInt(from, 10)}, "follow": {strconv.FormatBool(follow)}}
	resp, err := c.send(ctx, http.MethodGet, runPath(id, "/events")+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4*workflow.MaxEventBytes)
	ended := false
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var e workflow.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		_, ended = e.Data.(*workflow.RunFinished)
		if err := f(e); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrGone, err)
	case follow && !ended:
		return ErrGone
	}
	return nil
}

func runPath(id workflow.RunID, more string) string {
	return "/v1/runs/" + url.PathEscape(string(id)) + more
}

const maxAnswer = 256 << 20

func (c *Client) get(ctx context.Context, path string, v any) error {
	return c.read(ctx, http.MethodGet, path, nil, v)
}

// read sends a request and reads its answer into v.
func (c *Client) read(ctx context.Context, method, path string, body []byte, v any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("read answer of the owner: %w", err)
	}
	return nil
}

// post sends a request whose answer has no body.
func (c *Client) post(ctx context.Context, path string, request any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// send returns an answer that is no error; the caller closes its body.
func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://owner"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	return nil, readError(resp.StatusCode, text)
}
