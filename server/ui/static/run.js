// One run: its head, its tabs, and the panel of one instance beside them.
import { by, get, once, post, runPath, session, unitName } from "./api.js";
import { ask } from "./dialog.js";
import { h, nodes, render, say } from "./dom.js";
import { lasting, number, plural, short, when } from "./format.js";
import { json } from "./form.js";
import { fanned, graphView } from "./graph.js";
import { ganttView } from "./gantt.js";
import { instancesView } from "./instances.js";
import { copyable, source, tabsOf, title } from "./page.js";
import { resultsView } from "./results.js";
import { change, go, link } from "./router.js";
import { failures, origin } from "./runs.js";
import { detailsView } from "./rundetails.js";
import { badge, bar, counts, runState, shape, shownUnits, total } from "./states.js";
import { stepPanel } from "./step.js";

const TABS = [
  ["graph", "Graph", graphView], ["timeline", "Timeline", ganttView], ["instances", "Instances", instancesView],
  ["results", "Results", resultsView], ["details", "Details", detailsView],
];

export function runPage(main, params, query) {
  const id = params.id;
  const head = h("div", { class: "runhead" });
  const body = h("div", { class: "runbody" });
  const tabs = h("nav", { class: "tabs", "aria-label": "Views of the run" });
  const content = h("section", { class: "view" });
  const side = h("aside", { class: "panel", "aria-label": "Instance", hidden: true });
  body.append(h("div", { class: "runmain" }, tabs, content), side);
  main.classList.add("runpage");
  main.append(head, body);

  let view = null, tab = null, panel = null, was = "";
  let here = { tab: params.tab ?? "graph", query };
  const run = {
    id, get view() { return view; },
    open: (unit, show) => change({ unit, show }),
    query: () => here.query,
    href: (name, more = {}) => hrefOf(id, name, more),
  };

  const src = source(head, {
    cares: (e) => e.run === id,
    open: (answer) => !answer.ended_at,
    load: (signal) => get(runPath(id, "?fold=true"), signal),
    draw: (answer) => {
      view = answer;
      title(`${view.workflow} ${short(id)}`);
      const [, word] = runState(view);
      if (was && was !== word) say(`run ${view.workflow}: ${word}`);
      was = word;
      render(head, header(view, run));
      if (!tab) turn();
      else {
        tab.update();
        panel?.update();
      }
    },
  });

  function turn() {
    if (!view) return;
    tabsOf(tabs, TABS, here.tab, (name) => hrefOf(id, name, { unit: here.query.get("unit") }));
    const [name, , make] = TABS.find(([n]) => n === here.tab) ?? TABS[0];
    if (tab?.name !== name) {
      tab?.leave?.();
      content.replaceChildren();
      content.className = "view " + name;
      tab = { name, ...make(content, run) };
    } else tab.turn?.();
    turnPanel();
  }

  function turnPanel() {
    const unit = here.query.get("unit");
    if (unit === (panel?.unit ?? null)) {
      panel?.turn();
      return;
    }
    panel?.leave();
    panel = null;
    side.replaceChildren();
    side.hidden = !unit;
    body.classList.toggle("with-panel", Boolean(unit));
    if (!unit) return;
    panel = stepPanel(side, run, unit, () => {
      change({ unit: null, show: null, attempt: null });
      content.querySelector('[tabindex="0"]')?.focus();
    });
  }

  return {
    same: (p) => p.id === id,
    turn: (p, q) => {
      here = { tab: p.tab ?? "graph", query: q };
      turn();
    },
    leave: () => {
      src.leave();
      tab?.leave?.();
      panel?.leave();
    },
  };
}

function hrefOf(id, tab, more) {
  const q = new URLSearchParams(Object.entries(more).filter(([, v]) => v));
  return link("runs", id, tab) + (q.size ? "?" + q : "");
}

function header(view, run) {
  const [state, word] = runState(view), units = shownUnits(view);
  return [
    h("div", { class: "titleline" },
      h("h1", null, view.workflow, " ", h("span", { class: "h1id" }, copyable(view.id, short(view.id)))),
      badge(state, word),
      h("div", { class: "buttons acts" }, actions(view))),
    h("p", { class: "facts-line" }, facts(view)),
    h("div", { class: "progress-line" }, bar(units), counts(units),
      h("span", { class: "quiet" }, `of ${plural(total(view.units), "instance")}`)),
    view.interrupted && h("p", { class: "said" }, "Nobody drives this run: no step begins, and nobody looks after its jobs, which go on."),
    view.failed_steps && h("p", { class: "failures" }, shape("failed"), failures(view.failed_steps, (id) => failedStep(view, run, id)), " failed"),
    view.message && h("p", { class: "trouble" }, view.cause ? h("b", null, view.cause + ": ") : null, view.message),
    attention(view, run),
  ];
}

// failedStep leads to a step that failed, or to those of its instances that did.
function failedStep(view, run, id) {
  const step = view.steps.find((x) => x.id === id);
  const href = step && fanned(step) ? run.href("instances", { step: id, state: "failed" }) : run.href("graph", { unit: id });
  return h("a", { key: id, href }, id);
}

