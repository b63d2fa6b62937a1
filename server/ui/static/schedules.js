// When workflows start by themselves, and what became of it.
import { get, post, query, session } from "./api.js";
import { ask } from "./dialog.js";
import { h, render, say } from "./dom.js";
import { exact, instant, plural, short, wall, when } from "./format.js";
import { empty, failed, source, title } from "./page.js";
import { go, link } from "./router.js";
import { badge } from "./states.js";

export function schedulesPage(main) {
  title("Schedules");
  const trouble = h("div");
  const past = new Map(); // the slots of the schedules whose past is shown
  const list = h("div");
  main.append(h("h1", { class: "pagetitle" }, "Schedules"), trouble, list);
  const act = async (x, what) => {
    try {
      await post(path(x, what), {});
      render(trouble);
      say(`${x.workflow} ${x.id}: ${{ pause: "paused", resume: "resumed" }[what]}`);
      src.again();
    } catch (err) {
      render(trouble, failed(err));
    }
  };
  const look = (x, open) => {
    if (!open) past.delete(key(x));
    else if (!past.has(key(x))) {
      past.set(key(x), null);
      src.again();
    }
  };
  const src = source(list, {
    cares: (e) => e.kind === "schedule" || e.schedule !== undefined || e.kind === "workflow",
    load: async (signal) => {
      const all = await get("/v1/schedules", signal);
      await Promise.all(all.filter((x) => past.has(key(x))).map(async (x) => {
        const slots = await get(path(x, "slots"), signal);
        if (past.has(key(x))) past.set(key(x), slots);
      }));
      return all;
    },
    draw: (all) => {
      render(list, all.length === 0
        ? empty("No schedules.", h("p", null, "A workflow starts by itself when it has a ", h("code", null, "schedule"), "."))
        : h("ul", { class: "schedules" }, all.map((x) => item(x, act, past.get(key(x)), look))));
    },
  });
  return { same: () => true, turn: () => {}, leave: src.leave };
}

const key = (x) => x.workflow + "\n" + x.id;

function path(x, what) {
  return `/v1/schedules/${encodeURIComponent(x.workflow)}/${encodeURIComponent(x.id)}/${what}`;
}

function item(x, act, slots, look) {
  const paused = Boolean(x.paused);
  return h("li", { key: key(x), class: "card schedule" },
    h("div", { class: "titleline" },
      h("h2", null, h("a", { class: "row", href: link("workflows", x.workflow) }, x.workflow), x.id && h("span", { class: "id" }, " " + x.id)),
      x.active === false ? badge("skipped", "in no file any more") : paused ? badge("paused", why(x.paused)) : badge("ready", "active"),
      !session.read_only && x.active !== false && h("div", { class: "buttons acts" },
        paused ? h("button", { key: "resume", type: "button", onclick: () => act(x, "resume"), "aria-label": `Resume ${x.workflow} ${x.id}` }, "Resume")
          : h("button", { key: "pause", type: "button", onclick: () => act(x, "pause"), "aria-label": `Pause ${x.workflow} ${x.id}` }, "Pause"),
        h("button", { key: "run", type: "button", onclick: () => runNow(x), "aria-label": `Run now: ${x.workflow} ${x.id}` }, "Run now"),
        h("button", { key: "fill", type: "button", onclick: () => backfill(x), "aria-label": `Backfill ${x.workflow} ${x.id}` }, "Backfill"))),
    h("dl", { class: "facts inline" },
      pair("When", [h("code", null, x.cron), x.timezone && h("span", { class: "quiet" }, " " + x.timezone)]),
      pair("Next", next(x, paused)),
      pair("Last", last(x.last)),
      x.running?.length > 0 && pair("Running", x.running.slice(0, 3).map((id) => [h("a", { key: id, href: link("runs", id) }, short(id)), " "])),
      pair("Rules", rules(x)),
      x.file_error && pair("File", badge("unknown", "has a mistake; the version before counts")),
      x.failures > 0 && pair("Failures", badge("failed", `${x.failures} in a row`))),
    x.last && h("details", { ontoggle: (e) => look(x, e.target.open) },
      h("summary", null, "Past slots"),
      slots ? h("ul", { class: "slots" }, [...slots].sort((a, b) => (a.slot < b.slot ? 1 : -1)).slice(0, 50).map((l) => h("li", { key: l.slot + l.at }, last(l)))) : h("p", { class: "quiet" }, "…")));
}

