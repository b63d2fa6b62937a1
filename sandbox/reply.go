package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
)

// reply is the answer to one request: JSON, raw bytes, or nothing.
type reply struct {
	status int
	header http.Header
	json   any    // encoded compactly, without HTML escapes
	raw    []byte // sent as application/octet-stream when json is nil
}

func jsonReply(status int, v any) reply { return reply{status: status, json: v} }

// output is the envelope of the file operations.
type output struct {
	Output any `json:"output"`
}

// apiError is an answer with the error envelope.
type apiError struct {
	status   int
	message  string
	causedBy []string
	fields   []fieldError // of a validation error
	header   http.Header
	stderr   string // of a command that failed

	// unhandled marks what the reference server answers when an exception
	// escapes its handlers: no user in body or header, no request ids.
	unhandled bool
}

func (e *apiError) Error() string { return strconv.Itoa(e.status) + " " + e.message }

// fieldError is one complaint of a validation error. Name is a string, nil, or
// the offset at which JSON stops being JSON.
type fieldError struct {
	Location string `json:"location"`
	Name     any    `json:"name"`
	Message  string `json:"message"`
}

// fail is an error answer that says message.
func fail(status int, format string, args ...any) *apiError {
	return &apiError{status: status, message: fmt.Sprintf(format, args...)}
}

// envelope is the body of every error answer.
type envelope struct {
	ErrorType string   `json:"errorType"`
	Message   string   `json:"message"`
	CausedBy  []string `json:"causedBy"`
	Data      any      `json:"data"`
	User      *string  `json:"user"`
}

type validationData struct {
	Fields []fieldError `json:"fields"`
}

// reply renders e for user, "" before authentication.
func (e *apiError) reply(user string) reply {
	body := envelope{ErrorType: "error", Message: e.message, CausedBy: e.causedBy}
	if e.fields != nil {
		body.ErrorType, body.Data = "validation", validationData{e.fields}
	}
	header := http.Header{}
	maps.Copy(header, e.header)
	if user != "" && !e.unhandled {
		body.User = &user
		header.Set("F7T-AuthUsername", user)
	}
	return reply{status: e.status, header: header, json: body}
}

// write sends p. The content type is there on 204 as well, as the reference
// server has it.
func (p reply) write(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	maps.Copy(h, p.header)
	body, contentType := p.raw, "application/octet-stream"
	switch {
	case p.json != nil:
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(p.json); err != nil {
			return fmt.Errorf("encode answer: %w", err)
		}
		body, contentType = bytes.TrimSuffix(buf.Bytes(), []byte("\n")), "application/json"
	case p.status == http.StatusNoContent:
		contentType = "application/json"
	case p.status == http.StatusTemporaryRedirect:
		contentType = ""
	}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	} else {
		h["Content-Type"] = nil
	}
	if p.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(p.status)
	if r.Method == http.MethodHead || len(body) == 0 {
		return nil
	}
	_, err := w.Write(body)
	return err
}
