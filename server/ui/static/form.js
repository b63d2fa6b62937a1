// A form made of the inputs that a workflow declares. What is typed is checked by
// the server; its words stand at the field that they are about.
import { h, own, render } from "./dom.js";

const HINTS = {
  duration: "such as 90s, 30m, 6h, 2d", size: "such as 512MiB, 16GiB", file: "a file, from the directory of the workflow",
  any: "JSON", int: "a whole number", float: "a number",
};

// json reads what a person typed as JSON. A whole number that the page could only
// keep rounded is refused.
export function json(text) {
  return JSON.parse(text, (_, v, at) => {
    if (Number.isInteger(v) && /^-?\d+$/.test(at?.source ?? v)) whole(v);
    return v;
  });
}

const parse = (text, type) => (/float/.test(type) ? JSON.parse(text) : json(text));

// whole throws for a number that may not be the one that was typed.
function whole(n) {
  if (!Number.isSafeInteger(n)) throw new RangeError("a whole number beyond ±9007199254740991 is not exact in a browser: use the command line");
}

// inputForm calls send with the values by name; what it throws is shown.
export function inputForm(inputs, yes, send) {
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  const button = h("button", { type: "submit", class: "main" }, yes);
  const fields = inputs.map(makeField);
  const form = h("form", {
    class: "inputs", novalidate: true, onsubmit: async (e) => {
      e.preventDefault();
      trouble.hidden = true;
      for (const f of fields) f.wrong("");
      const values = {};
      let bad = null;
      for (const f of fields) {
        try {
          const v = f.read();
          if (v !== undefined) values[f.name] = v;
        } catch (err) {
          f.wrong(err.message);
          bad ??= f;
        }
      }
      if (bad) { bad.focus(); return; }
      button.disabled = true;
      try {
        await send(values);
      } catch (err) {
        blame(err, fields, trouble);
      } finally {
        button.disabled = false;
      }
    },
  },
    inputs.length === 0 && h("p", { class: "quiet" }, "It has no inputs."),
    fields.map((f) => f.el), trouble, h("div", { class: "buttons" }, button));
  return own(form);
}

// blame puts each line that the server says at the field that it names, and the
// rest below.
function blame(err, fields, trouble) {
  const rest = [], at = new Map();
  for (const words of err.message.split("\n")) {
    const f = fields.find((x) => names(words, x.name));
    if (f) at.set(f, [at.get(f), words].filter(Boolean).join("\n"));
    else rest.push(words);
  }
  for (const [f, words] of at) f.wrong(words);
  fields.find((f) => at.has(f))?.focus();
  trouble.textContent = rest.join("\n");
  trouble.hidden = rest.length === 0;
}

// names reports whether words are about the input with a name: the input "a".
function names(words, name) {
  return new RegExp(`inputs?[ .]+"?${name.replace(/[^\w]/g, "\\$&")}"?(?=\\W|$)`).test(words);
}

function makeField(input) {
  const id = "in-" + input.name, type = input.type ?? "string";
  const doc = input.doc ?? input.description, hint = HINTS[type.replace(/<.*/, "")] ?? (/^(list|map)</.test(type) ? `JSON, such as ${type.startsWith("list") ? "[1, 2]" : '{"a": 1}'}` : "");
  const described = [doc && id + "-doc", id + "-wrong"].filter(Boolean).join(" ");
  const control = controlOf(input, type, id, hint, described);
  const wrong = h("p", { class: "wrong", id: id + "-wrong", "aria-live": "polite" });
  const el = h("div", { class: "field" + (type === "bool" ? " check" : "") },
    h("label", { for: id }, input.name, h("span", { class: "type" }, ` ${type}` + (input.required ? ", required" : ""))),
    control, doc && h("p", { class: "note", id: id + "-doc" }, doc), wrong);
  return {
    name: input.name, el, focus: () => control.focus(),
    wrong: (text) => {
      render(wrong, text);
      if (text) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    },
    read: () => read(input, type, control),
  };
}

function controlOf(input, type, id, hint, described) {
  const shared = { id, "aria-describedby": described, "aria-required": input.required ? "true" : null };
  if (type === "bool") return h("input", { ...shared, type: "checkbox", checked: input.default === true });
  const text = defaultOf(input, type);
  if (text === null) hint = "empty: the default of the file";
  if (/^(list|map|any)/.test(type)) return h("textarea", { ...shared, rows: text?.length > 60 ? 4 : 2, spellcheck: "false", placeholder: hint, value: text ?? "" });
  return h("input", { ...shared, type: "text", autocomplete: "off", spellcheck: "false", placeholder: hint, value: text ?? "", inputmode: type === "int" ? "numeric" : type === "float" ? "decimal" : null });
}

// defaultOf is what a field has at first, or null for what it could only show rounded:
// left empty, it is what the file says.
function defaultOf({ default: value }, type) {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  const text = JSON.stringify(value);
  try {
    parse(text, type);
    return text;
  } catch {
    return null;
  }
}

// read is the value of a field as JSON; undefined leaves it to the default.
function read(input, type, control) {
  if (type === "bool") return control.checked;
  const text = control.value;
  if (text.trim() === "") {
    if (type === "string" && input.default !== undefined && input.default !== "" && !input.required) return "";
    if (input.required) throw new Error("it has no default: a value is wanted");
    return undefined;
  }
  if (type === "int" || type === "float") {
    const n = Number(text);
    if (!Number.isFinite(n) || (type === "int" && !Number.isInteger(n))) throw new Error(`want ${HINTS[type]}, not ${JSON.stringify(text)}`);
    if (type === "int") whole(n);
    return n;
  }
  if (/^(list|map|any)/.test(type)) {
    try {
      return parse(text, type);
    } catch (err) {
      if (err instanceof RangeError) throw err;
      if (type === "any") return text;
      throw new Error(`not JSON: want something such as ${type.startsWith("list") ? "[1, 2]" : '{"a": 1}'}`);
    }
  }
  return text;
}
