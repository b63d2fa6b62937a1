package workflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// commonCauses are what any step can fail with and be tried again after. What
// is not among them is either named by the step type, or bound to fail again.
var commonCauses = []Cause{CauseTimedOut, CauseInterrupted, CausePanic, CauseOutputMissing, CauseOutputTooLarge, CauseInputChanged}

// checkRetry looks at the retry rules and at queue_timeout.
func (c *checker) checkRetry(s *stepCheck) {
	step := s.step
	if m, ok := step.Written.Member("queue_timeout"); ok && step.spec != nil && !step.spec.queues() {
		c.report(CodeQueueTimeout, m.Pos, "use timeout", "%s waits in no queue", step.Uses)
	}
	var earlier []Cause
	for _, rule := range step.Retry {
		for i, cause := range rule.Causes {
			at := rule.causePlace(i)
			if c.checkCause(s, cause, at) && !c.overlaps(earlier, cause, at) {
				earlier = append(earlier, cause)
			}
		}
		c.checkGrow(s, rule)
	}
}

// queues reports whether a step of the type waits in the queue of a batch
// system.
func (s *StepSpec) queues() bool {
	return s.Job || slices.Contains(s.Causes, CauseQueueTimeout)
}

// base returns the cause without its exit code, and whether it is well formed.
func (c Cause) base() (Cause, bool) {
	inside, ok := strings.CutPrefix(string(c), "exit(")
	if !ok {
		return c, slices.Contains(FailureCauses(), c)
	}
	inside, ok = strings.CutSuffix(inside, ")")
	code, err := strconv.Atoi(inside)
	return CauseExit, ok && err == nil && code >= 1 && code <= 255 && strconv.Itoa(code) == inside
}

func (c *checker) checkCause(s *stepCheck, cause Cause, at Pos) bool {
	base, ok := cause.base()
	spec := s.step.spec
	switch {
	case !ok:
		c.report(CodeUnknownCause, at, causeHint(cause), "there is no cause %q", cause)
	case base == CauseExpression:
		c.report(CodeImpossibleCause, at, "remove it", "an expression that fails once fails again, so it is never tried again")
	case spec == nil:
		return true
	case spec.RetryOnly != nil && !slices.Contains(spec.RetryOnly, base):
		c.report(CodeCauseNeedsJob, at, "use `job`, which submits again", "%s cannot try again after %s: the job would stay as it is", s.step.Uses, cause)
	case spec.RetryOnly == nil && !slices.Contains(commonCauses, base) && !slices.Contains(spec.Causes, base) && !(base == CauseAPI && spec.Remote):
		c.report(CodeImpossibleCause, at, "it can fail with "+alternatives(spec.causeNames()), "%s never fails with %s", s.step.Uses, cause)
	default:
		return true
	}
	return false
}

func (s *StepSpec) causeNames() []string {
	causes := slices.Concat(s.Causes, commonCauses)
	if s.Remote {
		causes = append(causes, CauseAPI)
	}
	var names []string
	for _, c := range causes {
		if !slices.Contains(names, string(c)) && c != CauseExpression {
			names = append(names, string(c))
		}
	}
	return names
}

func causeHint(cause Cause) string {
	var names []string
	for _, c := range FailureCauses() {
		names = append(names, string(c))
	}
	if hint := didYouMean(string(cause), names); hint != "" {
		return hint
	}
	if strings.HasPrefix(string(cause), "exit") {
		return "write exit, or exit(N) with N from 1 to 255"
	}
	return "causes are " + alternatives(append(names, "exit(N)"))
}

// overlaps reports a cause that an earlier rule takes: only the first rule that
// names a cause is ever used for it.
func (c *checker) overlaps(earlier []Cause, cause Cause, at Pos) bool {
	base, _ := cause.base()
	for _, e := range earlier {
		if e == cause || e == base {
			c.report(CodeOverlappingRules, at, overlapHint(e, cause), "a rule before this one takes %s already", e)
			return true
		}
	}
	return false
}

