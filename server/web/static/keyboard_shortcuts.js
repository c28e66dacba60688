/** KeyboardShortcuts: single keys for what is done most, listed in a dialog. They can be turned off (WCAG 2.1.4). */

import { t } from "./text.js";

const STORAGE_KEY = "stt-shortcuts";
const TYPING = "input:not([type=checkbox]), textarea, select, [contenteditable]";

export class KeyboardShortcuts {
  #elements;
  #actions;

  /**
   * elements: {dialog, list, open, close, enabled}; actions: {key: {text, run}}, text: the key of its
   * description
   */
  constructor(elements, actions) {
    this.#elements = elements;
    this.#actions = actions;
    elements.enabled.checked = localStorage.getItem(STORAGE_KEY) !== "off";
    elements.enabled.addEventListener("change", ({ target }) =>
      localStorage.setItem(STORAGE_KEY, target.checked ? "on" : "off"),
    );
    elements.open.addEventListener("click", () => elements.dialog.showModal());
    elements.close.addEventListener("click", () => elements.dialog.close());
    elements.list.append(...Object.entries(actions).flatMap(([key, { text }]) => row(key, t(text))));
    elements.list.append(...row("?", t("keyHelp")));
    addEventListener("keydown", (event) => this.#onKey(event));
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    // A dialog that has just been closed still holds the focus until the next frame.
    if (event.target.closest?.(TYPING) || document.querySelector("dialog[open]")) return;
    if (event.key === "?") {
      event.preventDefault();
      this.#elements.dialog.showModal();
    } else if (this.#elements.enabled.checked && event.key in this.#actions) {
      event.preventDefault();
      this.#actions[event.key].run();
    }
  }
}

function row(key, text) {
  const [term, description] = [document.createElement("dt"), document.createElement("dd")];
  term.append(Object.assign(document.createElement("kbd"), { textContent: key }));
  description.textContent = text;
  return [term, description];
}
