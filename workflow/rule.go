package workflow

// ruleTable says in one sentence each what a rule rests on.
var ruleTable = []struct {
	rule     Rule
	sentence string
}{
	{RuleAnswer, "the words of the answer to a submission prove what became of it; words that are not known prove nothing"},
	{RuleClaim, "the job that the claim in the control directory names is the only one that runs the payload"},
	{RuleShortCut, "there was one request, it was accepted as this job, and the job ended COMPLETED 0:0; one that does not own the token could only end with 79"},
	{RuleTombstone, "the token was fenced off before any job claimed it, so that no job can run its payload any more"},
	{RuleMarker, "the exit marker that the job left is the payload's own word, and counts before the scheduler's"},
	{RuleState, "without an exit marker, the scheduler's word on the job that owns the token counts"},
	{RuleExitCode, "where claims cannot be read, the job that did not end with 79 is the one that ran the payload"},
	{RuleName, "without a fence, the job whose name begins with the token is the one"},
	{RuleAbsent, "looked for often enough, far enough apart and long enough after the request, and found nowhere: the request counts as having made no job"},
	{RuleGone, "the scheduler does not know the job any more, it left no exit marker, and it cannot be running any more"},
	{RulePerson, "somebody said so with `fcflow resolve`"},
}

// Rules lists every rule.
func Rules() []Rule {
	var rules []Rule
	for _, row := range ruleTable {
		rules = append(rules, row.rule)
	}
	return rules
}

// Sentence says what the rule rests on; "" for a rule of a newer fcflow.
func (r Rule) Sentence() string {
	for _, row := range ruleTable {
		if row.rule == r {
			return row.sentence
		}
	}
	return ""
}
