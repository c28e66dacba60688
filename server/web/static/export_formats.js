/** Documents: a transcript as the files in which it can be kept. */

import { srtOf, vttOf } from "./subtitles.js";
import { textOf } from "./word_timing.js";

/** By ending: what makes the text of the file from a transcript, and its media type. */
export const DOCUMENTS = {
  txt: { type: "text/plain", make: ({ segments }) => textLines(segments) },
  srt: { type: "application/x-subrip", make: ({ segments }) => srtOf(segments) },
  vtt: { type: "text/vtt", make: ({ segments }) => vttOf(segments) },
  json: { type: "application/json", make: jsonOf },
};

/** One line a segment. */
export function textLines(segments) {
  return segments.map(({ words }) => `${textOf(words)}\n`).join("");
}

/** Times in seconds, as `verbose_json` has them. */
function jsonOf({ language, segments }) {
  const told = {
    language,
    duration: seconds(segments.at(-1)?.endMs ?? 0),
    text: segments.map(({ words }) => textOf(words)).join(" "),
    segments: segments.map((segment, id) => ({
      id,
      start: seconds(segment.startMs),
      end: seconds(segment.endMs),
      text: textOf(segment.words),
      edited: segment.edited,
      words: segment.words.map(({ text, startMs, endMs, confidence }) => ({
        word: text.trim(),
        start: seconds(startMs),
        end: seconds(endMs),
        confidence,
      })),
    })),
  };
  return `${JSON.stringify(told, null, 2)}\n`;
}

function seconds(ms) {
  return Math.round(ms) / 1000;
}
