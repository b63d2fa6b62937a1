// What pages have in common: loading data, saying that it failed, loading again
// when something has changed.
import { Away } from "./api.js";
import { h, render } from "./dom.js";
import { watch } from "./live.js";

const WHILE = 10000; // ms

// source loads with `load`, shows with `draw`, and does both again for each batch
// of events that `cares` about. One request at a time, and after an answer a pause
// of three times what it took: who is slow is not asked more often. refused may say
// otherwise what an error means. Of what no event tells, such as runs of other processes,
// the page learns by asking once in a while, as long as it is `open`, or when an answer
// has been lost.
export function source(root, { load, draw, cares = () => true, refused, open = () => false }) {
  const abort = new AbortController();
  let busy = false, wanted = false, drawn = false, lost = false, shown, timer = 0, earliest = 0;
  const again = async () => {
    clearTimeout(timer);
    timer = 0;
    if (busy) { wanted = true; return; }
    busy = true;
    const began = Date.now();
    try {
      const data = await load(abort.signal);
      if (abort.signal.aborted) return;
      drawn = true;
      lost = false;
      shown = data;
      draw(data);
    } catch (err) {
      lost = err instanceof Away && drawn;
      if (!abort.signal.aborted && !lost) render(root, refused?.(err, again) ?? failed(err, again));
    } finally {
      busy = false;
      earliest = Date.now() + Math.min(10000, 3 * (Date.now() - began));
      if (wanted) soon();
      wanted = false;
    }
  };
  const soon = () => {
    if (busy) wanted = true;
    else if (!abort.signal.aborted) timer ||= setTimeout(again, Math.max(0, earliest - Date.now()));
  };
  const unwatch = watch((events) => { if (events.length === 0 || events.some(cares)) soon(); });
  const looks = setInterval(() => { if (drawn && !document.hidden && (lost || open(shown))) soon(); }, WHILE);
  render(root, h("p", { class: "quiet" }, "Loading…"));
  again();
  return {
    again,
    leave: () => {
      abort.abort();
      clearTimeout(timer);
      clearInterval(looks);
      unwatch();
    },
  };
}

// failed says what went wrong, and offers to try again.
export function failed(err, again) {
  return h("div", { class: "trouble", role: "alert" }, h("p", null, err.message),
    again && h("button", { type: "button", onclick: again }, "Try again"));
}

export function empty(text, more) {
  return h("div", { class: "empty" }, h("p", null, text), more);
}

// tabsOf draws links to the views of something, and has the current one in sight.
export function tabsOf(nav, tabs, current, href) {
  render(nav, tabs.map(([name, label]) => h("a", { key: name, href: href(name), "aria-current": name === current ? "page" : null }, label)));
  const here = nav.querySelector("[aria-current]");
  if (here) nav.scrollLeft = Math.max(0, here.offsetLeft + here.offsetWidth - nav.clientWidth);
}

export function title(text) { document.title = text ? text + " · fcflow" : "fcflow"; }

// copyable is a word that a click copies.
export function copyable(text, shown) {
  return h("button", {
    type: "button", class: "copy", title: `Copy ${text}`,
    onclick: (e) => {
      const b = e.currentTarget;
      navigator.clipboard?.writeText(text).then(() => {
        b.dataset.done = "1";
        setTimeout(() => { delete b.dataset.done; }, 1200);
      }, () => {});
    },
  }, shown ?? text);
}
