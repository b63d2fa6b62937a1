// The graph of a run. Where the boxes are is said by the server, once; what
// changes is how they look. A step with many instances is one box that says how
// far they are, and opens their table.
import { get, runPath } from "./api.js";
import { h, render, s } from "./dom.js";
import { count } from "./format.js";
import { empty, failed } from "./page.js";
import { cut, line } from "./picture.js";
import { badge, bar, counts, ORDER, shape, shownUnits, tally, total, unitState, wordOf } from "./states.js";

// Widths of a character in the two lines of a box, and where they begin.
const NAME = 7.5, NOTE = 6.6, LEFT = 26;

// ON are the states of a step that is not over, what matters most first.
const ON = ["attention", "running", "inqueue", "waiting", "ready", "pending"];
const OVER = new Set(["succeeded", "failed", "cancelled", "skipped"]);

// stepState is the state of a step as people should see it, and the words for it:
// those of its only instance, or what matters most of many.
export function stepState(step) {
  if (!fanned(step) && step.instances?.length === 1) return unitState(step.instances[0]);
  if (OVER.has(step.state)) return [step.state, step.state];
  const units = shownUnits(step), state = ON.find((st) => units[st]) ?? step.state;
  return [state, wordOf(state)];
}

// fanned reports whether a step has instances with keys.
export function fanned(step) {
  return step.folded || total(step.units) > 1 || Boolean(step.instances?.[0]?.instance);
}

export function graphView(root, run) {
  const abort = new AbortController();
  const box = h("div", { class: "graphbox" });
  const list = h("div", { class: "steps sideways" });
  root.append(box, list);
  let layout = null, focused = null;
  get(runPath(run.id, "/graph"), abort.signal).then((g) => { layout = g; update(); }, (err) => {
    if (!abort.signal.aborted) render(box, failed(err));
  });

  box.addEventListener("keydown", (e) => {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1], l: [1, 0], h: [-1, 0], j: [0, 1], k: [0, -1] }[e.key];
    if (!way || !layout || e.ctrlKey || e.metaKey || e.altKey) return;
    const to = nearest(layout.nodes, focused, way);
    e.preventDefault();
    if (!to) return;
    focused = to.id;
    update();
    const el = box.querySelector(`[data-step="${CSS.escape(to.id)}"]`);
    el?.focus();
    el?.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  function update() {
    const steps = new Map(run.view.steps.map((x) => [x.id, x]));
    render(list, stepTable(run));
    if (!layout) return;
    if (layout.nodes.length === 0) { render(box, empty("The workflow has no steps.")); return; }
    if (!layout.nodes.some((n) => n.id === focused)) focused = layout.nodes[0].id;
    const at = new Map(layout.nodes.map((n) => [n.id, n]));
    render(box, s("svg", {
      class: "graph", role: "group", "aria-label": "Graph of the steps", width: layout.width, height: layout.height,
      viewBox: `0 0 ${layout.width} ${layout.height}`,
    },
      s("g", { "aria-hidden": "true" }, layout.edges.map((e) => line(e, at, steps.get(e.from)?.state === "succeeded"))),
      layout.nodes.map((n) => node(n, steps.get(n.id), run, n.id === focused, () => { focused = n.id; }))));
  }
  update();
  return { update, turn: update, leave: () => abort.abort() };
}

// hrefOfStep opens the only instance of a step, or the table of its instances.
function hrefOfStep(step, run) {
  return fanned(step) ? run.href("instances", { step: step.id }) : run.href("graph", { unit: step.id });
}

