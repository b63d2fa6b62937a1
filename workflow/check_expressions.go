package workflow

import "strings"

// checkIf looks at the condition of a step, which Parse made one expression.
func (c *checker) checkIf(s *stepCheck) {
	if s.step.If == nil || s.step.If.Template == nil {
		return
	}
	e := s.step.If.Template.Whole()
	if e == nil {
		return // said by Parse
	}
	at := c.stepPlace(s, "if")
	at.attempt = false
	t, program := c.expression(e, at)
	if program == nil {
		return
	}
	s.step.plan.programs[e] = program
	s.step.StatusIf = len(program.refs.status) > 0
	if t.Kind != Bool && t.Kind != Any {
		c.report(CodeWrongType, e.start(), ifHint(t), "if must be true or false, but the expression gives %s", t.inWords())
	}
}

func ifHint(t Type) string {
	switch t.Kind {
	case String, File:
		return `compare it, as in x != ""`
	case Int, Float, Size:
		return "compare it, as in x > 0"
	case List, Map:
		return "compare its length, as in len(x) > 0"
	}
	return ""
}

// stepPlace is the place of an expression in a step.
func (c *checker) stepPlace(s *stepCheck, where string) place {
	return place{
		where: where, step: s,
		steps: true, fanOut: true, attempt: true, status: true, remoteDir: true,
		defaultSite: s.step.Finally || where == "if" || !s.step.Remote(),
		failedSteps: s.step.Finally,
	}
}

// expression compiles one expression; the result is nil if it has a problem,
// which is then reported.
func (c *checker) expression(e *Expression, at place) (Type, *compiled) {
	unknown := Type{Kind: Any}
	if c.tooMany(e) || c.full() {
		return unknown, nil
	}
	root, err := c.compiler.parse(e.Source)
	if err != nil {
		c.reportIn(e, err)
		return unknown, nil
	}
	r := &nameReader{check: c, at: at, source: e.Source}
	r.read(root)
	if r.err != nil {
		c.reportIn(e, r.err)
		return unknown, nil
	}
	program := &compiled{path: r.path}
	if r.whole != nil {
		program.result = *r.whole // nothing to calculate
	} else {
		roots := c.roots(r)
		if program, err = c.compiler.finish(e.Source, root, environment(roots, r.refs.status)); err != nil {
			c.reportIn(e, err)
			return unknown, nil
		}
		program.roots = roots
	}
	program.refs = r.refs
	if at.step != nil {
		c.depend(at.step, e, program.refs)
	}
	return program.result, program
}

// tooMany counts an expression, and reports the first that is too many.
func (c *checker) tooMany(e *Expression) bool {
	before := c.beyond()
	c.expressions++
	c.sourceBytes += len(e.Source)
	if !before && c.beyond() {
		c.report(CodeExpressionLimit, e.start(), "split the workflow", "the file holds more than 12,000 expressions, or more than 512 KiB of them")
	}
	return c.beyond()
}

func (c *checker) beyond() bool {
	return c.expressions > maxExpressions || c.sourceBytes > maxSourcesBytes
}

// depend makes dependencies of the steps that an expression names.
func (c *checker) depend(s *stepCheck, e *Expression, refs references) {
	for _, use := range refs.steps {
		target := c.byID[use.id]
		if use.value {
			s.step.Values = append(s.step.Values, target.step.Index)
		}
		if target.step.Finally == s.step.Finally { // what finally reads of steps is done before it starts
			s.edges = append(s.edges, edge{to: target, in: e, offset: use.offset})
		}
	}
	s.step.PairValue = s.step.PairValue || refs.eachValue
}

func (c *checker) reportIn(e *Expression, err *expressionError) {
	at := e.at(err.offset)
	if err.offset == 0 {
		at = e.start()
	}
	c.report(err.code, at, err.hint, "%s", err.message)
}

// start returns the place of the first character that is no space.
func (e *Expression) start() Pos {
	return e.at(len(e.Source) - len(strings.TrimLeft(e.Source, " \t\r\n")))
}

// at returns the place of a character of the source.
func (e *Expression) at(offset int) Pos {
	if e.Places == nil {
		return e.Pos
	}
	return e.Places(min(byteOffset(e.Source, offset), len(e.Source)))
}
