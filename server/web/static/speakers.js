/** Speakers: the voices of a transcript with their names, and who spoke at a time. */

import { t } from "./text.js";

export const MAX_NAME = 60; // characters
export const USER_TRACK = "me"; // label of what the user says, where it is recorded apart
export const SHARED_TRACK = "tab"; // label of the sound of a tab or screen
const TRACK_NAMES = { [USER_TRACK]: "trackMe", [SHARED_TRACK]: "trackTab" };
const COLOURS = 8; // of style.css; further speakers use them again

export class Speakers {
  #names; // by label, in the order in which they were first heard; "" until the user gives a name
  #ofSession = new Map(); // labels of the transcript by labels of the present session

  /** stored: what `stored` returned; hasOneSession: all labels of the server mean the same speakers, as in a file */
  constructor(stored = [], hasOneSession = false) {
    this.#names = new Map(stored);
    if (hasOneSession) for (const label of this.labels) this.#ofSession.set(label, label);
  }

  /** [label, name] of each speaker, for the library. */
  get stored() {
    return [...this.#names];
  }

  get labels() {
    return [...this.#names.keys()];
  }

  /** A new session of the server begins: its labels start at A again, perhaps for other voices. */
  beginSession() {
    this.#ofSession.clear();
  }

  /** Return the label in this transcript for a label of the present session; null if the speaker is unknown. */
  hear(label) {
    if (!label) return null;
    if (label in TRACK_NAMES) {
      if (!this.#names.has(label)) this.#names.set(label, "");
      return label;
    }
    if (!this.#ofSession.has(label)) {
      const known = this.#names.has(label) ? this.#freeLabel() : label;
      this.#ofSession.set(label, known);
      this.#names.set(known, "");
    }
    return this.#ofSession.get(label);
  }

  /** Return the name of a speaker for people; null if the speaker is unknown. */
  nameOf(label) {
    return label ? this.givenNameOf(label) || defaultNameOf(label) : null;
  }

  /** Return the number of a speaker's colour. Speakers with the same name have the same one. */
  colourOf(label) {
    const name = this.nameOf(label);
    return Math.max(0, this.labels.findIndex((each) => this.nameOf(each) === name)) % COLOURS;
  }

  /** Return the name that the user gave to a speaker; "" for none. */
  givenNameOf(label) {
    return this.#names.get(label) ?? "";
  }

  /** Name a speaker; an empty name takes the given one away. */
  rename(label, name) {
    const plain = plainName(name);
    this.#names.set(label, plain === defaultNameOf(label) ? "" : plain);
  }

  /** Return the label of a speaker by name; a new one if there is no such speaker. */
  labelOf(name) {
    const plain = plainName(name);
    const known = this.labels.find((label) => this.nameOf(label) === plain);
    if (known) return known;
    const label = this.#freeLabel();
    this.rename(label, plain);
    return label;
  }

  /** Go back to what `stored` returned. */
  restore(stored) {
    this.#names = new Map(stored);
  }

  #freeLabel() {
    let number = 0;
    while (this.#names.has(labelAt(number))) number += 1;
    return labelAt(number);
  }
}

function plainName(name) {
  return name.replace(/\s+/g, " ").trim().slice(0, MAX_NAME);
}

function defaultNameOf(label) {
  return label in TRACK_NAMES ? t(TRACK_NAMES[label]) : t("speakerName", { label });
}

/** Return A for 0, B for 1, …, AA for 26. */
function labelAt(number) {
  const letter = String.fromCharCode(65 + (number % 26));
  return number < 26 ? letter : labelAt(Math.floor(number / 26) - 1) + letter;
}

/**
 * Return words in groups of one speaker each, {speaker, words}. spans: {startMs, endMs, speaker}, in order of
 * time and not empty; a word has the speaker of the span in which its middle lies, or of the nearest one.
 */
export function groupBySpeaker(words, spans) {
  const groups = [];
  for (const word of words) {
    const speaker = speakerAt((word.startMs + word.endMs) / 2, spans);
    if (groups.at(-1)?.speaker === speaker) groups.at(-1).words.push(word);
    else groups.push({ speaker, words: [word] });
  }
  return groups;
}

function speakerAt(ms, spans) {
  let [low, high] = [0, spans.length]; // the first span that ends after ms is in [low, high]
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle].endMs > ms) high = middle;
    else low = middle + 1;
  }
  const [before, after] = [spans[low - 1], spans[low]];
  if (!before || !after) return (before ?? after).speaker;
  return ms >= after.startMs || after.startMs - ms < ms - before.endMs ? after.speaker : before.speaker;
}
