// The panel of one instance: how it is, why, its script, its log, its values.
import { by, get, post, query as toQuery, runPath, text, unitRef } from "./api.js";
import { ask } from "./dialog.js";
import { h, nodes, render } from "./dom.js";
import { clock, exact, lasting, local, span, when } from "./format.js";
import { logView } from "./log.js";
import { copyable, failed, source, tabsOf } from "./page.js";
import { answer, rerun, retry } from "./run.js";
import { badge, person, unitBadge } from "./states.js";
import { tree } from "./tree.js";

const TABS = [["state", "State"], ["why", "Evidence"], ["log", "Log"], ["script", "Script"], ["values", "Values"]];

export function stepPanel(root, run, name, close) {
  const head = h("div", { class: "panelhead" });
  const tabs = h("nav", { class: "tabs", "aria-label": "Views of the instance" });
  const body = h("div", { class: "panelbody", tabindex: -1 });
  root.append(head, tabs, body);
  let unit = null, sub = null, shown = "";

  const src = source(body, {
    cares: (e) => e.run === run.id,
    load: (signal) => get(runPath(run.id, "/unit" + toQuery({ unit: name })), signal),
    draw: (answer) => {
      const first = !unit;
      unit = answer.unit ?? answer;
      drawHead();
      if (first) { body.replaceChildren(); turn(); head.querySelector("[data-close]").focus({ preventScroll: true }); } else sub?.update?.();
    },
  });
  drawHead();

  function drawHead() {
    const ref = unitRef(name);
    render(head,
      h("div", { class: "titleline" },
        h("h2", null, ref.step, ref.instance && h("span", { class: "id" }, " " + ref.instance)),
        h("button", { type: "button", class: "plain", "data-close": true, "aria-label": "Close the panel", title: "Close (Esc)", onclick: close }, "✕")),
      unit && h("div", { class: "titleline" }, unitBadge(unit), unit.since && h("span", { class: "quiet" }, when(unit.since))),
      unit && h("div", { class: "buttons acts" }, actions(run, unit, name)));
  }

  function turn() {
    if (!unit) return;
    const want = run.query().get("show") ?? "state";
    tabsOf(tabs, TABS, want, (show) => hereWith({ show }));
    const attempt = run.query().get("attempt") ?? "";
    if (shown === want + attempt) return;
    sub?.leave?.();
    shown = want + attempt;
    body.replaceChildren();
    body.className = "panelbody " + want;
    const make = { state: stateView, why: whyView, log: logs, script: scriptView, values: valuesView }[want] ?? stateView;
    sub = make(body, { run, name, unit: () => unit, attempt: () => Number(attempt) || unit.attempts?.at(-1)?.attempt || 1 });
  }
  return { unit: name, update: () => {}, turn, leave: () => { sub?.leave?.(); src.leave(); } };
}

function hereWith(values) {
  const [path, search = ""] = location.hash.split(/\?(.*)/s);
  const q = new URLSearchParams(search);
  for (const [key, value] of Object.entries(values)) q.set(key, value);
  return path + "?" + q;
}

function actions(run, u, name) {
  const ref = unitRef(name), view = run.view, list = [];
  if (person(u) && u.wait.reason === "approval") {
    list.push(h("button", { key: "yes", type: "button", class: "main", onclick: () => answer(view, ref, false) }, "Approve"),
      h("button", { key: "no", type: "button", onclick: () => answer(view, ref, true) }, "Reject"));
  }
  if (u.unknown) list.push(...resolutions(view, ref));
  if (["failed", "cancelled"].includes(u.state)) list.push(h("button", { key: "retry", type: "button", class: "main", onclick: () => retry(view, [ref]) }, "Retry"));
  if (u.state === "succeeded") list.push(h("button", { key: "again", type: "button", onclick: () => retry(view, [ref], true) }, "Do again"));
  if (view.ended_at) list.push(h("button", { key: "rerun", type: "button", onclick: () => rerun(view, ref.step) }, "Rerun from here"));
  return list;
}

