/** SummaryPanel: has the transcript on the page summarized, and shows its summary and its chapters. */

import { fetchSummary, RequestError } from "./api.js";
import { toJson } from "./export_formats.js";
import { t } from "./text.js";
import { formatTime } from "./time_format.js";

const LONG_MS = 120_000; // A shorter recording is not expected to have chapters.

export class SummaryPanel {
  #elements;
  #listener;
  #shown = null; // the transcript on the page
  #work = null; // {transcript, text, abort}: the summary that is being written

  /**
   * elements: {button, panel, text, note, chapters, cancel, remove}. The listener has onChapter(ms): the user wants
   * to go there; onDone(): a summary is complete; onEnd(): none is being written any more; and onError(RequestError).
   */
  constructor(elements, listener) {
    this.#elements = elements;
    this.#listener = listener;
    elements.button.addEventListener("click", () => void this.#summarize());
    elements.cancel.addEventListener("click", () => this.#work?.abort.abort());
    elements.remove.addEventListener("click", () => {
      this.#shown.describe({ summary: null });
      elements.button.focus();
    });
    elements.chapters.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button) listener.onChapter(Number(button.dataset.ms));
    });
  }

  /** Show the summary of a transcript. What is being written for another one goes on. canStart: it is complete */
  show(transcript, canStart) {
    this.#shown = transcript;
    this.#elements.button.disabled = !canStart || this.#work !== null;
    this.#refresh();
  }

  async #summarize() {
    const abort = new AbortController();
    const transcript = this.#shown;
    this.#work = { transcript, text: "", abort };
    this.#elements.button.disabled = true;
    this.#refresh();
    this.#elements.cancel.focus();
    let summary = null;
    try {
      for await (const event of fetchSummary(toJson(transcript), abort.signal)) {
        if (event.type === "summary.delta") {
          this.#work.text += event.delta;
          this.#refresh();
        } else if (event.type === "summary.done") summary = summaryOf(event);
      }
      if (!summary) throw new RequestError(t("summaryLost"), 0);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (!abort.signal.aborted) this.#listener.onError(error);
    } finally {
      this.#work = null;
    }
    if (summary) {
      transcript.describe({ summary });
      this.#listener.onDone();
    }
    this.#listener.onEnd();
    if (this.#shown === transcript) (summary ? this.#elements.panel : this.#elements.button).focus();
  }

  #refresh() {
    const { panel, text, note, chapters, cancel, remove } = this.#elements;
    const isRunning = this.#work?.transcript === this.#shown;
    const summary = isRunning ? { text: this.#work.text, chapters: [] } : this.#shown.summary;
    panel.hidden = !summary;
    cancel.hidden = !isRunning;
    remove.hidden = isRunning;
    if (!summary) return;
    panel.setAttribute("aria-busy", String(isRunning));
    setText(text, summary.text);
    setText(note, isRunning ? t("summarizing") : noteOf(summary, this.#shown.endMs));
    if (isRunning || chapters.dataset.of !== JSON.stringify(summary.chapters)) this.#showChapters(summary.chapters);
  }

  #showChapters(list) {
    const { chapters } = this.#elements;
    chapters.hidden = list.length === 0;
    chapters.dataset.of = JSON.stringify(list);
    chapters.replaceChildren(...list.map(chapterItem));
  }
}

function chapterItem({ startMs, title }) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "quiet", dir: "auto" });
  button.dataset.ms = startMs;
  button.textContent = `${formatTime(startMs)} ${title}`;
  item.append(button);
  return item;
}

/** Return what the page keeps of the server's last event. */
function summaryOf({ summary: { text, method, model = null, reason = null }, chapters }) {
  return {
    text,
    method,
    model,
    reason,
    chapters: chapters.items.map(({ start, title }) => ({ startMs: Math.round(start * 1000), title })),
    chaptersModel: chapters.model ?? null,
    chaptersReason: chapters.reason ?? null,
  };
}

/** Return who wrote a summary, and why it has no chapters. endMs: of the transcript */
function noteOf({ method, model, reason, chaptersReason }, endMs) {
  const parts = [method === "model" ? t("summaryBy", { model }) : t("summaryChosen")];
  if (reason) parts.push(t("summaryReason", { reason }));
  if (chaptersReason && endMs >= LONG_MS) parts.push(t("noChapters", { reason: chaptersReason }));
  return parts.join(" ");
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
