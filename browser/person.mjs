// A person at the keyboard: what tests do and see in a page. Nothing is clicked.
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { open, tabTo, until, violations } from "./harness.mjs";

const flows = path.join(path.dirname(fileURLToPath(import.meta.url)), "workflows");
export const flowFiles = (...names) => names.map((n) => path.join(flows, n));

// story returns a test function: each test goes on where the one before it stopped,
// and does nothing when that failed.
export function story() {
  let failed = "";
  return (name, f) => test(name, async () => {
    assert.equal(failed, "", "a step before this one failed");
    failed = name;
    await f();
    failed = "";
  });
}

export async function person(browser, server, options) {
  const page = await open(browser, server.link, options);
  await page.waitForSelector(".link[data-is=live]");
  const me = {
    page,
    press: async (...keys) => { for (const k of keys) await page.keyboard.press(k); },
    type: (text) => page.keyboard.type(text),
    tabTo: (selector, most) => tabTo(page, selector, most),
    go: (hash) => page.goto(server.origin + "/#" + hash),
    text: (selector) => page.textContent(selector),
    focused: () => page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200) ?? ""),
    // sees waits until the words are in sight.
    sees: (words, within = "main") => page.locator(within).getByText(words).first().waitFor(),
    // button presses Tab until a button (or link) of that name has the focus, and Enter.
    button: async (name, role = "button") => {
      await me.reach(role, name);
      await page.keyboard.press("Enter");
    },
    // reach presses Tab until what has the role and the name has the focus.
    reach: async (role, name, most = 80) => {
      const it = page.getByRole(role, { name, exact: typeof name === "string" });
      await it.first().waitFor();
      for (let i = 0; i < most; i++) {
        for (const one of await it.all()) if (await one.evaluate((el) => el === document.activeElement)) return;
        await page.keyboard.press("Tab");
      }
      throw new Error(`Tab does not reach ${role} ${name}; the focus is on ${await me.focused()}`);
    },
    // answers fills the dialog that is open, and says yes with its button.
    answers: async (yes, values = {}) => {
      await page.getByRole("dialog").waitFor();
      await me.clean("dialog");
      for (const [label, value] of Object.entries(values)) {
        await me.reach("textbox", label);
        await page.keyboard.press("Control+A");
        await page.keyboard.type(value);
      }
      await me.button(yes);
      await page.getByRole("dialog").waitFor({ state: "detached" });
    },
    // run waits until the head of the run that is shown says its state.
    run: (state) => page.locator(".runhead > .titleline > .badge").getByText(state, { exact: true }).waitFor({ timeout: 30000 }),
    // step waits until the box of a step in the graph is in a state, and says so in words.
    step: async (id, state, words) => {
      const box = page.locator(`svg.graph [data-step="${id}"]`);
      await until(`${id} is ${state} and says ${words}`, async () => (await box.getAttribute("data-state")) === state && (!words || words.test(await box.textContent())));
    },
    // walks moves with the arrows in the graph to a step, and presses Enter.
    walks: async (id) => {
      await me.tabTo("a.node");
      const here = () => page.evaluate(() => document.activeElement.dataset.step);
      for (const way of ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowRight"]) {
        for (let last; (await here()) !== last;) {
          last = await here();
          if (last === id) return page.keyboard.press("Enter");
          await page.keyboard.press(way);
        }
      }
      throw new Error(`the arrows do not reach ${id}`);
    },
    opens: async (id) => {
      await me.walks(id);
      await page.waitForSelector("aside .tabs a");
    },
    opensTable: async (id) => {
      await me.walks(id);
      await page.waitForSelector(".view.instances .gridrow");
    },
    width: async () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
    // clean checks the page as it is now: no violation, no complaint, nothing too wide.
    clean: async (what) => {
      assert.deepEqual(await violations(page), [], what);
      assert.deepEqual(page.complaints, [], what);
      assert.ok((await me.width()) <= 0, `${what}: ${await me.width()} px too wide`);
    },
    leave: () => page.context().close(),
  };
  return me;
}
