package workflow

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
)

// CheckOptions are the facts outside the file that Check needs.
type CheckOptions struct {
	// DefaultSystem is the system of steps that name none; "" = such a step is a
	// problem. It decides what is reported and enters nothing that is evaluated.
	DefaultSystem string
	// Version is that of this fcflow, such as "0.3.1"; `requires` is held against
	// it. A version that is no release ("devel") meets every requirement.
	Version string
	// ReadFile reads a workflow file that a step runs. Its path has slashes and is
	// absolute, or starts from the directory of the file that is checked. Nil =
	// nobody can; then nothing is known of the inputs and outputs of such steps.
	ReadFile func(path string) ([]byte, error)
	// Dir is the directory of the file, absolute, if it is known: it tells that a
	// file is the same one when it is named in two ways.
	Dir string
}

// Load parses and checks a file, and returns the problems of both in file
// order. The workflow can run only if there are none. What [Workflow.Frozen]
// made is a file, too, which needs no ReadFile.
func Load(file string, source []byte, c Catalogue, o CheckOptions) (*Workflow, Problems) {
	name, root, files, several, err := thaw(source)
	if err != nil {
		return nil, Problems{{Code: CodeYAMLSyntax, Message: "the text should hold several workflow files: " + err.Error()}}
	}
	if several {
		o.ReadFile, o.Dir = thawed(files), ""
	}
	w, problems := Parse(file, root)
	if w == nil {
		return nil, problems
	}
	k := newChecker(w, c, o)
	if several {
		k.lineage.chain[0] = name
	}
	return w, append(problems, k.check()...).sorted()
}

// Check finds every mistake that needs more than the shape of the file: names,
// types, what step types accept, and the graph. It compiles the expressions and
// fills what [Step] derives. What [Parse] could not read it passes over, so that
// one mistake is one problem.
func Check(w *Workflow, c Catalogue, o CheckOptions) Problems {
	return newChecker(w, c, o).check()
}

func (c *checker) check() Problems {
	c.checkRequires()
	c.checkInputs()
	c.checkStepTypes()
	c.checkDefaults()
	c.checkChildren()
	for _, s := range c.steps {
		c.checkStep(s)
	}
	c.checkWorkflow()
	c.checkCycles()
	c.w.index = c.index
	c.w.base = path.Base(c.lineage.chain[len(c.lineage.chain)-1])
	return c.problems.sorted()
}

// index is what Check keeps of a workflow as a whole.
type index struct {
	programs programs // of defaults, outputs and concurrency.group
	steps    []*Step  // as AllSteps lists them
	defaults map[string]*Value
	outputs  []Field // of the workflow
	// catalogue is what it was checked by.
	catalogue Catalogue
	// defaultSite: an expression names run.remote_dir where only the default
	// system can be meant.
	defaultSite bool
}

// programs are the expressions of one place. The same text may stand in several
// steps by way of a YAML alias and mean different types, so they are kept apart.
type programs map[*Expression]*compiled

// plan is what Check keeps of a step.
type plan struct {
	programs programs
	inputs   Type // the object that `with` must be
	// constant is the whole `with` in canonical JSON if nothing in it depends on
	// the run.
	constant []byte
	secrets  bool
}

// checker holds what is known of a workflow while it is checked.
type checker struct {
	w         *Workflow
	catalogue Catalogue
	options   CheckOptions
	problems  Problems
	compiler  *compiler
	index     *index
	lineage   lineage
	height    int // how far files go on below this one

	inputs map[string]*Input
	steps  []*stepCheck
	byID   map[string]*stepCheck
	ids    []string
	specs  map[string]*StepSpec
	with   map[*StepSpec]Type // what `with` of a type must be
	lines  []string
	near   int // names compared for hints so far

	expressions int // compiled so far
	sourceBytes int // of them
}

// stepCheck is a step while it is checked.
type stepCheck struct {
	step  *Step
	edges []edge

	outputType *Type
	matrix     *Type
	each       *Type
	eachBusy   bool
	unit       *Type
}

