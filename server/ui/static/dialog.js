// Questions before something is done.
import { h, render, say } from "./dom.js";

// ask opens a dialog. `run` is called with the form's values when the person says
// yes; the dialog stays open while it works and when it fails, and says why. `ahead`
// says of the values, whenever they change, what would come of a yes; where it says
// nothing or throws, there is nothing to say yes to.
export function ask({ title, text, fields = [], yes, danger, run, ahead }) {
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  const go = h("button", { type: "submit", class: danger ? "danger" : "main" }, yes);
  const no = h("button", { type: "button", onclick: () => dialog.close() }, "Close");
  const inputs = fields.map(field);
  const values = () => Object.fromEntries(inputs.map((i) => [i.name, i.read()]));
  const coming = ahead && h("div", { class: "ahead", role: "status" });
  let asked = 0;
  const look = async () => {
    const mine = ++asked;
    go.disabled = true;
    let words = null, wrong = "";
    try {
      words = await ahead(values());
    } catch (err) {
      wrong = err.message;
    }
    if (mine !== asked) return;
    render(coming, words ?? h("p", { class: "quiet" }, wrong));
    go.disabled = !words;
  };
  const form = h("form", {
    oninput: ahead && look,
    onsubmit: async (e) => {
      e.preventDefault();
      go.disabled = true;
      trouble.hidden = true;
      try {
        const done = await run(values());
        dialog.close();
        say(done || "done");
      } catch (err) {
        trouble.textContent = err.message;
        trouble.hidden = false;
        go.disabled = false;
      }
    },
  },
    h("h2", { id: "ask" }, title), text && h("p", null, text), inputs.map((i) => i.el), coming, trouble,
    h("div", { class: "buttons" }, no, go));
  const dialog = open(form, "ask");
  (inputs[0]?.focus ?? (danger ? no : go)).focus();
  if (ahead) look();
}

function field({ name, label, note, value = "", long, required, type = "text" }) {
  const id = "ask-" + name;
  const control = long
    ? h("textarea", { id, rows: 3, maxlength: 4000, spellcheck: "false" })
    : h("input", { id, type, required, autocomplete: "off", spellcheck: "false" });
  control.value = value;
  return {
    name, focus: control, read: () => control.value.trim(),
    el: h("div", { class: "field" }, h("label", { for: id }, label), control, note && h("p", { class: "note" }, note)),
  };
}

// open shows a modal dialog that goes away when it is closed, and gives focus
// back to where it was.
export function open(content, labelledby) {
  const back = document.activeElement;
  let pressed; // where the press began that a click ends: who selects text may let go anywhere
  const dialog = h("dialog", {
    "aria-labelledby": labelledby,
    onclose: () => {
      dialog.remove();
      if (back?.isConnected) back.focus();
    },
    onpointerdown: (e) => { pressed = e.target; },
    onclick: (e) => { if (e.target === dialog && pressed === dialog) dialog.close(); },
  }, h("div", { class: "inside" }, content));
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
