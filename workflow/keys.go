package workflow

// Language returns the shape of a whole workflow file.
func Language() *Shape { return workflowShape }

// Shapes that occur in several places.
var (
	anyText  = &Shape{Kind: TextShape}
	anyTexts = &Shape{Kind: TextShape, Expression: true}
	anyValue = &Shape{Kind: AnyShape, Expression: true}
	literal  = &Shape{Kind: AnyShape}
	duration = &Shape{Kind: DurationShape, Means: "a duration such as 90s, 30m or 6h"}
	truth    = &Shape{Kind: BoolShape}
	count    = &Shape{Kind: IntShape, Min: 1}

	identifier = &Shape{
		Kind: TextShape, Pattern: `^[a-z][a-z0-9_]*$`, Code: CodeBadName,
		Means: "lower-case letters, digits and _, beginning with a letter",
	}
	secretName = &Shape{
		Kind: TextShape, Pattern: `^[A-Za-z_][A-Za-z0-9_]*$`, Code: CodeBadName,
		Means: "letters, digits and _, not beginning with a digit",
	}
	workflowName = &Shape{
		Kind: TextShape, Pattern: `^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`, Code: CodeBadName,
		Means: "at most 63 letters, digits and . _ -, beginning with a letter or digit, because directories are named after it",
	}
	versionBound = &Shape{
		Kind: TextShape, Pattern: `^>=[0-9]+\.[0-9]+(\.[0-9]+)?$`, Code: CodeBadVersion,
		Means: "the oldest version of fcflow that will do, such as \">=0.3\"",
	}
)

