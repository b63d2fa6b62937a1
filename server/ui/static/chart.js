// A chart of numbers over numbers or words. Series differ in shape and dash as well
// as in colour; the table below it holds the same for those who cannot see it.
import { h, s } from "./dom.js";
import { number, plural, value } from "./format.js";
import { numeric } from "./results.js";

const H = 300, LEFT = 64, RIGHT = 16, TOP = 12, BOTTOM = 44;
const SERIES = 8; // more are one
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];
const MARKS = [
  (r) => `M0 ${-r}a${r} ${r} 0 1 0 .01 0z`, (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (r) => `M0 ${-1.3 * r}L${1.2 * r} ${r}H${-1.2 * r}z`, (r) => `M0 ${-1.4 * r}L${1.4 * r} 0L0 ${1.4 * r}L${-1.4 * r} 0z`,
];

export function chart(rows, { x, y, by, open, width }) {
  const W = Math.max(280, Math.min(860, width || 720));
  const points = rows.map((r) => ({ r, x: x.of(r), y: numeric(y.of(r)), by: by ? value(by.of(r)) : "" })).filter((p) => p.y !== null && p.x !== undefined && p.x !== null);
  if (points.length === 0) return h("p", { class: "quiet" }, `No instance has ${y.name} yet.`);
  const sx = scaleX(points, x, W), sy = scaleY(points);
  const names = [...new Set(points.map((p) => p.by))].sort((a, b) => (numeric(a) ?? 0) - (numeric(b) ?? 0) || (a < b ? -1 : 1));
  const folded = names.length > SERIES;
  const series = folded ? [{ name: "", points }] : names.map((name) => ({ name, points: points.filter((p) => p.by === name) }));
  return h("figure", { class: "chart" },
    s("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${y.name} over ${x.name}, ${plural(points.length, "point")}; the table has the numbers` },
      axes(sx, sy, x, y, W), series.map((one, i) => drawn(one, i, sx, sy, open))),
    h("figcaption", null, by && !folded && names.length > 1 && h("span", { class: "legend" }, h("span", { class: "quiet" }, by.name),
      series.map((one, i) => h("span", { key: one.name, class: `series s${i % 8}` },
        s("svg", { width: 26, height: 12, viewBox: "-13 -6 26 12", "aria-hidden": "true" }, s("path", { class: "curve", d: "M-13 0h26", "stroke-dasharray": DASHES[i % 4] }), s("path", { class: "mark", d: MARKS[i % 4](3.5) })), one.name))),
    folded && h("span", { class: "note" }, `${names.length} values of ${by.name} are too many to tell apart here.`)));
}

function scaleX(points, field, W) {
  const nums = points.map((p) => numeric(p.x));
  if (field.numeric && nums.every((n) => n !== null)) {
    const line = linear(Math.min(...nums), Math.max(...nums), LEFT + 10, W - RIGHT - 10);
    return { of: (v) => line.of(numeric(v)), ticks: line.ticks.map((t) => [line.of(t), number(t)]), ordered: true, rank: numeric };
  }
  const words = [...new Set(points.map((p) => value(p.x)))];
  const of = (v) => LEFT + ((words.indexOf(value(v)) + 0.5) / words.length) * (W - LEFT - RIGHT);
  const each = Math.ceil(words.length / Math.max(2, Math.floor(W / 72)));
  return { of, ticks: words.filter((_, i) => i % each === 0).map((w) => [of(w), w.length > 14 ? w.slice(0, 13) + "…" : w]), rank: (v) => words.indexOf(value(v)) };
}

function scaleY(points) {
  const nums = points.map((p) => p.y);
  const line = linear(Math.min(...nums), Math.max(...nums), H - BOTTOM, TOP);
  return { of: line.of, ticks: line.ticks.map((t) => [line.of(t), number(t)]) };
}

// linear maps numbers to places, with some round ticks; its range ends at ticks.
function linear(low, high, a, b) {
  if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) / 2, high + Math.abs(high) / 2];
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= rough);
  const from = Math.floor(low / step) * step, to = Math.ceil(high / step - 1e-9) * step;
  const ticks = [];
  for (let i = 0; from + i * step <= to + step * 1e-6; i++) ticks.push(Number((from + i * step).toPrecision(12)));
  return { of: (v) => a + ((v - from) / (to - from)) * (b - a), ticks };
}

function axes(sx, sy, x, y, W) {
  const foot = H - BOTTOM;
  return s("g", { class: "axes" },
    sy.ticks.map(([at, label], i) => s("g", { key: "y" + i }, s("line", { class: "tick", x1: LEFT, x2: W - RIGHT, y1: at, y2: at }), s("text", { x: LEFT - 8, y: at + 4, "text-anchor": "end" }, label))),
    sx.ticks.map(([at, label], i) => s("text", { key: "x" + i, x: at, y: foot + 18, "text-anchor": "middle" }, label)),
    s("line", { class: "base", x1: LEFT, x2: W - RIGHT, y1: foot, y2: foot }),
    s("text", { class: "axisname", x: (LEFT + W - RIGHT) / 2, y: H - 6, "text-anchor": "middle" }, x.name),
    s("text", { class: "axisname", x: 14, y: (TOP + foot) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(TOP + foot) / 2})` }, y.name));
}

// drawn is a series: a line through the means at each x, and a mark for each point.
function drawn(one, i, sx, sy, open) {
  const means = new Map();
  for (const p of one.points) {
    const at = sx.rank(p.x);
    const m = means.get(at) ?? { x: p.x, sum: 0, n: 0 };
    m.sum += p.y;
    m.n++;
    means.set(at, m);
  }
  const line = [...means.entries()].sort((a, b) => a[0] - b[0]).map(([, m]) => `${sx.of(m.x).toFixed(1)} ${sy.of(m.sum / m.n).toFixed(1)}`);
  const few = one.points.length <= 500;
  return s("g", { key: one.name, class: `series s${i % 8}` },
    sx.ordered && line.length > 1 && s("path", { class: "curve", d: "M" + line.join("L"), "stroke-dasharray": DASHES[i % 4] }),
    few ? one.points.map((p, n) => s("path", { key: n, class: "mark", d: MARKS[i % 4](3.5), transform: `translate(${sx.of(p.x).toFixed(1)} ${sy.of(p.y).toFixed(1)})`, onclick: () => open(p.r) },
      s("title", null, `${value(p.x)}: ${number(p.y)}` + (p.r.instance ? `\n${p.r.instance}` : ""))))
      : s("path", { class: "dots", d: one.points.map((p) => `M${sx.of(p.x).toFixed(1)} ${sy.of(p.y).toFixed(1)}h0`).join("") }));
}
