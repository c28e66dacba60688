/** LibraryPanel: the list of the transcripts, to open and to delete them. */

import { languageName } from "./option_lists.js";
import { language, t } from "./text.js";
import { formatTime } from "./time_format.js";

const dates = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

/** Return a date for people. ms: since 1970 */
export function formatDate(ms) {
  return dates.format(ms);
}

export class LibraryPanel {
  #elements;
  #library;
  #listener;
  #isScheduled = false;
  #shownId = null;

  /** elements: {panel, count, list, template}. The listener has onOpen(id) and onDelete(id). */
  constructor(elements, library, listener) {
    this.#elements = elements;
    this.#library = library;
    this.#listener = listener;
    elements.list.addEventListener("click", ({ target }) => {
      const id = target.closest("[data-id]")?.dataset.id;
      if (target.closest(".open")) listener.onOpen(id);
      else if (target.closest(".remove")) listener.onDelete(id);
    });
  }

  /** Mark the transcript that is shown. */
  select(id) {
    this.#shownId = id;
    this.update();
  }

  /** Show the list in the next frame, once for all changes before it. */
  update() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      this.#show();
    });
  }

  #show() {
    const { entries } = this.#library;
    const { panel, count, list } = this.#elements;
    panel.hidden = entries.length === 0;
    count.textContent = String(entries.length);
    const old = new Map([...list.children].map((item) => [item.dataset.id, item]));
    for (const [i, entry] of entries.entries()) {
      const item = old.get(entry.id) ?? this.#newItem(entry);
      old.delete(entry.id);
      this.#fill(item, entry);
      if (list.children[i] !== item) list.insertBefore(item, list.children[i] ?? null);
    }
    for (const item of old.values()) item.remove();
  }

  #newItem({ id }) {
    const item = this.#elements.template.content.cloneNode(true).firstElementChild;
    item.dataset.id = id;
    return item;
  }

  #fill(item, { id, title, createdAt, endMs, language: code, job }) {
    const [open, remove] = [item.querySelector(".open"), item.querySelector(".remove")];
    const facts = [formatDate(createdAt), formatTime(endMs), code && languageName(code)];
    if (job) facts.push(t("transcribing"));
    if (!this.#library.isStored(id)) facts.push(t("inThisTab"));
    setText(open, title);
    setText(item.querySelector(".facts"), facts.filter(Boolean).join(" · "));
    setText(remove, t("delete"));
    remove.setAttribute("aria-label", `${t("delete")}: ${title}`);
    if (id === this.#shownId) open.setAttribute("aria-current", "true");
    else open.removeAttribute("aria-current");
  }
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
