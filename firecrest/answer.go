package firecrest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// maxAnswer bounds every answer but the bytes of a file, maxFile those: servers
// hold a file in memory to send it, 5 MiB by default.
const (
	maxAnswer = 16 << 20
	maxFile   = 1 << 30
)

var (
	errTryTimeout     = errors.New("no complete answer in time")
	errAnswerTooLarge = errors.New("the answer is larger than 16 MiB")
	errFileTooLarge   = errors.New("the file is larger than 1 GiB, which no server sends directly")
	errNotFirecREST   = errors.New("something other than FirecREST answered: check the URL, and whether the service is in maintenance")
)

// readAnswer reads the answer of a request that succeeded.
func readAnswer(call *call, length int64, answer *countingReader, failure *Error) error {
	if call.sink != nil {
		if length > maxFile {
			return errFileTooLarge
		}
		call.sunk = true
		if err := call.sink(io.LimitReader(answer, maxFile)); err != nil {
			failure.local = answer.err == nil // the reader was fine: the writer was not
			return err
		}
		if n, _ := answer.Read(make([]byte, 1)); n > 0 {
			return errFileTooLarge
		}
		if length >= 0 && *answer.count != length {
			return fmt.Errorf("%d of %d bytes came: %w", *answer.count, length, io.ErrUnexpectedEOF)
		}
		return nil
	}
	body, err := readAll(answer)
	if err != nil || call.into == nil {
		return err
	}
	if err := json.Unmarshal(body, call.into); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	return nil
}

// readFailure reads an answer that is not the success wanted.
func (e *Error) readFailure(resp *http.Response, answer io.Reader) {
	e.retryAfter = retryAfter(resp.Header, time.Now())
	body, err := readAll(answer)
	if err == nil {
		e.readErrorBody(body)
	}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		e.cause = errors.New("redirects are not followed: check the URL")
	case !e.FromServer() && e.Message == "":
		e.cause = errNotFirecREST
	case resp.StatusCode < 300:
		e.cause = errors.New("not the status this operation answers with")
	}
}

// explainEnd replaces what a cut request says by why it was cut: by the caller,
// or by our own limit.
func (e *Error) explainEnd(ctx, tryCtx context.Context) {
	switch {
	case ctx.Err() != nil:
		e.local, e.cause = true, context.Cause(ctx)
	case context.Cause(tryCtx) == errTryTimeout:
		e.Status, e.ServerVersion, e.cause = 0, "", errTryTimeout
	}
}

// scrub removes a token from everything an error says, should a server or
// gateway have repeated it.
func (e *Error) scrub(token string) {
	e.Type, e.Message = hide(e.Type, token), hide(e.Message, token)
	for i, c := range e.CausedBy {
		e.CausedBy[i] = hide(c, token)
	}
	for i, f := range e.Fields {
		e.Fields[i] = FieldError{hide(f.Location, token), hide(f.Name, token), hide(f.Message, token)}
	}
}

// hide takes a secret out of a text.
func hide(text, secret string) string {
	if secret == "" {
		return text
	}
	return strings.ReplaceAll(text, secret, redacted)
}

// readAll reads an answer of at most [maxAnswer] bytes.
func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		return nil, errAnswerTooLarge
	}
	return body, err
}

// withoutURL drops the URL that net/http puts into its errors; the operation
// says as much.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// trackedBody counts what the transport reads of a body, and notes whether it
// was the body that failed.
type trackedBody struct {
	reader io.Reader
	read   atomic.Int64
	failed atomic.Bool
}

func (b *trackedBody) Read(p []byte) (int, error) {
	n, err := b.reader.Read(p)
	b.read.Add(int64(n))
	if err != nil && err != io.EOF {
		b.failed.Store(true)
	}
	return n, err
}

// countingReader counts the bytes of an answer and keeps its error.
type countingReader struct {
	reader io.Reader
	count  *int64
	err    error
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.reader.Read(p)
	*r.count += int64(n)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
