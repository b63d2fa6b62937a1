// What a person does to runs and schedules: follows a log, cancels, reruns, rejects,
// says what became of a job, starts and fills a schedule.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after, before } from "node:test";
import { launch, serve, until } from "./harness.mjs";
import { flowFiles, person, story } from "./person.mjs";

const test = story();
let server, browser, me;

before(async () => {
  server = await serve({ workflows: flowFiles("gated.yaml", "asking.yaml", "unfenced.yaml", "doomed.yaml", "leap.yaml") });
  browser = await launch();
  me = await person(browser, server);
});

after(async () => {
  await browser?.close();
  await server?.end();
});

const start = async (workflow, inputs = {}) => (await server.api("/v1/runs", { workflow, inputs })).id;
const view = (id) => server.api(`/v1/runs/${id}?fold=true`);
const shown = () => decodeURIComponent(new URL(me.page.url()).hash.split("/")[2]);
const open = (gate, n) => fs.writeFileSync(`${gate}.${n}`, "");

// another waits until another run is shown than one, and returns its id.
const another = (id) => until("another run is shown", async () => {
  await me.page.waitForSelector(".runhead h1");
  return shown() !== id && shown();
});

test("the log of a job that runs is followed to its end", async () => {
  const gate = path.join(server.dir, "follow");
  const id = await start("gated", { gate });
  await me.page.waitForSelector("table.runs a.row");
  await me.tabTo(`a.row[href="#/runs/${id}"]`);
  await me.press("Enter");
  await me.step("compute", "running", /its job runs/);
  await me.clean("a job that runs");
  await me.opens("compute");
  await me.sees("its job runs", "aside");
  const refused = [502, 503]; // as by a proxy before a server that is restarted, and by one that is busy
  await me.page.route(/\/logs\?.*follow=true/, (route) => route.fulfill({ status: refused.shift() }), { times: 2 });
  await me.button("Log", "link");
  const log = me.page.getByRole("log");
  await log.getByText("first line").waitFor();
  assert.deepEqual(refused, []);
  me.page.complaints = me.page.complaints.filter((c) => !/status of 50[23]/.test(c)); // the browser itself says so
  await me.sees("Follows…", "aside");
  assert.doesNotMatch(await log.textContent(), /second line/);
  await me.page.evaluate(() => { globalThis.notLoadedAgain = true; });
  open(gate, 1);
  await log.getByText("second line").waitFor();
  assert.doesNotMatch(await log.textContent(), /third line/);
  await me.clean("a log that is followed");
  open(gate, 2);
  await log.getByText("third line").waitFor();
  await me.sees("End of the log.", "aside");
  assert.equal(await log.textContent(), "first line\nsecond line\nthird line\n");
  assert.ok(await me.page.evaluate(() => globalThis.notLoadedAgain), "the page was not loaded again");
  await me.press("Escape");
  await me.step("compute", "succeeded");
});

test("a run is cancelled while its job runs", async () => {
  const id = await start("gated", { gate: path.join(server.dir, "shut") });
  await me.go(`/runs/${id}`);
  await me.step("compute", "running", /its job runs/);
  await me.button("Cancel");
  await me.answers("Cancel the run");
  await me.run("cancelled");
  await me.step("compute", "cancelled", /cancelled/);
  assert.equal(await me.page.getByRole("button", { name: "Cancel" }).count(), 0, "what is over cannot be cancelled");
  assert.equal((await view(id)).state, "cancelled");
});

test("it is run again with another input", async () => {
  const old = shown(), gate = path.join(server.dir, "again");
  open(gate, 1);
  open(gate, 2);
  await me.button("Rerun");
  await me.answers("Rerun", { "Inputs to change": JSON.stringify({ gate }) });
  const id = await another(old);
  await me.run("succeeded");
  await me.sees(/^rerun of/);
  const made = await view(id);
  assert.equal(made.rerun_of, old);
  assert.equal(made.inputs.gate, gate);
  assert.equal(made.steps.find((x) => x.id === "prepare").instances[0].imported, undefined, "all of it was done again");
});

test("it is run again from a step on", async () => {
  const old = shown();
  await me.opens("compute");
  await me.button("Rerun from here");
  await me.answers("Rerun");
  const id = await another(old);
  await me.run("succeeded");
  await me.opens("prepare");
  await me.sees(/^Taken over from run/, "aside");
  await me.press("Escape");
  const steps = Object.fromEntries((await view(id)).steps.map((x) => [x.id, x.instances[0]]));
  assert.equal(steps.prepare.imported, old);
  assert.equal(steps.compute.imported, undefined);
});

