package oracle

import "time"

var fanOutRules = []rule{
	{
		name: "a matrix is the product, minus exclude, plus include",
		text: `
			steps:
			  - id: a
			    uses: act
			    matrix: { y: [1, 2], x: [p, q], exclude: [{ y: 2, x: q }], include: [{ y: 3, x: r }] }
			    with: { n: "${{ matrix.y }}" }`,
		run: Succeeded, units: "a/x=p,y=1=succeeded a/x=p,y=2=succeeded a/x=q,y=1=succeeded a/x=r,y=3=succeeded",
	},
	{
		name: "an exclude leaves out all that it matches in part",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { x: [p, q], y: [1, 2], exclude: [{ x: q }] } }`,
		run: Succeeded, units: "a/x=p,y=1=succeeded a/x=p,y=2=succeeded",
	},
	{
		name: "items that repeat are numbered",
		text: `
			inputs:
			  names: { type: "list<string>", default: [a, b, a, a] }
			steps:
			  - { id: a, uses: act, for_each: "${{ inputs.names }}", if: "${{ each.index < 3 }}" }`,
		run: Succeeded, units: "a/a=succeeded a/a#2=succeeded a/a#3=skipped(condition_false) a/b=succeeded",
	},
	{
		name: "a list of a run is expanded when its producer is done",
		text: `
			steps:
			  - { id: a, uses: act, with: { items: [3, 4] } }
			  - { id: b, uses: act, for_each: "${{ steps.a.outputs.items }}" }
			  - { id: c, uses: act, for_each: b, if: "${{ each.item == 4 }}" }
			  - { id: d, uses: act, needs: c }`,
		acts:  Acts{"a": {"busy 1m ok"}},
		run:   Succeeded,
		units: "a=succeeded b/3=succeeded b/4=succeeded c/3=skipped(condition_false) c/4=succeeded d=succeeded",
	},
	{
		name: "a fan-out without instances has succeeded",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, for_each: "${{ steps.a.outputs.items }}" }
			  - { id: c, uses: act, for_each: b }
			  - { id: d, uses: act, if: "${{ steps.b.state == 'succeeded' && steps.c.state == 'succeeded' }}" }`,
		run: Succeeded, units: "a=succeeded d=succeeded",
	},
	{
		name: "a list that cannot be is one unit without a key",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, for_each: "${{ steps.a.outputs.items }}" }
			  - { id: c, uses: act, for_each: "${{ steps.a.outputs.items }}", if: "${{ always() }}" }
			  - { id: d, uses: act, for_each: "${{ [[1]][2] }}" }
			  - { id: e, uses: act, for_each: d }`,
		acts:  Acts{"a": {"fail exit(1)"}},
		run:   Failed,
		units: "a=failed(exit(1)) b=skipped(upstream_failed) c=skipped(source_missing) d=failed(expression) e=skipped(upstream_failed)",
	},
	{
		name: "a fan-out with a bad dependency is skipped unit by unit",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, needs: a, matrix: { d: [1, 2] } }`,
		acts: Acts{"a": {"fail exit(1)"}},
		run:  Failed, units: "a=failed(exit(1)) b/d=1=skipped(upstream_failed) b/d=2=skipped(upstream_failed)",
	},
	{
		name: "fail_fast skips what has not started at the first bad unit",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2, 3, 4] }, max_parallel: 2, fail_fast: true }`,
		acts:  Acts{"a/d=1": {"busy 1m fail exit(1)"}, "a/d=2": {"busy 2m ok"}},
		run:   Failed,
		units: "a/d=1=failed(exit(1)) a/d=2=succeeded a/d=3=skipped(upstream_failed) a/d=4=skipped(upstream_failed)",
	},
	{
		name: "fail_fast lets a unit go on that waits for its next attempt",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2] }, fail_fast: true, retry: [{ cause: node_fail, max: 1 }] }`,
		acts: Acts{"a/d=1": {"busy 5s fail exit(1)"}, "a/d=2": {"fail node_fail", "ok"}},
		run:  Failed, units: "a/d=1=failed(exit(1)) a/d=2=succeeded",
	},
	{
		name: "fail_fast does not mind what failed under continue_on_error",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2] }, max_parallel: 1, fail_fast: true, continue_on_error: true }`,
		acts: Acts{"a/d=1": {"fail exit(1)"}},
		run:  Succeeded, units: "a/d=1=failed(exit(1)) a/d=2=succeeded",
	},
	{
		name: "fail_fast counts what is judged bad, and leaves the rest unjudged",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, needs: a, matrix: { d: [1, 2] }, fail_fast: true }
			  - { id: c, uses: act, matrix: { d: [1, 2, 3] }, fail_fast: true, if: "${{ [5, 5][matrix.d] == 5 }}" }
			  - { id: d, uses: act, matrix: { d: [1, 2, 3] }, fail_fast: true, with: { n: "${{ [5, 5][matrix.d] }}" } }`,
		acts: Acts{"a": {"fail exit(1)"}},
		run:  Failed,
		units: "a=failed(exit(1)) b/d=1=skipped(upstream_failed) b/d=2=skipped(upstream_failed) " +
			"c/d=1=skipped(upstream_failed) c/d=2=failed(expression) c/d=3=skipped(upstream_failed) " +
			"d/d=1=succeeded d/d=2=failed(expression) d/d=3=skipped(upstream_failed)",
	},
	{
		name: "fail_fast of pairs",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2, 3] } }
			  - { id: b, uses: act, for_each: a, fail_fast: true }`,
		acts: Acts{"a/d=1": {"busy 2m fail exit(1)"}, "a/d=2": {"busy 1m ok"}, "a/d=3": {"busy 3m ok"}, "b/d=2": {"busy 5m ok"}},
		run:  Failed,
		units: "a/d=1=failed(exit(1)) a/d=2=succeeded a/d=3=succeeded " +
			"b/d=1=skipped(upstream_failed) b/d=2=succeeded b/d=3=skipped(upstream_failed)",
	},
}

var endRules = []rule{
	{
		name: "a cancel takes at once what has nothing under way, and the rest by evidence",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act }
			  - { id: c, uses: act }
			  - { id: d, uses: act }
			  - { id: e, uses: act, retry: [{ cause: exit, max: 1 }] }
			  - { id: f, uses: act }
			  - { id: g, uses: act, needs: f, if: "${{ always() }}" }
			  - { id: h, uses: act, retry: [{ cause: exit, max: 1 }] }`,
		acts: Acts{
			"a": {"job 5m ok"}, "b": {"busy 5m ok"}, "c": {"timer 5m ok"}, "d": {"deaf 5m ok"}, "e": {"stubborn 5m fail exit(1)"},
			"h": {"busy 59s fail exit(1)"},
		},
		cancels: []time.Duration{time.Minute},
		run:     Cancelled,
		units:   "a=cancelled b=cancelled c=cancelled d=succeeded e=failed(exit(1)) f=succeeded g=succeeded h=cancelled",
	},
	{
		name: "after a cancel nothing of steps starts, whatever its condition, and finally runs",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, needs: a, if: "${{ cancelled() || always() }}" }
			  - { id: c, uses: act, for_each: "${{ steps.a.outputs.items }}" }
			  - { id: d, uses: act, needs: a, matrix: { d: [1, 2] } }
			finally:
			  - { id: f, uses: act, if: "${{ cancelled() }}" }
			  - { id: g, uses: act, if: "${{ failure() }}" }
			  - { id: h, uses: act, if: "${{ steps.d.state == 'cancelled' }}" }`,
		acts:    Acts{"a": {"busy 5m ok"}},
		cancels: []time.Duration{time.Minute},
		run:     Cancelled,
		units:   "a=cancelled b=cancelled c=cancelled d/d=1=cancelled d/d=2=cancelled f=succeeded g=skipped(condition_false) h=succeeded",
	},
	{
		name: "a second cancel skips finally",
		text: `
			steps:
			  - { id: a, uses: act }
			finally:
			  - { id: f, uses: act }
			  - { id: g, uses: act, needs: f }`,
		acts:    Acts{"a": {"job 5m ok"}, "f": {"job 5m ok"}},
		cancels: []time.Duration{time.Minute, 2 * time.Minute},
		run:     Cancelled, units: "a=cancelled f=cancelled g=cancelled",
	},
	{
		name: "a cancel that cancels nothing leaves the result",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act }`,
		acts:    Acts{"a": {"deaf 5m ok"}, "b": {"deaf 5m fail exit(1)"}},
		cancels: []time.Duration{time.Minute},
		run:     Failed, units: "a=succeeded b=failed(exit(1))",
	},
	{
		name: "finally runs whatever happened, and its conditions speak of the run",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, matrix: { d: [1, 2] } }
			finally:
			  - { id: f, uses: act, if: "${{ steps.a.state == 'failed' }}" }
			  - { id: g, uses: act, if: "${{ success() }}" }
			  - { id: h, uses: act, if: "${{ failure() }}", needs: f }
			  - { id: i, uses: act, matrix: { d: [1, 2] }, with: { n: "${{ steps.a.outputs?.n ?? 7 }}" } }`,
		acts: Acts{"a": {"fail exit(1)"}},
		run:  Failed,
		units: "a=failed(exit(1)) b/d=1=succeeded b/d=2=succeeded f=succeeded g=skipped(condition_false) h=succeeded " +
			"i/d=1=succeeded i/d=2=succeeded",
	},
	{
		name: "a bad unit of finally fails the run, and does not stop the others",
		text: `
			steps:
			  - { id: a, uses: act }
			finally:
			  - { id: f, uses: act }
			  - { id: g, uses: act, needs: f }
			  - { id: h, uses: act, with: { from: ["${{ steps.f.outputs.n }}"] } }`,
		acts: Acts{"f": {"fail exit(1)"}},
		run:  Failed, units: "a=succeeded f=failed(exit(1)) g=succeeded h=skipped(source_missing)",
	},
	{
		name: "an output that cannot be evaluated fails the run",
		text: `
			steps:
			  - { id: a, uses: act, if: "${{ false }}" }
			outputs: { n: "${{ steps.a.outputs.n }}" }`,
		run: Failed, units: "a=skipped(condition_false)",
	},
	{
		name: "outputs of all instances",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2] }, with: { n: "${{ matrix.d }}" } }
			outputs: { sum: "${{ sum(map(steps.a.instances, .outputs.n)) }}", first: "${{ steps.a.instances[0].key }}" }`,
		run: Succeeded, units: "a/d=1=succeeded a/d=2=succeeded",
	},
	{
		name: "a list that can be told is expanded, also if a dependency is bad",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, needs: a, for_each: [1, 2] }`,
		acts: Acts{"a": {"fail exit(1)"}},
		run:  Failed, units: "a=failed(exit(1)) b/1=skipped(upstream_failed) b/2=skipped(upstream_failed)",
	},
	{
		name: "always() is the condition of finally that is not written, so that its pairs are no values",
		text: `
			steps:
			  - { id: a, uses: act }
			finally:
			  - { id: f, uses: act, matrix: { d: [1, 2] }, continue_on_error: true }
			  - { id: g, uses: act, for_each: f }`,
		acts: Acts{"f/d=1": {"fail exit(1)"}},
		run:  Succeeded, units: "a=succeeded f/d=1=failed(exit(1)) f/d=2=succeeded g/d=1=succeeded g/d=2=succeeded",
	},
	{
		name: "a cancel takes all units at once, also with fail_fast",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, needs: a, matrix: { d: [1, 2] }, fail_fast: true }`,
		acts:    Acts{"a": {"busy 5m ok"}},
		cancels: []time.Duration{time.Minute},
		run:     Cancelled, units: "a=cancelled b/d=1=cancelled b/d=2=cancelled",
	},
}
