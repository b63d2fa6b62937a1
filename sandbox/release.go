package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The handlers are written for the newest release. What older ones do otherwise
// is a table of differences, applied around the handlers: to the routes, to a
// request that has passed the checks, to the refusal of one, and to the body of
// a good answer. Few traits are asked for by name where they apply.

// releases are those that can be imitated, oldest first.
var releases = []string{
	"2.1.3", "2.3.1", "2.4.0", "2.4.2",
	"2.5.0", "2.5.1", "2.5.2", "2.5.3", "2.5.4", "2.5.5", "2.5.6", "2.5.7",
}

// Releases are the releases of FirecREST that Config.Release can name, oldest
// first.
func Releases() []string { return slices.Clone(releases) }

// difference is one thing that older releases do otherwise.
type difference struct {
	before string // the first release that does as the handlers do
	since  string // the first that does otherwise; "" is all before
	ops    string // routes, as a glob; "" is all
	// ahead marks what only a server that was told its release does otherwise: by
	// default it offers this before its time.
	ahead bool

	trait   trait
	absent  bool // there is no such route
	gated   bool // the route checks its path
	request func(*Server, *call) error
	refusal func(*call, *apiError) *apiError
	answer  func(*Server, *call, *reply) error
}

// trait is a difference that a point of the server asks for.
type trait string

const (
	mindsCase        trait = "upper and lower case differ in paths"
	lacksRequestIDs  trait = "request ids are neither sent nor checked"
	takesDyingTokens trait = "a token is good until it expires"
	lacksCauses      trait = "errors have no causedBy"
	asksAccounting   trait = "job queries see only what the accounting has"
	forgetsAtNight   trait = "job lists go back to midnight"
	trustsDots       trait = "paths are compared with file systems as they are written"
	namesFirst       trait = "keys of downloads begin with the name of the file"
	uploadsLess      trait = "an upload must be smaller than the limit"
	hidesRelease     trait = "the release is not told"
)

// release is the release that a server imitates.
type release struct {
	name        string // as the server tells it
	age         int    // its place among releases
	differences []difference
}

// findRelease is a release by name. "" is the default: the newest that was
// published, with what is ahead of it.
func findRelease(name string) (release, error) {
	asked := name != ""
	if !asked {
		name = DefaultRelease
	}
	at := slices.Index(releases, name)
	if at < 0 {
		return release{}, fmt.Errorf("release %q: want one of %s", name, strings.Join(releases, ", "))
	}
	found := release{name: name, age: at}
	for _, d := range differences {
		if at < age(d.before) && at >= age(d.since) && (asked || !d.ahead) {
			found.differences = append(found.differences, d)
		}
	}
	if found.has(hidesRelease) {
		found.name = "local"
	}
	return found, nil
}

// age is where a release stands among those that can be imitated; one between
// two of them stands where the later one does.
func age(name string) int {
	at, _ := slices.BinarySearch(releases, name) // all numbers have one digit
	return at
}

// before says whether it is older than the release of that name.
func (r release) before(name string) bool { return r.age < age(name) }

func (r release) has(t trait) bool {
	return slices.ContainsFunc(r.differences, func(d difference) bool { return d.trait == t })
}

// routes are those of table that the release has.
func (r release) routes(table []route) []route {
	var has []route
	for _, row := range table {
		absent := false
		for _, d := range r.of(row.op) {
			absent = absent || d.absent
			row.gated = row.gated || d.gated
		}
		if !absent {
			has = append(has, row)
		}
	}
	return has
}

func (r release) of(op string) (found []difference) {
	for _, d := range r.differences {
		if d.ops == "" || glob(d.ops, op) {
			found = append(found, d)
		}
	}
	return found
}

// request makes of a request what the handler has to read to do what the release
// does. The error is the answer to what the release does not take.
func (r release) request(s *Server, c *call) error {
	for _, d := range r.of(c.route.op) {
		if d.request == nil {
			continue
		}
		if err := d.request(s, c); err != nil {
			return err
		}
	}
	return nil
}

// refusal makes of an error what the release makes of it.
func (r release) refusal(c *call, e *apiError) *apiError {
	for _, d := range r.of(c.route.op) {
		if d.refusal != nil {
			copied := *e
			e = d.refusal(c, &copied)
		}
	}
	return e
}

// answer makes of a good answer what the release makes of it.
func (r release) answer(s *Server, c *call, p *reply) error {
	for _, d := range r.of(c.route.op) {
		if d.answer == nil {
			continue
		}
		if err := d.answer(s, c, p); err != nil {
			return err
		}
	}
	return nil
}

// causeless is the envelope of errors without causedBy.
type causeless struct {
	ErrorType string  `json:"errorType"`
	Message   string  `json:"message"`
	Data      any     `json:"data"`
	User      *string `json:"user"`
}

// finish is what becomes of every answer, also of those from ahead of the routes.
func (r release) finish(p reply) reply {
	if body, isError := p.json.(envelope); isError && r.has(lacksCauses) {
		p.json = causeless{body.ErrorType, body.Message, body.Data, body.User}
	}
	return p
}

// bodyTree is a JSON object that is being rewritten.
type bodyTree = map[string]any

// rewrite lets change rewrite the body of an answer.
func rewrite(p *reply, change func(bodyTree) error) error {
	text, err := json.Marshal(p.json)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	body := bodyTree{}
	if err := dec.Decode(&body); err != nil {
		return fmt.Errorf("rewrite answer: %w", err)
	}
	p.json = body
	return change(body)
}

// each lets change rewrite every object of the list below name.
func each(body bodyTree, name string, change func(bodyTree)) {
	list, _ := body[name].([]any)
	for _, item := range list {
		if object, is := item.(bodyTree); is {
			change(object)
		}
	}
}

// without takes parameters out of the query, so that they are ignored.
func without(names ...string) func(*Server, *call) error {
	return func(_ *Server, c *call) error {
		q := c.r.URL.Query()
		for _, name := range names {
			q.Del(name)
		}
		c.r.URL.RawQuery = q.Encode()
		return nil
	}
}

// lacking takes members out of the body, so that they are ignored.
func lacking(names ...string) func(*Server, *call) error {
	return func(_ *Server, c *call) error {
		return c.edit(func(body map[string]json.RawMessage) error {
			for _, name := range names {
				delete(body, name)
			}
			return nil
		})
	}
}

// edit lets change rewrite the members of the body, if it has any.
func (c *call) edit(change func(map[string]json.RawMessage) error) error {
	body := c.object().members
	if body == nil {
		return nil
	}
	if err := change(body); err != nil {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("rewrite request: %w", err)
	}
	c.body = text
	return nil
}

// editJob is edit for the member job.
func (c *call) editJob(change func(map[string]json.RawMessage) error) error {
	return c.edit(func(body map[string]json.RawMessage) error {
		var job map[string]json.RawMessage
		if json.Unmarshal(body["job"], &job) != nil || job == nil {
			return nil // for the handler to complain about
		}
		if err := change(job); err != nil {
			return err
		}
		text, err := json.Marshal(job)
		body["job"] = text
		return err
	})
}
