// Keys that work on every page.
import { h } from "./dom.js";
import { open } from "./dialog.js";
import { go } from "./router.js";

const KEYS = [
  ["/", "go to the filter"],
  ["1 2 3 4", "runs, workflows, schedules, systems"],
  ["↑ ↓ or k j", "move in a list; ← → too in the graph"],
  ["Enter", "open what has the focus"],
  ["Esc", "close the panel or the dialog"],
  ["t", "light, dark, or as the system has it"],
  ["?", "show these keys"],
];

export function help() {
  const dialog = open([
    h("h2", { id: "keys" }, "Keys"),
    h("dl", { class: "keys" }, KEYS.map(([key, what]) => h("div", null, h("dt", null, key.split(" ").map((k) => (k === "or" ? " or " : h("kbd", null, k)))), h("dd", null, what)))),
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => dialog.close() }, "Close")),
  ], "keys");
  dialog.querySelector("button").focus();
}

const PAGES = { 1: "/runs", 2: "/workflows", 3: "/schedules", 4: "/systems" };

export function listen(actions) {
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (e.key === "Escape") {
      const close = document.querySelector("[data-close]");
      if (close) { e.preventDefault(); close.click(); }
      return;
    }
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) return;
    if (e.key === "/") {
      const filter = document.querySelector("[data-filter]");
      if (filter) { e.preventDefault(); filter.focus(); filter.select?.(); }
    } else if (e.key === "?") actions.help();
    else if (e.key === "t") actions.theme();
    else if (PAGES[e.key]) go(PAGES[e.key]);
  });
}

// step is by how much a key moves in a list, or 0.
export function step(e, page = 10) {
  if (e.ctrlKey || e.metaKey || e.altKey) return 0;
  return { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[e.key] ?? 0;
}

// rove moves the focus among the elements of `root` that match, with one of them
// in the order of Tab.
export function rove(root, selector) {
  root.addEventListener("keydown", (e) => {
    const by = step(e);
    const from = e.target.closest?.(selector);
    if (!by || !from || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) return;
    const all = [...root.querySelectorAll(selector)];
    const to = all[Math.max(0, Math.min(all.length - 1, all.indexOf(from) + by))];
    e.preventDefault();
    to.focus();
    to.scrollIntoView({ block: "nearest" });
  });
}
