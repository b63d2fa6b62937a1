// A person at the keyboard: starts a run from its form, watches the graph, looks
// at what failed, retries it, approves, pauses a schedule. Nothing is clicked.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { launch, open, serve, tabTo, until, violations } from "./harness.mjs";
import { flowFiles, person, story } from "./person.mjs";

const step = story();
let server, browser, page, press, clean, focused;

before(async () => {
  server = await serve({ workflows: flowFiles("pipeline.yaml", "leap.yaml") });
  browser = await launch();
  ({ page, press, clean, focused } = await person(browser, server));
});

after(async () => {
  await browser?.close();
  await server?.end();
});

// aligned checks that cells of a table stand below the heads of their columns.
async function aligned() {
  const [heads, cells] = await page.evaluate(() => [".gridhead", ".gridrow"].map((row) => [...document.querySelectorAll(row)[0].children].map((c) => Math.round(c.getBoundingClientRect().left))));
  assert.deepEqual(cells, heads, "cells below their heads");
}

const state = (step) => page.getAttribute(`svg.graph [data-step="${step}"]`, "data-state");

step("the token leaves the address", async () => {
  await page.waitForSelector(".link[data-is=live]");
  assert.ok(!page.url().includes("token"), page.url());
  await clean("runs");
});

step("render: random lists come out as wanted, and what stays keeps its focus", async () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  const trouble = await page.evaluate(async (from) => {
    const { h, render } = await import("/dom.js");
    let state = from;
    const random = (n) => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      return Math.floor((state / 0x80000000) * n);
    };
    const root = document.body.appendChild(h("div"));
    try {
      for (let round = 0; round < 300; round++) {
        const pool = Array.from({ length: 12 }, (_, i) => i).sort(() => random(3) - 1);
        const list = pool.slice(0, random(13)).map((k) => ({ k: random(4) ? k : undefined, tag: random(5) ? "button" : "b", text: random(100) }));
        const make = () => list.map((x) => h(x.tag, { key: x.k, title: x.text % 3 ? x.text : null }, x.text));
        render(root, make());
        const want = h("div", null, make());
        if (root.innerHTML !== want.innerHTML) return `round ${round}: ${root.innerHTML}, want ${want.innerHTML}`;
        // Where nothing changes places, what stays keeps the focus, whatever comes and goes.
        const stays = random(10), some = (all) => all.filter((k) => k === stays || random(2));
        const keys = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], buttons = (list) => list.map((k) => h("button", { key: k }, k));
        render(root, buttons(some(keys)));
        const el = [...root.children].find((c) => c.key === stays);
        el.focus();
        render(root, buttons(some(keys)));
        if (document.activeElement !== el) return `round ${round}: the focus was lost`;
      }
    } finally {
      root.remove();
    }
    return "";
  }, seed);
  assert.equal(trouble, "", `SEED=${seed}`);
});

step("a run is started from its form", async () => {
  await press("2");
  await page.waitForSelector("a.row");
  await clean("workflows");
  await tabTo(page, 'a.row[href="#/workflows/pipeline"]');
  await press("Enter");
  await page.waitForSelector("form.inputs");
  await clean("workflow");

  await tabTo(page, "form.inputs button[type=submit]");
  await press("Enter");
  assert.match(await page.textContent("#in-word-wrong"), /no default/);
  assert.match(await focused(), /id="in-word"/, "focus goes to the field that is wrong");

  await page.keyboard.type("hello <b>world</b>");
  await tabTo(page, "#in-walltime");
  await press("Control+A");
  await page.keyboard.type("soon");
  await press("Enter");
  await until("the server's words stand at the field", async () => /duration/.test(await page.textContent("#in-walltime-wrong")));
  page.complaints = page.complaints.filter((c) => !/status of 400/.test(c)); // the browser itself says so
  await clean("a form with a mistake");
  await press("Control+A");
  await page.keyboard.type("10m");
  await press("Enter");
  await page.waitForSelector("svg.graph");
});

step("the graph follows the run", async () => {
  await until("prepare is green", async () => (await state("prepare")) === "succeeded");
  await until("fragile is red", async () => (await state("fragile")) === "failed");
  await clean("graph");
});

step("a failed step is opened, and its log read", async () => {
  await tabTo(page, "a.node");
  await until("the arrows reach fragile", async () => {
    if (/data-step="fragile"/.test(await focused())) return true;
    await press("ArrowRight");
    return false;
  }, 5000);
  await press("Enter");
  await page.waitForSelector("aside .attempt");
  await clean("panel");
  for (const view of ["why", "script", "values", "log"]) {
    await tabTo(page, `aside .tabs a[href*="show=${view}"]`);
    await press("Enter");
    await page.waitForSelector(`aside .panelbody.${view}`);
    if (view === "log") await page.waitForFunction(() => /attempt 1 looks for its data/.test(document.querySelector("pre.log")?.textContent));
    else await page.waitForFunction(() => !/Loading/.test(document.querySelector("aside .panelbody").textContent));
    await clean(view);
  }
});

