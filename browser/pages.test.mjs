// What the pages show: the states of jobs, filters, the chart of results, a server
// that has nothing yet, files with mistakes, tokens; each page dark and narrow.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after, before } from "node:test";
import { launch, open, serve, tabTo, until } from "./harness.mjs";
import { flowFiles, person, story } from "./person.mjs";

const test = story();
let server, browser, me, sweep, crowded;

before(async () => {
  server = await serve({ workflows: flowFiles("sweep.yaml", "crowded.yaml", "asking.yaml", "lengthy.yaml", "leap.yaml", "staggered.yaml", "exact.yaml"), site: { systems: [{ name: "sandbox", limits: { max_jobs_per_user: 1 } }] } });
  browser = await launch();
  me = await person(browser, server);
});

after(async () => {
  await browser?.close();
  await server?.end();
});

const start = async (workflow, inputs = {}) => (await server.api("/v1/runs", { workflow, inputs })).id;
const ended = (id) => until("the run is over", async () => (await server.api(`/v1/runs/${id}?fold=true`)).ended_at);
const rows = () => me.page.locator("table.runs a.row").evaluateAll((all) => all.map((a) => a.querySelector("b").textContent));
const row = (words) => me.page.getByRole("row").filter({ hasText: words });
// lose forgets what the browser itself says about answers that were to fail.
const lose = (words) => { me.page.complaints = me.page.complaints.filter((c) => !words.test(c)); };
const query = () => new URLSearchParams(me.page.url().split("?")[1]);

test("the first thing that one sees says how to begin", async () => {
  const bare = await serve({ args: [], shelf: false });
  const visitor = await person(browser, bare);
  try {
    await visitor.sees("No runs yet.");
    await visitor.sees("fcflow run FILE --server");
    assert.ok(await visitor.page.getByRole("search").isHidden(), "there is nothing to filter");
    await visitor.clean("no runs");
    await visitor.press("2");
    await visitor.sees("No workflows.");
    await visitor.press("3");
    await visitor.sees("No schedules.");
    await visitor.press("4");
    await visitor.sees("No FirecREST service.");
    visitor.page.complaints = visitor.page.complaints.filter((c) => !/status of 409/.test(c)); // the browser itself says so
    assert.equal(await visitor.page.locator(".trouble").count(), 0, "it is no trouble");
    await visitor.clean("no service");
  } finally {
    await visitor.leave();
    await bare.end();
  }
});

test("jobs that run are told from jobs in the queue", async () => {
  const gate = path.join(server.dir, "crowd");
  crowded = await start("crowded", { gate });
  await me.go(`/runs/${crowded}`);
  await until("the box says how many", async () => /0\/3 · 1 running/.test(await me.text('svg.graph [data-step="simulate"]')));
  await me.step("simulate", "running", /1 running, 2 in the queue/); // its title has all of it
  await me.page.getByRole("img", { name: "1 running, 2 in the queue" }).first().waitFor();
  await me.clean("jobs in the queue");
  await me.opensTable("simulate");
  await me.page.locator(".gridrow .badge").first().waitFor();
  const states = () => me.page.locator(".gridrow .badge").allTextContents();
  await until("each row says it", async () => (await states()).sort().join() === "in the queue,in the queue,its job runs");
  await me.button("2 in the queue");
  await until("the others are left out", async () => (await states()).join() === "in the queue,in the queue");
  assert.equal(query().get("waits"), "job_queued");
  await me.clean("a filter by what is waited for");
  await me.button("1 job running");
  await until("the other way round", async () => (await states()).join() === "its job runs");
  await me.press("1");
  await me.page.getByRole("row").filter({ hasText: "crowded" }).getByRole("img", { name: "1 running, 2 in the queue" }).waitFor();
  fs.writeFileSync(gate + ".1", "");
  await me.page.getByRole("row").filter({ hasText: "crowded" }).locator(".badge").getByText("succeeded").waitFor({ timeout: 30000 });
});

test("the list of runs is filtered by text, workflow and state", async () => {
  sweep = await start("sweep");
  await ended(sweep);
  await start("asking");
  await me.press("1");
  await until("all are there", async () => (await rows()).sort().join() === "asking,crowded,sweep");
  await me.press("/");
  await me.type("swe");
  await until("the text filters", async () => (await rows()).join() === "sweep");
  assert.equal(query().get("q"), "swe");
  await me.press("Control+A", "Backspace");
  await until("all are back", async () => (await rows()).length === 3);

  await me.reach("combobox", "Workflow");
  await me.type("crow");
  await until("the workflow filters", async () => (await rows()).join() === "crowded");
  assert.equal(query().get("workflow"), "crowded");
  await me.button("running");
  await me.sees("No run matches the filter.");
  await me.button("Show all");
  await until("all are back", async () => (await rows()).length === 3);

  await me.button("running");
  await until("the state filters", async () => (await rows()).join() === "asking");
  assert.ok(await me.page.getByRole("button", { name: "running", pressed: true }).isVisible());
  await me.clean("filtered runs");
  await me.page.reload();
  await until("a link keeps the filter", async () => (await rows()).join() === "asking");
  await me.button("running");
  await until("pressed again it ends", async () => (await rows()).length === 3);

  await me.button("needs you");
  await until("who waits for a person is left", async () => (await rows()).join() === "asking");
  assert.equal(query().get("state"), "attention");
  await row("asking").locator(".badge").getByText("needs you").waitFor();
  await me.clean("runs that need a person");
  await me.button("needs you");
  await until("all are back", async () => (await rows()).length === 3);
});

