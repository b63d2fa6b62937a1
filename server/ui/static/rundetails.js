// What a run was given and what it gave.
import { h, render } from "./dom.js";
import { count, local } from "./format.js";
import { copyable } from "./page.js";
import { tree } from "./tree.js";

export function detailsView(root, run) {
  const update = () => {
    const v = run.view;
    const rows = [
      ["Run", copyable(v.id)], ["Created", local(v.created_at)], v.started_at && ["Began", local(v.started_at)], v.ended_at && ["Ended", local(v.ended_at)],
      ["Directory", copyable(v.dir)], v.output_dir && ["Results", copyable(v.output_dir)],
      ["Events", `${v.seq}, owner ${v.epoch}`],
      ...(v.sites ?? []).map((site) => [`System ${site.system ?? ""}`, Object.entries(site).filter(([, x]) => typeof x !== "object").map(([k, x]) => `${k} ${x}`).join(", ")]),
    ].filter(Boolean);
    render(root,
      h("div", { class: "columns" },
        h("section", null, h("h2", null, "Inputs"), v.inputs && Object.keys(v.inputs).length ? tree(v.inputs) : h("p", { class: "quiet" }, "It has none.")),
        h("section", null, h("h2", null, "Outputs"), v.outputs && Object.keys(v.outputs).length ? tree(v.outputs) : h("p", { class: "quiet" }, v.ended_at ? "It has none." : "None yet.")),
        h("section", null, h("h2", null, "Facts"), h("dl", { class: "facts" }, rows.map(([k, x]) => [h("dt", null, k), h("dd", null, x)]))),
        v.requests && h("section", null, h("h2", null, "Requests to FirecREST"), h("dl", { class: "facts wideterm" }, Object.entries(v.requests).map(([k, n]) => [h("dt", { class: "mono" }, k), h("dd", { class: "num" }, count(n))])))));
  };
  update();
  return { update };
}
