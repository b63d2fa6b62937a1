// Starts the program with a sandbox and a browser for it.
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = path.dirname(fileURLToPath(import.meta.url));
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const FCFLOW = path.resolve(process.env.FCFLOW ?? path.join(here, "..", "bin", "fcflow"));

export function scratch() { return fs.mkdtempSync(path.join(os.tmpdir(), "fcflow-ui-")); }

// serve starts `fcflow serve` on a sandbox, which may imitate a site, with workflows
// of its own, and returns where it is once it says so. `link` is that of the full token, `readOnly` one that
// may only look.
export async function serve({ dir = scratch(), workflows = [], listen = "127.0.0.1:0", args = ["--sandbox=" + path.join(dir, "sandbox")], shelf = true, site } = {}) {
  const flows = path.join(dir, "workflows");
  fs.mkdirSync(flows, { recursive: true });
  for (const file of workflows) fs.copyFileSync(file, path.join(flows, path.basename(file)));
  const env = { ...process.env, HOME: dir, XDG_STATE_HOME: path.join(dir, "state"), XDG_CONFIG_HOME: path.join(dir, "config"), XDG_CACHE_HOME: path.join(dir, "cache") };
  if (site) await describe(path.join(dir, "sandbox"), site, env);
  const child = spawn(FCFLOW, ["serve", ...(shelf ? ["--workflows", flows] : []), "--listen", listen, ...args], { cwd: dir, stdio: ["ignore", "pipe", "pipe"], env });
  let output = "";
  await new Promise((found, lost) => {
    const timer = setTimeout(() => lost(new Error("it does not say where it is:\n" + output)), 20000);
    const read = (chunk) => {
      output += chunk;
      if (/http:\/\/[^\s"]+:\d+\//.test(output)) { clearTimeout(timer); found(); }
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("exit", (code) => { clearTimeout(timer); lost(new Error(`fcflow serve ended with ${code}:\n${output}`)); });
  });
  const token = (...more) => execFileSync(FCFLOW, ["serve", "token", ...more], { cwd: dir, env, encoding: "utf8" }).trim();
  const link = token(), url = new URL(link);
  return {
    dir, flows, link, readOnly: token("--read-only"), child, origin: url.origin, output: () => output,
    // starts begins another command beside the server.
    starts: (...args) => spawn(FCFLOW, args, { cwd: dir, env, stdio: "ignore" }),
    // faults has the sandbox misbehave, or not any more.
    faults: (...faults) => misbehave(path.join(dir, "sandbox"), faults),
    api: (p, body) => call(url.origin, url.hash.slice("#token=".length), p, body),
    stop: () => stop(child),
    end: async () => {
      await stop(child);
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
}

// describe has the sandbox on a root imitate a site, which the root remembers.
async function describe(root, site, env) {
  const file = root + ".site.json";
  fs.writeFileSync(file, JSON.stringify(site));
  const child = spawn(FCFLOW, ["sandbox", "--root", root, "--site", file], { stdio: ["ignore", "pipe", "pipe"], env });
  await new Promise((done, lost) => {
    child.stdout.once("data", done);
    child.once("exit", (code) => lost(new Error(`fcflow sandbox ended with ${code}`)));
  });
  await stop(child);
}

async function call(origin, token, p, body) {
  const resp = await fetch(origin + p, {
    method: body ? "POST" : "GET", headers: { Authorization: "Bearer " + token, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
  const text = await resp.text();
  if (!resp.ok) throw new Error(`${p}: ${resp.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

async function misbehave(root, faults) {
  const at = JSON.parse(fs.readFileSync(path.join(root, "address"), "utf8"));
  const resp = await fetch(at.url + "/sandbox/faults", {
    method: "PUT", headers: { Authorization: "Bearer " + at.adminSecret, "Content-Type": "application/json" }, body: JSON.stringify({ faults }),
  });
  if (!resp.ok) throw new Error(`faults: ${resp.status} ${await resp.text()}`);
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10000);
  await gone;
  clearTimeout(timer);
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

// open opens a page that keeps what the console says in `page.complaints`.
export async function open(browser, link, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  page.complaints = [];
  page.on("console", (m) => { if (m.type() === "error" || m.type() === "warning") page.complaints.push(m.text()); });
  page.on("pageerror", (err) => page.complaints.push(String(err.stack)));
  if (link) await page.goto(link);
  return page;
}

// violations runs axe with its default rules.
export async function violations(page) {
  if (!(await page.evaluate(() => Boolean(globalThis.axe)))) await page.evaluate(axe);
  const found = await page.evaluate(async () => (await globalThis.axe.run()).violations);
  return found.map((v) => `${v.id}: ${v.help}: ` + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200)).join(" | "));
}

// until polls with a deadline.
export async function until(what, f, ms = 30000) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const v = await f();
      if (v) return v;
      last = v;
    } catch (err) { last = err; }
    if (Date.now() > end) throw new Error(`not in ${ms} ms: ${what}: ${last}`);
    await new Promise((next) => setTimeout(next, 50));
  }
}

// tabTo presses Tab until the focus is on what matches.
export async function tabTo(page, selector, most = 80) {
  for (let i = 0; i < most; i++) {
    if (await page.evaluate((s) => Boolean(document.activeElement?.matches(s)), selector)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not reach ${selector}; the focus is on ${await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200))}`);
}
