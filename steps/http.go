package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

type httpIn struct {
	URL        string            `json:"url" is:"required,secret" doc:"Address, with https or http. A secret goes over plain http to this machine only."`
	Method     string            `json:"method" enum:"GET HEAD POST PUT PATCH DELETE" default:"GET" doc:"What to do there."`
	Headers    map[string]string `json:"headers" is:"secret" doc:"Headers of the request."`
	Body       json.RawMessage   `json:"body" is:"secret" doc:"What to send: a text as it is, anything else as JSON. Content-Type is text/plain or application/json, unless headers say otherwise."`
	Expect     []int64           `json:"expect" doc:"The statuses that are a success. Without it all from 200 to 299."`
	Timeout    duration          `json:"timeout" default:"1m" doc:"How long the whole answer may take."`
	Idempotent bool              `json:"idempotent" is:"literal" default:"false" doc:"Whether the request may be sent again after an interruption or without an answer. GET and HEAD always may."`
}

type httpOut struct {
	Status        int64             `json:"status" doc:"Status of the answer."`
	Body          string            `json:"body" doc:"The answer as text, at most its first 64 KiB."`
	BodyTruncated bool              `json:"body_truncated" doc:"Whether there was more."`
	JSON          json.RawMessage   `json:"json" doc:"The answer as a value, if it is JSON of at most 1 MiB; else an empty mapping."`
	Headers       map[string]string `json:"headers" doc:"Headers of the answer, by their names in small letters; without cookies."`
}

func httpRequest() stepType {
	return define[httpIn, httpOut](workflow.StepSpec{
		Name: "http", Group: groupControl,
		Summary: "Asks an address on the web",
		Doc: "Sends one request from this machine and takes what is answered. Certificates are always verified, redirects are not followed. " +
			"No answer, or one with 408, 425, 429, 500 or above, fails with api, any other status that is not expected with rejected. " +
			"GET and HEAD are tried again after api; other methods only by a rule or with `idempotent: true`, because nobody can know whether a request without an answer arrived. " +
			"Addresses, headers and bodies of requests are not part of errors or logs.",
		IdempotentWith: repeatable,
		CheckWith:      checkHTTP,
		Causes:         webCauses,
		Example: `- id: health
  uses: http
  with: { url: "${{ inputs.service }}/health", timeout: 5s }
`,
	}, operation(askWeb))
}

// repeatable reports whether the same request may be sent twice.
func repeatable(with json.RawMessage) bool {
	in := literal[httpIn](with)
	return in.Idempotent || in.Method == "" || in.Method == http.MethodGet || in.Method == http.MethodHead
}

func checkHTTP(with json.RawMessage, _ func(string) bool) []workflow.FieldProblem {
	in := literal[httpIn](with)
	problems := checkWeb("url", webRequest{url: in.URL}, in.Timeout)
	for _, status := range in.Expect {
		if status < 200 || status > 599 {
			problems = append(problems, workflow.FieldProblem{
				Path: []string{"expect"}, Code: codeOutOfRange, Message: fmt.Sprintf("%d is no status of an answer", status), Hint: "they go from 200 to 599",
			})
		}
	}
	return problems
}

func askWeb(ctx context.Context, c *call, in httpIn) (httpOut, error) {
	body, bodyType, err := bodyOf(in.Body)
	if err != nil {
		return httpOut{}, err
	}
	answer, err := c.ask(ctx, webRequest{
		method: in.Method, url: in.URL, headers: in.Headers, body: body, bodyType: bodyType,
		expect: in.Expect, timeout: time.Duration(in.Timeout), secret: len(c.Secrets) > 0,
	})
	if err != nil {
		return httpOut{}, err
	}
	out := httpOut{Status: int64(answer.status), JSON: valueOf(answer), Headers: map[string]string{}}
	text, cut := firstPart(string(answer.body))
	out.Body, out.BodyTruncated = text, cut || answer.cut
	for name, values := range answer.header {
		if name != "Set-Cookie" {
			out.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	return out, nil
}

// bodyOf is what a request sends.
func bodyOf(given json.RawMessage) (body []byte, bodyType string, err error) {
	var text string
	switch {
	case len(given) == 0, string(given) == "null":
		return nil, "", nil
	case json.Unmarshal(given, &text) == nil:
		return []byte(text), "text/plain; charset=utf-8", nil
	}
	return given, "application/json", nil
}

// valueOf reads an answer that is JSON.
func valueOf(a *webAnswer) json.RawMessage {
	none := json.RawMessage("{}")
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") || a.cut {
		return none
	}
	text := bytes.TrimSpace(a.body)
	if !json.Valid(text) || string(text) == "null" {
		return none
	}
	return text
}
