/** Transcript: what was said, as segments in the order of speech; some may still be open. */

import { edited, textOf, wordsOf } from "./word_timing.js";

/**
 * A segment is {id, startMs, endMs, words, edited} once it is final, and {id, startMs, text, stable} while
 * it is open: its first `stable` characters will not change.
 *
 * `tell(change, segment)` hears of each change by the segment alone, so that it costs the same however long
 * the transcript is: opened, changed, closed (it is final), removed, edited; emptied, without a segment.
 */
export class Transcript {
  language = null;
  #segments = new Map(); // by id, in the order in which they began
  #tell;

  constructor(tell) {
    this.#tell = tell;
  }

  get isEmpty() {
    return this.#segments.size === 0;
  }

  /** Those that will not change any more, except by hand. */
  get segments() {
    return [...this.#segments.values()].filter((segment) => segment.words);
  }

  showPartial(id, text, stable, startMs) {
    const segment = this.#segments.get(id);
    if (segment) {
      Object.assign(segment, { text, stable });
      this.#tell("changed", segment);
    } else {
      this.#tell("opened", this.#add({ id, text, stable, startMs }));
    }
  }

  /** heard: the recognizer's words, {text, startMs, endMs, confidence}; times in ms */
  showFinal(id, text, heard, startMs, endMs) {
    if (!text.trim()) return this.remove(id);
    const isNew = !this.#segments.has(id);
    const segment = isNew ? this.#add({ id }) : this.#segments.get(id);
    Object.assign(segment, {
      startMs,
      endMs,
      words: wordsOf(text.trim(), heard, startMs, endMs),
      edited: false,
    });
    delete segment.text;
    if (isNew) this.#tell("opened", segment);
    return this.#tell("closed", segment);
  }

  edit(id, text) {
    const segment = this.#segments.get(id);
    const plain = text.replace(/\s+/g, " ").trim();
    if (plain === textOf(segment.words)) return;
    if (!plain) {
      this.remove(id);
      return;
    }
    segment.words = edited(segment.words, plain, segment.startMs, segment.endMs);
    segment.edited = true;
    this.#tell("edited", segment);
  }

  remove(id) {
    const segment = this.#segments.get(id);
    if (!segment) return;
    this.#segments.delete(id);
    this.#tell("removed", segment);
  }

  empty() {
    this.#segments.clear();
    this.language = null;
    this.#tell("emptied");
  }

  /** The word that is spoken there, as {segment, index}, or undefined. */
  at(ms) {
    for (const segment of this.segments) {
      if (ms >= segment.startMs && ms < segment.endMs) {
        const index = segment.words.findLastIndex((word) => word.startMs <= ms);
        return { segment, index: Math.max(0, index) };
      }
    }
    return undefined;
  }

  #add(segment) {
    this.#segments.set(segment.id, segment);
    return segment;
  }
}
