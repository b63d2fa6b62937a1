// The table of the instances of one step, however many. Only the windows in sight
// are asked for, and asked for again when the run changes.
import { get, query as toQuery, runPath, unitName } from "./api.js";
import { h, render } from "./dom.js";
import { count, lasting, value, when } from "./format.js";
import { fanned } from "./graph.js";
import { empty, failed } from "./page.js";
import { change } from "./router.js";
import { badge, ORDER, total, unitBadge, waitState } from "./states.js";
import { virtual } from "./virtual.js";

const WINDOW = 200; // rows a request brings

export function instancesView(root, run) {
  const form = h("div", { class: "filters", role: "search", "aria-label": "Instances" });
  const trouble = h("div");
  const place = h("div", { class: "gridplace" });
  root.append(form, trouble, place);
  let q = read(), windows = new Map(), size = 0, parameters = [], epoch = 0;
  let abort = new AbortController(), typing;

  const table = virtual(place, {
    label: "Instances",
    row: (i) => windows.get(Math.floor(i / WINDOW))?.rows?.[i % WINDOW] ?? null,
    cells, need, sort: () => q.sort, onSort: (sort) => change({ sort }, true),
    open: (u) => run.open(unitName(u)),
    chosen: (u) => run.query().get("unit") === unitName(u),
  });

  function steps() { return run.view.steps; }

  // read takes the filter from the address; without a step it is the widest one.
  function read() {
    const query = run.query();
    const widest = [...run.view.steps].sort((a, b) => total(b.units) - total(a.units))[0];
    return {
      step: query.get("step") || widest?.id || "", state: query.get("state") ?? "", waits: query.get("waits") ?? "", q: query.get("q") ?? "", sort: query.get("sort") ?? "",
    };
  }

  function need(from, to) {
    for (let w = Math.floor(from / WINDOW); w <= Math.floor(Math.max(from, to - 1) / WINDOW); w++) {
      const have = windows.get(w);
      if (!have || (have.epoch !== epoch && !have.busy)) fetchWindow(w);
    }
  }

  async function fetchWindow(w) {
    if (!q.step) return;
    const entry = windows.get(w) ?? { rows: null };
    Object.assign(entry, { busy: true, epoch });
    windows.set(w, entry);
    const signal = abort.signal;
    try {
      const path = runPath(run.id, `/steps/${encodeURIComponent(q.step)}/instances`);
      const answer = await get(path + toQuery({ state: q.state, waits: q.waits, q: q.q, sort: q.sort, offset: w * WINDOW || undefined, limit: WINDOW }), signal);
      entry.rows = answer.instances;
      size = answer.total;
      entry.error = null;
      const names = Object.keys(answer.instances[0]?.parameters ?? {});
      if (names.length) parameters = names;
    } catch (err) {
      if (signal.aborted) return;
      entry.error = err;
    } finally {
      entry.busy = false;
    }
    show();
  }

  function show() {
    const bad = [...windows.values()].find((w) => w.error && w.epoch === epoch);
    render(trouble, bad ? failed(bad.error, again) : size === 0 && windows.get(0)?.rows && empty(q.state || q.waits || q.q ? "No instance matches the filter." : "This step has no instances yet."));
    place.hidden = size === 0 && Boolean(windows.get(0)?.rows);
    if (!place.hidden) table.set(size, columns());
  }

  // again keeps what is shown until newer rows are there, and forgets the rest.
  function again() {
    epoch++;
    filters();
    show();
    if (windows.size === 0 || place.hidden) fetchWindow(0);
  }

  function columns() {
    return [
      { name: "state", label: "State", width: "150px", sortable: true },
      ...(parameters.length ? parameters.map((p) => ({ name: p, label: p, width: "minmax(70px, 1fr)", cls: "num", sortable: false }))
        : [{ name: "key", label: "Instance", width: "minmax(120px, 1fr)", sortable: true }]),
      { name: "attempts", label: "Tries", width: "72px", cls: "num right", sortable: true },
      { name: "job", label: "Job", width: "90px", cls: "num wide" },
      { name: "took", label: "Took", width: "100px", cls: "right" },
      { name: "since", label: "Since", width: "100px", cls: "wide", sortable: true },
      { name: "message", label: "Message", width: "minmax(160px, 4fr)", cls: "wide quiet" },
    ];
  }

  function cells(u) {
    const last = u.attempts?.at?.(-1) ?? {};
    const began = u.started_at ?? last.started_at;
    const done = !["running", "waiting", "ready", "pending"].includes(u.state);
    return [
      unitBadge(u),
      ...(parameters.length ? parameters.map((p) => value(u.parameters?.[p])) : [u.instance || u.step]),
      String(u.attempts?.length ?? u.attempts ?? u.attempt ?? ""),
      u.job_id ?? last.job_id ?? "",
      began ? lasting(began, done ? (u.ended_at ?? last.ended_at ?? u.since) : null) : "",
      when(u.since), [u.cause && h("b", null, u.cause + " "), u.message ?? u.wait?.message ?? ""],
    ];
  }

  function filters() {
    const { units = {}, waits = {} } = steps().find((x) => x.id === q.step) ?? {};
    render(form,
      h("select", { "aria-label": "Step", onchange: (e) => change({ step: e.target.value, state: "", waits: "", q: "", sort: "" }) },
        steps().map((x) => h("option", { key: x.id, value: x.id, selected: x.id === q.step }, fanned(x) ? `${x.id} (${count(total(x.units))})` : x.id))),
      h("input", {
        type: "search", "data-filter": true, "aria-label": "Filter by key", placeholder: "Filter by key, such as dt=30", value: q.q,
        oninput: (e) => {
          clearTimeout(typing);
          const text = e.target.value.trim();
          typing = setTimeout(() => change({ q: text }, true), 200);
        },
        onkeydown: (e) => { if (e.key === "ArrowDown") { e.preventDefault(); table.el.focus(); } },
      }),
      h("div", { class: "chips", role: "group", "aria-label": "State" }, chips(units, waits)));
  }

  // chips are the states that there are, and in place of waiting what is waited for.
  function chips(units, waits) {
    const all = [
      ...ORDER.filter((st) => (units[st] && st !== "waiting") || st === q.state).map((st) => ["state", st, st, `${count(units[st] ?? 0)} ${st}`]),
      ...[...new Set([...Object.keys(waits), q.waits])].filter(Boolean).map((what) => ["waits", what, ...waitState(what, waits[what] ?? 0)]),
    ];
    return all.sort((a, b) => ORDER.indexOf(a[2]) - ORDER.indexOf(b[2])).map((c) => chip(...c));
  }

  // chip shows those only who are in a state, or wait for something.
  function chip(name, value, state, words) {
    const on = q[name] === value;
    return h("button", { key: name + value, type: "button", class: "chip", "aria-pressed": String(on), onclick: () => change({ state: "", waits: "", [name]: on ? "" : value }) }, badge(state, words));
  }

  function turn() {
    const now = read();
    if (JSON.stringify(now) !== JSON.stringify(q)) {
      abort.abort();
      abort = new AbortController();
      if (now.step !== q.step) parameters = [];
      q = now;
      windows = new Map();
      table.top();
    }
    again();
  }
  again();
  return { update: again, turn, leave: () => { abort.abort(); clearTimeout(typing); table.leave(); } };
}