function pair(name, what) { return h("div", { key: name }, h("dt", null, name), h("dd", null, what)); }

function why(paused) {
  const { by, why, reason } = paused;
  return "paused" + (by ? ` by ${by}` : "") + (why || reason ? `: ${why || reason}` : "");
}

// rules are how it deals with overlap, clock changes and time that was missed.
function rules(x) {
  const catchup = x.catchup && `catches up ${x.catchup}` + (x.window ? ` within ${x.window}` : "");
  return h("span", { class: "quiet" }, [x.overlap && `overlap ${x.overlap}`, x.dst && `clock changes ${x.dst}`, catchup, x.jitter && `starts ${delay(x)} after its slot`].filter(Boolean).join(" · "));
}

function next(x, paused) {
  if (paused) return h("span", { class: "quiet" }, "not while it is paused");
  if (!x.next) return h("span", { class: "quiet" }, "never");
  return [h("span", { class: "num", title: exact(x.next) }, pretty(x.next_local)), h("span", { class: "quiet" }, x.jitter && ` +${delay(x)}`, " ", when(x.starts_at))];
}

// pretty is an instant on the clock of the schedule, to the minute: 2026-03-29 02:30 CET.
function pretty(at) { return at.replace(/(\d\d:\d\d):00/, "$1"); }

// delay is how much later than its slot a run starts, to the second.
function delay(x) { return x.jitter?.replace(/\.\d+s$/, "s"); }

const OUTCOMES = { skipped: "skipped", missed: "cancelled" };

function last(l) {
  if (!l) return h("span", { class: "quiet" }, "none yet");
  const many = l.n > 1 && ` ${l.n} slots`;
  return [l.state ? badge(l.state) : l.pending ? badge("waiting", "not started yet") : badge(l.outcome === "run" ? "running" : OUTCOMES[l.outcome] ?? "unknown", [l.outcome === "run" ? "running" : l.outcome, many]), " ", when(l.slot), l.run && !l.pending && [" ", h("a", { href: link("runs", l.run) }, short(l.run))], l.reason && h("div", { class: "sub" }, l.reason)];
}

function runNow(x) {
  ask({
    title: `Run ${x.workflow} now?`, yes: "Run now", text: "A run with the inputs of this schedule begins at once. Its slots stay as they are.",
    run: async () => {
      const made = await post(path(x, "run"), {});
      go("/runs/" + encodeURIComponent(made.id));
      return "run begun";
    },
  });
}

function backfill(x) {
  const zone = x.timezone || "UTC", today = wall(new Date(), zone).slice(0, 10);
  ask({
    title: `Backfill ${x.workflow}`, yes: "Backfill",
    text: `A run for each slot of a span of time that had none, oldest first. The times are those of ${zone}.`,
    fields: [
      { name: "from", label: "From", type: "datetime-local", required: true, value: today + "T00:00" },
      { name: "to", label: "To", type: "datetime-local", required: true, value: today + "T23:59" },
    ],
    ahead: async ({ from, to }) => {
      const { slots, already } = await get(path(x, "backfill") + query(span(from, to, zone)));
      if (slots.length === 0) throw new Error(already ? `Each of the ${plural(already, "slot")} had its run.` : "It has no slot in this time.");
      return [h("p", null, h("b", null, plural(slots.length, "run")), already > 0 && `; ${plural(already, "slot")} had one before`),
        h("ul", { class: "slots num" }, slots.slice(0, MOST).map((at) => h("li", { key: at, title: exact(at) }, wall(new Date(at), zone).replace("T", " "))),
          slots.length > MOST && h("li", null, `… to ${wall(new Date(slots.at(-1)), zone).replace("T", " ")}`))];
    },
    run: async ({ from, to }) => plural((await post(path(x, "backfill"), span(from, to, zone))).runs.length, "run") + " begun",
  });
}

const MOST = 5; // slots that are told one by one

function span(from, to, zone) {
  if (!from || !to) throw new Error("From when, and to when?");
  return { from: instant(from, zone), to: instant(to, zone) };
}
