/** Transcript: the segments of a recording or a file in the order of speech, and what it is a transcript of. */

import { groupBySpeaker, Speakers } from "./speakers.js";
import { alignWords, joinWords, retimeWords } from "./word_timing.js";

const MAX_UNDO = 200; // edits that can be undone; older ones are forgotten

/**
 * A segment is {id, startMs, endMs, words, edited, language, speaker} once it is final, and {id, startMs, text,
 * stable, speaker} while it is partial: its first `stable` characters will not change. While speech is heard and has no
 * words yet it is {id, startMs, dots, speaker}: a line of so many dots. speaker: a label of `speakers`; null if unknown.
 *
 * Listeners are called with (change, segment), with the changed segment only, so their cost does not depend on
 * the length of the transcript. Changes are added (before the segment that is the third argument, if there is one: two
 * tracks may speak at once), updated (not final yet), finalized, edited, removed,
 * restored (the segment was removed before, or is a part of another one; it is followed by the segment that is
 * the third argument), described (title, media, language, job or summary) and renamed (a speaker), without a segment.
 */
export class Transcript {
  listeners = new Set();
  #segments = new Map(); // by id, in the order in which they started
  #lastStartMs = 0; // of all segments
  #undo = []; // functions that undo the latest edits

  /**
   * kind: "recording" or "file"; title: for people, and the name of downloads; media: its audio, a Blob or null;
   * createdAt: ms since 1970; segments: final ones; job: of FileJob, which adds segments, or null; speakers: stored
   * ones; summary: of SummaryPanel, {text, method, model, reason, chapters, chaptersModel,
   * chaptersReason}, or null
   */
  constructor({ id = newId(), kind, title, createdAt = Date.now(), segments = [], ...facts }) {
    const { language = null, media = null, job = null, summary = null, speakers } = facts;
    Object.assign(this, { id, kind, title, createdAt, language, media, job, summary });
    this.speakers = new Speakers(speakers, kind === "file");
    for (const segment of segments) this.#append(segment);
  }

  /** True if there is nothing to show. */
  get isEmpty() {
    return this.#segments.size === 0;
  }

