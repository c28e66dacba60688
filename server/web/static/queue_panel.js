/** QueuePanel: the list of the files that wait, are transcribed or are done, with their progress. */

import { isOpen } from "./file_queue.js";
import { t } from "./text.js";
import { formatTime } from "./time_format.js";

export class QueuePanel {
  #elements;
  #queue;
  #isElsewhere;
  #onOpen;
  #items = new Map(); // by entry: {item, state, progress, buttons}

  /**
   * elements: {panel, list, template}; isElsewhere(entry): its progress is shown by the panel of the file;
   * onOpen(entry): the user wants to see its transcript
   */
  constructor(elements, queue, isElsewhere, onOpen) {
    this.#isElsewhere = isElsewhere;
    this.#elements = elements;
    this.#queue = queue;
    this.#onOpen = onOpen;
  }

  /** Show an entry as it is now. */
  show(entry) {
    if (!this.#queue.entries.includes(entry)) this.#remove(entry);
    else this.#update(entry, this.#items.get(entry) ?? this.#add(entry));
    this.refresh();
  }

  /** Hide the list while it has one file only, which is done or has its own panel. */
  refresh() {
    const { entries } = this.#queue;
    const isNeeded = entries.length > 1 || entries.some((entry) => isOpen(entry) && !this.#isElsewhere(entry));
    this.#elements.panel.hidden = !isNeeded;
  }

  #add(entry) {
    const item = this.#elements.template.content.cloneNode(true).firstElementChild;
    const find = (name) => item.querySelector(`.${name}`);
    const parts = { item, state: find("state"), progress: find("progress-bar"), name: find("name") };
    parts.buttons = Object.fromEntries(["open", "cancel", "retry", "remove"].map((name) => [name, find(name)]));
    parts.name.textContent = entry.name;
    parts.progress.setAttribute("aria-label", entry.name);
    for (const [name, button] of Object.entries(parts.buttons)) {
      button.textContent = t(`queue_${name}`);
      button.setAttribute("aria-label", `${t(`queue_${name}`)}: ${entry.name}`);
    }
    parts.buttons.open.addEventListener("click", () => this.#onOpen(entry));
    for (const name of ["cancel", "retry", "remove"])
      parts.buttons[name].addEventListener("click", () => this.#queue[name](entry));
    this.#items.set(entry, parts);
    this.#elements.list.append(item);
    return parts;
  }

  #update(entry, { item, state, progress, buttons }) {
    item.dataset.state = entry.state;
    state.textContent = stateText(entry, this.#queue.remainingMs(entry));
    const isRunning = isOpen(entry) && entry.state !== "waiting";
    progress.hidden = !isRunning;
    if (entry.fraction >= 0) progress.value = entry.fraction;
    else progress.removeAttribute("value");
    buttons.open.hidden = !entry.transcript.hasText;
    buttons.cancel.hidden = !isOpen(entry);
    const isOver = entry.state === "failed" || entry.state === "cancelled";
    buttons.retry.hidden = !isOver || !canRetry(entry);
    buttons.remove.hidden = isOpen(entry);
  }

  #remove(entry) {
    this.#items.get(entry)?.item.remove();
    this.#items.delete(entry);
  }
}

/** A file that was uploaded before the page was reloaded can only be tried again while it has its job. */
function canRetry({ source, transcript }) {
  return Boolean(source.upload || source.url || transcript.job);
}

/** Return the state of an entry in words. remainingMs: estimated, or undefined */
export function stateText(entry, remainingMs) {
  const { state, fraction, doneMs, message, position } = entry;
  if (state === "waiting") return message ? t("queueBusy", { reason: message }) : t("queueWaiting");
  if (state === "uploading") return t("uploading", { percent: Math.floor((fraction ?? 0) * 100) });
  if (state === "downloading") return t("downloading");
  if (state === "queued") return position > 0 ? t("jobQueuedBehind", { count: position }) : t("jobQueued");
  if (state === "disconnected") return t("serverUnreachable");
  if (state === "transcribing") {
    const text = doneMs ? t("transcribedUpTo", { time: formatTime(doneMs) }) : t("transcribing");
    return remainingMs === undefined ? text : `${text} · ${t("remaining", { time: formatTime(remainingMs) })}`;
  }
  if (state === "done") return entry.transcript.hasText ? t("queueDone") : t("fileSilence");
  return state === "failed" ? message : t("cancelled");
}