// edge is a dependency with the place that makes it.
type edge struct {
	to  *stepCheck
	pos Pos
	// Instead of pos, the expression that names the step, and where in it.
	in     *Expression
	offset int
	pair   bool // instance by instance
}

func newChecker(w *Workflow, c Catalogue, o CheckOptions) *checker {
	k := &checker{
		w: w, catalogue: c, options: o,
		compiler: newCompiler(), lineage: newLineage(w.File, o),
		index:  &index{programs: programs{}, steps: w.AllSteps(), defaults: map[string]*Value{}, catalogue: c},
		inputs: map[string]*Input{},
		byID:   map[string]*stepCheck{},
		specs:  map[string]*StepSpec{},
		with:   map[*StepSpec]Type{},
	}
	for _, in := range w.Inputs {
		k.inputs[in.Name] = in
	}
	for i, s := range k.index.steps {
		s.Index, s.spec = i, nil
		s.Barriers, s.Values, s.ListValues, s.StatusIf, s.Pair, s.PairValue = nil, nil, nil, false, nil, false
		s.plan = &plan{programs: programs{}}
		k.steps = append(k.steps, &stepCheck{step: s})
	}
	return k
}

func (c *checker) report(code ProblemCode, at Pos, hint, format string, args ...any) {
	if !c.full() {
		c.problems = append(c.problems, Problem{Code: code, Pos: at, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
}

// hint is didYouMean for names that a file may hold by the thousand; it stops
// helping before help gets slow.
func (c *checker) hint(name string, known []string) string {
	const enough = 200_000
	if c.near += len(known); c.near > enough && len(known) > 100 {
		return ""
	}
	return didYouMean(name, known)
}

func (c *checker) inputNames() []string {
	names := make([]string, len(c.w.Inputs))
	for i, in := range c.w.Inputs {
		names[i] = in.Name
	}
	return names
}

// functionNames lists what an expression can call.
func (c *checker) functionNames() []string {
	names := slices.Clone(statusFunctions)
	for name := range c.compiler.config.Functions {
		if name != addFunction {
			names = append(names, name)
		}
	}
	for name := range c.compiler.config.Builtins {
		if _, refused := refusedFunctions[name]; !refused {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkStepTypes finds each step's specification and indexes the ids.
func (c *checker) checkStepTypes() {
	for _, s := range c.steps {
		if id := s.step.ID; id != "" {
			if first, ok := c.byID[id]; ok {
				c.report(CodeDuplicateStep, s.step.place("id"), "", "there is a step %q already, on line %d", id, first.step.place("id").Line)
			} else {
				c.byID[id] = s
				c.ids = append(c.ids, id)
			}
		}
		if uses := s.step.Uses; uses != "" {
			s.step.spec = c.spec(uses)
			if s.step.spec == nil {
				c.report(CodeUnknownStepType, s.step.UsesPos, c.stepTypeHint(uses), "there is no step type %q", uses)
			}
		}
	}
}

func (c *checker) spec(uses string) *StepSpec {
	spec, known := c.specs[uses]
	if !known {
		if found, ok := c.catalogue.Step(uses); ok {
			spec = &found
		}
		c.specs[uses] = spec
	}
	return spec
}

func (c *checker) stepTypeHint(uses string) string {
	if hint := c.hint(uses, c.catalogue.Names()); hint != "" {
		return hint
	}
	return "`fcflow steps list` shows them"
}

// checkInputs looks at the defaults of inputs, and at what schedules give.
func (c *checker) checkInputs() {
	for _, in := range c.w.Inputs {
		if in.Default != nil && in.Type.Kind != "" && !in.Default.hasExpression() {
			c.literal(in.Default, Field{Type: in.Type}, "the default of "+in.Name, CodeInputDefault)
		}
	}
	for _, s := range c.w.Schedules {
		c.checkScheduleInputs(s)
	}
}

func (c *checker) checkScheduleInputs(s *Schedule) {
	given := map[string]bool{}
	for _, v := range s.Inputs {
		given[v.Name] = true
		in := c.inputs[v.Name]
		switch {
		case in == nil:
			c.report(CodeInputUnknown, v.Pos, c.hint(v.Name, c.inputNames()), "the workflow has no input %q", v.Name)
		case in.Type.Kind != "" && !v.Value.hasExpression():
			c.literal(v.Value, Field{Type: in.Type}, "the input "+v.Name, CodeInputValue)
		}
	}
	for _, in := range c.w.Inputs {
		if in.Default == nil && !given[in.Name] {
			c.report(CodeInputMissing, s.Pos, "add it under inputs of the schedule, or give it a default", "the schedule starts runs without the input %q", in.Name)
		}
	}
}

// checkDefaults looks at the workflow's defaults for step inputs.
func (c *checker) checkDefaults() {
	if c.w.Defaults == nil {
		return
	}
	for _, d := range c.w.Defaults.Values {
		f := Field{Name: d.Name, Type: Type{Kind: String}}
		if d.Name == "workdir" || d.Name == "remote_root" {
			f.Path = RemotePath
		}
		at := place{where: "a default", remoteDir: f.Name == "workdir"}
		c.value(d.Value, f, at, "defaults."+d.Name, c.index.programs)
		c.index.defaults[d.Name] = d.Value
	}
}

// checkWorkflow looks at what stands beside the steps.
func (c *checker) checkWorkflow() {
	at := place{where: "outputs", steps: true, remoteDir: true, defaultSite: true, failedSteps: true}
	for _, o := range c.w.Outputs {
		c.value(o.Value, Field{Type: Type{Kind: Any}}, at, "outputs."+o.Name, c.index.programs)
		c.index.outputs = append(c.index.outputs, outputField(o, c.index.programs))
	}
	if g := c.w.Concurrency; g != nil && g.Group != nil {
		c.value(g.Group, Field{Type: Type{Kind: String}}, place{where: "concurrency.group"}, "concurrency.group", c.index.programs)
	}
}

// full reports whether there are as many problems as anybody would read.
func (c *checker) full() bool { return len(c.problems) >= maxProblems }

// checkStep looks at one step with everything in it.
func (c *checker) checkStep(s *stepCheck) {
	if c.full() {
		return
	}
	c.checkNeeds(s)
	c.checkFanOut(s)
	c.checkIf(s)
	c.checkWith(s)
	c.checkRetry(s)
	c.derive(s)
}

func (c *checker) checkNeeds(s *stepCheck) {
	for _, n := range s.step.Needs {
		switch target := c.byID[n.ID]; {
		case n.ID == "":
		case target == nil:
			c.report(CodeUnknownStep, n.Pos, c.hint(n.ID, c.ids), "there is no step %q", n.ID)
		case target == s:
			c.report(CodeSelfReference, n.Pos, "", "step %q needs itself", n.ID)
		case target.step.Finally && !s.step.Finally:
			c.report(CodeFinallyReference, n.Pos, "", "%q is a finally step; it starts when every other step is done", n.ID)
		case !target.step.Finally && s.step.Finally:
			c.report(CodeFinallyReference, n.Pos, "remove it: finally starts when every other step is done", "a finally step needs only finally steps, and %q is none", n.ID)
		default:
			s.edges = append(s.edges, edge{to: target, pos: n.Pos})
		}
	}
}

// derive fills what the engine reads of a step.
func (c *checker) derive(s *stepCheck) {
	for _, e := range s.edges {
		if !e.pair {
			s.step.Barriers = append(s.step.Barriers, e.to.step.Index)
		}
	}
	slices.Sort(s.step.Barriers)
	s.step.Barriers = slices.Compact(s.step.Barriers)
	if source := c.pairedWith(s); source != nil {
		s.step.Pair = source.step
		s.step.PairValue = s.step.PairValue || !s.step.StatusIf && (s.step.If != nil || !s.step.Finally)
	}
	if f := s.step.ForEach; f != nil {
		c.listValues(s.step, f.List)
	}
	slices.Sort(s.step.Values)
	s.step.Values = slices.Compact(s.step.Values)
	p := s.step.plan
	for _, program := range p.programs {
		p.secrets = p.secrets || len(program.refs.secrets) > 0
	}
}

// listValues notes whose outputs the list needs that a step goes through.
func (c *checker) listValues(s *Step, v *Value) {
	if v == nil {
		return
	}
	if v.Template != nil {
		for _, part := range v.Template.Parts {
			if program := s.plan.programs[part.Expr]; program != nil {
				for _, use := range program.refs.steps {
					if use.value {
						s.ListValues = append(s.ListValues, c.byID[use.id].step.Index)
					}
				}
			}
		}
	}
	for _, item := range v.Items {
		c.listValues(s, item)
	}
	for _, m := range v.Members {
		c.listValues(s, m.Value)
	}
}

// Spec returns the specification of the step's type; nil before [Check] and for
// an unknown type.
func (s *Step) Spec() *StepSpec { return s.spec }

// Outputs lists the outputs of the step: those of its type, then those that its
// own `with` declares. Without a known type it has none.
func (s *Step) Outputs() []Field {
	if s.spec == nil {
		return nil
	}
	return s.spec.AllOutputs(literalWith(s))
}

// Remote reports whether the step works on a system. It is false before [Check]
// and for an unknown type.
func (s *Step) Remote() bool {
	if s.spec == nil || !s.spec.Remote {
		return false
	}
	_, given := s.With.Member(s.spec.RemoteInput)
	return given || s.spec.RemoteInput == ""
}

// UsesSecrets reports whether an input of the step is made from a secret. It is
// false before [Check].
func (s *Step) UsesSecrets() bool { return s.plan != nil && s.plan.secrets }

// OneSystem reports whether all instances of the step run on the same system.
func (s *Step) OneSystem() bool {
	m, ok := s.With.Member("system")
	if !ok || m.Value.Template == nil || s.plan == nil {
		return true
	}
	for _, part := range m.Value.Template.Parts {
		if program := s.plan.programs[part.Expr]; program != nil && (program.refs.matrix || program.refs.each || program.refs.attempt) {
			return false
		}
	}
	return true
}

// place returns the place of a key of the step, or of the step.
func (s *Step) place(key string) Pos {
	if m, ok := s.Written.Member(key); ok {
		if key == "id" {
			return m.Value.Pos
		}
		return m.Pos
	}
	return s.Pos
}

// hasExpression reports whether the run decides about any part of the value.
func (v *Value) hasExpression() bool {
	if v == nil {
		return false
	}
	if v.Template != nil {
		return true
	}
	return slices.ContainsFunc(v.Items, (*Value).hasExpression) ||
		slices.ContainsFunc(v.Members, func(m *NamedValue) bool { return m.Value.hasExpression() })
}

// plain returns a value without expressions as JSON would decode it.
func (v *Value) plain() any {
	switch v.Kind {
	case BoolValue:
		return v.Bool
	case NumberValue:
		return json.Number(v.Text)
	case TextValue:
		return v.Text
	case SequenceValue:
		list := make([]any, len(v.Items))
		for i, item := range v.Items {
			list[i] = item.plain()
		}
		return list
	case MappingValue:
		m := make(map[string]any, len(v.Members))
		for _, member := range v.Members {
			m[member.Name] = member.Value.plain()
		}
		return m
	}
	return nil
}

// joinLabel names a part of a value for people: with.resources.time, with.list[2].
func joinLabel(label string, parts ...string) string {
	for _, p := range parts {
		if _, err := strconv.Atoi(p); err == nil {
			label += "[" + p + "]"
		} else {
			label += "." + p
		}
	}
	return label
}