// resolutions take the word of a person on what became of a submission.
function resolutions(view, ref) {
  const send = (word) => async (values) => {
    await post(runPath(view.id, "/resolve"), { ...ref, ...word, ...values, by: by() });
    return "your word is kept";
  };
  const button = (label, title, text, fields, word) => h("button", {
    key: label, type: "button", onclick: () => ask({ title, text, fields, yes: label, run: send(word) }),
  }, label);
  return [
    button("It is a job", "Which job is it?", "The run goes on with that job.", [{ name: "job_id", label: "Job", required: true }], { as: "job" }),
    button("It never ran", "It never ran?", "There is another attempt. If the job has a fence, that is closed first.", [], { as: "never_ran" }),
    button("It failed", "It failed?", "The attempt ends as failed.", [], { as: "failed" }),
  ];
}

function stateView(root, c) {
  const update = () => {
    const u = c.unit();
    render(root,
      u.message && h("p", { class: u.state === "failed" ? "trouble" : "said" }, u.cause && h("b", null, u.cause + ": "), u.message),
      u.wait?.message && h("p", { class: "said" }, u.wait.message, u.wait.until && [" until ", when(u.wait.until)]),
      u.root && h("p", null, "The trouble began in ", h("a", { href: c.run.href("graph", { unit: refName(u.root) }) }, refName(u.root)), "."),
      u.imported && h("p", null, "Taken over from run ", h("a", { href: "#/runs/" + u.imported }, u.imported), "."),
      parameters(u),
      (u.attempts ?? []).length === 0 && h("p", { class: "quiet" }, "No attempt yet."),
      [...(u.attempts ?? [])].reverse().map((a, i) => attemptView(a, c, i === 0)));
  };
  update();
  return { update };
}

const refName = (r) => (r.instance ? r.step + "/" + r.instance : r.step);

function parameters(u) {
  const list = Object.entries(u.parameters ?? {});
  return list.length > 0 && h("dl", { class: "facts" }, list.map(([k, v]) => [h("dt", null, k), h("dd", { class: "mono" }, typeof v === "string" ? v : JSON.stringify(v))]));
}

function attemptView(a, c, newest) {
  const rows = [
    ["Began", h("span", { title: exact(a.started_at) }, local(a.started_at))],
    ["Took", lasting(a.started_at, a.ended_at)],
    a.system && ["System", h("a", { href: "#/systems/" + encodeURIComponent(a.system) }, a.system)],
    a.job_id && ["Job", copyable(a.job_id)],
    a.job && ["Job state", [a.job.state, a.job.reason && ` (${a.job.reason})`]],
    a.job?.exit_code !== undefined && ["Exit code", a.job.exit_code],
    a.job?.signal && ["Signal", a.job.signal],
    a.job?.nodes && ["Nodes", a.job.nodes],
    a.job?.elapsed_ms && ["Elapsed", span(a.job.elapsed_ms / 1000)],
    a.job?.stdout && ["Output", copyable(a.job.stdout)],
    a.job?.stderr && ["Errors", copyable(a.job.stderr)],
    a.submission && ["Job name", copyable(a.submission.job_name)],
    a.submission && ["Submission", `${a.submission.requests} request${a.submission.requests === 1 ? "" : "s"}` + (a.submission.answer ? `, last answer: ${a.submission.answer}` : "")],
    a.token && ["Token", copyable(a.token)],
    a.approval && [a.approval.rejected ? "Rejected" : "Approved", nodes(["by ", a.approval.by, ", ", when(a.approval.at), a.approval.note && `: ${a.approval.note}`])],
    a.child && ["Run", h("a", { href: "#/runs/" + a.child }, a.child)],
    a.evidence && ["Evidence", a.evidence],
  ].filter(Boolean);
  return h("details", { key: a.attempt, class: "attempt", open: newest },
    h("summary", null, h("b", null, `Attempt ${a.attempt}`), " ", a.state ? badge(a.state, a.cause && a.cause !== a.state ? `${a.state}, ${a.cause}` : a.state) : badge("running", "not over")),
    a.message && !newest && h("p", { class: "said" }, a.message),
    a.tail && [h("h3", null, "Last lines"), h("pre", { class: "tail", tabindex: 0, "aria-label": `Last lines of attempt ${a.attempt}` }, a.tail)],
    h("dl", { class: "facts" }, rows.map(([k, v]) => [h("dt", null, k), h("dd", null, v)])),
    h("p", { class: "note" }, h("a", { href: hereWith({ show: "log", attempt: a.attempt }) }, "Log"), " · ", h("a", { href: hereWith({ show: "script", attempt: a.attempt }) }, "Script")));
}