  /** True if there is text, final or partial. */
  get hasText() {
    for (const { words, text } of this.#segments.values()) if (words || text) return true;
    return false;
  }

  get canUndo() {
    return this.#undo.length > 0;
  }

  /** End of the last segment, in ms. */
  get endMs() {
    let last = 0;
    for (const { words, endMs } of this.#segments.values()) if (words) last = endMs;
    return last;
  }

  /** The final segments. */
  get segments() {
    return [...this.#segments.values()].filter((segment) => segment.words);
  }

  /** All segments, also those that are not final. */
  get all() {
    return [...this.#segments.values()];
  }

  /** Set title, media, language, job or summary. */
  describe(values) {
    Object.assign(this, values);
    this.#notify("described");
  }

  /** Show that speech is heard, until its words are known. */
  setSpeech(id, dots, startMs, track = null) {
    this.#update({ id, dots, startMs, speaker: this.speakers.hear(track) });
  }

  /** speaker: label of who probably speaks, or of the track; null if unknown */
  setPartial(id, text, stable, startMs, speaker = null) {
    this.#update({ id, text, stable, startMs, dots: 0, speaker: this.speakers.hear(speaker) });
  }

  /**
   * words: of the recognizer, {text, startMs, endMs, confidence, speaker}; speaker: label of the server. An empty
   * text removes the segment. Where the speaker changes within it, it becomes several segments.
   */
  setFinal({ id, text, words, startMs, endMs, language = null, speaker = null }) {
    if (!text.trim()) return this.remove(id);
    const isNew = !this.#segments.has(id);
    const segment = isNew ? { id, startMs } : this.#segments.get(id);
    const next = isNew ? this.#add(segment) : undefined;
    Object.assign(segment, {
      startMs,
      endMs,
      words: alignWords(text.trim(), words, startMs, endMs),
      edited: false,
      language,
      speaker: this.speakers.hear(speaker),
    });
    for (const name of ["text", "stable", "dots"]) delete segment[name];
    if (isNew) this.#notify("added", segment, next);
    this.#notify("finalized", segment);
    if (words.some((word) => word.speaker && word.speaker !== speaker))
      this.#splitBySpeaker([segment], words.filter((word) => word.speaker));
  }

  /**
   * Set the speakers of all final segments, and split those in which the speaker changes; texts and times stay as
   * they are, also edited ones. Edits before it cannot be undone any more. spans: {startMs, endMs, speaker} with
   * labels of the server, in order of time
   */
  setSpeakers(spans) {
    if (spans.length === 0) return;
    this.#undo = [];
    this.#splitBySpeaker(this.segments, spans);
  }

  /**
   * Correct the speakers of what was one final. Its parts stay parts. spans: as in setSpeakers, of its words
   */
  reviseSpeakers({ id, spans }) {
    const parts = this.segments.filter((each) => each.id === id || each.id.startsWith(`${id}/`));
    const count = this.#segments.size;
    this.#splitBySpeaker(parts, spans);
    if (this.#segments.size > count) this.#undo = [];
  }

  /** Name a speaker everywhere. It can be undone. */
  rename(label, name) {
    const before = this.speakers.givenNameOf(label);
    this.speakers.rename(label, name);
    if (this.speakers.givenNameOf(label) === before) return;
    this.#remember(() => {
      this.speakers.rename(label, before);
      this.#notify("renamed");
    });
    this.#notify("renamed");
  }

  /** Replace the text of a final segment. An empty text removes the segment. Both can be undone. */
  edit(id, text) {
    const segment = this.#segments.get(id);
    const plain = text.replace(/\s+/g, " ").trim();
    if (plain === joinWords(segment.words)) return;
    const { words, edited } = segment;
    if (!plain) {
      const next = this.#following(id);
      this.#remember(() => this.#restore(segment, next));
      this.remove(id);
      return;
    }
    this.#remember(() => {
      Object.assign(segment, { words, edited });
      this.#notify("edited", segment);
    });
    segment.words = retimeWords(words, plain, segment.startMs, segment.endMs);
    segment.edited = true;
    this.#notify("edited", segment);
  }

  /**
   * Put subtitles in the place of all final segments, which can be undone. Words that stay keep their times, and a
   * subtitle without a speaker has the one who spoke then. subtitles: {startMs, endMs, text, speaker} in order of time,
   * speaker: a name, or null
   */
  importSubtitles(subtitles) {
    const before = this.segments;
    const stored = this.speakers.stored;
    const spoken = before
      .flatMap(({ words, speaker, language }) => words.map((word) => ({ word, speaker, language })))
      .sort((a, b) => middleOf(a.word) - middleOf(b.word));
    let first = 0; // of the words that are not before the present subtitle
    const prefix = newId();
    const imported = subtitles.map(({ startMs, endMs, text, speaker }, i) => {
      while (first < spoken.length && middleOf(spoken[first].word) < startMs) first += 1;
      let end = first;
      while (end < spoken.length && middleOf(spoken[end].word) < endMs) end += 1;
      const heard = spoken.slice(first, end);
      const words = retimeWords(heard.map(({ word }) => word), text, startMs, endMs);
      const kept = words.map((word) => ({
        ...word,
        startMs: Math.max(startMs, word.startMs),
        endMs: Math.min(endMs, word.endMs),
        confidence: word.confidence ?? null,
      }));
      const label = speaker ? this.speakers.labelOf(speaker) : (heard[0]?.speaker ?? null);
      const language = heard[0]?.language ?? this.language;
      return { id: `${prefix}-${i}`, startMs, endMs, words: kept, edited: true, language, speaker: label };
    });
    this.#remember(() => {
      this.speakers.restore(stored);
      this.#replaceAll(before);
    });
    this.#replaceAll(imported);
  }

  #replaceAll(segments) {
    for (const { id } of this.segments) this.remove(id);
    this.#lastStartMs = 0;
    for (const segment of segments) {
      this.#append(segment);
      this.#notify("restored", segment);
    }
  }

  /** Undo the latest edit. Return false if there is none. */
  undo() {
    const undo = this.#undo.pop();
    undo?.();
    return undo !== undefined;
  }

  remove(id) {
    const segment = this.#segments.get(id);
    if (!segment) return;
    this.#segments.delete(id);
    this.#notify("removed", segment);
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

  #remember(undo) {
    this.#undo.push(undo);
    if (this.#undo.length > MAX_UNDO) this.#undo.shift();
  }

  #following(id) {
    const ids = [...this.#segments.keys()];
    return this.#segments.get(ids[ids.indexOf(id) + 1]);
  }

  #restore(segment, next) {
    const found = next && this.#segments.get(next.id);
    this.#insert(segment, found);
    this.#notify("restored", segment, found);
  }

  /** spans: as in setSpeakers. The parts after the first one of a segment become segments of their own. */
  #splitBySpeaker(segments, spans) {
    const heard = spans.map((span) => ({ ...span, speaker: this.speakers.hear(span.speaker) }));
    const parts = new Map(); // by id of the segment: the parts after the first one
    for (const segment of segments) {
      const [first, ...others] = groupBySpeaker(segment.words, heard);
      const { id, endMs, edited, language } = segment;
      let number = 0; // of the last part of this segment that has an id, also from an earlier split
      const nextId = () => {
        do number += 1;
        while (this.#segments.has(`${id}/${number}`));
        return `${id}/${number}`;
      };
      const partOf = ({ speaker, words }, i) => ({
        id: nextId(),
        startMs: words[0].startMs,
        endMs: others[i + 1] ? words.at(-1).endMs : endMs,
        words,
        edited,
        language,
        speaker,
      });
      Object.assign(segment, { words: first.words, speaker: first.speaker });
      if (others.length) segment.endMs = first.words.at(-1).endMs;
      parts.set(id, others.map(partOf));
    }
    const all = [...this.#segments.values()].flatMap((each) => [each, ...(parts.get(each.id) ?? [])]);
    this.#segments = new Map(all.map((each) => [each.id, each]));
    // From the last one on, so that each part is shown before a segment that is shown already.
    const added = new Set([...parts.values()].flat());
    for (let i = all.length - 1; i >= 0; i -= 1) {
      if (added.has(all[i])) this.#notify("restored", all[i], all[i + 1]);
      else if (parts.has(all[i].id)) this.#notify("finalized", all[i]);
    }
  }

  /** Add or update a segment that is not final. */
  #update(values) {
    const segment = this.#segments.get(values.id);
    if (segment) this.#notify("updated", Object.assign(segment, values));
    else this.#notify("added", values, this.#add(values));
  }

  /** Add a segment in the order of time. Return the one before which it stands, or undefined. */
  #add(segment) {
    if (segment.startMs >= this.#lastStartMs) {
      this.#append(segment);
      return undefined;
    }
    const next = this.all.find(({ startMs }) => startMs > segment.startMs);
    this.#insert(segment, next);
    return next;
  }

  #append(segment) {
    this.#segments.set(segment.id, segment);
    this.#lastStartMs = Math.max(this.#lastStartMs, segment.startMs);
  }

  /** next: the segment before which it is inserted; undefined: at the end */
  #insert(segment, next) {
    const entries = [...this.#segments];
    const index = next ? entries.findIndex(([id]) => id === next.id) : entries.length;
    entries.splice(index, 0, [segment.id, segment]);
    this.#segments = new Map(entries);
  }

  #notify(change, segment, next) {
    for (const listener of this.listeners) listener(change, segment, next);
  }
}

function middleOf({ startMs, endMs }) {
  return (startMs + endMs) / 2;
}

/** Return an id. crypto.randomUUID exists only over HTTPS and on localhost. */
export function newId() {
  const random = crypto.getRandomValues(new Uint32Array(2));
  return [Date.now(), ...random].map((number) => number.toString(36)).join("-");
}
