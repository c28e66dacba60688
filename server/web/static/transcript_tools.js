/** Tools: search in the transcript, copy it, keep it as a file. */

import { DOCUMENTS, textLines } from "./export_formats.js";
import { placesOf } from "./search.js";

const NAME = "transcript";

export class SearchTool {
  #parts;
  #transcript;
  #view;
  #places = [];
  #now = 0;

  /** parts: {input, found, previous, next} */
  constructor(parts, transcript, view) {
    this.#parts = parts;
    this.#transcript = transcript;
    this.#view = view;
    parts.input.addEventListener("input", () => this.#find());
    parts.input.addEventListener("keydown", (event) => this.#pressed(event));
    parts.next.addEventListener("click", () => this.#step(1));
    parts.previous.addEventListener("click", () => this.#step(-1));
  }

  /** The transcript has changed: places may have moved. */
  refresh() {
    if (this.#parts.input.value) this.#look();
  }

  #pressed(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.#step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      this.#parts.input.value = "";
      this.#find();
    }
  }

  #find() {
    this.#now = 0;
    this.#look();
    if (this.#places.length) this.#view.show(this.#places[0]);
  }

  #look() {
    this.#places = placesOf(this.#transcript.segments, this.#parts.input.value);
    this.#now = Math.min(this.#now, Math.max(0, this.#places.length - 1));
    this.#view.mark("found", this.#places);
    this.#tell();
  }

  #step(by) {
    const count = this.#places.length;
    if (!count) return;
    this.#now = (this.#now + by + count) % count;
    this.#view.show(this.#places[this.#now]);
    this.#tell();
  }

  #tell() {
    const count = this.#places.length;
    this.#view.mark("now", this.#places.slice(this.#now, this.#now + 1));
    this.#parts.found.textContent = count
      ? `${this.#now + 1} of ${count}`
      : this.#parts.input.value && "none";
    this.#parts.next.hidden = this.#parts.previous.hidden = count === 0;
  }
}

/** Saves the transcript as a file with that ending. */
export function save(ending, transcript) {
  const { type, make } = DOCUMENTS[ending];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([make(transcript)], { type }));
  link.download = `${NAME}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still ask where to put it
}

/** Copies its text. Without TLS browsers have no clipboard for pages, but the older way is left. */
export async function copy(transcript) {
  const text = textLines(transcript.segments);
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
