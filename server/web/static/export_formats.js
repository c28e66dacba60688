/** The file formats in which a transcript can be exported. */

import { formatTime } from "./time_format.js";
import { joinWords } from "./word_timing.js";

/**
 * By file extension: the media type, and a function that returns the content for a transcript. Without the function
 * the server makes the file of `toJson`.
 */
export const EXPORT_FORMATS = {
  txt: { type: "text/plain", encode: toText },
  "times.txt": { type: "text/plain", encode: toTimedText },
  srt: { type: "application/x-subrip" },
  vtt: { type: "text/vtt" },
  docx: { type: "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
  md: { type: "text/markdown" },
  json: { type: "application/json", encode: toJson },
};

/** Return one line per segment, which begins with the speaker if he is known. */
export function toText({ segments, speakers }) {
  return segments.map((segment) => `${spokenText(segment, speakers)}\n`).join("");
}

/** Return one line per segment, each with the time of its beginning. */
function toTimedText({ segments, speakers }) {
  return segments.map((segment) => `[${formatTime(segment.startMs)}] ${spokenText(segment, speakers)}\n`).join("");
}

function spokenText({ words, speaker }, speakers) {
  const text = joinWords(words);
  return speaker ? `${speakers.nameOf(speaker)}: ${text}` : text;
}

/** Return JSON with times in seconds, as in OpenAI's `verbose_json`, and with all that the page knows. */
export function toJson({ title, kind, createdAt, language, segments, speakers, summary }) {
  const content = {
    title,
    kind,
    created_at: new Date(createdAt).toISOString(),
    language,
    duration: seconds(segments.at(-1)?.endMs ?? 0),
    text: segments.map(({ words }) => joinWords(words)).join(" "),
    ...(summary && summaryFields(summary)),
    speakers: speakers.labels.map((label) => ({ label, name: speakers.nameOf(label) })),
    segments: segments.map((segment, id) => ({
      id,
      start: seconds(segment.startMs),
      end: seconds(segment.endMs),
      text: joinWords(segment.words),
      speaker: speakers.nameOf(segment.speaker),
      speaker_label: segment.speaker ?? null,
      language: segment.language ?? language,
      edited: segment.edited,
      words: segment.words.map(({ text, startMs, endMs, confidence }) => ({
        word: text.trim(),
        start: seconds(startMs),
        end: seconds(endMs),
        confidence,
      })),
    })),
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

/** Return `summary` and `chapters`, as the server writes them. */
function summaryFields({ text, method, model, reason, chapters, chaptersModel }) {
  const items = chapters.map(({ startMs, title }) => ({ start: seconds(startMs), title }));
  return {
    summary: { text, method, ...(model && { model }), ...(reason && { reason }) },
    ...(items.length && { chapters: { items, ...(chaptersModel && { model: chaptersModel }) } }),
  };
}

function seconds(ms) {
  return Math.round(ms) / 1000;
}