function node(n, step, run, inTab, onfocus) {
  if (!step) return null;
  const units = shownUnits(step), all = total(units), [state, word] = stepState(step), many = fanned(step);
  const name = cut(step.id, (n.w - LEFT - 4) / NAME);
  const note = longest(many ? farNotes(step, units, all) : [`${step.uses} · ${word}`, word, wordOf(state)], (n.w - LEFT - 4) / NOTE);
  const chosen = run.query().get("unit")?.split("/")[0] === step.id;
  const words = `${step.id}, ${step.uses}, ${many ? `${all} instances: ${tally(units)}` : word}`;
  return s("a", {
    key: n.id, class: `node is-${state}` + (n.finally ? " finally" : "") + (chosen ? " chosen" : ""), href: hrefOfStep(step, run),
    "data-step": n.id, "data-state": state, tabindex: inTab ? 0 : -1, onfocus,
    transform: `translate(${n.x} ${n.y})`,
  },
    s("title", null, words + (n.finally ? ", runs whatever happened" : "")),
    many && s("rect", { class: "behind", x: 4, y: 4, width: n.w, height: n.h, rx: 6 }),
    s("rect", { class: "box", width: n.w, height: n.h, rx: 6 }),
    s("g", { transform: "translate(7 8) scale(.9)" }, shape(state)),
    s("text", { class: "name", x: LEFT, y: 18 }, name),
    s("text", { class: "note", x: LEFT, y: 34 }, note),
    many && all > 0 && progress(units, all, n));
}

// farNotes say how far many instances are, the longest note first.
function farNotes(step, units, all) {
  const short = `${count(units.succeeded ?? 0)}/${count(all)}`;
  const say = (st, word) => units[st] && `${count(units[st])} ${word}`;
  const rest = [say("failed", "failed"), say("attention", "need you"), say("running", "running"), say("inqueue", "in the queue"), say("cancelled", "cancelled"), say("skipped", "skipped")].filter(Boolean);
  const notes = rest.map((_, i) => [short, ...rest.slice(0, rest.length - i)].join(" · "));
  return [`${step.uses} · ${notes[0] ?? short}`, ...notes, rest[0] ?? short, short];
}

// longest is the first of some texts, the longest first, that has room.
function longest(texts, chars) { return texts.find((t) => t.length <= chars) ?? cut(texts.at(-1), chars); }

// progress is the bar at the foot of a box with many instances.
function progress(units, all, n) {
  let x = 6;
  const wide = n.w - 12;
  return s("g", null, ORDER.filter((st) => units[st] && st !== "ready" && st !== "pending").map((st) => {
    const w = (units[st] / all) * wide;
    const part = s("rect", { key: st, class: `fillpart is-${st}`, x, y: n.h - 4.5, width: Math.max(1, w), height: 2.5 });
    x += w;
    return part;
  }));
}

// nearest is the box that lies in a direction: near along it counts, off it more.
function nearest(all, from, [dx, dy]) {
  const a = all.find((n) => n.id === from) ?? all[0];
  const center = (n) => [n.x + n.w / 2, n.y + n.h / 2];
  const [ax, ay] = center(a);
  let best = null, least = Infinity;
  for (const n of all) {
    const [x, y] = center(n);
    const along = (x - ax) * dx + (y - ay) * dy;
    const off = Math.abs((x - ax) * dy) + Math.abs((y - ay) * dx);
    if (n === a || along <= 1) continue;
    if (along + 3 * off < least) [best, least] = [n, along + 3 * off];
  }
  return best;
}

// stepTable says the same as the graph, in rows.
function stepTable(run) {
  return h("table", { class: "rows" },
    h("caption", { class: "unseen" }, "Steps"),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Step"), h("th", { scope: "col" }, "State"),
      h("th", { scope: "col", class: "wide" }, "Type"), h("th", { scope: "col", class: "wide" }, "After"), h("th", { scope: "col", class: "wide" }, "Instances"))),
    h("tbody", null, run.view.steps.map((step) => {
      const units = shownUnits(step), many = fanned(step);
      return h("tr", { key: step.id },
        h("td", null, h("a", { href: hrefOfStep(step, run) }, step.id), step.name && h("div", { class: "sub" }, step.name), many && h("div", { class: "narrow" }, counts(units))),
        h("td", null, badge(...stepState(step))),
        h("td", { class: "wide mono" }, step.uses, step.finally && h("span", { class: "quiet" }, " finally")),
        h("td", { class: "wide quiet" }, (step.needs ?? []).join(", ")),
        h("td", { class: "progress wide" }, many ? [bar(units), counts(units, (st) => OVER.has(st) && run.href("instances", { step: step.id, state: st }))] : h("span", { class: "quiet" }, step.instances?.[0]?.message ?? "")));
    })));
}
