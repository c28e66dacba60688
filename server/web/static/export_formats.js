/** The file formats in which a transcript can be exported. */

import { toSrt, toVtt } from "./subtitles.js";
import { formatTime } from "./time_format.js";
import { joinWords } from "./word_timing.js";

/** By file extension: the media type, and a function that returns the content for a transcript. */
export const EXPORT_FORMATS = {
  txt: { type: "text/plain", encode: ({ segments }) => toText(segments) },
  "times.txt": { type: "text/plain", encode: ({ segments }) => toTimedText(segments) },
  srt: { type: "application/x-subrip", encode: ({ segments }) => toSrt(segments) },
  vtt: { type: "text/vtt", encode: ({ segments }) => toVtt(segments) },
  json: { type: "application/json", encode: toJson },
};

/** Return one line per segment. */
export function toText(segments) {
  return segments.map(({ words }) => `${joinWords(words)}\n`).join("");
}

/** Return one line per segment, each with the time of its beginning. */
function toTimedText(segments) {
  return segments.map(({ startMs, words }) => `[${formatTime(startMs)}] ${joinWords(words)}\n`).join("");
}

/** Return JSON with times in seconds, as in OpenAI's `verbose_json`. */
function toJson({ language, segments }) {
  const content = {
    language,
    duration: seconds(segments.at(-1)?.endMs ?? 0),
    text: segments.map(({ words }) => joinWords(words)).join(" "),
    segments: segments.map((segment, id) => ({
      id,
      start: seconds(segment.startMs),
      end: seconds(segment.endMs),
      text: joinWords(segment.words),
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

function seconds(ms) {
  return Math.round(ms) / 1000;
}
