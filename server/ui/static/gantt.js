// When the attempts of each step were waiting and running. Attempts of a step that
// overlap lie in lanes below each other.
import { get, runPath } from "./api.js";
import { h, render, s } from "./dom.js";
import { clock, local, plural, span } from "./format.js";
import { empty, source } from "./page.js";
import { shape } from "./states.js";

const MOST = 24; // lanes of a step; more are drawn over each other in the last

export function ganttView(root, run) {
  const box = h("div", { class: "gantt" });
  root.append(box);
  let data = null;
  const src = source(box, {
    cares: (e) => e.run === run.id,
    load: (signal) => get(runPath(run.id, "/timeline"), signal),
    draw: (answer) => { data = answer; draw(); },
  });
  // What is running grows.
  const timer = setInterval(() => { if (data && !document.hidden && !run.view.ended_at) draw(); }, 1000);
  function draw() {
    const bars = barsOf(data);
    if (bars.every((b) => b.attempts.length === 0 && !b.first)) { render(box, empty("Nothing has begun yet.")); return; }
    render(box, chart(bars, run));
  }
  return { update: () => {}, leave: () => { clearInterval(timer); src.leave(); } };
}

// barsOf brings both forms of the answer into one: attempts with their step, or
// apart from it.
function barsOf(data) {
  const apart = data.attempts ?? data.bars ?? [];
  return (data.steps ?? []).map((step) => ({
    ...step, id: step.id ?? step.step,
    attempts: step.attempts ?? step.bars ?? apart.filter((a) => a.step === (step.id ?? step.step)),
  }));
}

const time = (at) => Date.parse(at);
const beginOf = (a) => time(a.start ?? a.started_at);
const endOf = (a) => (a.end ?? a.ended_at ? time(a.end ?? a.ended_at) : Date.now());

function chart(steps, run) {
  const firsts = steps.flatMap((x) => [x.first, ...x.attempts.map((a) => a.start ?? a.started_at)]).filter(Boolean).map(time);
  const lasts = steps.flatMap((x) => [x.last ? time(x.last) : 0, ...x.attempts.map(endOf)]);
  const from = Math.min(...firsts);
  let to = Math.max(...lasts, from + 1);
  if (!run.view.ended_at) to = Math.max(to, Date.now());
  const ticks = marks(from, to);
  const x = (t) => `${(((t - from) / (to - from)) * 100).toFixed(3)}%`;
  return [
    h("div", { class: "ganttrow axis" }, h("div", { class: "ganttname quiet" }, "Since the start"),
      s("svg", { class: "lane", height: 18, "aria-hidden": "true" }, ticks.map((t, i) =>
        s("text", { key: i, x: x(t), y: 13, "text-anchor": i === 0 ? "start" : "middle" }, t === from ? "0" : span((t - from) / 1000))))),
    steps.map((step) => row(step, x, ticks, run)),
    h("p", { class: "note" }, `From ${local(new Date(from).toISOString())}, ${span((to - from) / 1000)} in all. Light: submitted, in the queue. Solid: running.`),
  ];
}

function row(step, x, ticks, run) {
  const lanes = pack(step.attempts);
  const high = lanes.length > 8 ? 7 : 14, gap = lanes.length > 8 ? 1 : 2;
  const height = Math.max(1, lanes.length) * (high + gap) + 8;
  const state = step.state ?? run.view.steps.find((v) => v.id === step.id)?.state ?? "pending";
  const n = step.attempts.length;
  const words = n || step.first ? `${step.id}: ${plural(step.count ?? n, "attempt")}, from ${clock(step.first ?? step.attempts[0].start)} to ${step.last ? clock(step.last) : "now"}` : `${step.id}: not begun`;
  return h("div", { key: step.id, class: "ganttrow" },
    h("div", { class: "ganttname" }, shape(state), h("a", { href: run.href("instances", { step: step.id }) }, step.id)),
    s("svg", { class: "lane", height, role: "img", "aria-label": words },
      ticks.map((t, i) => s("line", { key: "t" + i, class: "tick", x1: x(t), x2: x(t), y1: 0, y2: height })),
      n === 0 && step.first && whole(step, x, height, state),
      lanes.map((lane, i) => lane.map((a) => bar(a, x, 4 + i * (high + gap), high, run, step)))));
}

// whole stands for the attempts of a step that are too many to be drawn.
function whole(step, x, height, state) {
  return span2(x, time(step.first), step.last ? time(step.last) : Date.now(), 4, height - 8, `ganttbar folded is-${state}`);
}

function bar(a, x, y, high, run, step) {
  const start = beginOf(a), end = endOf(a);
  // What the scheduler says is in whole seconds and by its own clock.
  const running = a.running ? Math.max(start, Math.min(end, time(a.running))) : null;
  const state = a.end ? a.state : running ? "running" : "waiting"; // a job that runs is waited for
  const name = a.instance ? step.id + "/" + a.instance : step.id;
  const words = `${name}, attempt ${a.attempt ?? 1}: ${state}\n${span((end - start) / 1000)}` + (running ? `, ${span((running - start) / 1000)} of it waiting` : "");
  return s("g", { key: name + "#" + (a.attempt ?? 1), class: "ganttone", onclick: () => run.open(name) }, s("title", null, words),
    (running === null || running > start) && span2(x, start, running ?? end, y, high, `ganttbar queue is-${state}`),
    running !== null && span2(x, running, end, y, high, `ganttbar is-${state}`));
}

function span2(x, from, to, y, high, cls) {
  const a = Number.parseFloat(x(from)), b = Number.parseFloat(x(to));
  return s("rect", { class: cls, x: Math.min(a, 99.7) + "%", width: Math.max(0.3, b - a).toFixed(3) + "%", y, height: high, rx: 2 });
}

// pack puts bars into as few lanes as may be.
function pack(attempts) {
  const lanes = [], ends = [];
  for (const a of [...attempts].sort((p, q) => beginOf(p) - beginOf(q))) {
    let i = ends.findIndex((end) => end <= beginOf(a));
    if (i < 0) i = Math.min(ends.length, MOST - 1);
    (lanes[i] ??= []).push(a);
    ends[i] = Math.max(ends[i] ?? 0, endOf(a));
  }
  return lanes;
}

const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800];

// marks are the places of the axis: five or so, at round times.
function marks(from, to) {
  const wide = (to - from) / 1000;
  const step = STEPS.find((s) => wide / s <= 6) ?? wide / 5;
  const out = [];
  for (let t = 0; t <= wide * 0.97; t += step) out.push(from + t * 1000);
  return out;
}
