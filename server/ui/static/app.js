// The frame around the pages: who asks, whether the server is there, theme, keys.
import { get, hasToken, session, setToken, takeToken } from "./api.js";
import { ask } from "./dialog.js";
import { h, render, say } from "./dom.js";
import { tick } from "./format.js";
import { help, listen } from "./keys.js";
import { follow, now } from "./live.js";
import { route, show } from "./router.js";
import { runPage } from "./run.js";
import { runsPage } from "./runs.js";
import { schedulesPage } from "./schedules.js";
import { systemPage, systemsPage } from "./systems.js";
import { workflowPage, workflowsPage } from "./workflows.js";

route("/runs", runsPage);
route("/runs/:id/:tab?", runPage);
route("/workflows", workflowsPage);
route("/workflows/:name", workflowPage);
route("/schedules", schedulesPage);
route("/systems", systemsPage);
route("/systems/:name", systemPage);

const link = document.getElementById("link");
const away = document.getElementById("away");
let again = 0;

// connection says whether what is shown is up to date.
function connection(is) {
  const was = link.dataset.is;
  link.dataset.is = is.live ? "live" : "away";
  link.textContent = is.live ? (session.read_only ? "live, read only" : "live") : is.token ? "no token" : "away";
  again = is.again ?? 0;
  if (is.live) {
    away.hidden = true;
    if (was === "away") say("the server is back");
  } else if (is.token) {
    away.hidden = false;
    render(away, h("span", null, hasToken() ? "The server does not know this token." : "The server wants a token."),
      h("button", { type: "button", onclick: wantToken }, "Enter a token"));
  } else banner();
}

function banner() {
  if (link.dataset.is !== "away" || !again) return;
  away.hidden = false;
  const left = Math.ceil((again - Date.now()) / 1000);
  render(away, h("span", null, "The server does not answer. What you see is as it was."),
    h("span", { class: "num", "aria-hidden": "true" }, left > 0 ? ` Next try in ${left} s.` : " Trying…"),
    h("button", { type: "button", onclick: now }, "Try now"));
}

const THEMES = ["", "light", "dark"];

function theme(next) {
  const root = document.documentElement;
  let at = THEMES.indexOf(root.dataset.theme ?? "");
  if (next) at = (at + 1) % THEMES.length;
  const chosen = THEMES[at];
  if (chosen) root.dataset.theme = chosen;
  else delete root.dataset.theme;
  try {
    localStorage.setItem("theme", chosen);
  } catch { /* storage is forbidden: it lasts as long as the page */ }
  const button = document.getElementById("theme");
  button.textContent = { "": "Auto", light: "Light", dark: "Dark" }[chosen];
  button.setAttribute("aria-label", `Theme: ${button.textContent}`);
  button.title = "Theme (t)";
}

let asking = false;

function wantToken() {
  if (asking) return;
  asking = true;
  ask({
    title: hasToken() ? "Another token is wanted" : "Token wanted",
    text: (hasToken() ? "The server does not know the token of this tab: there are new ones, or it is that of another server. " : "")
      + "fcflow serve token prints a link with the token. Open that link, or paste it here.",
    fields: [{ name: "token", label: "Token or link", type: "password", required: true }],
    yes: "Use it",
    run: ({ token }) => {
      setToken(token);
      location.reload();
    },
  });
  document.querySelector("dialog")?.addEventListener("close", () => { asking = false; });
}

async function start() {
  takeToken();
  theme(false);
  document.getElementById("theme").onclick = () => theme(true);
  document.getElementById("help").onclick = help;
  document.getElementById("skip").onclick = (e) => {
    e.preventDefault();
    document.getElementById("main").focus();
  };
  listen({ help, theme: () => theme(true) });
  // Many requests may be turned away, also after the dialog was closed: who closed it
  // finds the button in the banner.
  document.addEventListener("token-wanted", wantToken, { once: true });
  try {
    Object.assign(session, await get("/v1/session"));
  } catch { /* the pages say what is wrong */ }
  document.documentElement.classList.toggle("read-only", Boolean(session.read_only));
  addEventListener("hashchange", () => {
    takeToken();
    show();
  });
  show();
  setInterval(() => { tick(); banner(); }, 1000);
  follow(connection);
}

start();
