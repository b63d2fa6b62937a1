// The systems behind the service: are they well, and what is going on there.
import { get } from "./api.js";
import { h, render } from "./dom.js";
import { local, plural, short, span, when } from "./format.js";
import { rove } from "./keys.js";
import { empty, source, title } from "./page.js";
import { link } from "./router.js";
import { badge } from "./states.js";

const AGAIN = 60000; // ms; health is no event

export function systemsPage(main) {
  title("Systems");
  const list = h("div");
  main.append(h("h1", { class: "pagetitle" }, "Systems"), list);
  rove(list, "tbody a.row");
  const src = source(list, {
    cares: (e) => e.kind === "system",
    load: (signal) => get("/v1/systems", signal),
    refused: (err, again) => err.code === "conflict" && empty("No FirecREST service.", [
      h("p", null, "Give ", h("code", null, "fcflow serve"), " one: in ", h("code", null, "FIRECREST_URL"), " or a ", h("code", null, "--profile"), ", or try it with ", h("code", null, "--sandbox"), ". Steps that need none run without."),
      h("button", { type: "button", onclick: again }, "Look again"),
    ]),
    draw: (answer) => {
      const all = answer.systems ?? answer;
      render(list, all.length === 0 ? empty("The service knows no systems.") : h("table", { class: "rows" },
        h("caption", { class: "unseen" }, plural(all.length, "system")),
        h("thead", null, h("tr", null, ["System", "Health", "Scheduler"].map((t, i) => h("th", { scope: "col", class: i === 2 ? "wide" : "" }, t)), h("th", { scope: "col" }, "Services"))),
        h("tbody", null, all.map((x) => h("tr", { key: x.name },
          h("td", null, h("a", { class: "row", href: link("systems", x.name) }, h("b", null, x.name))),
          h("td", null, health(x)), h("td", { class: "wide" }, scheduler(x)),
          h("td", null, services(x)))))));
    },
  });
  const timer = setInterval(src.again, AGAIN);
  return { same: () => true, turn: () => {}, leave: () => { clearInterval(timer); src.leave(); } };
}

const known = (x) => x.services ?? x.health ?? [];

function health(x) {
  if (x.healthy === undefined) return badge("unknown", "not known");
  return x.healthy ? badge("succeeded", "healthy") : badge("failed", "not healthy");
}

function scheduler(x) {
  const type = typeof x.scheduler === "string" ? x.scheduler : x.scheduler?.type;
  return type && [type, x.scheduler?.version && h("span", { class: "quiet" }, " " + x.scheduler.version)];
}

function services(x) {
  return h("ul", { class: "services" }, known(x).map((v, i) => {
    const name = v.service ?? v.name ?? v.type;
    return h("li", { key: i }, badge(v.healthy ? "succeeded" : "failed", v.path ? `${name} ${v.path}` : name), !v.healthy && v.message && h("div", { class: "sub" }, v.message));
  }));
}

export function systemPage(main, params) {
  const name = params.name;
  title(name);
  const body = h("div");
  main.append(body);
  const src = source(body, {
    cares: (e) => e.kind === "system",
    load: (signal) => get("/v1/systems/" + encodeURIComponent(name), signal),
    draw: (x) => render(body, one(x)),
  });
  const timer = setInterval(src.again, AGAIN);
  return { same: (p) => p.name === name, turn: () => {}, leave: () => { clearInterval(timer); src.leave(); } };
}