step("it is retried, and the graph turns green", async () => {
  await tabTo(page, "aside .buttons button.main");
  await press("Enter");
  await page.waitForSelector("dialog[open]");
  await clean("dialog");
  await tabTo(page, "dialog button[type=submit]");
  await press("Enter");
  await page.waitForSelector("dialog", { state: "detached" });
  await press("Escape");
  await page.waitForSelector("aside[hidden]", { state: "attached" });
  assert.match(await focused(), /class="(node|grid)/, "closing the panel gives the focus back");
  for (const step of ["fragile", "simulate"]) await until(`${step} is green`, async () => (await state(step)) === "succeeded");
  await until("sure waits for a person", async () => (await state("sure")) === "attention");
  await clean("needs a person");
});

step("it is approved, and ends", async () => {
  const [newest] = (await server.api("/v1/runs?limit=1")).runs;
  assert.equal(newest.attention?.length, 1, "the list knows that it waits for a person");
  await tabTo(page, ".attention button.main");
  await press("Enter");
  await page.waitForSelector("dialog[open]");
  await page.keyboard.type("looks right");
  await press("Enter");
  await page.waitForSelector("dialog", { state: "detached" });
  await until("publish is green", async () => (await state("publish")) === "succeeded");
  await until("the end is told to those who do not see", async () => /succeeded/.test(await page.textContent("#said")));
});

step("the other views of a run", async () => {
  for (const tab of ["timeline", "instances", "results", "details"]) {
    await tabTo(page, `.runmain .tabs a[href*="/${tab}"]`);
    await press("Enter");
    await page.waitForSelector(`.view.${tab}`);
    await page.waitForFunction(() => !/Loading/.test(document.querySelector(".view").textContent));
    await clean(tab);
    if (tab === "instances" || tab === "results") {
      await page.waitForSelector(".gridrow .badge");
      for (const width of [360, 1280]) {
        await page.setViewportSize({ width, height: 860 });
        await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))));
        await aligned();
      }
    }
  }
  assert.match(await page.textContent(".view.details"), /hello <b>world<\/b>/, "what somebody typed is text, not markup");
  await tabTo(page, '.runmain .tabs a[href*="/instances"]');
  await press("Enter");
  await page.waitForSelector(".gridrow .badge");
  await tabTo(page, ".grid");
  await press("ArrowDown", "ArrowDown", "Enter");
  await page.waitForSelector("aside .attempt");
  assert.match(await page.textContent("aside h2"), /^simulate dt=/);
  await press("Escape");
  await page.waitForSelector("aside[hidden]", { state: "attached" });
});

step("the filter of runs", async () => {
  await press("1");
  await page.waitForSelector("table.runs a.row");
  await press("/");
  await page.keyboard.type("no such run");
  await page.waitForSelector(".empty");
  await press("Control+A");
  await page.keyboard.type("pipeline");
  await page.waitForSelector("table.runs a.row");
  await press("ArrowDown");
  assert.match(await focused(), /class="row"/);
  await press("Enter");
  await page.waitForSelector(".runhead h1");
  assert.match(await page.textContent(".runhead h1"), /^pipeline/);
});

step("a schedule is paused and resumed", async () => {
  await press("3");
  await page.waitForSelector(".schedule");
  await clean("schedules");
  await tabTo(page, '.schedule button[aria-label^="Pause leap"]');
  await press("Enter");
  await page.waitForSelector('.schedule button[aria-label^="Resume leap"]');
  await clean("a paused schedule");
  const all = await server.api("/v1/schedules");
  assert.ok((all.schedules ?? all).find((x) => x.workflow.startsWith("leap")).paused);
  await tabTo(page, '.schedule button[aria-label^="Resume leap"]');
  await press("Enter");
  await page.waitForSelector('.schedule button[aria-label^="Pause leap"]');
});

step("systems", async () => {
  await press("4");
  await page.waitForSelector("a.row");
  await clean("systems");
  await tabTo(page, "a.row");
  await press("Enter");
  await page.waitForSelector(".part-of");
  await clean("system");
});

step("keys, dark, narrow", async () => {
  await press("?");
  await page.waitForSelector("dialog[open] .keys");
  await clean("keys");
  await press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  await press("t", "t");
  assert.equal(await page.getAttribute("html", "data-theme"), "dark");
  await page.setViewportSize({ width: 360, height: 740 });
  for (const hash of ["/runs", "/workflows", "/workflows/pipeline", "/schedules", "/systems"]) {
    await page.goto(server.origin + "/#" + hash);
    await page.waitForFunction(() => document.querySelector("main").children.length && !/Loading/.test(document.querySelector("main").textContent));
    await clean(hash + ", dark, 360 px");
  }
  await page.setViewportSize({ width: 1280, height: 860 });
});

step("without a token there is nothing to see", async () => {
  const stranger = await open(browser, server.origin);
  await stranger.waitForSelector("dialog[open] input[type=password]");
  assert.equal(await stranger.locator("table.runs").count(), 0);
  await stranger.context().close();
});

step("a token that may only look shows no buttons that act", async () => {
  const reader = await open(browser, server.readOnly);
  await reader.waitForSelector("table.runs a.row");
  await reader.click("table.runs a.row");
  await reader.waitForSelector(".runhead h1");
  assert.equal(await reader.locator(".acts:visible").count(), 0);
  await reader.goto(server.origin + "/#/workflows/pipeline");
  await reader.waitForSelector(".card .quiet");
  assert.equal(await reader.locator("form.inputs").count(), 0);
  assert.deepEqual(reader.complaints, []);
  await reader.context().close();
});

step("the server goes away and comes back", async () => {
  await press("1");
  await page.waitForSelector("table.runs a.row");
  assert.deepEqual(page.complaints, []);
  await server.stop();
  await page.waitForSelector("#away:not([hidden])");
  assert.deepEqual(await violations(page), []);
  assert.ok(await page.locator("table.runs a.row").count(), "what was shown stays");
  await until("it goes on trying", async () => /Next try/.test(await page.textContent("#away")));
  server = await serve({ dir: server.dir, listen: new URL(server.origin).host });
  await page.waitForSelector("#away", { state: "hidden" });
  await page.waitForSelector(".link[data-is=live]");
});
