// How values are written. Times are those of the reader; the exact one is in the
// title.
import { h } from "./dom.js";

const MINUTE = 60, HOUR = 3600, DAY = 86400;

// span is a length of time: 850 ms, 12 s, 3 m 20 s, 5 h 12 m, 4 d 3 h.
export function span(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const t = Math.max(0, seconds);
  if (t < 1) return Math.round(t * 1000) + " ms";
  if (t < 10) return Number(t.toFixed(1)) + " s";
  if (t < MINUTE) return Math.round(t) + " s";
  const [big, small, a, b] = t < HOUR ? [MINUTE, 1, "m", "s"] : t < DAY ? [HOUR, MINUTE, "h", "m"] : [DAY, HOUR, "d", "h"];
  const n = Math.floor(t / big), rest = Math.floor((t - n * big) / small);
  return `${n} ${a}` + (rest ? ` ${rest} ${b}` : "");
}

// secs is the time from a to b, or to now.
export function secs(a, b) {
  return ((b ? Date.parse(b) : Date.now()) - Date.parse(a)) / 1000;
}

// live is a length of time that is still growing; tick rewrites it.
export function lasting(from, to) {
  if (!from) return null;
  if (to) return h("span", { class: "num" }, span(secs(from, to)));
  return h("span", { class: "num", "data-since": from }, span(Math.floor(secs(from))));
}

// ago is an instant as people say it, and a time that is to come likewise.
export function when(at) {
  if (!at) return null;
  return h("time", { datetime: at, title: exact(at), "data-ago": at }, relative(at));
}

function relative(at) {
  const t = secs(at);
  if (t < 0) return -t < 5 ? "now" : "in " + coarse(-t);
  return t < 5 ? "just now" : t < 30 * DAY ? coarse(t) + " ago" : day(at);
}

function coarse(t) {
  if (t < MINUTE) return Math.round(t) + " s";
  if (t < HOUR) return Math.floor(t / MINUTE) + " min";
  if (t < 2 * DAY) return Math.floor(t / HOUR) + " h";
  return Math.floor(t / DAY) + " d";
}

// day is a date, local is a date and a time, clock a time of day.
export function day(at) { return local(at).slice(0, 10); }

export function local(at) {
  const d = new Date(at);
  if (Number.isNaN(d.getTime())) return String(at);
  const two = (n) => String(n).padStart(2, "0");
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

// wall is an instant on the clock of a time zone, to the minute: 2026-03-29T02:30.
export function wall(at, zone) {
  const parts = Object.fromEntries(new Intl.DateTimeFormat("en", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
  }).formatToParts(at).map((p) => [p.type, p.value]));
  return `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}`;
}

// instant is when the clock of a time zone shows something. Of what it shows twice
// it is one, and what it skips is taken as if it had not.
export function instant(text, zone) {
  const as = Date.parse(text + "Z");
  const ahead = (t) => Date.parse(wall(new Date(t), zone) + "Z") - Math.floor(t / 60000) * 60000;
  return new Date(as - ahead(as - ahead(as))).toISOString();
}

export function clock(at) { return local(at).slice(11); }

export function exact(at) { return `${local(at)} here, ${at}`; }

// short is the end of a run's id, as the command line prints it.
export function short(id) { return id ? String(id).slice(-6) : ""; }

export function count(n) { return n.toLocaleString("en").replaceAll(",", "\u202f"); }

export function plural(n, word) { return count(n) + " " + word + (n === 1 ? "" : "s"); }

// value is what an input or output holds, in one line.
export function value(v) {
  if (v === null || v === undefined) return "";
  if (typeof v === "number") return number(v);
  return typeof v === "string" ? v : JSON.stringify(v);
}

export function number(v) {
  if (Number.isInteger(v)) return String(v);
  const a = Math.abs(v);
  return a !== 0 && (a < 1e-4 || a >= 1e7) ? v.toExponential(3) : String(Number(v.toPrecision(6)));
}

// tick rewrites what depends on the time of day, once a second.
export function tick() {
  if (document.hidden) return;
  for (const el of document.querySelectorAll("[data-since]")) put(el, span(Math.floor(secs(el.dataset.since))));
  for (const el of document.querySelectorAll("[data-ago]")) put(el, relative(el.dataset.ago));
}

function put(el, text) { if (el.textContent !== text) el.textContent = text; }