// whyView is the chain of evidence.
function whyView(root, c) {
  const src = source(root, {
    cares: (e) => e.run === c.run.id,
    load: (signal) => get(runPath(c.run.id, "/why" + toQuery({ unit: c.name })), signal),
    draw: (why) => render(root, evidence(why)),
  });
  return { leave: src.leave };
}

function evidence(why) {
  const chain = why.chain ?? why;
  if (!chain.attempts && why.lines) {
    return h("ol", { class: "chain" }, why.lines.map((l, i) => h("li", { key: i }, l.at && h("span", { class: "num quiet", title: exact(l.at) }, clock(l.at)), h("span", null, l.text))));
  }
  return [
    chain.facts?.length > 0 && h("ol", { class: "chain" }, chain.facts.map(fact)),
    (chain.attempts ?? []).map((a) => h("section", { key: a.attempt },
      h("h3", null, `Attempt ${a.attempt}`, a.job_name && h("span", { class: "id" }, " " + a.job_name)),
      h("ol", { class: "chain" }, (a.facts ?? []).map(fact)))),
    chain.waiting && h("p", { class: "said" }, chain.waiting.text, chain.waiting.next_look_at && ["; looks again ", when(chain.waiting.next_look_at)]),
    chain.next?.length > 0 && [h("h3", null, "What helps"), h("ul", { class: "next" }, chain.next.map((n) => h("li", null, copyable(n))))],
  ];
}

function fact(f, i) {
  return h("li", { key: f.seq ?? i },
    h("span", { class: "num quiet", title: exact(f.at) }, clock(f.at)),
    h("span", null, f.text, f.means && h("span", { class: "means" }, " → " + f.means), f.rule && h("span", { class: "quiet" }, ` (rule ${f.rule})`),
      (f.calls ?? []).map((call) => h("div", { class: "call mono" }, `${call.operation}: ${call.status ?? "no answer"}`, call.said && `, ${call.said}`, call.request_id && ` (request ${call.request_id})`))));
}

// scriptView shows what ran: of a job as it was submitted, otherwise as it was given.
function scriptView(root, c) {
  const abort = new AbortController();
  const a = c.unit().attempts?.find((x) => x.attempt === c.attempt());
  const show = (script, note) => render(root, h("p", { class: "note" }, note), h("pre", { class: "script", tabindex: 0, "aria-label": "Script" }, script));
  if (a?.submission) {
    text(runPath(c.run.id, "/script" + toQuery({ unit: c.name, attempt: c.attempt() })), abort.signal).then(
      (script) => show(script, `As attempt ${c.attempt()} was submitted.`), (err) => { if (!abort.signal.aborted) render(root, failed(err)); });
  } else {
    const script = (a?.with ?? c.unit().with)?.script;
    if (script) show(script, `As attempt ${c.attempt()} ran it.`);
    else render(root, h("p", { class: "quiet" }, "It has no script."));
  }
  return { leave: () => abort.abort() };
}

function logs(root, c) { return logView(root, c); }

function valuesView(root, c) {
  const update = () => {
    const u = c.unit();
    const a = u.attempts?.find((x) => x.attempt === c.attempt());
    const given = a?.with ?? u.with;
    render(root,
      h("h3", null, "Outputs"), u.outputs && Object.keys(u.outputs).length ? tree(u.outputs) : h("p", { class: "quiet" }, "None yet."),
      given && [h("h3", null, "Given"), tree(given)]);
  };
  update();
  return { update };
}

