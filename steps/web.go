package steps

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// maxAnswer is how much of an answer is read.
const maxAnswer = 1 << 20

// maxSaid is how much of a refusal is told, in bytes.
const maxSaid = 500

// webCauses are the causes of steps that ask addresses on the web.
var webCauses = []workflow.Cause{workflow.CauseRejected, workflow.CauseAPI, workflow.CauseInterrupted}

// newWeb returns the client for addresses that workflows name. Certificates are
// verified whatever the profile says of its own service. A redirect is an answer
// like any other: what a request carries is meant for one host.
func newWeb(roots *x509.CertPool) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone() // with the proxy of the environment
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	t.MaxResponseHeaderBytes = maxText
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// webRequest is something to ask. Everything in it but the method may be a
// secret: none of it is logged, and errors name the host at most.
type webRequest struct {
	method, url string
	headers     map[string]string
	body        []byte
	bodyType    string
	expect      []int64 // statuses; none means any 2xx
	timeout     time.Duration
	secret      bool // whether it carries a secret
}

type webAnswer struct {
	status int
	header http.Header
	body   []byte
	cut    bool // there was more
}

// ask makes a request, once. An answer of another status than the expected ones
// is an error, which tells what it says.
func (c *call) ask(ctx context.Context, r webRequest) (*webAnswer, error) {
	target, err := webTarget(r)
	if err != nil {
		return nil, err
	}
	place := fmt.Sprintf("%s to %s", r.method, target.Host)
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, refuse("%s cannot be sent", place) // the error holds the address
	}
	r.setHeaders(req, c.Run.Version)
	resp, err := c.library.web.Do(req)
	if err != nil {
		return nil, r.unanswered(ctx, place, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, r.unanswered(ctx, place, err)
	}
	answer := &webAnswer{status: resp.StatusCode, header: resp.Header, body: body}
	if len(body) > maxAnswer {
		answer.body, answer.cut = body[:maxAnswer], true
	}
	return answer, r.judge(place, answer)
}

// webTarget reads the address of a request. Secrets go over plain http to this
// machine only.
func webTarget(r webRequest) (*url.URL, error) {
	target, err := url.Parse(strings.TrimSpace(r.url))
	switch {
	case err != nil || target.Host == "" || target.Scheme != "https" && target.Scheme != "http":
		return nil, refuse("an address begins with https:// or http:// and a host") // not shown: it may be a secret
	case target.Scheme == "http" && r.secret && !firecrest.IsLoopback(target.Hostname()):
		return nil, refuse("a secret is not sent to %s over plain http: anybody in between could read it; write https", target.Host)
	}
	return target, nil
}

func (r webRequest) setHeaders(req *http.Request, version string) {
	req.Header.Set("User-Agent", "fcflow/"+version)
	if len(r.body) > 0 {
		req.Header.Set("Content-Type", r.bodyType)
	}
	for name, value := range r.headers {
		req.Header.Set(name, value)
		if strings.EqualFold(name, "Host") {
			req.Host = value
		}
	}
}

// unanswered says why there is no answer. What is wrong with the request itself,
// or with the certificate, stays wrong.
func (r webRequest) unanswered(ctx context.Context, place string, err error) error {
	var outer *url.Error // its text holds the address
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fail(workflow.CauseAPI, "%s: no answer within %s", place, r.timeout)
	case errors.As(err, &certificate):
		return refuse("%s: %v; if the certificate is one of the site's own, trust it with ca_bundle", place, err)
	case strings.HasPrefix(err.Error(), "net/http: invalid"):
		return refuse("%s: %s", place, strings.TrimPrefix(err.Error(), "net/http: "))
	}
	return fail(workflow.CauseAPI, "%s: %v", place, err)
}

// judge makes an error of an answer that was not expected.
func (r webRequest) judge(place string, a *webAnswer) error {
	expected := a.status/100 == 2
	if len(r.expect) > 0 {
		expected = slices.Contains(r.expect, int64(a.status))
	}
	if expected {
		return nil
	}
	text := fmt.Sprintf("%s was answered %d %s", place, a.status, http.StatusText(a.status))
	if a.status/100 == 3 {
		text += "; redirects are not followed: write the address that it leads to"
	}
	return fail(answerCause(a.status), "%s", strings.TrimSpace(text)+said(a.body))
}

// answerCause tells an answer that another time may bring another of from a no
// for good.
func answerCause(status int) workflow.Cause {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return workflow.CauseAPI
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return workflow.CauseRejected
	}
	if status >= 500 {
		return workflow.CauseAPI
	}
	return workflow.CauseRejected
}

// said is the beginning of the text of an answer, to be appended.
func said(body []byte) string {
	text := strings.ToValidUTF8(string(body[:min(len(body), maxSaid)]), "")
	text = strings.Join(strings.Fields(text), " ")
	if text == "" || strings.HasPrefix(text, "<") { // a page is no sentence
		return ""
	}
	return ": " + text
}

// urlParts are the parts of a secret address that open it as well as the whole
// does: servers repeat them in what they say.
func urlParts(secret string) []string {
	u, err := url.Parse(secret)
	if err != nil || u.Host == "" {
		return nil
	}
	parts := append(strings.Split(u.Path, "/"), u.RequestURI(), u.Path)
	parts = slices.DeleteFunc(parts, func(part string) bool { return len(part) < longPart })
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	password, _ := u.User.Password()
	return append(parts, password)
}

// longPart is how long a part of a path is at least that is masked by itself.
// Shorter ones are words, such as the name of a service.
const longPart = 12

// checkWeb finds addresses that cannot be asked, and times that make no sense. The
// address is r's, "" if only the run will know it; it stands in the file under key.
func checkWeb(key string, r webRequest, timeout duration) []workflow.FieldProblem {
	var problems []workflow.FieldProblem
	if _, err := webTarget(r); err != nil && r.url != "" {
		problems = append(problems, workflow.FieldProblem{
			Path: []string{key}, Code: codeWebAddress, Message: fmt.Sprintf("`%s`: %v", key, err), Hint: "write https://host/path",
		})
	}
	if timeout < 0 {
		problems = append(problems, workflow.FieldProblem{Path: []string{"timeout"}, Code: codeOutOfRange, Message: "`timeout` must be positive"})
	}
	return problems
}
