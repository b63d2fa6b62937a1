// Every request of the page goes through here. The token arrives behind "#" in
// the address, is taken out of it, and lives as long as the tab; it is never in a
// cookie, so that no other page can use it.

const KEY = "fcflow-token";

// session is what the server says about who asks.
export const session = { version: "", read_only: false, user: "" };

export class APIError extends Error {
  constructor(status, body) {
    const e = body?.error ?? {};
    super(plain(e) || `the server answered ${status}`);
    this.status = status;
    this.code = e.code ?? "";
    this.detail = e;
  }
}

// plain is the message without what its code says anyway.
function plain({ message = "", code = "" }) {
  const words = code.replaceAll("_", " ");
  if (message === words) return message;
  return message.replace(new RegExp(`^${words}: `), "").replace(new RegExp(`: ${words}$`), "");
}

// Away: the server did not answer at all.
export class Away extends Error {
  constructor() { super("the server does not answer"); }
}

// takeToken moves the token from the address to the storage of the tab.
export function takeToken() {
  if (!location.hash.startsWith("#token=")) return;
  setToken(location.hash);
  history.replaceState(null, "", location.pathname + "#/runs");
}

export function hasToken() { return sessionStorage.getItem(KEY) !== null; }

// setToken takes a token, or a link that has one.
export function setToken(text) {
  const token = /#token=([^&]+)/.exec(text)?.[1];
  keep(token ? decodeURIComponent(token) : text);
}

function keep(token) { sessionStorage.setItem(KEY, token); }

export function headers(more) {
  const token = sessionStorage.getItem(KEY);
  return token ? { Authorization: "Bearer " + token, ...more } : { ...more };
}

async function send(path, init, how) {
  let resp;
  try {
    resp = await fetch(path, { ...init, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (err) {
    if (err.name === "AbortError") throw err;
    document.dispatchEvent(new CustomEvent("server-away"));
    throw new Away();
  }
  if (resp.status === 401) document.dispatchEvent(new CustomEvent("token-wanted"));
  if (!resp.ok) throw new APIError(resp.status, await resp.json().catch(() => null));
  if (resp.status === 204 || resp.status === 202) return null;
  return how === "text" ? resp.text() : resp.json();
}

export function get(path, signal) { return send(path, { headers: headers(), signal }, "json"); }

export function text(path, signal) { return send(path, { headers: headers(), signal }, "text"); }

export async function post(path, body) {
  const resp = await send(path, {
    method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body ?? {}),
  }, "text");
  return resp ? JSON.parse(resp) : null;
}

// once posts what starts something. Until it is answered, the same again is the same
// request: it has the same key, so that one whose answer was lost starts nothing twice.
export function once(path) {
  let sent = "", key = "";
  return async (body) => {
    const text = JSON.stringify(body);
    if (text !== sent) {
      sent = text;
      key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
    }
    const answer = await post(path, { ...body, key });
    sent = "";
    return answer;
  };
}

// by is who a change is said to come from.
export function by() { return session.user || "web"; }

// query builds "?a=b", leaving out what is empty.
export function query(values) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== "") q.set(name, value);
  }
  const text = q.toString();
  return text ? "?" + text : "";
}

export const runPath = (id, more = "") => "/v1/runs/" + encodeURIComponent(id) + more;

export const unitName = (u) => (u.instance ? u.step + "/" + u.instance : u.step);

export function unitRef(name) {
  const i = name.indexOf("/");
  return i < 0 ? { step: name } : { step: name.slice(0, i), instance: name.slice(i + 1) };
}