function facts(view) {
  const list = [
    view.started_at ? ["began ", when(view.started_at)] : ["created ", when(view.created_at)],
    view.started_at && [view.ended_at ? "took " : "for ", lasting(view.started_at, view.ended_at)],
    (view.by || view.trigger) && ["by ", origin(view)],
    view.node_hours >= 0.01 && [`${number(Number(view.node_hours.toFixed(2)))} node-hours`],
    view.round > 1 && [`round ${view.round}`],
    view.parent && ["part of ", h("a", { href: link("runs", view.parent.run) }, short(view.parent.run))],
    view.rerun_of && ["rerun of ", h("a", { href: link("runs", view.rerun_of) }, short(view.rerun_of))],
    view.waits_for && [`waits for a place in group ${view.waits_for.group}`],
  ];
  return list.filter(Boolean).map((x) => h("span", null, nodes(x)));
}

const over = (view) => ["succeeded", "failed", "cancelled"].includes(view.state);

function actions(view) {
  const list = [];
  if (view.interrupted) list.push(h("button", { key: "resume", type: "button", class: "main", onclick: () => resume(view) }, "Resume"));
  if (!over(view)) {
    list.push(h("button", { key: "cancel", type: "button", class: "danger", onclick: () => cancel(view) }, view.cancel_requests ? "Cancel again" : "Cancel"));
  }
  if (view.units.failed || view.units.cancelled) {
    list.push(h("button", { key: "retry", type: "button", class: over(view) ? "main" : "", onclick: () => retry(view) }, "Retry failed"));
  }
  if (over(view)) list.push(h("button", { key: "rerun", type: "button", onclick: () => rerun(view) }, "Rerun"));
  return list;
}

function cancel(view) {
  ask({
    title: `Cancel this run of ${view.workflow}?`, danger: true, yes: "Cancel the run",
    text: "Its jobs are cancelled on the system, what has not begun never begins, and steps of finally still run.",
    run: async () => {
      await post(runPath(view.id, "/cancel"), { by: by() });
      return "cancel requested";
    },
  });
}

// retry has units done again: those given, or whatever failed or was cancelled.
function resume(view) {
  ask({
    title: `Resume this run of ${view.workflow}?`, yes: "Resume", text: "This server drives it from now on. Jobs that were submitted are found again.",
    run: async () => {
      await post(runPath(view.id, "/resume"), {});
      return "resumed";
    },
  });
}

export function retry(view, units, force) {
  const what = units ? unitName(units[0]) : "what failed or was cancelled";
  ask({
    title: `Retry ${what}?`, yes: "Retry",
    text: "It is done again in this run, with all that depends on it. What succeeded besides stays as it is.",
    run: async () => {
      await post(runPath(view.id, "/retry"), { units, force: force || undefined, by: by() });
      return "retry begun";
    },
  });
}

export function rerun(view, from) {
  const start = once(runPath(view.id, "/rerun"));
  ask({
    title: from ? `Rerun from ${from}?` : `Rerun ${view.workflow}?`, yes: "Rerun",
    text: from ? `A new run with the same inputs takes over what was done before ${from}, and does the rest again.`
      : "A new run of the same workflow, as it was then, with the same inputs.",
    fields: [{ name: "inputs", label: "Inputs to change", long: true, note: "JSON, such as {\"steps\": 2000}. Empty: all as they were." }],
    run: async ({ inputs }) => {
      const made = await start({ from, inputs: inputs ? parse(inputs) : undefined, by: by() });
      go("/runs/" + encodeURIComponent(made.id));
      return "rerun begun";
    },
  });
}

function parse(text) {
  let values;
  try {
    values = json(text);
  } catch (err) {
    throw err instanceof RangeError ? err : new Error("the inputs are not JSON");
  }
  // As the command line would have them.
  return Object.fromEntries(Object.entries(values).map(([k, v]) => [k, typeof v === "string" ? v : JSON.stringify(v)]));
}

// answer asks for the note that goes with a yes or a no.
export function answer(view, unit, rejected) {
  ask({
    title: `${rejected ? "Reject" : "Approve"} ${unitName(unit)}?`, danger: rejected, yes: rejected ? "Reject" : "Approve",
    fields: [{ name: "note", label: "Note", note: "Kept with your answer; may be empty." }],
    run: async ({ note }) => {
      await post(runPath(view.id, "/approve"), { ...unit, by: by(), note, rejected });
      return rejected ? "rejected" : "approved";
    },
  });
}

// attention is what waits for a person, with what helps.
function attention(view, run) {
  const units = view.attention ?? [];
  if (units.length === 0 || over(view)) return null;
  return h("ul", { class: "attention", "aria-label": "Waits for you" },
    units.slice(0, 5).map((u) => {
      const name = unitName(u);
      const unit = view.steps.find((x) => x.id === u.step)?.instances?.find((x) => (x.instance ?? "") === (u.instance ?? ""));
      const step = view.steps.find((x) => x.id === u.step);
      const asks = step?.uses === "approve";
      return h("li", { key: name }, shape("attention"),
        h("span", { class: "what" }, h("a", { href: run.href("graph", { unit: name }) }, name), " ", unit?.wait?.message ?? (asks ? "waits for an answer" : "waits for a decision")),
        asks && !session.read_only && h("span", { class: "buttons acts" },
          h("button", { type: "button", class: "main", onclick: () => answer(view, u, false) }, "Approve"),
          h("button", { type: "button", onclick: () => answer(view, u, true) }, "Reject")));
    }),
    units.length > 5 && h("li", { key: "…more" }, `and ${units.length - 5} more`));
}

