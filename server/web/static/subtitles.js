/** Subtitles in SubRip (SRT) and WebVTT (W3C, 2019), divided into cues of readable size. */

import { formatTimestamp } from "./time_format.js";

const MAX_LINE = 42; // characters
const MAX_LINES = 2;
const MAX_CUE_MS = 7000;
// How far a division may move from the middle of the text, in halves of its length.
const PAUSE_BONUS = 1.0; // per second of silence
const PUNCTUATION_BONUS = 0.3;
const PUNCTUATION = /[.,;:?!…。、，？！]$/;

export function toSrt(segments) {
  return toCues(segments)
    .map(
      ({ startMs, endMs, lines }, i) =>
        `${i + 1}\n${formatTimestamp(startMs, ",")} --> ${formatTimestamp(endMs, ",")}\n${lines.join("\n")}\n`,
    )
    .join("\n");
}

export function toVtt(segments) {
  const cues = toCues(segments).map(
    ({ startMs, endMs, lines }) =>
      `\n${formatTimestamp(startMs)} --> ${formatTimestamp(endMs)}\n${escapeVtt(lines.join("\n"))}\n`,
  );
  return `WEBVTT\n${cues.join("")}`;
}

/**
 * Return cues, {startMs, endMs, lines}, of at most two lines and seven seconds, divided between words. A cue
 * is longer than seven seconds only if it is a single word.
 */
export function toCues(segments) {
  return segments.flatMap(({ words }) => divide(words.flatMap(splitLongWord)).map(toCue));
}

/** Split a word that is longer than a line. */
function splitLongWord(word) {
  const { text, startMs, endMs } = word;
  if (text.trim().length <= MAX_LINE) return [word];
  const parts = text.match(new RegExp(`\\S{1,${MAX_LINE}}\\s?`, "gu"));
  const partMs = (endMs - startMs) / parts.length;
  return parts.map((part, i) => ({
    text: part,
    startMs: startMs + i * partMs,
    endMs: startMs + (i + 1) * partMs,
  }));
}

/** Divide words in two until each part fits in a cue. */
function divide(words) {
  if (words.length <= 1 || fits(words)) return words.length ? [words] : [];
  const index = bestDivision(words);
  return [...divide(words.slice(0, index)), ...divide(words.slice(index))];
}

function fits(words) {
  return words.at(-1).endMs - words[0].startMs <= MAX_CUE_MS && wrap(words).length <= MAX_LINES;
}

/** Return the index near the middle of the text, preferably after punctuation or at a pause. */
function bestDivision(words) {
  const total = words.reduce((sum, { text }) => sum + text.length, 0);
  let length = 0; // of the text before the index
  let best = { cost: Infinity, index: 1 };
  for (let index = 1; index < words.length; index += 1) {
    const [before, after] = [words[index - 1], words[index]];
    length += before.text.length;
    const punctuation = PUNCTUATION.test(before.text.trim()) ? PUNCTUATION_BONUS : 0;
    const pause = Math.max(0, after.startMs - before.endMs) / 1000;
    const cost = Math.abs((2 * length) / total - 1) - punctuation - pause * PAUSE_BONUS;
    if (cost < best.cost) best = { cost, index };
  }
  return best.index;
}

/** Return the lines of a text. */
function wrap(words) {
  const lines = [""];
  for (const { text } of words) {
    if (lines.at(-1) && (lines.at(-1) + text).trimEnd().length > MAX_LINE) lines.push("");
    lines.push(lines.pop() + text);
  }
  return lines.map((line) => line.trim()).filter(Boolean);
}

function toCue(words) {
  const startMs = Math.round(words[0].startMs);
  return { startMs, endMs: Math.max(Math.round(words.at(-1).endMs), startMs + 1), lines: wrap(words) };
}

/** Escape what WebVTT would parse as a tag, an entity or an arrow. */
function escapeVtt(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
