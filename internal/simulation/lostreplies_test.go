package simulation_test

import (
	"testing"

	"github.com/fcflow/fcflow/internal/simulation"
)

// TestLostReplies: of half of all submissions the answer is lost after the job
// was accepted, and the list hides 30 of 100 rows. The workflow ends in success,
// with every payload started once.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	first := firstSeed(t)
	c := newCampaign(t)
	lost, hidden := 0, 0
	for n := range 25 {
		for _, plan := range c.plans {
			if plan.Name == "broken" || plan.Name == "slow" { // which are to fail
				continue
			}
			s := simulation.LostReplies(first+simulation.Seed(n), plan)
			r := c.run(t, s, false)
			lost, hidden = lost+r.Fired[simulation.LostReply], hidden+r.Fired[simulation.HiddenRows]
			for _, v := range r.Violations {
				t.Errorf("%s, seed %d: %s", plan.Name, s.Seed, v)
			}
			if r.Ending != simulation.Ended || r.Account.State != "succeeded" {
				t.Errorf("%s, seed %d: %s, %v", plan.Name, s.Seed, r.Ending, r.Account)
				continue
			}
			starts := map[string]int{}
			for _, line := range r.Starts {
				starts[line.Token]++
			}
			for token, n := range starts {
				if n != 1 {
					t.Errorf("%s, seed %d: %s was started %d times", plan.Name, s.Seed, token, n)
				}
			}
		}
	}
	t.Logf("%d replies were lost, %d rows hidden", lost, hidden)
	if lost < 100 || hidden < 100 {
		t.Error("too little trouble")
	}
}
