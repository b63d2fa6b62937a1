// What a job or a command prints, as it comes.
import { query as toQuery, runPath, text } from "./api.js";
import { h, own, render } from "./dom.js";
import { failed } from "./page.js";
import { stream } from "./live.js";

const MOST = 5000; // lines that are kept in the page
const PACE = 250;  // ms between two additions

export function logView(root, c) {
  let which = "stdout", abort = new AbortController(), stick = true, timer = 0;
  let pending = "", lines = 0, got = false;
  const controls = h("div", { class: "filters" });
  const status = h("p", { class: "note", role: "status" });
  const pre = own(h("pre", { class: "log", tabindex: 0, role: "log", "aria-live": "off", "aria-label": "Log", onscroll: scrolled }));
  root.append(controls, pre, status);

  function scrolled() { stick = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 24; }

  function draw() {
    const u = c.unit();
    render(controls,
      h("div", { class: "chips", role: "group", "aria-label": "Stream" }, ["stdout", "stderr"].map((name) =>
        h("button", { key: name, type: "button", class: "chip", "aria-pressed": String(name === which), onclick: () => { which = name; begin(); } }, name))),
      (u.attempts?.length ?? 0) > 1 && h("span", { class: "quiet" }, `attempt ${c.attempt()} of ${u.attempts.length}`),
      h("button", { type: "button", class: "plain last", onclick: save }, "Download"));
  }

  // begin reads from the start: to its end, or as it grows while the attempt lasts.
  async function begin() {
    abort.abort();
    abort = new AbortController();
    const signal = abort.signal;
    pre.replaceChildren();
    pending = "";
    lines = 0;
    got = false;
    stick = true;
    draw();
    const path = (follow) => runPath(c.run.id, "/logs" + toQuery({ unit: c.name, attempt: c.attempt(), stream: which, follow }));
    const u = c.unit();
    const a = u.attempts?.find((x) => x.attempt === c.attempt());
    const lives = a && !a.ended_at;
    try {
      if (!lives) {
        add(await text(path(), signal));
        put();
        status.textContent = got ? "" : `Nothing on ${which}.`;
        return;
      }
      let lastID;
      for (let wait = 500; !signal.aborted; wait = Math.min(10000, wait * 2)) {
        status.textContent = "Follows…";
        try {
          const done = await stream(path(true), { signal, lastID, onEvent: (e) => { lastID = e.id ?? lastID; wait = 500; if (e.event !== "end") add(chunk(e.data)); } });
          if (done) break;
        } catch (err) {
          if (signal.aborted) return;
          if (err.status) throw err;
          status.textContent = "The server does not answer; trying again.";
        }
        await new Promise((next) => setTimeout(next, wait));
      }
      put();
      status.textContent = got ? "End of the log." : `Nothing on ${which}.`;
    } catch (err) {
      if (!signal.aborted) render(status, err.status === 404 ? "There is no log." : failed(err));
    }
  }

  // chunk is the text of an event: itself, or in a member of JSON.
  function chunk(data) {
    if (data.startsWith("{")) {
      try {
        const d = JSON.parse(data);
        return d.text ?? d.data ?? data;
      } catch { /* a line of a log that looks like JSON */ }
    }
    return data + "\n";
  }

  function add(more) {
    if (!more) return;
    got = true;
    pending += more;
    timer ||= setTimeout(put, PACE);
  }

  // put appends what has come, one element for each batch, and drops the oldest.
  function put() {
    clearTimeout(timer);
    timer = 0;
    if (!pending) return;
    const clean = plain(pending);
    pending = "";
    const n = clean.split("\n").length - 1;
    const part = h("span", null, clean);
    part.lines = n;
    lines += n;
    pre.append(part);
    while (lines > MOST && pre.childNodes.length > 1) {
      lines -= pre.firstChild.lines;
      pre.firstChild.remove();
    }
    if (stick) pre.scrollTop = pre.scrollHeight;
  }

  async function save() {
    try {
      const all = await text(runPath(c.run.id, "/logs" + toQuery({ unit: c.name, attempt: c.attempt(), stream: which })));
      const url = URL.createObjectURL(new Blob([all], { type: "text/plain" }));
      h("a", { href: url, download: `${c.name.replaceAll("/", "-")}.${which}.txt` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    } catch (err) {
      render(status, failed(err));
    }
  }

  begin();
  return { update: draw, leave: () => { abort.abort(); clearTimeout(timer); } };
}

// plain removes the codes that colour a terminal, and what a carriage return
// has overwritten.
export function plain(text) {
  return text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "").replace(/[^\n]*\r(?!\n)/g, "").replaceAll("\r\n", "\n");
}
