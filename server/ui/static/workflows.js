// The workflows that the server knows, and one of them with the form that starts it.
import { get, once, session } from "./api.js";
import { h, render, say } from "./dom.js";
import { plural, short, when } from "./format.js";
import { inputForm } from "./form.js";
import { graphPicture } from "./picture.js";
import { rove } from "./keys.js";
import { empty, source, title } from "./page.js";
import { go, link } from "./router.js";
import { badge, runState } from "./states.js";

export function workflowsPage(main) {
  title("Workflows");
  const list = h("div");
  main.append(h("h1", { class: "pagetitle" }, "Workflows"), list);
  rove(list, "tbody a.row");
  const src = source(list, {
    cares: (e) => e.workflow !== undefined || e.kind === "workflow",
    load: (signal) => get("/v1/workflows", signal),
    draw: (answer) => {
      const all = answer.workflows ?? answer;
      render(list, all.length === 0
        ? empty("No workflows.", h("p", null, "Give ", h("code", null, "fcflow serve"), " a directory with ", h("code", null, "--workflows DIR"), "."))
        : h("table", { class: "rows" },
          h("caption", { class: "unseen" }, plural(all.length, "workflow")),
          h("thead", null, h("tr", null, h("th", { scope: "col" }, "Workflow"), h("th", { scope: "col", class: "wide" }, "Inputs"),
            h("th", { scope: "col", class: "wide" }, "Schedules"), h("th", { scope: "col" }, "Last run"))),
          h("tbody", null, all.map(row))));
    },
  });
  return { same: () => true, turn: () => {}, leave: src.leave };
}

function row(w) {
  const required = (w.inputs ?? []).filter((i) => i.required).length;
  return h("tr", { key: w.name },
    h("td", null, h("a", { class: "row", href: link("workflows", w.name) }, h("b", null, w.name)), w.description && h("div", { class: "sub" }, w.description), broken(w)),
    h("td", { class: "wide num short" }, w.inputs?.length ? `${w.inputs.length}` + (required ? `, ${required} required` : "") : h("span", { class: "quiet" }, "none")),
    h("td", { class: "wide short" }, (w.schedules ?? []).map((x, i) => h("div", { key: i }, h("code", null, x.cron ?? x.id ?? x)))),
    h("td", null, lastRun(w.last_run)));
}

const mistakes = (w) => String(w.error).split("\n");

// wrong says that the file has a mistake, and since when.
function wrong(w) {
  return [badge("failed", mistakes(w).length > 1 ? `the file has ${mistakes(w).length} mistakes` : "the file has a mistake"), w.error_since && h("span", { class: "quiet" }, " seen ", when(w.error_since))];
}

// broken is the first mistake of a file.
function broken(w) {
  return w.error && h("div", { class: "broken" }, wrong(w), h("div", { class: "sub" }, mistakes(w)[0]));
}

// usable reports whether the server has a good version of the file.
function usable(w) { return !w.error || w.graph !== undefined; }

function allWrong(w) {
  return w.error && h("div", { class: "broken" }, h("p", null, wrong(w)), h("pre", { tabindex: 0, "aria-label": "Mistakes" }, w.error),
    h("p", { class: "note" }, usable(w) ? "The version before it stays in use, and is shown here." : "The server has no good version of it.", " The file is read again as soon as it changes."));
}

export function lastRun(r) {
  if (!r) return h("span", { class: "quiet" }, "never");
  const id = r.id ?? r;
  return h("a", { class: "runref", href: link("runs", id) }, r.state ? badge(...runState(r)) : null, h("span", { class: "id" }, " " + short(id)), r.started_at && [" ", when(r.started_at)]);
}

export function workflowPage(main, params) {
  const name = params.name;
  title(name);
  const head = h("div", { class: "runhead" });
  const form = h("section", { class: "card", "aria-labelledby": "start" });
  const more = h("section", { class: "about" });
  main.append(head, h("div", { class: "columns two" }, form, more));
  let made = "";
  const src = source(head, {
    cares: (e) => e.workflow === name,
    load: (signal) => get("/v1/workflows/" + encodeURIComponent(name), signal),
    draw: (w) => {
      render(head, h("div", { class: "titleline" }, h("h1", null, w.name)), w.description && h("p", null, w.description),
        h("p", { class: "facts-line" }, w.file && h("span", { class: "mono quiet" }, w.file), h("span", null, "last run: ", lastRun(w.last_run))), allWrong(w));
      // The form is made anew only when the inputs are others: what is typed stays.
      const now = JSON.stringify([w.inputs, usable(w)]);
      form.hidden = !usable(w);
      if (made !== now) {
        made = now;
        form.replaceChildren(h("h2", { id: "start" }, "Start a run"), starter(w));
      }
      render(more,
        w.graph?.nodes?.length > 0 && [h("h2", null, "Graph"), h("div", { class: "graphbox", tabindex: 0, role: "group", "aria-label": "Graph" }, graphPicture(w.graph))],
        w.source && [h("h2", null, "Source"), h("pre", { class: "script", tabindex: 0, "aria-label": "Source of the workflow" }, w.source)]);
    },
  });
  return { same: (p) => p.name === name, turn: () => {}, leave: src.leave };
}

function starter(w) {
  if (session.read_only) return h("p", { class: "quiet" }, "This token may only look.");
  const start = once("/v1/runs");
  return inputForm(w.inputs ?? [], "Start the run", async (inputs) => {
    const run = await start({ workflow: w.name, inputs });
    say("run started");
    go("/runs/" + encodeURIComponent(run.id));
  });
}