test("why a job has failed is there to read", async () => {
  const id = await start("doomed");
  await me.go(`/runs/${id}`);
  await me.run("failed");
  assert.equal(await me.text(".runhead .failures"), "simulate failed");
  await me.opens("simulate");
  await me.sees(/exit\(3\)/, "aside");
  await me.sees("the grid is not there", "aside"); // its last lines
  await me.clean("a failed job");
  await me.button("Log", "link");
  const log = me.page.getByRole("log");
  await log.getByText("the grid is not there").waitFor();
  assert.equal(await log.textContent(), "opening the grid\nthe grid is not there\n");
  await me.press("Escape");
});

test("a question is answered with no", async () => {
  const id = await start("asking");
  await me.go(`/runs/${id}`);
  await me.run("needs you");
  await me.sees("Go on with it?");
  await me.button("Reject");
  const note = me.page.getByRole("dialog").getByRole("textbox", { name: "Note" });
  await note.waitFor();
  await me.type("nothing");
  const { x, y } = await note.boundingBox();
  const { mouse } = me.page;
  await mouse.move(x + 40, y + 10);
  await mouse.down();
  await mouse.move(4, 4);
  await mouse.up();
  assert.equal(await note.inputValue(), "nothing", "who selects text and lets go outside loses nothing");
  await mouse.click(4, 4);
  await note.waitFor({ state: "detached" });
  await me.button("Reject");
  await me.answers("Reject", { Note: "not like this" });
  await me.run("failed");
  await me.step("sure", "failed", /failed/);
  await me.step("publish", "skipped", /skipped/);
  await me.opens("sure");
  await me.sees(/rejected/i, "aside");
  await me.sees(/not like this/, "aside");
  await me.clean("a rejected step");
  await me.press("Escape");
});

