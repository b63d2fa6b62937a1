// Values of any depth, as names and what they hold.
import { h } from "./dom.js";
import { copyable } from "./page.js";

export function tree(value) {
  return h("dl", { class: "facts tree" }, Object.entries(value).map(([name, v]) => [h("dt", null, name), h("dd", null, leaf(v))]));
}

function leaf(v) {
  if (v === null || v === undefined) return h("span", { class: "quiet" }, "too large to be shown here");
  if (typeof v === "string" && (v.includes("\n") || v.length > 120)) return h("pre", { tabindex: 0, "aria-label": "text" }, v);
  if (typeof v === "object") {
    if (Array.isArray(v) && v.every((x) => typeof x !== "object")) return h("span", { class: "mono" }, JSON.stringify(v));
    return Object.keys(v).length ? tree(v) : h("span", { class: "mono quiet" }, Array.isArray(v) ? "[]" : "{}");
  }
  return typeof v === "string" && v ? copyable(v) : h("span", { class: "mono" }, v === "" ? '""' : String(v));
}