test("older runs are brought, and stay up to date", async () => {
  const asking = (await server.api("/v1/runs?workflow=asking")).runs[0].id;
  for (let i = 0; i < 50; i++) await start("leap");
  const ids = () => me.page.locator("table.runs a.row").evaluateAll((all) => all.map((a) => a.hash.split("/").at(-1)));
  const shown = (n) => until(`${n} or more are shown, each once`, async () => {
    const all = (await server.api("/v1/runs?limit=500")).runs.map((r) => r.id);
    return all.length >= n && (await ids()).join() === all.join();
  });
  await until("the newest are shown", async () => (await ids()).length === 50 && !(await ids()).includes(asking));
  let lost = 0;
  await me.page.route((url) => url.searchParams.get("limit") === "100", (route) => { lost++; return route.abort(); }, { times: 1 });
  await me.button("Older runs");
  await shown(53); // also when an answer is lost
  assert.equal(lost, 1);
  lose(/ERR_FAILED/);
  for (let i = 0; i < 3; i++) await start("leap");
  await shown(56);
  await server.api(`/v1/runs/${asking}/approve`, { step: "sure", rejected: true });
  await row("asking").locator(".badge").getByText("failed").waitFor();
  await row("asking").getByText("sure failed").waitFor();
  await me.clean("older runs");
  await me.button("needs you");
  await me.sees("No run matches the filter.");
  await me.button("Show all");
  await until("it begins with the newest again", async () => (await ids()).length === 50);
});

test("a table that could not be had is asked for again", async () => {
  let asked = 0;
  await me.page.route("**/steps/measure/instances?*", (route) => {
    asked++;
    return route.fulfill({ status: 500, json: { error: { code: "internal", message: "internal: the disk is gone" } } });
  }, { times: 1 });
  await me.go(`/runs/${sweep}/instances?step=measure`);
  await me.page.getByRole("main").getByRole("alert").getByText("the disk is gone").waitFor();
  assert.equal(asked, 1);
  lose(/status of 500/);
  await me.clean("a table that could not be had");
  await me.button("Try again");
  await until("it is there", async () => (await me.page.locator(".gridrow .badge").count()) === 6);
  assert.equal(await me.page.getByRole("main").getByRole("alert").count(), 0);
});

test("a schedule says when its run starts, not only when its slot is", async () => {
  const x = (await server.api("/v1/schedules")).find((one) => one.workflow === "staggered");
  assert.notEqual(x.starts_at, x.next);
  await me.press("3");
  const card = me.page.locator(".schedule").filter({ hasText: "staggered" });
  await card.locator(`time[datetime="${x.starts_at}"]`).waitFor();
  const delay = x.jitter.replace(/\.\d+s$/, "s");
  await card.getByText(`+${delay}`).waitFor();
  await card.getByText(`starts ${delay} after its slot`).waitFor();
  await card.getByText(/^\d+-02-29 00:00 UTC$/).waitFor();
});

test("a number that a browser cannot keep is not sent", async () => {
  await me.go("/workflows/exact");
  await me.page.waitForSelector("form.inputs");
  await me.tabTo("#in-seed");
  assert.equal(await me.page.inputValue("#in-seed"), "", "nothing else is shown for its default");
  await me.type("9007199254740995");
  await me.tabTo("#in-ids");
  await me.press("Control+A");
  await me.type("[1, 9007199254740995]");
  await me.button("Start the run");
  for (const name of ["seed", "ids"]) assert.match(await me.text(`#in-${name}-wrong`), /not exact in a browser/);
  await me.clean("numbers that are too big");
  await me.press("Control+A", "Backspace"); // the focus is on the first that is wrong
  await me.tabTo("#in-ids");
  await me.press("Control+A");
  await me.type("[9007199254740991]");
  await me.button("Start the run");
  await me.page.waitForURL(/#\/runs\//);
  const id = new URL(me.page.url()).hash.split("/")[2];
  const said = await me.page.evaluate(async (p) => (await import("/api.js")).text(p), `/v1/runs/${id}`);
  assert.match(said, /"seed": ?9007199254740993\b/);
  assert.match(said, /"ids": ?\[\s*9007199254740991\s*\]/);
});

test("the chart shows the output over the parameter that are chosen", async () => {
  await me.go(`/runs/${sweep}/results`);
  const chart = (name) => me.page.getByRole("img", { name, exact: false });
  await chart("cost over dt, 6 points").waitFor();
  const heights = () => me.page.locator(".chart .mark[transform]").evaluateAll((all) => all.map((m) => Number(/ ([\d.]+)\)/.exec(m.getAttribute("transform"))[1])));
  const before = await heights();
  assert.equal(before.length, 6);
  assert.equal(new Set(before).size, 6, "the schemes differ in cost");

  await me.reach("combobox", "Show");
  await me.type("error");
  await chart("error over dt, 6 points").waitFor();
  assert.equal(new Set(await heights()).size, 3, "both schemes have the same errors");
  await me.reach("combobox", "over");
  await me.type("scheme");
  await chart("error over scheme, 6 points").waitFor();
  for (const word of ["euler", "heun"]) assert.ok((await me.page.locator(".chart .axes text").allTextContents()).includes(word), word);
  assert.deepEqual([query().get("y"), query().get("x")], ["o.error", "p.scheme"]);
  await me.clean("a chart of another output");
  await me.page.reload();
  await chart("error over scheme, 6 points").waitFor();
  assert.equal(await me.page.getByRole("row").count(), 7, "the table has the same");
});

