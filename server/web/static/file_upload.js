/** FileUpload: sends a file or a URL to the server and receives the segments of its transcript. */

import { SseParser } from "./sse.js";
import { t } from "./text.js";

const MIN_RETRY_MS = 1000;

/**
 * Events, in order: {type: "progress", fraction} of the upload, 0 to 1; {type: "segment", id, text, words,
 * startMs, endMs, speaker}; and at the end {type: "ended", language}, {type: "failed", message, status, retryAfterMs} or
 * {type: "cancelled"}. retryAfterMs: when a busy server asks to be asked again, else 0
 */
export class FileUpload {
  #request = new XMLHttpRequest();
  #parser = new SseParser();
  #parsed = 0; // characters of the response
  #onEvent;
  #offsetMs;
  #ended = false;
  #isTranslation;
  #hasSpeakers; // otherwise the server calls all speech A

  /**
   * isTranslation: the endpoint translates; it sends no events, but the whole text at the end
   * fields: of the form: model, file or url, language, diarize, multichannel
   * offsetMs: position in the file at which the uploaded part starts
   * headers: of the request
   */
  constructor(url, { fields, isTranslation = false, offsetMs = 0, headers, onEvent }) {
    this.#onEvent = onEvent;
    this.#isTranslation = isTranslation;
    this.#offsetMs = offsetMs;
    const request = this.#request;
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) =>
      this.#onEvent({ type: "progress", fraction: loaded / total });
    request.upload.onload = () => this.#onEvent({ type: "progress", fraction: 1 });
    request.onprogress = () => this.#parse();
    request.onload = () => this.#finish();
    request.onerror = () => this.#fail(t("fileServerUnreachable"));
    request.onabort = () => this.#end({ type: "cancelled" });
    this.#hasSpeakers = fields.diarize === "true" || fields.multichannel === "true";
    request.send(formOf({ ...(isTranslation ? TRANSLATION_OPTIONS : RESPONSE_OPTIONS), ...fields }));
  }

  cancel() {
    this.#request.abort();
  }

  #parse() {
    if (this.#request.status !== 200 || this.#isTranslation) return;
    const text = this.#request.responseText;
    const messages = this.#parser.push(text.slice(this.#parsed));
    this.#parsed = text.length;
    for (const { data } of messages) this.#handle(data);
  }

  #handle(message) {
    if (this.#ended) return;
    if (message.error) this.#fail(message.error.message);
    else if (message.type === "transcript.text.segment") {
      const speaker = this.#hasSpeakers ? message.speaker : null;
      this.#onEvent({ ...segmentOf(message, this.#offsetMs), speaker });
    } else if (message.type === "transcript.text.done") {
      this.#end({ type: "ended", language: message.languages?.[0]?.code ?? null });
    }
  }

  #finish() {
    this.#parse();
    const { status, responseText } = this.#request;
    if (status === 200 && this.#isTranslation) this.#handleWhole(JSON.parse(responseText));
    else if (status === 200) this.#fail(t("responseIncomplete"));
    else this.#fail(errorMessage(responseText, status), status, retryAfterMs(this.#request));
  }

  /** content: verbose_json */
  #handleWhole({ segments }) {
    for (const segment of segments) this.#onEvent(segmentOf({ ...segment, text: segment.text.trim() }, this.#offsetMs));
    this.#end({ type: "ended", language: "en" });
  }

  #fail(message, status = 0, retryAfterMs = 0) {
    this.#end({ type: "failed", message, status, retryAfterMs });
  }

  /** Emit the last event. Later calls are ignored. */
  #end(event) {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEvent(event);
  }
}

const RESPONSE_OPTIONS = {
  stream: "true",
  response_format: "diarized_json",
  diarize: "false", // unless the user wants speakers, which are known only at the end: all segments come then
  "timestamp_granularities[]": "word",
};

const TRANSLATION_OPTIONS = { response_format: "verbose_json" };

/** Return the event of a segment of the server. offsetMs: position in the file at which the uploaded part starts */
export function segmentOf({ id, text, words, start, end, speaker = null }, offsetMs) {
  const toFileMs = (seconds) => offsetMs + Math.round(seconds * 1000);
  const timedWords = (words ?? []).map((word) => ({
    text: word.word,
    startMs: toFileMs(word.start),
    endMs: toFileMs(word.end),
    confidence: word.confidence,
  }));
  return { type: "segment", id, text, words: timedWords, startMs: toFileMs(start), endMs: toFileMs(end), speaker };
}

/** Return after how many ms a busy server asks to be asked again; 0 if it does not. */
export function retryAfterMs(request) {
  if (request.status !== 503 && request.status !== 429) return 0;
  return Math.max(MIN_RETRY_MS, Number(request.getResponseHeader("retry-after") ?? 0) * 1000);
}

/** Return a form of fields; those that are empty are left out. */
export function formOf(fields) {
  const form = new FormData();
  const file = fields.file; // last, so that the server knows the other fields before it receives the file
  for (const [name, value] of Object.entries(fields)) if (name !== "file" && value) form.append(name, value);
  if (file) form.append("file", file, file.name);
  return form;
}

/** Return the message of an error of the server. */
export function errorMessage(text, status) {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return t("statusResponse", { status });
  }
}
