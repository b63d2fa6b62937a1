package workflow

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse reads a workflow file: YAML by the rules of [ParseTree], keys and
// shapes by [Language], expressions found but not compiled. It returns all
// problems at once, in file order. The workflow is nil if the text could not be
// read at all; with other problems it holds what was right, so that [Check] can
// go on. file is only a name for messages.
func Parse(file string, text []byte) (*Workflow, Problems) {
	src, problems := newSource(string(text))
	if len(problems) > 0 {
		return nil, problems
	}
	root, problems := readTree(src)
	if root == nil {
		return nil, problems
	}
	r := &reader{src: src, problems: problems, patterns: map[string]*regexp.Regexp{}}
	w := &Workflow{File: file, Source: text}
	if !r.fits(workflowShape, root, "a workflow") {
		return nil, r.problems.sorted()
	}
	r.mapping(workflowShape, root, w)
	return w, r.problems.sorted()
}

// reader checks values against shapes and puts them into a Workflow.
type reader struct {
	src      *source
	problems Problems
	patterns map[string]*regexp.Regexp
}

func (r *reader) add(code ProblemCode, at Pos, hint, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, Problem{Code: code, Pos: at, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
}

// mapping reads the keys of a mapping into what it describes.
func (r *reader) mapping(s *Shape, v *Value, into any) {
	for _, m := range v.Members {
		k, known := s.key(m.Name)
		switch {
		case known:
			if r.fits(k.Shape, m.Value, quoteKey(m.Name)) {
				k.set(r, into, m)
			}
		case s.Values == nil && len(r.problems) < maxProblems:
			r.add(CodeUnknownKey, m.Pos, unknownKeyHint(s, m.Name), "unknown key %q in %s", m.Name, article(s.Title))
		}
	}
	for _, k := range s.Keys {
		if _, written := v.Member(k.Name); written {
			continue
		}
		switch {
		case k.Required:
			r.add(CodeMissingKey, v.Pos, "", "%s needs the key %q", article(s.Title), k.Name)
		case k.Default != "":
			k.set(r, into, k.defaultValue(v.Pos))
		}
	}
}

func unknownKeyHint(s *Shape, name string) string {
	if hint := didYouMean(name, s.names()); hint != "" {
		return hint
	}
	known := "known keys: " + strings.Join(s.names(), ", ")
	if s.Title == "step" {
		return "what its type takes goes under `with`; " + known
	}
	return known
}

// fitsOpen checks the members of a mapping that are named freely.
func (r *reader) fitsOpen(s *Shape, v *Value) {
	for _, m := range v.Members {
		if _, fixed := s.key(m.Name); fixed {
			continue
		}
		if where, misplaced := s.Misplaced[m.Name]; misplaced {
			r.add(CodeUnknownKey, m.Pos, where, "unknown key %q in %s", m.Name, article(s.Title))
			continue
		}
		if s.Names != nil {
			r.matches(s.Names, m.Name, m.Pos, "the name")
		}
		r.fits(s.Values, m.Value, quoteKey(m.Name))
	}
}

// fits reports whether a value has a shape, and adds every reason why not. It
// leaves the fixed keys of mappings to those who read them, so a mapping fits
// even if something in it does not.
func (r *reader) fits(s *Shape, v *Value, what string) bool {
	switch {
	case v.broken:
		return false
	case v.Kind == NullValue && !s.Null:
		r.add(CodeNull, v.Pos, "give it a value, or remove it", "%s has no value", what)
		return false
	case v.Template != nil && s.Expression:
		return s.Kind == TextShape || s.Kind == AnyShape || r.whole(v, what)
	}
	switch s.Kind {
	case AnyShape:
		return s.Expression || r.literal(v, what)
	case ConditionShape:
		return r.condition(v)
	case ForEachShape:
		return r.forEach(s, v)
	}
	if v.Template != nil {
		r.noExpression(v, what)
		return false
	}
	switch s.Kind {
	case BoolShape:
		return v.Kind == BoolValue || r.wrong(s, v, what)
	case IntShape:
		return r.fitsInt(s, v, what)
	case DurationShape:
		return r.fitsUnit(s, v, what, CodeBadDuration, func(text string) error { _, err := ParseDuration(text); return err })
	case FactorShape:
		return r.fitsUnit(s, v, what, CodeBadFactor, func(text string) error { _, err := ParseFactor(text); return err })
	case ListShape:
		return r.fitsList(s, v, what)
	case MappingShape:
		if v.Kind != MappingValue {
			return r.wrong(s, v, what)
		}
		if len(v.Members) < s.Min {
			r.add(CodeMissingKey, v.Pos, "", "%s needs one of the keys %s", what, strings.Join(s.names(), ", "))
			return false
		}
		if s.Values != nil {
			r.fitsOpen(s, v)
		}
		return true
	}
	if v.Kind != TextValue {
		return r.wrong(s, v, what)
	}
	if s.Kind == TypeShape {
		_, err := ParseType(v.Text)
		if err != nil {
			r.add(CodeUnknownType, v.Pos, "", "%v", err)
		}
		return err == nil
	}
	return r.matches(s, v.Text, v.Pos, what)
}

func (r *reader) fitsInt(s *Shape, v *Value, what string) bool {
	n, err := strconv.Atoi(v.Text)
	code := s.Code
	if code == "" {
		code = CodeOutOfRange
	}
	switch {
	case v.Kind != NumberValue || err != nil && strings.ContainsAny(v.Text, ".eE"):
		return r.wrong(s, v, what)
	case s.Min == s.Max && n != s.Min:
		r.add(code, v.Pos, "", "%s must be %d, not %s", what, s.Min, v.Text)
	case err != nil, s.Max > 0 && n > s.Max:
		r.add(code, v.Pos, "", "%s must be at most %d, not %s", what, s.top(), v.Text)
	case n < s.Min:
		r.add(code, v.Pos, "", "%s must be at least %d, not %s", what, s.Min, v.Text)
	default:
		return true
	}
	return false
}

// top is the largest number a shape allows.
func (s *Shape) top() int {
	if s.Max > 0 {
		return s.Max
	}
	return 1<<31 - 1
}

func (r *reader) fitsUnit(s *Shape, v *Value, what string, code ProblemCode, parse func(string) error) bool {
	switch {
	case v.Kind == NumberValue:
		hint := fmt.Sprintf("write x%s", v.Text)
		if s.Kind == DurationShape {
			hint = fmt.Sprintf("write the unit: %ss, %sm or %sh", v.Text, v.Text, v.Text)
		}
		r.add(code, v.Pos, hint, "%s must be %s, not a bare number", what, s.Means)
		return false
	case v.Kind != TextValue:
		return r.wrong(s, v, what)
	}
	if s.Kind == DurationShape && !v.Quoted && strings.Contains(v.Text, ":") {
		r.add(code, v.Pos, fmt.Sprintf("write %q or use units, such as 1h30m", v.Text), "a time with colons must stand in quotes, because YAML readers disagree on it")
		return false
	}
	if err := parse(v.Text); err != nil {
		r.add(code, v.Pos, "", "%s: %v", what, err)
		return false
	}
	if s.Kind == DurationShape && r.duration(v) == 0 {
		r.add(CodeOutOfRange, v.Pos, "", "%s must be longer than zero", what)
		return false
	}
	return true
}

func (r *reader) fitsList(s *Shape, v *Value, what string) bool {
	if s.OrOne && v.Kind == TextValue {
		return r.fits(s.Items, v, what)
	}
	if v.Kind != SequenceValue {
		return r.wrong(s, v, what)
	}
	if len(v.Items) < s.Min {
		r.add(CodeEmptyList, v.Pos, "", "%s is empty", what)
		return false
	}
	good := true
	for _, item := range v.Items {
		good = r.fits(s.Items, item, "an item of "+what) && good
	}
	// A list of mappings is read item by item, so one bad item hides no other.
	return good || s.Items.Kind == MappingShape
}

// matches checks a text against the words or the pattern of a shape.
func (r *reader) matches(s *Shape, text string, at Pos, what string) bool {
	if len(s.Enum) > 0 {
		for _, word := range s.Enum {
			if word == text {
				return true
			}
		}
		r.add(CodeNotInEnum, at, didYouMean(text, s.Enum), "%s must be one of %s, not %q", what, strings.Join(s.Enum, ", "), text)
		return false
	}
	if s.Pattern == "" {
		if text == "" && s.Kind == TextShape {
			r.add(CodeNull, at, "give it a value, or remove it", "%s is an empty text", what)
			return false
		}
		return true
	}
	p := r.patterns[s.Pattern]
	if p == nil {
		p = regexp.MustCompile(s.Pattern)
		r.patterns[s.Pattern] = p
	}
	if p.MatchString(text) {
		return true
	}
	r.add(s.Code, at, nameHint(p, text), "%s must be %s, not %q", what, s.Means, text)
	return false
}

// nameHint offers the nearest text that a pattern allows, for the usual
// slips: capitals, and dashes or spaces for underscores.
func nameHint(p *regexp.Regexp, text string) string {
	joined := strings.NewReplacer("-", "_", " ", "_", ".", "_").Replace(text)
	for _, near := range []string{joined, strings.ToLower(joined)} {
		if near != text && p.MatchString(near) {
			return fmt.Sprintf("write %q", near)
		}
	}
	return ""
}

// wrong reports a value of the wrong kind; it returns false.
func (r *reader) wrong(s *Shape, v *Value, what string) bool {
	if word, ok := boolWords[strings.ToLower(v.Text)]; ok && s.Kind == BoolShape && v.Kind == TextValue && !v.Quoted {
		r.add(CodeWrongType, v.Pos, "", "`%s` for a bool: write `%s`", v.Text, word)
		return false
	}
	r.add(CodeWrongType, v.Pos, kindHint(s, v), "%s must be %s, not %s", what, s.words(), v.words())
	return false
}

// boolWords are what people and YAML 1.1 also write for a bool.
var boolWords = map[string]string{
	"yes": "true", "on": "true", "y": "true", "true": "true",
	"no": "false", "off": "false", "n": "false", "false": "false",
}

// needs names the first key that a mapping must have; "" if there is none.
func (s *Shape) needs() string {
	if i := slices.IndexFunc(s.Keys, func(k Key) bool { return k.Required }); i >= 0 {
		return s.Keys[i].Name
	}
	return ""
}

func kindHint(s *Shape, v *Value) string {
	switch {
	case s.Kind == TextShape && (v.Kind == NumberValue || v.Kind == BoolValue):
		return fmt.Sprintf("put quotes around it: %q", v.scalarText())
	case s.Kind == IntShape && v.Kind == TextValue && v.Quoted && plainNumber.MatchString(v.Text):
		return "remove the quotes"
	case s.Kind == IntShape && v.Kind == TextValue && strings.Trim(v.Text, "0123456789_+xob") == "":
		return "write decimal digits only, without leading zeros, signs or underscores"
	case s.Kind == ListShape && v.Kind == MappingValue:
		return "begin each item with a dash"
	case s.Kind == ListShape && v.Kind == TextValue && s.Items.needs() != "":
		return fmt.Sprintf("each item of the list is a mapping with `%s`", s.Items.needs())
	case s.Kind == ListShape && v.Kind == TextValue && v.Text != "" && !v.Quoted && !strings.ContainsAny(v.Text, ":\n"):
		return fmt.Sprintf("write [%s]", v.Text)
	case s.Kind == MappingShape && v.Kind == SequenceValue:
		return "remove the dashes: this takes keys, not a list"
	case s.Kind == MappingShape && v.Kind == TextValue && !v.Quoted && strings.Contains(v.Text, ":"):
		return "a colon needs a space after it"
	}
	return ""
}

// words says what a shape takes.
func (s *Shape) words() string {
	switch s.Kind {
	case IntShape:
		return "a whole number"
	case BoolShape:
		return "true or false"
	case DurationShape, FactorShape:
		return s.Means
	case ListShape:
		if s.OrOne {
			return "text or a list of texts"
		}
		return "a list"
	case MappingShape:
		return "a mapping"
	}
	return "text"
}

// words says what a value is.
func (v *Value) words() string {
	switch v.Kind {
	case NullValue:
		return "nothing"
	case BoolValue, NumberValue:
		return v.scalarText()
	case TextValue:
		const most = 40
		if v.Template != nil || len(v.Text) > most || strings.Contains(v.Text, "\n") {
			return "text"
		}
		return fmt.Sprintf("the text %q", v.Text)
	}
	return "a " + string(v.Kind)
}

func (v *Value) scalarText() string {
	if v.Kind == BoolValue {
		return strconv.FormatBool(v.Bool)
	}
	return v.Text
}

// quoteKey is how messages name a key.
func quoteKey(name string) string { return "`" + printable(name) + "`" }

func article(title string) string {
	switch {
	case title[0] == '`':
		return title
	case strings.IndexByte("aeiou", title[0]) >= 0:
		return "an " + title
	}
	return "a " + title
}

// duration and int take values that fit their shape.
func (r *reader) duration(v *Value) time.Duration {
	d, _ := ParseDuration(v.Text)
	return d
}

func (r *reader) int(v *Value) int {
	n, _ := strconv.Atoi(v.Text)
	return n
}