// Every key of the language, with where its value goes: a key that is not in
// these tables does not exist, and one that is cannot be forgotten.
var (
	workflowShape = &Shape{Kind: MappingShape, Title: "workflow", Keys: []Key{
		key("version", &Shape{Kind: IntShape, Min: 1, Max: 1, Code: CodeBadVersion}, func(*reader, *Workflow, *NamedValue) {},
			"Version of the language.").required(),
		key("name", workflowName, func(_ *reader, w *Workflow, m *NamedValue) { w.Name = m.Value.Text },
			"Name of the workflow, in listings and in the paths of its runs.").required(),
		key("description", anyText, func(_ *reader, w *Workflow, m *NamedValue) { w.Description = m.Value.Text },
			"What the workflow is for."),
		key("requires", versionBound, func(_ *reader, w *Workflow, m *NamedValue) { w.Requires, w.RequiresPos = m.Value.Text, m.Value.Pos },
			"Oldest version of fcflow that may run it, such as \">=0.3\"."),
		key("inputs", &Shape{Kind: MappingShape, Title: "`inputs`", Names: identifier, Values: inputShape}, readInputs,
			"Values that the caller gives, by name."),
		key("secrets", &Shape{Kind: ListShape, Items: secretName}, readSecrets,
			"Names of the secrets that expressions may use."),
		key("defaults", defaultsShape, func(r *reader, w *Workflow, m *NamedValue) {
			w.Defaults = &Defaults{Pos: m.Pos}
			r.mapping(defaultsShape, m.Value, w.Defaults)
		}, "Values for inputs of the same name of every step that has them and does not set them."),
		key("schedule", &Shape{Kind: ListShape, Items: scheduleShape, Min: 1}, readSchedules,
			"When `fcflow serve` starts the workflow by itself."),
		key("concurrency", concurrencyShape, func(r *reader, w *Workflow, m *NamedValue) {
			w.Concurrency = &Concurrency{Pos: m.Pos}
			r.mapping(concurrencyShape, m.Value, w.Concurrency)
		}, "How many runs of a group there may be at a time."),
		key("retention", retentionShape, func(r *reader, w *Workflow, m *NamedValue) {
			w.Retention = &Retention{Pos: m.Pos}
			r.mapping(retentionShape, m.Value, w.Retention)
		}, "Which runs are kept that succeeded or were cancelled; all if missing. Those that failed are always kept."),
		key("timeout", duration, func(r *reader, w *Workflow, m *NamedValue) { w.Timeout = r.duration(m.Value) },
			"Longest time for the whole run, from its start."),
		key("finally_timeout", duration, func(r *reader, w *Workflow, m *NamedValue) { w.FinallyTimeout = r.duration(m.Value) },
			"Longest time for `finally` after a cancel.").otherwise("10m"),
		key("steps", &Shape{Kind: ListShape, Items: stepShape, Min: 1},
			func(r *reader, w *Workflow, m *NamedValue) { w.Steps = readSteps(r, m.Value, false) },
			"What to do. Steps without a dependency between them run side by side.").required(),
		key("finally", &Shape{Kind: ListShape, Items: stepShape, Min: 1},
			func(r *reader, w *Workflow, m *NamedValue) { w.Finally = readSteps(r, m.Value, true) },
			"Steps that run when all others are done, however they ended."),
		key("outputs", &Shape{Kind: MappingShape, Title: "`outputs`", Names: identifier, Values: anyValue},
			func(_ *reader, w *Workflow, m *NamedValue) { w.Outputs = m.Value.Members },
			"What the run gives back, by name."),
	}}

	inputShape = &Shape{Kind: MappingShape, Title: "input", Keys: []Key{
		key("type", &Shape{Kind: TypeShape, Pattern: `^((list|map)<)*(string|int|float|bool|duration|size|file|any)>*$`},
			func(_ *reader, in *Input, m *NamedValue) { in.Type, _ = ParseType(m.Value.Text) },
			"Type of the value: string, int, float, bool, duration, size, file, any, or list<…> or map<…> of one of them.").required(),
		key("description", anyText, func(_ *reader, in *Input, m *NamedValue) { in.Description = m.Value.Text },
			"What the input is for."),
		key("default", literal, func(_ *reader, in *Input, m *NamedValue) { in.Default = m.Value },
			"Value if the caller gives none; without it the input is required. A relative path starts at the directory of the workflow file."),
	}}

	defaultsShape = &Shape{Kind: MappingShape, Title: "`defaults`", Keys: []Key{
		key("system", anyTexts, addDefault, "System that remote steps work on."),
		key("account", anyTexts, addDefault, "Account that jobs are charged to."),
		key("workdir", anyTexts, addDefault, "Remote directory that relative remote paths start at; by default run.remote_dir."),
		key("remote_root", anyTexts, addDefault, "Remote directory under which each run has its own."),
	}}

	scheduleShape = &Shape{Kind: MappingShape, Title: "schedule", Keys: []Key{
		key("id", identifier, func(_ *reader, s *Schedule, m *NamedValue) { s.ID = m.Value.Text },
			"Name of the schedule; needed when there are several.").otherwise("default"),
		key("cron", anyText, func(_ *reader, s *Schedule, m *NamedValue) { s.Cron, s.CronPos = m.Value.Text, m.Value.Pos },
			"Minute, hour, day of month, month, day of week; six fields begin with seconds.").required(),
		key("timezone", anyText, func(_ *reader, s *Schedule, m *NamedValue) { s.Timezone, s.ZonePos = m.Value.Text, m.Value.Pos },
			"Time zone of the cron line, such as Europe/Zurich; UTC if missing."),
		key("dst", &Shape{Kind: TextShape, Enum: []string{"once", "skip"}}, func(_ *reader, s *Schedule, m *NamedValue) { s.DST = m.Value.Text },
			"What becomes of a time of day that a change of the clock leaves out: once runs right after the gap, skip does not run.").otherwise("once"),
		key("overlap", &Shape{Kind: TextShape, Enum: []string{"skip", "queue", "cancel_running", "allow"}},
			func(_ *reader, s *Schedule, m *NamedValue) { s.Overlap = m.Value.Text },
			"What to do when the run before is still going.").otherwise("skip"),
		key("catchup", catchupShape, func(r *reader, s *Schedule, m *NamedValue) {
			s.Catchup.Pos = m.Pos
			r.mapping(catchupShape, m.Value, &s.Catchup)
		}, "What to do about times that passed while nothing was running."),
		key("jitter", duration, func(r *reader, s *Schedule, m *NamedValue) { s.Jitter = r.duration(m.Value) },
			"Start up to this much later, always by the same amount for the same schedule."),
		key("inputs", &Shape{Kind: MappingShape, Title: "`inputs` of a schedule", Names: identifier, Values: literal},
			func(_ *reader, s *Schedule, m *NamedValue) { s.Inputs = m.Value.Members },
			"Values for the inputs of the workflow."),
		key("pause_after", count, func(r *reader, s *Schedule, m *NamedValue) { s.PauseAfter = r.int(m.Value) },
			"Pause the schedule after this many failed runs in a row; never if missing."),
	}}

	catchupShape = &Shape{Kind: MappingShape, Title: "`catchup`", Keys: []Key{
		key("window", duration, func(r *reader, c *Catchup, m *NamedValue) { c.Window = r.duration(m.Value) },
			"How far back to look; needed with `keep: all`."),
		key("keep", &Shape{Kind: TextShape, Enum: []string{"none", "latest", "all"}}, func(_ *reader, c *Catchup, m *NamedValue) { c.Keep = m.Value.Text },
			"Which of the missed times to run.").otherwise("none"),
	}}

	concurrencyShape = &Shape{Kind: MappingShape, Title: "`concurrency`", Keys: []Key{
		key("group", anyTexts, func(_ *reader, c *Concurrency, m *NamedValue) { c.Group = m.Value },
			"Name of the group.").required(),
		key("limit", count, func(r *reader, c *Concurrency, m *NamedValue) { c.Limit = r.int(m.Value) },
			"How many runs of the group may be going on.").otherwise("1"),
		key("on_conflict", &Shape{Kind: TextShape, Enum: []string{"queue", "skip", "cancel_running"}},
			func(_ *reader, c *Concurrency, m *NamedValue) { c.OnConflict = m.Value.Text },
			"What a run does when the group is full.").otherwise("queue"),
	}}

	retentionShape = &Shape{Kind: MappingShape, Title: "`retention`", Min: 1, Keys: []Key{
		key("runs", count, func(r *reader, k *Retention, m *NamedValue) { k.Runs = r.int(m.Value) },
			"Keep this many of the newest."),
		key("age", duration, func(r *reader, k *Retention, m *NamedValue) { k.Age = r.duration(m.Value) },
			"Keep those that ended no longer ago; with both, a run goes that neither keeps."),
	}}

	stepShape = &Shape{Kind: MappingShape, Title: "step", Keys: []Key{
		key("id", identifier, func(_ *reader, s *Step, m *NamedValue) { s.ID = m.Value.Text },
			"Name of the step, by which others refer to it.").required(),
		key("name", anyText, func(_ *reader, s *Step, m *NamedValue) { s.Name = m.Value.Text },
			"Title for people; the id if missing."),
		key("uses", anyText, func(_ *reader, s *Step, m *NamedValue) { s.Uses, s.UsesPos = m.Value.Text, m.Value.Pos },
			"Type of the step; `fcflow steps list` shows them.").required(),
		key("with", &Shape{Kind: MappingShape, Title: "`with`", Values: &Shape{Kind: AnyShape, Expression: true, Null: true}},
			func(_ *reader, s *Step, m *NamedValue) { s.With = m.Value },
			"Inputs of the step type."),
		key("needs", &Shape{Kind: ListShape, Items: identifier, OrOne: true}, readNeeds,
			"Steps that must be done before; steps named in expressions need no mention."),
		key("if", &Shape{Kind: ConditionShape}, func(_ *reader, s *Step, m *NamedValue) { s.If = m.Value },
			"Condition; by default success(), and always() in `finally`."),
		key("matrix", matrixShape, readMatrix,
			"Lists by name; the step runs once for each combination."),
		key("for_each", &Shape{Kind: ForEachShape, Pattern: identifier.Pattern, Means: identifier.Means, Code: CodeBadName}, readForEach,
			"A step, to run once for each of its instances, or a list, to run once for each item."),
		key("max_parallel", count, func(r *reader, s *Step, m *NamedValue) { s.MaxParallel = r.int(m.Value) },
			"How many instances may be going on at a time, jobs in the queue included."),
		key("fail_fast", truth, func(_ *reader, s *Step, m *NamedValue) { s.FailFast = m.Value.Bool },
			"Start no further instance after the first failure.").otherwise("false"),
		key("continue_on_error", truth, func(_ *reader, s *Step, m *NamedValue) { s.ContinueOnError = m.Value.Bool },
			"A failure of the step counts as good for what depends on it and for the run.").otherwise("false"),
		key("retry", &Shape{Kind: ListShape, Items: retryShape, Min: 1}, readRetry,
			"What to try again, by cause of failure; the first rule that names the cause counts."),
		key("max_attempts", &Shape{Kind: IntShape, Min: 1, Max: 1000}, func(r *reader, s *Step, m *NamedValue) { s.MaxAttempts = r.int(m.Value) },
			"Most attempts in all, whatever the rules say.").otherwise("10"),
		key("timeout", duration, func(r *reader, s *Step, m *NamedValue) { s.Timeout = r.duration(m.Value) },
			"Longest time for an attempt, time in the queue included."),
		key("queue_timeout", duration, func(r *reader, s *Step, m *NamedValue) { s.QueueTimeout = r.duration(m.Value) },
			"Longest time that the job of the step may wait in the queue."),
		key("give_up_after", duration, func(r *reader, s *Step, m *NamedValue) { s.GiveUpAfter = r.duration(m.Value) },
			"How long to bear with an API that gives no usable answer; without end if missing."),
	}}

	dimension = &Shape{Kind: ListShape, Items: anyValue, Expression: true}

	matrixShape = &Shape{Kind: MappingShape, Title: "`matrix`", Names: identifier, Values: dimension, Misplaced: map[string]string{
		"max_parallel": "it is a key of the step, beside `matrix`",
		"fail_fast":    "it is a key of the step, beside `matrix`",
	}, Keys: []Key{
		key("include", combinations, func(_ *reader, x *Matrix, m *NamedValue) { x.Include = m.Value },
			"Combinations to add."),
		key("exclude", combinations, func(_ *reader, x *Matrix, m *NamedValue) { x.Exclude = m.Value },
			"Combinations to leave out."),
	}}

	combinations = &Shape{Kind: ListShape, Expression: true, Items: &Shape{
		Kind: MappingShape, Title: "combination", Names: identifier, Values: anyValue, Expression: true,
	}}

	retryShape = &Shape{Kind: MappingShape, Title: "retry rule", Keys: []Key{
		key("cause", &Shape{Kind: ListShape, Items: &Shape{Kind: CauseShape}, OrOne: true, Min: 1}, readCauses,
			"Causes of failure that the rule is for.").required(),
		key("max", count, func(r *reader, rule *RetryRule, m *NamedValue) { rule.Max = r.int(m.Value) },
			"How often the rule may be used.").required(),
		key("grow", &Shape{Kind: MappingShape, Title: "`grow`", Names: identifier, Values: &Shape{Kind: FactorShape, Means: "a factor such as x2 or x1.5"}}, readGrow,
			"Resources to ask for more of, by factor."),
		key("until", &Shape{Kind: MappingShape, Title: "`until`", Names: identifier, Values: literal}, readUntil,
			"The most to ask for, by resource."),
	}}
)
