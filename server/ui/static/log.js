// What a job or a command prints, as it comes.
import { query as toQuery, runPath, text } from "./api.js";
import { h, own, render } from "./dom.js";
import { failed } from "./page.js";
import { stream } from "./live.js";

const MOST = 5000; // lines that are kept in the page
const PACE = 250;  // ms between two additions

export function logView(root, c) {
  let which = "stdout", abort = new AbortController(), stick = true, timer = 0;
  let pending = "", lines = 0, got = false, following = false, lastID;
  const controls = h("div", { class: "filters" });
  const status = h("p", { class: "note", role: "status" });
  const pre = own(h("pre", { class: "log", tabindex: 0, role: "log", "aria-live": "off", "aria-label": "Log", onscroll: scrolled }));
  root.append(controls, pre, status);

  function scrolled() { stick = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 24; }

  function draw() {
    const u = c.unit();
    render(controls,
      apart() && h("div", { class: "chips", role: "group", "aria-label": "Stream" }, ["stdout", "stderr"].map((name) =>
        h("button", { key: name, type: "button", class: "chip", "aria-pressed": String(name === which), onclick: () => { which = name; begin(); } }, name))),
      (u.attempts?.length ?? 0) > 1 && h("span", { class: "quiet" }, `attempt ${c.attempt()} of ${u.attempts.length}`),
      h("button", { type: "button", class: "plain last", onclick: save }, "Download"));
  }

  const pathOf = (follow) => runPath(c.run.id, "/logs" + toQuery({ unit: c.name, attempt: c.attempt(), stream: which, follow }));

  const attempt = () => c.unit().attempts?.find((x) => x.attempt === c.attempt());

  function lives() { return attempt() && !attempt().ended_at; }

  // apart reports whether there are two logs; commands and most jobs have one for both.
  function apart() {
    const job = attempt()?.job;
    return Boolean(job?.stderr) && job.stderr !== job.stdout;
  }

  function nothing() { return apart() ? `Nothing on ${which}.` : "Nothing was printed."; }

  // begin reads from the start: to its end, or as it grows while the attempt lasts.
  async function begin() {
    abort.abort();
    abort = new AbortController();
    const signal = abort.signal;
    pre.replaceChildren();
    pending = "";
    lines = 0;
    got = following = false;
    stick = true;
    lastID = undefined;
    draw();
    if (lives()) {
      follow();
      return;
    }
    try {
      add(await text(pathOf(), signal));
      put();
      status.textContent = got ? "" : nothing();
    } catch (err) {
      if (!signal.aborted) wrong(err);
    }
  }

  function wrong(err) { render(status, err.status === 404 ? "There is no log." : failed(err, begin)); }

  // follow reads on until the server says that this is the end. A stream that ends
  // without that word belongs to a server that has stopped, and one that is refused with
  // 5xx to a proxy before it, or to a server that has too much to do.
  async function follow() {
    const signal = abort.signal;
    following = true;
    let over = false;
    for (let wait = 500; !over; wait = Math.min(10000, wait * 2)) {
      let trouble = "The server does not answer";
      try {
        await stream(pathOf(true), {
          signal, lastID,
          onOpen: () => { status.textContent = "Follows…"; },
          onEvent: (e) => {
            lastID = e.id ?? lastID;
            wait = 500;
            if (e.event === "end") over = true;
            else add(chunk(e.data));
          },
        });
      } catch (err) {
        if (signal.aborted) return;
        if (err.status < 500) {
          following = false;
          wrong(err);
          return;
        }
        if (err.status) trouble = `The server answered ${err.status}`;
      }
      if (signal.aborted) return;
      if (over) break;
      status.textContent = trouble + "; trying again.";
      await new Promise((next) => setTimeout(next, wait));
      if (signal.aborted) return;
    }
    following = false;
    put();
    status.textContent = got ? "End of the log." : nothing();
  }

  // update goes on with a log that seemed to be at its end while nobody drove the run.
  function update() {
    draw();
    if (!following && lives()) follow();
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
  return { update, leave: () => { abort.abort(); clearTimeout(timer); } };
}

// plain removes the codes that colour a terminal, and what a carriage return
// has overwritten.
export function plain(text) {
  return text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "").replace(/[^\n]*\r(?!\n)/g, "").replaceAll("\r\n", "\n");
}
