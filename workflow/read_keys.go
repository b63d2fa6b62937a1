package workflow

func readInputs(r *reader, w *Workflow, m *NamedValue) {
	for _, in := range m.Value.Members {
		if in.Value.Kind != MappingValue {
			continue
		}
		input := &Input{Name: in.Name, Pos: in.Pos}
		r.mapping(inputShape, in.Value, input)
		w.Inputs = append(w.Inputs, input)
	}
}

func readSecrets(_ *reader, w *Workflow, m *NamedValue) {
	for _, v := range m.Value.Items {
		w.Secrets = append(w.Secrets, &Secret{Name: v.Text, Pos: v.Pos})
	}
}

func addDefault(_ *reader, d *Defaults, m *NamedValue) {
	d.Values = append(d.Values, m)
}

// readSchedules also checks what no single key shows: ids that tell several
// schedules apart, and a bound for catching up on everything.
func readSchedules(r *reader, w *Workflow, m *NamedValue) {
	seen := map[string]bool{}
	for _, v := range m.Value.Items {
		if v.Kind != MappingValue {
			continue
		}
		s := &Schedule{Pos: v.Pos}
		w.Schedules = append(w.Schedules, s)
		r.mapping(catchupShape, &Value{}, &s.Catchup) // the defaults, should the key be missing
		r.mapping(scheduleShape, v, s)
		id, named := v.Member("id")
		switch {
		case !named && len(m.Value.Items) > 1:
			r.add(CodeScheduleID, v.Pos, "add an `id`", "each of several schedules needs an id")
		case s.ID != "" && seen[s.ID]:
			r.add(CodeScheduleID, id.Value.Pos, "give it another", "there is already a schedule with the id %q", s.ID)
		}
		seen[s.ID] = true
		catchup, _ := v.Member("catchup")
		if s.Catchup.Keep != "all" {
			continue
		}
		if _, bounded := catchup.Value.Member("window"); !bounded {
			r.add(CodeCatchup, s.Catchup.Pos, "add `window`, such as window: 24h", "`keep: all` needs a window, or it could start runs without end")
		}
	}
}

func readSteps(r *reader, list *Value, finally bool) []*Step {
	steps := make([]*Step, 0, len(list.Items))
	for _, v := range list.Items {
		if v.Kind != MappingValue {
			continue
		}
		s := &Step{Finally: finally, Pos: v.Pos, UsesPos: v.Pos, Written: v}
		r.mapping(stepShape, v, s)
		if id, ok := v.Member("id"); ok && s.ID == "" {
			s.ID = id.Value.Text // wrong, and said so; but references to it are not
		}
		steps = append(steps, s)
	}
	return steps
}

func readNeeds(_ *reader, s *Step, m *NamedValue) {
	for _, v := range oneOrMore(m.Value) {
		s.Needs = append(s.Needs, Reference{ID: v.Text, Pos: v.Pos})
	}
}

func readMatrix(r *reader, s *Step, m *NamedValue) {
	s.Matrix = &Matrix{Pos: m.Pos}
	r.mapping(matrixShape, m.Value, s.Matrix)
	for _, d := range m.Value.Members {
		if _, fixed := matrixShape.key(d.Name); !fixed && (d.Value.Kind == SequenceValue || d.Value.Template != nil) {
			s.Matrix.Dimensions = append(s.Matrix.Dimensions, d)
		}
	}
}

func readForEach(_ *reader, s *Step, m *NamedValue) {
	s.ForEach = &ForEach{Pos: m.Value.Pos}
	if m.Value.Kind == TextValue && m.Value.Template == nil {
		s.ForEach.Step = m.Value.Text
		return
	}
	s.ForEach.List = m.Value
}

func readRetry(r *reader, s *Step, m *NamedValue) {
	for _, v := range m.Value.Items {
		if v.Kind != MappingValue {
			continue
		}
		rule := &RetryRule{Pos: v.Pos, Written: v}
		r.mapping(retryShape, v, rule)
		s.Retry = append(s.Retry, rule)
	}
}

func readCauses(_ *reader, rule *RetryRule, m *NamedValue) {
	for _, v := range oneOrMore(m.Value) {
		rule.Causes = append(rule.Causes, Cause(v.Text))
	}
}

func readGrow(_ *reader, rule *RetryRule, m *NamedValue) {
	rule.Grow = map[string]float64{}
	for _, g := range m.Value.Members {
		if f, err := ParseFactor(g.Value.Text); err == nil {
			rule.Grow[g.Name] = f
		}
	}
}

func readUntil(_ *reader, rule *RetryRule, m *NamedValue) {
	rule.Until = map[string]*Value{}
	for _, u := range m.Value.Members {
		rule.Until[u.Name] = u.Value
	}
}

// oneOrMore is a list that may be written as its only item.
func oneOrMore(v *Value) []*Value {
	if v.Kind == SequenceValue {
		return v.Items
	}
	return []*Value{v}
}
