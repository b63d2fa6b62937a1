// Elements are made by h and s and brought into the page by render, which changes
// what is there only where it differs. So a page is written as a function of its
// data, and focus, selection and scroll positions outlive every update. Text is
// always a text node: nothing that a workflow names can become markup.

const SVG = "http://www.w3.org/2000/svg";

// h makes an HTML element. Of props, `class`, attributes and `data-…` are set as
// attributes, `on…` as handlers, `value`, `checked` and `disabled` as properties.
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

// s makes an SVG element.
export function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "open"]);

function fill(el, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "key") el.key = value;
    else if (name === "css") el.css = value;
    else if (name.startsWith("on")) (el.handlers ??= {})[name] = el[name] = value;
    else if (name === "value") { el.value = value; el.given = String(value); }
    else if (PROPERTIES.has(name) && name in el) el[name] = value;
    else el.setAttribute(name, value === true ? "" : String(value));
  }
  if (el.css) for (const [name, value] of Object.entries(el.css)) el.style.setProperty(name, value);
  el.append(...nodes(children));
  return el;
}

// nodes flattens lists and drops what is missing.
export function nodes(children) {
  const out = [];
  for (const c of children.flat(Infinity)) {
    if (c === null || c === undefined || c === false || c === true || c === "") continue;
    out.push(c instanceof Node ? c : document.createTextNode(String(c)));
  }
  return out;
}

// render makes the children of root be like the given ones.
export function render(root, ...children) {
  patchChildren(root, nodes(children));
}

function patchChildren(root, wanted) {
  const keyed = new Map(), keys = new Set();
  for (const c of root.childNodes) if (c.key !== undefined) keyed.set(c.key, c);
  for (const w of wanted) keys.add(w.key);
  let at = root.firstChild;
  const drop = () => {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  };
  for (const want of wanted) {
    // First away with what is gone: what stays need not move, which would cost its focus.
    while (at && at.key !== undefined && !keys.has(at.key)) drop();
    const have = want.key === undefined ? at : keyed.get(want.key);
    keyed.delete(want.key);
    if (!have || !alike(have, want)) {
      root.insertBefore(want, at);
      continue;
    }
    if (have === at) at = at.nextSibling;
    else root.insertBefore(have, at);
    patch(have, want);
  }
  while (at) drop();
}

function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.key === b.key;
}

function patch(have, want) {
  if (have === want || have.own) return; // what keeps itself up to date
  if (have.nodeType === Node.TEXT_NODE) {
    if (have.data !== want.data) have.data = want.data;
    return;
  }
  patchAttributes(have, want);
  patchProperties(have, want);
  patchChildren(have, [...want.childNodes]);
}

function patchAttributes(have, want) {
  for (const { name, value } of want.attributes) {
    if (name !== "style" && have.getAttribute(name) !== value) have.setAttribute(name, value);
  }
  for (const { name } of [...have.attributes]) {
    if (name !== "style" && !want.hasAttribute(name) && !(name === "open" && have.nodeName === "DETAILS")) have.removeAttribute(name);
  }
  for (const name of Object.keys({ ...have.css, ...want.css })) {
    const value = want.css?.[name] ?? "";
    if (have.style.getPropertyValue(name) !== String(value)) have.style.setProperty(name, value);
  }
  have.css = want.css;
}

function patchProperties(have, want) {
  for (const name of Object.keys({ ...have.handlers, ...want.handlers })) have[name] = want.handlers?.[name] ?? null;
  have.handlers = want.handlers;
  for (const name of ["disabled", "hidden", "selected"]) {
    if (name in want && have[name] !== want[name]) have[name] = want[name];
  }
  if ("checked" in want && document.activeElement !== have) have.checked = want.checked;
  // What a person has typed stays, unless the page wants something new.
  if (want.given !== undefined && have.given !== want.given) have.value = have.given = want.given;
}

// own marks an element whose content render leaves alone.
export function own(el) {
  el.own = true;
  return el;
}

// say tells people who do not see the page.
export function say(text) {
  document.getElementById("said").textContent = text;
}