function one(x) {
  return [
    h("div", { class: "runhead" }, h("div", { class: "titleline" }, h("h1", null, x.name), health(x)),
      h("p", { class: "facts-line" }, [scheduler(x), x.server_version && `FirecREST ${x.server_version}`, x.user?.name && `you are ${x.user.name}`,
        x.nodes?.total > 0 && plural(x.nodes.total, "node")].filter(Boolean).map((f) => h("span", null, f)))),
    Object.entries(x.unavailable ?? {}).map(([what, why]) => h("p", { key: what, class: "trouble" }, h("b", null, `${what}: `), why)),
    section("Services", services(x)),
    section("My jobs", jobs(x.jobs)),
    section("Partitions", partitions(x.partitions)),
    section("Reservations", reservations(x.reservations)),
    x.file_systems?.length > 0 && section("File systems", table(["Path", "Holds", ""], x.file_systems, (f) => [h("code", null, f.path), f.data_type, f.default_workdir ? "default" : ""])),
  ];
}

function section(name, content) {
  return h("section", { key: name, class: "part-of" }, h("h2", null, name), content);
}

function table(heads, rows, cells, key = (_, i) => i) {
  return h("div", { class: "sideways", tabindex: 0, role: "group", "aria-label": heads[0] }, h("table", { class: "rows" },
    h("thead", null, h("tr", null, heads.map((t, i) => (t ? h("th", { key: i, scope: "col" }, t) : h("td", { key: i }))))),
    h("tbody", null, rows.map((r, i) => h("tr", { key: key(r, i) }, cells(r).map((c) => h("td", null, c)))))));
}

function partitions(list) {
  if (!list?.length) return h("p", { class: "quiet" }, "Not known.");
  return table(["Partition", "State", "Nodes", "CPUs"], list, (p) => [h("b", null, p.name), p.up ? badge("succeeded", "up") : badge("cancelled", (p.states ?? ["down"]).join(", ")), p.nodes, p.cpus], (p) => p.name);
}

function reservations(list) {
  if (!list?.length) return h("p", { class: "quiet" }, "None.");
  return table(["Reservation", "State", "From", "To", "Nodes"], list, (r) => [
    [h("b", null, r.name), r.maintenance && h("div", { class: "sub" }, "maintenance")], badge(r.state === "active" ? "running" : "ready", r.state),
    r.starts_at && [local(r.starts_at).slice(0, 16), " ", h("span", { class: "quiet" }, when(r.starts_at))], r.ends_at && local(r.ends_at).slice(0, 16), h("code", null, r.nodes)], (r) => r.name);
}

const JOB_STATES = { PENDING: "queued", RUNNING: "running", COMPLETED: "succeeded", FAILED: "failed", TIMEOUT: "failed", CANCELLED: "cancelled", COMPLETING: "running" };

function jobs(list) {
  if (!list) return h("p", { class: "quiet" }, "Not known.");
  const over = list.filter((j) => OVER.test(j.state)), on = list.filter((j) => !OVER.test(j.state));
  return [
    on.length ? jobTable(on) : h("p", { class: "quiet" }, "None in the queue."),
    over.length > 0 && h("details", { class: "over" }, h("summary", null, plural(over.length, "job") + " that ended of late"), jobTable(over.reverse())),
  ];
}

const OVER = /^(COMPLETED|FAILED|CANCELLED|TIMEOUT|OUT_OF_MEMORY|NODE_FAIL|BOOT_FAIL|DEADLINE|PREEMPTED)/;

function jobTable(list) {
  const columns = [
    ["Job", (j) => h("code", null, j.job_id)],
    ["State", (j) => badge(JOB_STATES[j.state] ?? "unknown", j.reason ? `${j.state} (${j.reason})` : j.state)],
    ["Name", (j) => h("code", null, j.name ?? "")],
    ["Partition", (j) => j.partition],
    ["Nodes", (j) => j.nodes],
    ["Elapsed", (j) => j.elapsed_ms && span(j.elapsed_ms / 1000)],
    ["Run", (j) => j.run && h("a", { href: link("runs", j.run) }, short(j.run))],
  ].filter(([name, of]) => name === "Job" || list.some(of)); // what nobody tells takes no room
  return table(columns.map(([name]) => name), list, (j) => columns.map(([, of]) => of(j) ?? ""), (j) => j.job_id);
}
