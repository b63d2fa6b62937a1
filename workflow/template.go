package workflow

import "strings"

const (
	openExpression  = "${{"
	closeExpression = "}}"
)

// piece is a part of a text before it has a place: literal text, or the inside
// of an expression with the offset at which it begins.
type piece struct {
	text       string
	at         int
	expression bool
}

// split takes a text apart at its expressions. unclosed is the offset of a
// `${{` that no `}}` follows, -1 if there is none; the text is not looked at
// beyond it.
func split(text string) (pieces []piece, unclosed int) {
	var literal strings.Builder
	careful, from := true, 0
	for {
		open := strings.Index(text[from:], openExpression)
		if open < 0 {
			literal.WriteString(text[from:])
			break
		}
		open += from
		if open > from && text[open-1] == '$' { // $${{ prints ${{
			literal.WriteString(text[from:open-1] + openExpression)
			from = open + len(openExpression)
			continue
		}
		inside := open + len(openExpression)
		end := -1
		if careful {
			end = expressionEnd(text, inside)
			careful = end >= 0
		}
		if end < 0 {
			// The quotes or braces do not match. Cutting at the next }} lets the
			// expression parser say what is wrong with them.
			end = strings.Index(text[inside:], closeExpression)
			if end < 0 || strings.Contains(text[inside:inside+end], openExpression) {
				return nil, open
			}
			end += inside
		}
		literal.WriteString(text[from:open])
		if literal.Len() > 0 {
			pieces = append(pieces, piece{text: literal.String()})
			literal.Reset()
		}
		pieces = append(pieces, piece{text: text[inside:end], at: inside, expression: true})
		from = end + len(closeExpression)
	}
	if literal.Len() > 0 {
		pieces = append(pieces, piece{text: literal.String()})
	}
	return pieces, -1
}

// expressionEnd finds the }} that closes an expression, past strings and
// nested braces; -1 if there is none.
func expressionEnd(text string, from int) int {
	depth := 0
	for i := from; i < len(text); i++ {
		switch c := text[i]; c {
		case '\'', '"', '`':
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' && c != '`' {
					i++
				}
			}
		case '{':
			depth++
		case '}':
			if depth == 0 {
				if strings.HasPrefix(text[i:], closeExpression) {
					return i
				}
				return -1
			}
			depth--
		}
	}
	return -1
}

// template gives the pieces of a text their places. It returns nil if there is
// no expression among them.
func template(pieces []piece, places *alignment) *Template {
	t := &Template{Parts: make([]Part, len(pieces))}
	found := false
	for i, p := range pieces {
		if !p.expression {
			t.Parts[i].Text = p.text
			continue
		}
		found = true
		t.Parts[i].Expr = &Expression{
			Source: p.text,
			Pos:    places.place(p.at),
			Places: func(offset int) Pos { return places.place(p.at + offset) },
		}
	}
	if !found {
		return nil
	}
	return t
}