test("a start whose answer was lost, sent again, is one run", async () => {
  const all = async () => (await server.api("/v1/runs?workflow=asking")).runs.length;
  const before = await all();
  await me.go("/workflows/asking");
  let lost = 0;
  await me.page.route("**/v1/runs", async (route) => {
    await route.fetch(); // it is heard
    lost++;
    await route.abort();
  }, { times: 1 });
  await me.button("Start the run");
  await me.page.getByRole("main").getByRole("alert").getByText(/does not answer/).waitFor();
  assert.deepEqual([lost, await all()], [1, before + 1]);
  await me.button("Start the run");
  await me.page.waitForURL(/#\/runs\//);
  const id = await another("");
  assert.equal(await all(), before + 1, "the second request is the first one");
  assert.ok((await server.api("/v1/runs?workflow=asking")).runs.some((r) => r.id === id));
  me.page.complaints = me.page.complaints.filter((c) => !/ERR_FAILED/.test(c)); // the browser itself says so
});

test("a person says what became of a job", async () => {
  await server.faults("drop-request,ops=POST /compute/*/jobs,times=1");
  const id = await start("unfenced");
  await me.go(`/runs/${id}`);
  await me.run("needs you");
  await me.step("simulate", "attention");
  await server.faults();
  await me.opens("simulate");
  await me.sees("waits for a decision", "aside");
  await me.clean("a job that nobody knows");
  await me.button("It is a job");
  await me.page.getByRole("dialog").waitFor();
  await me.reach("textbox", "Job");
  await me.type("1"); // that of another run
  await me.press("Enter");
  await me.page.getByRole("dialog").getByRole("alert").getByText(/^job 1 on sandbox is called/).waitFor();
  assert.equal((await view(id)).attention.length, 1, "a word that cannot be true is not taken");
  me.page.complaints = me.page.complaints.filter((c) => !/status of 4/.test(c)); // the browser itself says so
  await me.press("Escape");
  await me.button("It never ran");
  await me.answers("It never ran");
  await me.step("simulate", "succeeded");
  await me.run("succeeded");
  await me.sees("Attempt 2", "aside");
  await me.press("Escape");
});

test("a schedule is run now", async () => {
  await me.press("3");
  await me.button(/^Run now: leap/);
  await me.answers("Run now");
  await me.run("succeeded");
  assert.match(await me.text(".runhead h1"), /^leap/);
  assert.equal((await view(shown())).workflow, "leap");
});

test("a schedule is filled for days of the past", async () => {
  await me.press("3");
  await me.button(/^Backfill leap/);
  const dialog = me.page.getByRole("dialog");
  await dialog.getByText("The times are those of Europe/Zurich").waitFor();
  const span = async (from, to) => {
    await me.tabTo("dialog #ask-from");
    await typeTime(from);
    await me.tabTo("dialog #ask-to");
    await typeTime(to);
  };
  await span("03012020 1200AM", "02012012 1200AM");
  await dialog.getByText(/it ends before it begins/).waitFor();
  assert.ok(await dialog.getByRole("button", { name: "Backfill" }).isDisabled());
  me.page.complaints = me.page.complaints.filter((c) => !/status of 400/.test(c)); // the browser itself says so
  await me.press("Escape");

  await me.button(/^Backfill leap/);
  await span("02012012 1200AM", "02292020 1159PM");
  await dialog.getByText("3 runs").waitFor();
  assert.deepEqual(await dialog.getByRole("listitem").allTextContents(), ["2012-02-29 02:30", "2016-02-29 02:30", "2020-02-29 02:30"]);
  assert.equal((await server.api("/v1/runs?workflow=leap")).runs.length, 1, "looking ahead starts nothing");
  await me.answers("Backfill");
  await me.sees("Past slots");
  await me.tabTo(".schedule summary");
  await me.press("Enter");
  for (const year of [2012, 2016, 2020]) await me.page.locator(`.slots time[datetime^="${year}-02-29T01:30"]`).waitFor();
  await until("the runs have succeeded", async () => (await server.api("/v1/runs?workflow=leap&state=succeeded")).runs.length === 4);
  await me.clean("a schedule with past slots");

  await me.button(/^Backfill leap/);
  await span("02012016 1200AM", "03012024 1200PM");
  await dialog.getByText("1 run; 2 slots had one before").waitFor();
  await me.answers("Backfill");
  await me.page.locator('.slots li:has(time[datetime^="2024-02-29T01:30"])').getByText("succeeded").waitFor(); // the list is open, and goes on
});

test("a run that nobody drives is resumed", async () => {
  const gate = path.join(server.dir, "orphan");
  const other = server.starts("run", path.join(server.flows, "gated.yaml"), "--input", `gate=${gate}`, "--sandbox=" + path.join(server.dir, "sandbox"));
  const gone = new Promise((done) => other.once("exit", done));
  await until("its job runs", async () => {
    const [newest] = (await server.api("/v1/runs?limit=1")).runs;
    return newest.by !== "api" && (await view(newest.id)).waits?.job_running;
  }).finally(() => other.kill("SIGKILL"));
  await gone;
  await me.press("1");
  await me.button("interrupted");
  await me.page.locator("table.runs tbody tr").first().getByText("interrupted").waitFor({ timeout: 30000 });
  await me.tabTo("a.row");
  await me.press("Enter");
  await me.run("interrupted");
  await me.sees(/^Nobody drives this run/);
  await me.clean("an interrupted run");
  await me.button("Resume");
  await me.answers("Resume");
  await me.run("running");
  open(gate, 1);
  open(gate, 2);
  await me.run("succeeded");
  await me.step("compute", "succeeded");
});

test("a log goes on where it was when the server is restarted", async () => {
  const gate = path.join(server.dir, "restart");
  await me.go(`/runs/${await start("gated", { gate })}`);
  await me.step("compute", "running", /its job runs/);
  await me.opens("compute");
  await me.button("Log", "link");
  const log = me.page.getByRole("log");
  await log.getByText("first line").waitFor();
  await server.stop();
  await me.page.getByRole("alert").getByText(/^The server does not answer/).waitFor();
  await me.sees(/^The server does not answer/, "aside");
  assert.equal(await log.textContent(), "first line\n", "what was shown stays");
  open(gate, 1);
  server = await serve({ dir: server.dir, listen: new URL(server.origin).host });
  await me.page.locator("#away").waitFor({ state: "hidden" });
  await log.getByText("second line").waitFor();
  open(gate, 2);
  await log.getByText("third line").waitFor();
  await me.sees("End of the log.", "aside");
  assert.equal(await log.textContent(), "first line\nsecond line\nthird line\n");
  await me.press("Escape");
  await me.run("succeeded");
});

// typeTime types into a field of a date and a time, part by part.
async function typeTime(text) {
  const [day, time] = text.split(" ");
  await me.type(day);
  await me.press("ArrowRight");
  await me.type(time);
}
