// Makes a picture of each page, light and dark, 1280 and 360 px wide, in the
// directory that is given.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { launch, open, serve, until } from "./harness.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(process.argv[2] ?? "screenshots");
const only = process.argv[3]?.split(",");
fs.mkdirSync(out, { recursive: true });

const examples = path.join(here, "..", "examples", "workflows");
const server = await serve({
  workflows: [...["pipeline.yaml", "nightly.yaml", "forecast.yaml"].map((f) => path.join(here, "workflows", f)), ...["campaign.yaml", "heat.awk", "quickstart.yaml"].map((f) => path.join(examples, f))],
});
const browser = await launch();
try {
  const pages = await prepare();
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 360]) {
      const page = await open(browser, server.link, { colorScheme, viewport: { width, height: width === 360 ? 740 : 860 } });
      await page.waitForSelector(".link[data-is=live]");
      for (const [name, hash] of Object.entries(pages)) {
        if (only && !only.includes(name)) continue;
        await page.goto(server.origin + "/#" + hash);
        await settled(page);
        await page.screenshot({ path: path.join(out, `${name}-${colorScheme}-${width}.png`) });
      }
      for (const c of page.complaints) console.log(`${colorScheme} ${width}: ${c}`);
      await page.context().close();
    }
  }
} finally {
  await browser.close();
  await server.end();
}

// settled waits until nothing loads and the page has not changed for a moment.
async function settled(page) {
  await page.waitForFunction(() => !/Loading…/.test(document.querySelector("main").textContent));
  await page.waitForLoadState("networkidle", { timeout: 1500 }).catch(() => {}); // a stream is always open
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

// prepare makes runs worth looking at, and returns the pages.
async function prepare() {
  const start = async (workflow, inputs = {}) => (await server.api("/v1/runs", { workflow, inputs })).id;
  const run = (id) => server.api(`/v1/runs/${id}?fold=true`);
  const broken = await start("pipeline", { word: "hello" });
  const campaign = await start("campaign");
  await until("the fragile step has failed", async () => (await run(broken)).state === "failed");
  const asking = await start("pipeline", { word: "again" });
  await until("it has failed, too", async () => (await run(asking)).state === "failed");
  await server.api(`/v1/runs/${asking}/retry`, { by: "ada@login1" });
  await until("it asks", async () => (await run(asking)).attention?.length);
  await until("the campaign is over", async () => (await run(campaign)).ended_at, 180000);
  await server.api("/v1/schedules/nightly/" + (await schedule()).id + "/pause", {});
  const busy = await start("forecast");
  await until("some of it is done", async () => (await run(busy)).units.succeeded > 8, 60000);
  const systems = await server.api("/v1/systems");
  const one = (systems.systems ?? systems)[0].name;
  return {
    run: `/runs/${busy}/graph`, instances: `/runs/${busy}/instances?step=simulate`, runs: "/runs", approve: `/runs/${asking}/graph`, failed: `/runs/${broken}/graph?unit=fragile`,
    why: `/runs/${broken}/graph?unit=fragile&show=why`, log: `/runs/${broken}/graph?unit=fragile&show=log`,
    timeline: `/runs/${campaign}/timeline`, results: `/runs/${campaign}/results`,
    details: `/runs/${campaign}/details`, workflows: "/workflows", workflow: "/workflows/forecast", schedules: "/schedules",
    systems: "/systems", system: `/systems/${encodeURIComponent(one)}`,
  };
}

async function schedule() {
  const all = await server.api("/v1/schedules");
  return (all.schedules ?? all).find((x) => x.workflow === "nightly");
}
