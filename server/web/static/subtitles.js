/** Subtitles: segments as cues that can be read in time, in SubRip (SRT) and WebVTT (W3C, 2019). */

import { stamped } from "./time_format.js";

const LINE = 42; // characters
const LINES = 2;
const LONGEST_MS = 7000;
const PAUSE_WORTH = 1.0; // of half a text's length, for each second of silence: how far it may draw the cut
const CLOSING_WORTH = 0.3; // the same, for a comma
const CLOSING = /[.,;:?!…。、，？！]$/;

export function srtOf(segments) {
  return cuesOf(segments)
    .map(
      ({ startMs, endMs, lines }, i) =>
        `${i + 1}\n${stamped(startMs, ",")} --> ${stamped(endMs, ",")}\n${lines.join("\n")}\n`,
    )
    .join("\n");
}

export function vttOf(segments) {
  const cues = cuesOf(segments).map(
    ({ startMs, endMs, lines }) =>
      `\n${stamped(startMs)} --> ${stamped(endMs)}\n${escaped(lines.join("\n"))}\n`,
  );
  return `WEBVTT\n${cues.join("")}`;
}

/** Cues of at most two lines and, unless a single word takes longer, seven seconds; cut between words. */
export function cuesOf(segments) {
  return segments.flatMap(({ words }) => halved(words.flatMap(chopped)).map(cue));
}

/** A word that is longer than a line, in pieces. */
function chopped(word) {
  const { text, startMs, endMs } = word;
  if (text.trim().length <= LINE) return [word];
  const pieces = text.match(new RegExp(`\\S{1,${LINE}}\\s?`, "gu"));
  const pace = (endMs - startMs) / pieces.length;
  return pieces.map((piece, i) => ({
    text: piece,
    startMs: startMs + i * pace,
    endMs: startMs + (i + 1) * pace,
  }));
}

/** Halves, and halves of halves, until each can be read. */
function halved(words) {
  if (words.length <= 1 || fits(words)) return words.length ? [words] : [];
  const cut = bestCut(words);
  return [...halved(words.slice(0, cut)), ...halved(words.slice(cut))];
}

function fits(words) {
  return words.at(-1).endMs - words[0].startMs <= LONGEST_MS && wrapped(words).length <= LINES;
}

/** Near the middle of the text; rather behind a comma, or where the speaker paused. */
function bestCut(words) {
  const total = words.reduce((sum, { text }) => sum + text.length, 0);
  let reached = 0;
  let best = { cost: Infinity, cut: 1 };
  for (let cut = 1; cut < words.length; cut += 1) {
    const [before, behind] = [words[cut - 1], words[cut]];
    reached += before.text.length;
    const closing = CLOSING.test(before.text.trim()) ? CLOSING_WORTH : 0;
    const pause = Math.max(0, behind.startMs - before.endMs) / 1000;
    const cost = Math.abs((2 * reached) / total - 1) - closing - pause * PAUSE_WORTH;
    if (cost < best.cost) best = { cost, cut };
  }
  return best.cut;
}

function wrapped(words) {
  const lines = [""];
  for (const { text } of words) {
    if (lines.at(-1) && (lines.at(-1) + text).trimEnd().length > LINE) lines.push("");
    lines.push(lines.pop() + text);
  }
  return lines.map((line) => line.trim()).filter(Boolean);
}

function cue(words) {
  const startMs = Math.round(words[0].startMs);
  return { startMs, endMs: Math.max(Math.round(words.at(-1).endMs), startMs + 1), lines: wrapped(words) };
}

/** What WebVTT would take for a tag, an entity or an arrow. */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
