// A state is told by shape, word and colour, in that order of importance.
import { h, s } from "./dom.js";
import { count } from "./format.js";

// ORDER is that of bars and counts: what is over, what is on, what is to come.
export const ORDER = ["succeeded", "failed", "cancelled", "skipped", "running", "waiting", "ready", "pending"];

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
export const WAITS = {
  job: "its job", approval: "an answer", timer: "a time", backoff: "the next attempt",
  outage: "the service", attention: "a decision", child: "its run",
};

// person reports whether a waiting instance waits for a person.
export function person(u) {
  return u.state === "waiting" && (u.wait?.reason === "approval" || u.wait?.reason === "attention");
}

// unitBadge says of a waiting instance what it waits for.
export function unitBadge(u) {
  if (person(u)) return badge("attention", "waits for " + WAITS[u.wait.reason]);
  const job = u.wait?.reason === "job" && u.attempts?.at?.(-1)?.job;
  if (job) return job.state === "RUNNING" ? badge("running", "its job runs") : badge("waiting", "in the queue");
  if (u.state === "waiting" && u.wait) return badge("waiting", "waits for " + (WAITS[u.wait.reason] ?? u.wait.reason));
  return badge(u.state);
}

// runState is the state of a run as people should see it.
export function runState(r) {
  if (r.attention?.length && (r.state === "running" || r.state === "queued")) return ["attention", "needs you"];
  if (r.interrupted) return ["paused", "interrupted"];
  return [r.state, r.state];
}

// tally is the counts of states in words: 4 succeeded, 2 failed.
export function tally(units) {
  return ORDER.filter((st) => units?.[st]).map((st) => `${count(units[st])} ${st}`).join(", ");
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

// counts are the numbers of a bar.
export function counts(units) {
  return h("span", { class: "counts" }, ORDER.filter((st) => units?.[st]).map((st) =>
    h("span", { key: st, class: `count is-${st}`, title: st }, shape(st), h("span", { class: "num" }, count(units[st])), h("span", { class: "unseen" }, " " + st))));
}
