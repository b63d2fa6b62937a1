// Measures the page with a run of 10,000 instances, and prints figures beside goals.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { launch, open, serve, until } from "./harness.mjs";

const SECONDS = Number(process.env.WATCH ?? 60);
const PAGES = Number(process.env.WATCHERS ?? 20);
const flow = path.join(path.dirname(fileURLToPath(import.meta.url)), "workflows", "wide.yaml");

const server = await serve({ workflows: [flow] });
const browser = await launch();
try {
  const { id } = await server.api("/v1/runs", { workflow: "wide", inputs: {} });
  await until("the instances are known", async () => (await server.api(`/v1/runs/${id}/steps/pause/instances?limit=1`)).total === 10000, 60000);
  const target = `${server.origin}/#/runs/${id}/instances`;

  const page = await watcher(target);
  const first = await page.evaluate(() => globalThis.figures.first);
  const before = await seen(page);
  await page.waitForTimeout(SECONDS * 500);
  await page.evaluate(() => document.querySelector(".grid").scrollTo(0, 150000)); // somewhere in the middle
  await page.waitForTimeout(SECONDS * 500);
  const { longest, tasks } = await page.evaluate(() => globalThis.figures);
  const now = await seen(page);
  const rows = await page.locator(".gridrow").count();

  const pages = [page];
  while (pages.length < PAGES) pages.push(await watcher(target));
  let rss = 0;
  for (let i = 0; i < 10; i++) {
    await page.waitForTimeout(1000);
    rss = Math.max(rss, resident(server.child.pid));
  }
  const view = await server.api(`/v1/runs/${id}?fold=true`);
  print("navigation to first row", first / 1000, "s", 2);
  print(`longest task in ${SECONDS} s`, longest, "ms", 200);
  print(`server RSS, ${PAGES} pages watching`, rss, "MiB", 300);
  console.log(`${tasks} tasks over 50 ms; ${rows} rows in the page; shown meanwhile: ${before} → ${now}; the run is ${view.state}`);
  if (page.complaints.length) console.log("the console said:", page.complaints);
} finally {
  await browser.close();
  await server.end();
}

// watcher opens a page of its own browser context that measures itself.
async function watcher(target) {
  const p = await open(browser);
  await p.addInitScript((token) => {
    sessionStorage.setItem("fcflow-token", token);
    const figures = (globalThis.figures = { first: 0, longest: 0, tasks: 0 });
    new PerformanceObserver((list) => {
      for (const e of list.getEntries()) {
        figures.longest = Math.max(figures.longest, e.duration);
        figures.tasks++;
      }
    }).observe({ type: "longtask", buffered: true });
    const look = () => {
      if (document.querySelector(".gridrow .badge")) requestAnimationFrame(() => { figures.first ||= performance.now(); });
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, new URL(server.link).hash.slice("#token=".length));
  await p.goto(target);
  await p.waitForFunction(() => globalThis.figures.first > 0);
  return p;
}

// seen is what the page says of the run now: it must change while it is watched.
function seen(page) { return page.evaluate(() => document.querySelector(".progress-line .counts")?.textContent ?? ""); }

function resident(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
}

function print(what, value, unit, goal) {
  console.log(`${what.padEnd(36)} ${value.toFixed(value < 10 ? 2 : 0).padStart(7)} ${unit.padEnd(4)} goal ${String(goal).padStart(4)} ${unit} ${value <= goal ? "ok" : "MISSED"}`);
}
