package crate

import (
	"bytes"
	"encoding/json"
	"net/url"
	"time"
)

// entity is a node of the metadata: its members by name. They are written in the
// order of their names, so that the same entity is always the same text.
type entity map[string]any

// set gives a member a value, unless that is empty.
func (e entity) set(name string, value any) {
	switch v := value.(type) {
	case nil:
		return
	case string:
		if v == "" {
			return
		}
	case time.Time:
		if v.IsZero() {
			return
		}
		value = instant(v)
	case []string:
		if value = oneOrMore(v); value == nil {
			return
		}
	case []ref:
		if value = oneOrMore(v); value == nil {
			return
		}
	}
	e[name] = value
}

// ref points to an entity.
type ref struct {
	ID string `json:"@id"`
}

func refs(ids []string) []ref {
	list := make([]ref, 0, len(ids))
	for _, id := range ids {
		list = append(list, ref{id})
	}
	return list
}

// oneOrMore is a list as the metadata has it: what is alone stands alone.
func oneOrMore[T any](list []T) any {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return list
}

// graph holds entities as text, because there may be a hundred thousand of them.
type graph struct {
	head, body bytes.Buffer
	seen       map[string]bool
}

func newGraph() *graph { return &graph{seen: map[string]bool{}} }

// has reports whether an entity is there, and notes that it will be.
func (g *graph) has(id string) bool {
	if g.seen[id] {
		return true
	}
	g.seen[id] = true
	return false
}

func (g *graph) add(e entity) { line(&g.body, e) }

// lead adds an entity before all others.
func (g *graph) lead(e entity) { line(&g.head, e) }

// line appends an entity as one line.
func line(b *bytes.Buffer, e entity) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		panic(err) // strings, lists and references only
	}
	b.Truncate(b.Len() - 1)
	b.WriteString(",\n")
}

// writeTo writes the document.
func (g *graph) writeTo(b *bytes.Buffer) {
	b.WriteString(`{"@context":["https://w3id.org/ro/crate/1.1/context","https://w3id.org/ro/terms/workflow-run/context"],"@graph":[` + "\n")
	b.Write(g.head.Bytes())
	b.Write(bytes.TrimSuffix(g.body.Bytes(), []byte(",\n")))
	b.WriteString("\n]}\n")
}

// local is the id of an entity that exists in the metadata only.
func local(name string) string {
	u := url.URL{Fragment: name}
	return "#" + u.EscapedFragment()
}

// instant is a time as the profiles want it.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000-07:00") }
