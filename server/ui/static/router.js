// Addresses of the page stand behind "#": #/runs/ID/graph?unit=a. A page is a
// function of its parts and query that fills the main element and returns how to
// go on when only the query changes, and how to leave.

const routes = [];

// route adds a pattern such as "/runs/:id/:tab?".
export function route(pattern, page) {
  const names = [];
  const source = pattern.replace(/\/:(\w+)(\?)?/g, (_, name, maybe) => {
    names.push(name);
    return maybe ? "(?:/([^/]+))?" : "/([^/]+)";
  });
  routes.push({ match: new RegExp(`^${source}$`), names, page });
}

let current = null; // {path, shown}

export function address() {
  const raw = location.hash.slice(1) || "/runs";
  const [path, search = ""] = raw.split(/\?(.*)/s);
  return { path, query: new URLSearchParams(search) };
}

// go changes the address; with replace it leaves no trace in the history.
export function go(to, replace) {
  if (replace) {
    history.replaceState(null, "", "#" + to);
    show();
  } else location.hash = to;
}

// change sets or removes values of the query.
export function change(values, replace) {
  const { path, query } = address();
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  go(path + (text ? "?" + text : ""), replace);
}

// link is the address of a page.
export function link(...parts) {
  return "#/" + parts.map(encodeURIComponent).join("/");
}

// show brings up the page of the address.
export function show() {
  const { path, query } = address();
  if (!path.startsWith("/")) return; // "#main" of the link that skips to the page
  for (const r of routes) {
    const found = r.match.exec(path);
    if (!found) continue;
    const params = Object.fromEntries(r.names.map((name, i) => [name, found[i + 1] === undefined ? undefined : decodeURIComponent(found[i + 1])]));
    const same = current && current.page === r.page && current.shown?.same?.(params);
    if (same) {
      current.shown.turn(params, query);
    } else {
      current?.shown?.leave?.();
      const main = document.getElementById("main");
      main.replaceChildren();
      main.className = "";
      const first = !current;
      current = { page: r.page, shown: r.page(main, params, query) };
      if (!first) main.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    mark(path);
    return;
  }
  go("/runs", true);
}

function mark(path) {
  for (const a of document.querySelectorAll("#nav a")) {
    const here = path === a.hash.slice(1) || path.startsWith(a.hash.slice(1) + "/");
    if (here) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
}
