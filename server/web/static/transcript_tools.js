/** Search, copy and download of the transcript. */

import { fetchDocument } from "./api.js";
import { EXPORT_FORMATS, toJson, toText } from "./export_formats.js";
import { downloadName } from "./file_names.js";
import { findMatches } from "./search.js";
import { t } from "./text.js";

export class SearchBox {
  #elements;
  #transcript;
  #view;
  #matches = []; // lists of parts
  #current = 0; // index of the current match

  /** elements: {input, found, previous, next} */
  constructor(elements, view) {
    this.#elements = elements;
    this.#view = view;
    elements.input.addEventListener("input", () => this.#search());
    elements.input.addEventListener("keydown", (event) => this.#onKey(event));
    elements.next.addEventListener("click", () => this.#step(1));
    elements.previous.addEventListener("click", () => this.#step(-1));
  }

  /** Search another transcript. */
  setTranscript(transcript) {
    this.#transcript = transcript;
    this.#current = 0;
    this.refresh();
  }

  /** Search again because the transcript has changed. */
  refresh() {
    if (this.#elements.input.value) this.#updateMatches();
  }

  #onKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.#step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      this.#elements.input.value = "";
      this.#search();
    }
  }

  #search() {
    this.#current = 0;
    this.#updateMatches();
    if (this.#matches.length) this.#view.scrollTo(this.#matches[0][0]);
  }

  #updateMatches() {
    this.#matches = findMatches(this.#transcript.segments, this.#elements.input.value);
    this.#current = Math.min(this.#current, Math.max(0, this.#matches.length - 1));
    this.#view.highlight("match", this.#matches.flat());
    this.#showCurrent();
  }

  #step(by) {
    const count = this.#matches.length;
    if (!count) return;
    this.#current = (this.#current + by + count) % count;
    this.#view.scrollTo(this.#matches[this.#current][0]);
    this.#showCurrent();
  }

  #showCurrent() {
    const count = this.#matches.length;
    this.#view.highlight("current", this.#matches[this.#current] ?? []);
    this.#elements.found.textContent = count
      ? t("matchOf", { number: this.#current + 1, count })
      : this.#elements.input.value && t("noMatches");
    this.#elements.next.hidden = this.#elements.previous.hidden = count === 0;
  }
}

/** Download the transcript. extension: a key of EXPORT_FORMATS. Throw RequestError if the server does not make it. */
export async function download(extension, transcript) {
  const { type, encode } = EXPORT_FORMATS[extension];
  const content = encode ? encode(transcript) : await fetchDocument(extension, toJson(transcript));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = downloadName(transcript.title, extension);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may ask first where to save it
}

/** Copy the text of the transcript. */
export function copyTranscript(transcript) {
  return copyText(toText(transcript));
}

/** Copy a text. Without HTTPS there is no clipboard API, only the deprecated command. */
export async function copyText(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
