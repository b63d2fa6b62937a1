// The graph of a workflow that does not run: boxes and edges, nothing to press.
import { s } from "./dom.js";

export function graphPicture(g) {
  const at = new Map(g.nodes.map((n) => [n.id, n]));
  return s("svg", { class: "graph", role: "img", "aria-label": `Steps: ${g.nodes.map((n) => n.id).join(", ")}`, width: g.width, height: g.height, viewBox: `0 0 ${g.width} ${g.height}` },
    g.edges.map((e) => line(e, at)),
    g.nodes.map((n) => s("g", { key: n.id, class: "node is-pending" + (n.finally ? " finally" : ""), transform: `translate(${n.x} ${n.y})` },
      s("rect", { class: "box", width: n.w, height: n.h, rx: 6 }),
      s("text", { class: "name", x: 12, y: 18 }, cut(n.id, (n.w - 16) / 7.5)), s("text", { class: "note", x: 12, y: 34 }, cut(n.uses ?? "", (n.w - 16) / 6.6)))));
}

export function cut(text, chars) {
  const n = Math.max(3, Math.floor(chars));
  return text.length <= n ? text : text.slice(0, n - 1) + "…";
}

// line bends from the right of a box to the left of the next; through `points`
// if the server says which.
export function line(e, at, passed) {
  const a = at.get(e.from), b = at.get(e.to);
  if (!a || !b) return null;
  const cls = "edge" + (passed ? " passed" : "") + (e.kind ? ` ${e.kind}` : "");
  const stops = [[a.x + a.w, a.y + a.h / 2], ...(e.points ?? []).map((p) => (Array.isArray(p) ? p : [p.x, p.y])), [b.x, b.y + b.h / 2]];
  let d = `M${stops[0][0]} ${stops[0][1]}`;
  for (let i = 1; i < stops.length; i++) {
    const [x0, y0] = stops[i - 1], [x1, y1] = stops[i];
    const mid = (x0 + x1) / 2;
    d += `C${mid} ${y0} ${mid} ${y1} ${x1} ${y1}`;
  }
  const [x, y] = stops[stops.length - 1];
  return s("g", { key: e.from + "\n" + e.to }, s("path", { class: cls, d }), s("path", { class: "head", d: `M${x} ${y}l-6-3.5v7z` }));
}
