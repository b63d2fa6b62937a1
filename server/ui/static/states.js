// A state is told by shape, word and colour, in that order of importance.
import { h, s } from "./dom.js";
import { count } from "./format.js";

// ORDER is that of bars and counts: what is over, what is on, what is to come.
export const ORDER = ["succeeded", "failed", "cancelled", "skipped", "attention", "running", "inqueue", "waiting", "ready", "pending"];

// WORDS are those of states that are called otherwise than they are.
const WORDS = { attention: "needs you", inqueue: "in the queue" };

export function wordOf(state) { return WORDS[state] ?? state; }

const RING = "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 1 0 0-12.5z";

// Each shape is drawn in a box of 16: [outline, inner strokes, filled].
const SHAPES = {
  succeeded: [RING, "M5 8.3l2.1 2.1L11 6", true],
  failed: ["M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2z", "M5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6", true],
  running: [RING, "M6.6 5.2v5.6L11 8z", false],
  waiting: [RING, "M8 4.6V8l2.4 1.6", false],
  attention: ["M8 1l7 7-7 7-7-7z", "M8 4.8v3.8M8 10.6v.6", true],
  cancelled: ["M2.5 2.5h11v11h-11z", "M5 8h6", false],
  skipped: ["", "M3 5l4 3-4 3M8 5l4 3-4 3", false],
  ready: [RING, "", false],
  queued: ["", "M3 4.5h10M3 8h10M3 11.5h6", false],
  inqueue: [RING, "M5.2 6h5.6M5.2 8.2h5.6M5.2 10.4h3", false],
  pending: ["", "M5 8a3 3 0 1 0 6 0a3 3 0 1 0-6 0", false],
  paused: [RING, "M6.4 5.6v4.8M9.6 5.6v4.8", false],
  unknown: [RING, "M6.3 6.2a1.8 1.8 0 1 1 2.4 1.9c-.5.2-.7.5-.7 1M8 11v.5", false],
};

// shape is the sign of a state.
export function shape(state, more) {
  const [outline, inner, filled] = SHAPES[state] ?? SHAPES.unknown;
  return s("svg", { class: `sign is-${state}`, viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", ...more },
    outline && s("path", { class: filled ? "solid" : "line", d: outline }),
    inner && s("path", { class: filled ? "cut" : "line", d: inner }));
}

// badge is a sign with its word.
export function badge(state, word) {
  return h("span", { class: `badge is-${state}` }, shape(state), h("span", null, word ?? state));
}

// WAITS are the words for what an instance waits for.
const WAITS = {
  job: "its job", approval: "an answer", timer: "a time", backoff: "the next attempt",
  outage: "the service", attention: "a decision", child: "its run",
};

const waitsFor = (reason) => "waits for " + (WAITS[reason] ?? reason);

// person reports whether a waiting instance waits for a person.
export function person(u) {
  return u.state === "waiting" && (u.wait?.reason === "approval" || u.wait?.reason === "attention");
}

// unitState is the state of an instance as people should see it, and the words for
// it. Who waits for a job is in the queue with it, or runs with it.
export function unitState(u) {
  if (person(u)) return ["attention", waitsFor(u.wait.reason)];
  if (u.state !== "waiting" || !u.wait) return [u.state, u.state];
  const job = u.wait.reason === "job" && u.attempts?.at?.(-1)?.job;
  if (!job || job.terminal) return ["waiting", job ? "its job has ended" : waitsFor(u.wait.reason)];
  if (!job.active) return ["inqueue", "in the queue"];
  return ["running", /^(RUNNING|R)$/.test(job.state) ? "its job runs" : `its job: ${job.state}`];
}

export function unitBadge(u) { return badge(...unitState(u)); }

// SHOWN are the states in which what is waited for is shown.
const SHOWN = { approval: "attention", attention: "attention", job_running: "running", job_queued: "inqueue" };

// waitState is the state of n who wait for something, and the words for it.
export function waitState(what, n) {
  const words = { job_running: n === 1 ? "job running" : "jobs running", job_queued: wordOf("inqueue") }[what] ?? waitsFor(what);
  return [SHOWN[what] ?? "waiting", `${count(n)} ${words}`];
}

// shownUnits are the counts of the states of a step or a run as people should see them.
export function shownUnits({ units = {}, waits = {} }) {
  const shown = { ...units };
  for (const [what, n] of Object.entries(waits)) {
    const as = SHOWN[what];
    if (!as) continue;
    shown[as] = (shown[as] ?? 0) + n;
    shown.waiting -= n;
  }
  return shown;
}

// runState is the state of a run as people should see it.
export function runState(r) {
  if (r.attention?.length && (r.state === "running" || r.state === "queued")) return ["attention", wordOf("attention")];
  if (r.interrupted) return ["paused", "interrupted"];
  return [r.state, r.state];
}

// tally is the counts of states in words: 4 succeeded, 2 failed.
export function tally(units) {
  return ORDER.filter((st) => units?.[st]).map((st) => `${count(units[st])} ${wordOf(st)}`).join(", ");
}

export function total(units) {
  return Object.values(units ?? {}).reduce((a, b) => a + b, 0);
}

// bar shows the counts of states as parts of a line.
export function bar(units, label) {
  const all = total(units);
  if (!all) return null;
  return h("span", { class: "bar", role: "img", "aria-label": label ?? tally(units), title: tally(units) },
    ORDER.filter((st) => units[st]).map((st) =>
      h("span", { key: st, class: `part is-${st}`, css: { "flex-grow": units[st] } })));
}

// counts are the numbers of a bar, and lead to what they count if there is a place.
export function counts(units, href) {
  return h("span", { class: "counts" }, ORDER.filter((st) => units?.[st]).map((st) =>
    h(href?.(st) ? "a" : "span", { key: st, href: href?.(st), class: `count is-${st}`, title: wordOf(st) }, shape(st), h("span", { class: "num" }, count(units[st])), h("span", { class: "unseen" }, " " + wordOf(st)))));
}
