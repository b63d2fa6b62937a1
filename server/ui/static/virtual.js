// A table of any length of which only the rows in sight exist. The focus is on the
// table; which row is meant is told by aria-activedescendant, so that rows may come
// and go under it.
import { h, nodes, render } from "./dom.js";
import { step } from "./keys.js";

export const ROW = 30; // px; pages.css has the same
const narrow = matchMedia("(max-width: 640px)");
const MARGIN = 6;      // rows above and below those in sight
const TALL = 15e6;     // browsers draw nothing beyond some 16 million px

// virtual makes the table. columns: [{name, label, cls, sortable}]; row(i) is what
// is known of row i, or null; cells(row) its cells; need(from, to) is told which
// rows are in sight; open(row, i) opens one.
export function virtual(root, { label, row, cells, need, open, chosen, sort, onSort }) {
  let total = 0, columns = [], at = 0, frame = 0;
  const scroller = h("div", {
    class: "grid", role: "grid", tabindex: 0, "aria-label": label,
    onscroll: later, onkeydown: keys,
  });
  const head = h("div", { class: "gridhead", role: "row", "aria-rowindex": 1 });
  const space = h("div", { class: "gridspace", role: "rowgroup" });
  const body = space;
  scroller.append(h("div", { role: "rowgroup", class: "gridtop" }, head), space);
  root.append(scroller);
  const resized = new ResizeObserver(later);
  resized.observe(scroller);

  function later() { frame ||= requestAnimationFrame(() => { frame = 0; draw(); }); }

  function seen() {
    const from = Math.max(0, Math.floor(scroller.scrollTop / ROW) - MARGIN);
    return [from, Math.min(total, from + Math.ceil(scroller.clientHeight / ROW) + 2 * MARGIN)];
  }

  function draw() {
    const [from, to] = seen();
    need?.(from, to);
    scroller.setAttribute("aria-rowcount", total + 1);
    // Of a narrow screen the wide columns are left out.
    const shown = columns.map((c, n) => ({ ...c, n })).filter((c) => !narrow.matches || !/\bwide\b/.test(c.cls ?? ""));
    scroller.setAttribute("aria-colcount", shown.length);
    render(head, shown.map(header));
    space.style.height = Math.min(TALL, total * ROW) + "px";
    const widths = shown.map((c) => c.width ?? "minmax(70px, 1fr)");
    scroller.style.setProperty("--columns", widths.join(" "));
    scroller.style.setProperty("--wide", widths.reduce((sum, w) => sum + Number(/(\d+)px/.exec(w)[1]), 0) + "px");
    const rows = [];
    for (let i = from; i < to; i++) {
      const r = row(i);
      const cls = "gridrow" + (i === at ? " at" : "") + (r && chosen?.(r) ? " chosen" : "") + (i % 2 ? " odd" : "");
      rows.push(h("div", {
        key: i, id: `row-${i}`, role: "row", class: cls, "aria-rowindex": i + 2, "aria-selected": r && chosen ? String(Boolean(chosen(r))) : null,
        css: { top: i * ROW + "px" }, onclick: r && (() => { at = i; draw(); open?.(r, i); }),
      }, r ? line(cells(r), shown)
        : shown.map(() => h("div", { role: "gridcell" }, h("span", { class: "soon" }, "…")))));
    }
    render(body, rows);
    if (total && at >= from && at < to) scroller.setAttribute("aria-activedescendant", `row-${at}`);
    else scroller.removeAttribute("aria-activedescendant");
  }

  function line(all, shown) { return shown.map((c) => h("div", { role: "gridcell", class: c.cls ?? "", title: hint(all[c.n]) }, all[c.n])); }

  // hint is the text of a cell, which may not have room for all of it.
  function hint(cell) {
    const text = nodes([cell]).map((n) => n.textContent).join("");
    return text.length > 12 ? text : null;
  }

  function header(c) {
    const way = sort?.() ?? "";
    const on = way.replace(/^-/, "") === c.name;
    return h("div", { key: c.name, role: "columnheader", class: c.cls ?? "", title: hint(c.label), "aria-sort": on ? (way.startsWith("-") ? "descending" : "ascending") : null },
      c.sortable && onSort ? h("button", { type: "button", class: "sort", onclick: () => onSort(on && !way.startsWith("-") ? "-" + c.name : c.name) },
        c.label, h("span", { "aria-hidden": "true" }, on ? (way.startsWith("-") ? " ↓" : " ↑") : "")) : c.label);
  }

  function keys(e) {
    if (e.target !== scroller || !total) return;
    const by = step(e, Math.max(1, Math.floor(scroller.clientHeight / ROW) - 2));
    if (by) {
      e.preventDefault();
      at = Math.max(0, Math.min(total - 1, at + by));
      const top = at * ROW, room = scroller.clientHeight - ROW; // the head covers one row
      if (top < scroller.scrollTop) scroller.scrollTop = top;
      else if (top + ROW > scroller.scrollTop + room) scroller.scrollTop = top + ROW - room;
      draw();
    } else if (e.key === "Enter" && row(at)) {
      e.preventDefault();
      open?.(row(at), at);
    }
  }

  return {
    el: scroller,
    // set says how many rows there are, and which columns; rows are asked for again.
    set(n, cols) {
      total = n;
      columns = cols;
      at = Math.min(at, Math.max(0, n - 1));
      draw();
    },
    top() { at = 0; scroller.scrollTop = 0; },
    leave() { resized.disconnect(); cancelAnimationFrame(frame); },
  };
}