func overlapHint(earlier, cause Cause) string {
	if earlier != cause {
		return fmt.Sprintf("put the rule for %s first", cause)
	}
	return "join the two rules"
}

// checkGrow compares grow and until to the step's resources.
func (c *checker) checkGrow(s *stepCheck, rule *RetryRule) {
	if s.step.spec == nil {
		return
	}
	field, takes := s.step.spec.Input("resources")
	written, given := s.step.With.Member("resources")
	for _, key := range sortedKeys(rule.Grow) {
		at := rule.place("grow", key)
		f, known := field.Type.field(key)
		switch {
		case !takes:
			c.report(CodeGrowKey, at, "", "%s asks for no resources that could grow", s.step.Uses)
		case !known:
			c.report(CodeGrowKey, at, didYouMean(key, growable(field)), "there is no resource %q", key)
		case !slices.Contains(growable(field), key):
			c.report(CodeGrowKey, at, "what can grow: "+alternatives(growable(field)), "%s is %s and cannot grow", key, f.Type.inWords())
		case given && written.Value.Template != nil: // only the run knows
		case !has(written, key) && f.Default == nil:
			c.report(CodeGrowKey, at, fmt.Sprintf("add %s to with.resources", key), "with.resources has no %s that could grow", key)
		}
	}
	for _, key := range sortedKeys(rule.Until) {
		c.checkUntil(s, rule, key, field, written)
	}
}

func has(m *NamedValue, key string) bool {
	if m == nil {
		return false
	}
	_, ok := m.Value.Member(key)
	return ok
}

func growable(resources Field) []string {
	var names []string
	for _, f := range resources.Type.Fields {
		switch f.Type.Kind {
		case Int, Float, Duration, Size:
			names = append(names, f.Name)
		}
	}
	return names
}

// checkUntil wants a bound to be of its resource's type, and not below what the
// first attempt asks for.
func (c *checker) checkUntil(s *stepCheck, rule *RetryRule, key string, resources Field, written *NamedValue) {
	bound := rule.Until[key]
	if _, grows := rule.Grow[key]; !grows {
		c.report(CodeUntilBound, rule.place("until", key), fmt.Sprintf("add grow: { %s: x2 }", key), "until.%s bounds what does not grow", key)
		return
	}
	f, known := resources.Type.field(key)
	if !known || bound == nil || bound.hasExpression() {
		return
	}
	before := len(c.problems)
	c.literal(bound, Field{Type: f.Type}, "until."+key, CodeUntilBound)
	if len(c.problems) > before || written == nil {
		return
	}
	first, ok := written.Value.Member(key)
	if !ok || first.Value.hasExpression() {
		return
	}
	if amount(first.Value, f) > amount(bound, f) {
		c.report(CodeUntilBound, bound.Pos, "", "until.%s %s is less than the %s of the first attempt", key, bound.Text, first.Value.Text)
	}
}

// amount is a resource as a number that can be compared; 0 if it is none.
func amount(v *Value, f Field) float64 {
	out, err := (&converter{written: true}).field(v.plain(), f)
	if err != nil {
		return 0
	}
	if text, ok := out.(string); ok {
		d, err := ParseDuration(text)
		if err != nil {
			return 0
		}
		return d.Seconds()
	}
	n, _ := floatOf(out)
	return n
}

// causePlace returns the place of the i-th cause of a rule.
func (r *RetryRule) causePlace(i int) Pos {
	m, ok := r.Written.Member("cause")
	switch {
	case !ok:
		return r.Pos
	case m.Value.Kind == SequenceValue && i < len(m.Value.Items):
		return m.Value.Items[i].Pos
	}
	return m.Value.Pos
}

// place returns the place of a key inside grow or until.
func (r *RetryRule) place(outer, key string) Pos {
	if m, ok := r.Written.Member(outer); ok {
		if inner, ok := m.Value.Member(key); ok {
			return inner.Pos
		}
		return m.Pos
	}
	return r.Pos
}
