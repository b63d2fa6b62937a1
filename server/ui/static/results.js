// What the instances of a step came to: parameters, outputs, time and node-hours,
// as a table and as a chart of one over another.
import { get, query as toQuery, runPath, text, unitName } from "./api.js";
import { chart } from "./chart.js";
import { h, render } from "./dom.js";
import { number, span, value } from "./format.js";
import { empty, failed, source } from "./page.js";
import { change } from "./router.js";
import { unitBadge } from "./states.js";
import { virtual } from "./virtual.js";

export function resultsView(root, run) {
  const form = h("div", { class: "filters" });
  const picture = h("div", { class: "chartplace" });
  const place = h("div", { class: "gridplace" });
  const note = h("div");
  root.append(form, note, picture, place);
  let tables = [], table = null, rows = [], sort = "", wide = 0;
  const grid = virtual(place, {
    label: "Results", row: (i) => rows[i] ?? null, cells, open: (r) => run.open(unitName(r)),
    sort: () => sort, onSort: (s) => { sort = s; draw(); },
  });
  const src = source(note, {
    // While much happens this is asked for when the run's state changes, not at every step.
    cares: (e) => e.run === run.id && e.state !== undefined && e.state !== "running",
    load: (signal) => get(runPath(run.id, "/results?format=json"), signal),
    draw: (answer) => { tables = answer.tables ?? []; draw(); },
  });

  function draw() {
    wide = root.clientWidth;
    if (tables.length === 0) {
      render(note, empty("No step of this run has results yet."));
      form.hidden = picture.hidden = place.hidden = true;
      return;
    }
    form.hidden = picture.hidden = place.hidden = false;
    render(note);
    const q = run.query();
    table = tables.find((t) => t.step === q.get("step")) ?? tables[0];
    const fields = fieldsOf(table);
    const xs = fields.filter((f) => f.kind === "parameter" || f.numeric);
    const ys = fields.filter((f) => f.numeric && f.kind !== "parameter");
    const x = xs.find((f) => f.id === q.get("x")) ?? xs.find((f) => f.kind === "parameter") ?? xs[0];
    const y = ys.find((f) => f.id === q.get("y")) ?? ys.find((f) => f.kind === "output" && !DULL.has(f.name)) ?? ys.find((f) => f.kind === "measure") ?? ys[0];
    const groups = fields.filter((f) => f.kind === "parameter" && f !== x);
    const by = groups.find((f) => f.id === q.get("by")) ?? (q.get("by") === "none" ? null : groups[0]);
    render(form,
      pick("Step", "step", tables.map((t) => [t.step, t.step]), table.step),
      y && x && [pick("Show", "y", ys.map((f) => [f.id, f.name]), y.id), pick("over", "x", xs.map((f) => [f.id, f.name]), x.id),
        groups.length > 0 && pick("by", "by", [["none", "nothing"], ...groups.map((f) => [f.id, f.name])], by?.id ?? "none")],
      h("button", { type: "button", class: "last", onclick: save }, "CSV"));
    render(picture, x && y && table.rows.length > 1 && chart(table.rows, { x, y, by, width: root.clientWidth, open: (r) => run.open(unitName(r)) }));
    rows = sorted(table.rows, fields);
    grid.set(rows.length, columns());
  }

  function pick(label, name, options, chosen) {
    return h("label", { class: "pick" }, label, " ", h("select", { onchange: (e) => change({ [name]: e.target.value }, true) },
      options.map(([id, text]) => h("option", { key: id, value: id, selected: id === chosen }, text))));
  }

  function sorted(all, fields) {
    const name = sort.replace(/^-/, ""), way = sort.startsWith("-") ? -1 : 1;
    const field = fields.find((f) => f.id === name);
    if (!field) return all;
    return [...all].sort((a, b) => way * compare(field.of(a), field.of(b)));
  }

  // What jobs have besides stands behind what the workflow declares.
  function outputs() {
    const all = table.outputs ?? [];
    return [all.filter((o) => !DULL.has(o)), all.filter((o) => DULL.has(o))];
  }

  function outputColumn(o) { return { name: "o." + o, label: o, cls: "num", sortable: true, width: "minmax(105px, 1fr)" }; }

  function columns() {
    const [own, dull] = outputs();
    return [
      { name: "state", label: "State", width: "130px" },
      ...(table.parameters?.length ? table.parameters.map((p) => ({ name: "p." + p, label: p, cls: "num", sortable: true })) : [{ name: "instance", label: "Instance" }]),
      ...own.map((o) => outputColumn(o)),
      { name: "m.seconds", label: "Took", cls: "right", sortable: true, width: "90px" },
      { name: "m.node_hours", label: "Node-hours", cls: "right num", sortable: true, width: "100px" },
      ...dull.map((o) => outputColumn(o)),
    ];
  }

  function cells(r) {
    const [own, dull] = outputs();
    return [
      unitBadge(r),
      ...(table.parameters?.length ? table.parameters.map((p) => value(r.parameters?.[p])) : [r.instance || r.step]),
      ...own.map((o) => value(r.outputs?.[o])),
      r.seconds === undefined ? "" : span(r.seconds), r.node_hours === undefined ? "" : number(Number(r.node_hours.toPrecision(3))),
      ...dull.map((o) => value(r.outputs?.[o])),
    ];
  }

  async function save() {
    try {
      const csv = await text(runPath(run.id, "/results" + toQuery({ format: "csv", step: table.step })));
      const url = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
      h("a", { href: url, download: `${run.view.workflow}-${table.step}.csv` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    } catch (err) {
      render(note, failed(err));
    }
  }
  const resized = new ResizeObserver(() => { if (table && root.clientWidth !== wide) draw(); });
  resized.observe(root);
  return { update: () => {}, turn: draw, leave: () => { resized.disconnect(); src.leave(); grid.leave(); } };
}

// DULL are outputs that are rarely what one wants to see first.
const DULL = new Set(["job_id", "state", "exit_code", "workdir", "stdout", "stderr", "elapsed", "nodes", "system"]);

// fieldsOf are the columns that a chart can show.
function fieldsOf(t) {
  const make = (kind, name, of) => ({ id: kind[0] + "." + name, kind, name: name.replace("_", "-"), of, numeric: t.rows.some((r) => of(r) !== undefined) && t.rows.every((r) => of(r) === undefined || of(r) === null || numeric(of(r)) !== null) });
  return [
    ...(t.parameters ?? []).map((p) => make("parameter", p, (r) => r.parameters?.[p])),
    ...(t.outputs ?? []).map((o) => make("output", o, (r) => r.outputs?.[o])),
    make("measure", "seconds", (r) => r.seconds), make("measure", "node_hours", (r) => r.node_hours), make("measure", "attempts", (r) => r.attempts),
  ];
}

// numeric is the number that a value is, or that its text is, or null.
export function numeric(v) {
  if (typeof v === "number") return v;
  if (typeof v === "string" && v.trim() !== "" && Number.isFinite(Number(v))) return Number(v);
  return null;
}

function compare(a, b) {
  const x = numeric(a), y = numeric(b);
  if (x !== null && y !== null) return x - y;
  if (a === undefined || a === null) return b === undefined || b === null ? 0 : 1;
  if (b === undefined || b === null) return -1;
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}
