/** Transcript: the segments in the order of speech. */

import { alignWords, joinWords, retimeWords } from "./word_timing.js";

/**
 * A segment is {id, startMs, endMs, words, edited} once it is final, and {id, startMs, text, stable} while
 * it is partial: its first `stable` characters will not change. While speech is heard and has no words yet it
 * is {id, startMs, dots}: a line of so many dots.
 *
 * `onChange(change, segment)` is called with the changed segment only, so its cost does not depend on the
 * length of the transcript. Changes are added, updated (a partial), finalized, edited and removed; cleared,
 * without a segment.
 */
export class Transcript {
  language = null;
  #segments = new Map(); // by id, in the order in which they started
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** True if there is nothing to show. */
  get isEmpty() {
    return this.#segments.size === 0;
  }

  /** True if there is text, final or partial. */
  get hasText() {
    return [...this.#segments.values()].some((segment) => segment.words || segment.text);
  }

  /** The final segments. */
  get segments() {
    return [...this.#segments.values()].filter((segment) => segment.words);
  }

  /** Show that speech is heard, until its words are known. */
  setSpeech(id, dots, startMs) {
    this.#update({ id, dots, startMs });
  }

  setPartial(id, text, stable, startMs) {
    this.#update({ id, text, stable, startMs, dots: 0 });
  }

  /** words: of the recognizer, {text, startMs, endMs, confidence}. An empty text removes the segment. */
  setFinal(id, text, words, startMs, endMs) {
    if (!text.trim()) return this.remove(id);
    const isNew = !this.#segments.has(id);
    const segment = isNew ? this.#add({ id }) : this.#segments.get(id);
    Object.assign(segment, {
      startMs,
      endMs,
      words: alignWords(text.trim(), words, startMs, endMs),
      edited: false,
    });
    delete segment.text;
    delete segment.dots;
    if (isNew) this.#onChange("added", segment);
    return this.#onChange("finalized", segment);
  }

  /** Replace the text of a final segment. An empty text removes the segment. */
  edit(id, text) {
    const segment = this.#segments.get(id);
    const plain = text.replace(/\s+/g, " ").trim();
    if (plain === joinWords(segment.words)) return;
    if (!plain) {
      this.remove(id);
      return;
    }
    segment.words = retimeWords(segment.words, plain, segment.startMs, segment.endMs);
    segment.edited = true;
    this.#onChange("edited", segment);
  }

  remove(id) {
    const segment = this.#segments.get(id);
    if (!segment) return;
    this.#segments.delete(id);
    this.#onChange("removed", segment);
  }

  clear() {
    this.#segments.clear();
    this.language = null;
    this.#onChange("cleared");
  }

  /** Return the word at a time as {segment, index}, or undefined. */
  wordAt(ms) {
    for (const segment of this.segments) {
      if (ms >= segment.startMs && ms < segment.endMs) {
        const index = segment.words.findLastIndex((word) => word.startMs <= ms);
        return { segment, index: Math.max(0, index) };
      }
    }
    return undefined;
  }

  /** Add or update a segment that is not final. */
  #update(values) {
    const segment = this.#segments.get(values.id);
    if (segment) this.#onChange("updated", Object.assign(segment, values));
    else this.#onChange("added", this.#add(values));
  }

  #add(segment) {
    this.#segments.set(segment.id, segment);
    return segment;
  }
}
