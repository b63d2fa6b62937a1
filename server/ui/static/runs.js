// The list of runs.
import { get, query as toQuery } from "./api.js";
import { h, nodes, render } from "./dom.js";
import { lasting, plural, short, when } from "./format.js";
import { rove } from "./keys.js";
import { empty, source, title } from "./page.js";
import { change, link } from "./router.js";
import { badge, bar, counts, runState, shownUnits, wordOf } from "./states.js";

const STATES = ["attention", "queued", "running", "succeeded", "failed", "cancelled", "interrupted"];
const PAGE = 50;
const MOST = 500; // that the server gives at once

export function runsPage(main, _, query) {
  title("Runs");
  const form = h("div", { class: "filters", role: "search", "aria-label": "Runs" });
  const list = h("div", { class: "list" });
  main.append(h("h1", { class: "unseen" }, "Runs"), form, list);
  rove(list, "tbody a.row");
  let q = read(query);
  let wanted = PAGE; // so many runs are shown, if there are
  let names = [];
  let data = null;

  const src = source(list, {
    cares: (e) => e.run !== undefined || e.kind === "run",
    open: (answer) => answer.runs.some((r) => !r.ended_at),
    load,
    draw: (answer) => {
      if (answer.of !== q) return; // the filter is another one by now, which is asked for next
      data = answer;
      draw();
    },
  });
  get("/v1/workflows").then((all) => {
    names = all.map((w) => w.name);
    filters();
    if (data) draw();
  }, () => {});

  // load asks for all that is shown, the older ones too: they change as well.
  async function load(signal) {
    const of = q, runs = [];
    let next;
    do {
      const answer = await get("/v1/runs" + toQuery({ ...of, limit: Math.min(MOST, wanted - runs.length), before: next }), signal);
      runs.push(...answer.runs);
      next = answer.next;
    } while (next && runs.length < wanted);
    return { of, runs, next };
  }

  function draw() {
    const all = data.runs, filtered = q.q || q.state || q.workflow;
    form.hidden = all.length === 0 && !filtered;
    if (all.length === 0) {
      render(list, filtered ? empty("No run matches the filter.", h("button", { type: "button", onclick: () => change({ q: "", state: "", workflow: "" }) }, "Show all")) : first());
      return;
    }
    render(list, table(all), data.next && h("button", { type: "button", class: "more", onclick: more }, "Older runs"));
  }

  // first says how to begin.
  function first() {
    return empty("No runs yet.", h("p", null, names.length ? ["Start one of ", h("a", { href: "#/workflows" }, plural(names.length, "workflow")), " here"]
      : ["Start the server with ", h("code", null, "--workflows DIR"), " to have workflows here"], ", or send it a file: ", h("code", null, "fcflow run FILE --server"), "."));
  }

  function more() {
    wanted = data.runs.length + PAGE;
    src.again();
  }

  let typing;
  function filters() {
    const known = [...new Set([...names, q.workflow].filter(Boolean))].sort();
    render(form,
      h("input", {
        type: "search", "data-filter": true, placeholder: "Filter by id, workflow, person", "aria-label": "Filter by text", value: q.q,
        oninput: (e) => {
          clearTimeout(typing);
          const text = e.target.value;
          typing = setTimeout(() => change({ q: text.trim() }, true), 200);
        },
        onkeydown: (e) => { if (e.key === "ArrowDown") { e.preventDefault(); list.querySelector("tbody a.row")?.focus(); } },
      }),
      h("select", { "aria-label": "Workflow", onchange: (e) => change({ workflow: e.target.value }) },
        h("option", { value: "", selected: !q.workflow }, "All workflows"),
        known.map((n) => h("option", { key: n, value: n, selected: n === q.workflow }, n))),
      h("div", { class: "chips", role: "group", "aria-label": "State" }, STATES.map((st) =>
        h("button", {
          key: st, type: "button", class: "chip", "aria-pressed": String(q.state === st),
          onclick: () => change({ state: q.state === st ? "" : st }),
        }, st === "interrupted" ? badge("paused", st) : badge(st, wordOf(st))))));
  }
  filters();

  return {
    same: () => true,
    turn: (_params, now) => {
      q = read(now);
      wanted = PAGE;
      filters();
      src.again();
    },
    leave: () => { clearTimeout(typing); src.leave(); },
  };
}

function read(query) {
  return { q: query.get("q") ?? "", workflow: query.get("workflow") ?? "", state: query.get("state") ?? "" };
}

function table(runs) {
  return h("table", { class: "rows runs" },
    h("caption", { class: "unseen" }, plural(runs.length, "run") + ", newest first"),
    h("thead", null, h("tr", null,
      h("th", { scope: "col" }, "State"), h("th", { scope: "col" }, "Workflow"), h("th", { scope: "col" }, "Progress"),
      h("th", { scope: "col", class: "wide" }, "By"), h("th", { scope: "col", class: "wide" }, "Began"), h("th", { scope: "col", class: "wide right" }, "Took"))),
    h("tbody", null, runs.map(row)));
}

function row(r) {
  const [state, word] = runState(r), units = shownUnits(r);
  if (r.error) {
    return h("tr", { key: r.id }, h("td", null, badge("unknown", "unreadable")), h("td", null, h("span", { class: "id" }, short(r.id))), h("td", { colspan: 4 }, r.error));
  }
  return h("tr", { key: r.id, class: state === "attention" ? "wants" : "" },
    h("td", null, badge(state, word)),
    h("td", null, h("a", { class: "row", href: link("runs", r.id) }, h("b", null, r.workflow), " ", h("span", { class: "id" }, short(r.id))),
      h("div", { class: "sub narrow" }, when(r.started_at ?? r.created_at)),
      r.failed_steps && h("div", { class: "sub" }, failures(r.failed_steps), " failed"),
      r.message && r.state === "failed" && h("div", { class: "sub wide" }, r.message)),
    h("td", { class: "progress" }, h("div", { class: "beside" }, bar(units), counts(units))),
    h("td", { class: "wide" }, origin(r)),
    h("td", { class: "num wide" }, when(r.started_at ?? r.created_at)),
    h("td", { class: "wide right" }, r.started_at ? lasting(r.started_at, r.ended_at) : ""));
}

// failures names the first few of the steps that failed.
export function failures(steps, name = (id) => id) {
  const most = 3;
  return [steps.slice(0, most).map((id, i) => [i > 0 && ", ", name(id)]), steps.length > most && ", …"];
}

// origin says who or what began a run.
export function origin(r) {
  return nodes([r.trigger && r.trigger !== "manual" && r.trigger, r.by && (r.trigger && r.trigger !== "manual" ? ", " : "") + r.by]);
}
