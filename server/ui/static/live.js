// What changes on the server arrives as one stream of events, read with fetch so
// that it can carry the token. Pages are told at most twice a second, however
// much happens. A tab that nobody sees holds no connection; when it is seen again
// it catches up.
import { headers } from "./api.js";

const PACE = 500;      // ms between two updates of a page
const SILENCE = 45000; // ms without a byte, three heartbeats, mean that the server is gone

const watchers = new Set();

// watch calls f with the events that have come, in batches, or with nothing when
// some may have been missed. The returned function ends it.
export function watch(f) {
  const w = { f, batch: [], all: false, timer: 0, last: 0 };
  watchers.add(w);
  return () => {
    clearTimeout(w.timer);
    watchers.delete(w);
  };
}

function tell(event) {
  for (const w of watchers) {
    if (event) w.batch.push(event);
    else w.all = true;
    if (!w.timer) w.timer = setTimeout(() => deliver(w), Math.max(0, w.last + PACE - Date.now()));
  }
}

function deliver(w) {
  const batch = w.all ? [] : w.batch;
  Object.assign(w, { batch: [], all: false, timer: 0, last: Date.now() });
  w.f(batch);
}

// stream reads server-sent events of path until it ends or signal aborts, and
// returns whether the server ended it in good order.
export async function stream(path, { signal, lastID, onOpen, onEvent }) {
  const quiet = new AbortController();
  const either = AbortSignal.any([signal, quiet.signal]);
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => quiet.abort(), SILENCE);
  };
  alive();
  try {
    const resp = await fetch(path, {
      headers: headers({ Accept: "text/event-stream", ...(lastID ? { "Last-Event-ID": lastID } : {}) }),
      cache: "no-store", credentials: "omit", redirect: "error", signal: either,
    });
    if (resp.status === 204) return true;
    if (resp.status === 401) document.dispatchEvent(new CustomEvent("token-wanted"));
    if (!resp.ok) throw Object.assign(new Error(`the server answered ${resp.status}`), { status: resp.status });
    onOpen?.();
    const reader = resp.body.pipeThrough(new TextDecoderStream()).getReader();
    const parse = parser(onEvent);
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return true;
      alive();
      parse(value);
    }
  } finally {
    clearTimeout(timer);
  }
}

// parser takes text as it comes and calls f with each whole event.
export function parser(f) {
  let rest = "";
  return (chunk) => {
    const parts = (rest + chunk).split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const e = { id: undefined, event: "message", data: [] };
      for (const line of part.split(/\r?\n/)) {
        const colon = line.indexOf(":");
        if (colon === 0) continue;
        const name = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (name === "data") e.data.push(value);
        else if (name in e) e[name] = value;
      }
      if (e.data.length) f({ ...e, data: e.data.join("\n") });
    }
  };
}

let ending = null; // aborts the stream that is open
let wake = null;   // ends the pause before the next try

// follow keeps the stream of the server open, and reports in `shown` how it is.
export async function follow(shown) {
  let lastID, failures = 0;
  document.addEventListener("visibilitychange", () => (document.hidden ? ending?.abort() : wake?.()));
  for (;;) {
    while (document.hidden) await pause(3600e3);
    ending = new AbortController();
    try {
      await stream("/v1/events", {
        signal: ending.signal, lastID,
        onOpen: () => {
          failures = 0;
          shown({ live: true });
          tell(null);
        },
        onEvent: (e) => {
          if (e.id) lastID = e.id;
          tell({ kind: e.event, ...JSON.parse(e.data) });
        },
      });
    } catch (err) {
      if (ending.signal.aborted) continue; // nobody looked
      failures++;
      if (err.status === 401) {
        shown({ live: false, token: true });
        await pause(3600e3); // another token comes with another page
        continue;
      }
    }
    if (document.hidden) continue;
    // Twice as long each time up to 15 s, a little varied, so that many tabs do not return at once.
    const wait = Math.min(15000, 500 * 2 ** Math.min(failures, 5)) * (0.75 + Math.random() / 2);
    if (failures > 0) shown({ live: false, again: Date.now() + wait });
    await pause(wait);
  }
}

// now tries again at once.
export function now() { wake?.(); }

function pause(ms) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    wake = () => {
      clearTimeout(timer);
      done();
    };
  });
}