test("a file with mistakes says which, and becomes good", async () => {
  const file = path.join(server.flows, "sloppy.yaml");
  fs.writeFileSync(file, "version: 1\nname: sloppy\nsteps:\n  - { id: a, uses: runn }\n  - { id: b, neds: a, uses: run, with: { script: 'true' } }\n");
  await me.press("2");
  await me.sees(/^the file has \d mistakes/);
  await me.clean("a broken file in the list");
  await me.tabTo('a.row[href="#/workflows/sloppy"]');
  await me.press("Enter");
  await me.sees(/did you mean "run"/);
  await me.sees(/did you mean "needs"/);
  await me.sees(/^The server has no good version of it/);
  assert.equal(await me.page.getByRole("button", { name: "Start the run" }).count(), 0, "it cannot be started");
  await me.clean("a broken file");
  fs.writeFileSync(file, "version: 1\nname: sloppy\nsteps:\n  - { id: a, uses: run, with: { script: 'true' } }\n");
  await me.page.getByRole("button", { name: "Start the run" }).waitFor();
  fs.writeFileSync(file, "version: 1\nname: sloppy\nsteps: 3\n");
  await me.sees(/^The version before it stays in use/);
  assert.ok(await me.page.getByRole("button", { name: "Start the run" }).isVisible(), "the good version can be started");
});

test("another token is asked for when the server has new ones", async () => {
  const lost = await open(browser, server.origin + "/#token=nonsense");
  await lost.getByRole("dialog", { name: "Another token is wanted" }).waitFor();
  await lost.keyboard.press("Escape");
  await lost.getByRole("alert").getByText("The server does not know this token.").waitFor();
  assert.equal(await lost.getByText("The server does not answer").count(), 0, "it does answer");
  await tabTo(lost, "#away button");
  await lost.keyboard.press("Enter");
  await lost.getByRole("dialog").waitFor();
  await lost.keyboard.type(server.link); // the link is as good as the token in it
  await lost.keyboard.press("Enter");
  await lost.waitForSelector(".link[data-is=live]");
  await lost.waitForSelector("table.runs a.row");
  await lost.context().close();
});

test("each page is dark when that is wished, and fits 360 px", async () => {
  await me.leave();
  const long = "the-regional-climate-ensemble-downscaling-experiment", lengthy = await start(long);
  const failed = await until("its jobs have failed", async () => (await server.api(`/v1/runs/${lengthy}`)).steps[0].instances.find((u) => u.state === "failed"));
  const unit = (u) => "unit=" + encodeURIComponent(`${u.step}/${u.instance}`);
  me = await person(browser, server, { colorScheme: "dark", viewport: { width: 360, height: 740 } });
  const [system] = await server.api("/v1/systems");
  for (const hash of [
    "/runs", "/runs?q=nothing", ...["graph", "timeline", "instances", "results", "details"].map((tab) => `/runs/${sweep}/${tab}`),
    ...["state", "why", "log", "script", "values"].map((show) => `/runs/${lengthy}/graph?${unit(failed)}&show=${show}`),
    ...["graph", "timeline", "instances", "results", "details"].map((tab) => `/runs/${lengthy}/${tab}`),
    "/workflows", "/workflows/crowded", `/workflows/${long}`, "/workflows/sloppy", "/schedules", "/systems", `/systems/${system.name}`,
  ]) {
    await me.go(hash);
    await me.page.waitForFunction(() => document.querySelector("main").children.length && !/Loading…/.test(document.querySelector("main").textContent));
    if (hash.includes("unit=")) await me.page.waitForSelector("aside .panelbody > *");
    const ground = await me.page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
    assert.ok(Math.max(...ground) < 60, `${hash} is dark: ${ground}`);
    await me.clean(`${hash}, dark, 360 px`);
  }
});
