/** FileUpload: sends a file or a URL to the server and receives the segments of its transcript. */

import { SseParser } from "./sse.js";
import { t } from "./text.js";

const MIN_RETRY_MS = 1000;

/**
 * Events, in order: {type: "progress", fraction} of the upload, 0 to 1; {type: "segment", id, text, words,
 * startMs, endMs}; and at the end {type: "ended", language}, {type: "failed", message, status, retryAfterMs} or
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

  /**
   * isTranslation: the endpoint translates; it sends no events, but the whole text at the end
   * fields: of the form: model, file or url, language
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
    request.send(formOf({ ...fields, ...(isTranslation ? TRANSLATION_OPTIONS : RESPONSE_OPTIONS) }));
  }

  cancel() {
    this.#request.abort();
  }

  #parse() {
    if (this.#request.status !== 200 || this.#isTranslation) return;
    const text = this.#request.responseText;
    const messages = this.#parser.push(text.slice(this.#parsed));
    this.#parsed = text.length;
    for (const message of messages) this.#handle(message);
  }

  #handle(message) {
    if (this.#ended) return;
    if (message.error) this.#fail(message.error.message);
    else if (message.type === "transcript.text.segment") this.#onEvent(this.#segment(message));
    else if (message.type === "transcript.text.done") {
      this.#end({ type: "ended", language: message.languages?.[0]?.code ?? null });
    }
  }

  #segment({ id, text, words, start, end }) {
    const timedWords = (words ?? []).map((word) => ({
      text: word.word,
      startMs: this.#toFileMs(word.start),
      endMs: this.#toFileMs(word.end),
      confidence: word.confidence,
    }));
    const [startMs, endMs] = [this.#toFileMs(start), this.#toFileMs(end)];
    return { type: "segment", id, text, words: timedWords, startMs, endMs };
  }

  #toFileMs(seconds) {
    return this.#offsetMs + Math.round(seconds * 1000);
  }

  #finish() {
    this.#parse();
    const { status, responseText } = this.#request;
    if (status === 200 && this.#isTranslation) this.#handleWhole(JSON.parse(responseText));
    else if (status === 200) this.#fail(t("responseIncomplete"));
    else this.#fail(errorMessage(responseText, status), status, this.#retryAfterMs(status));
  }

  /** content: verbose_json */
  #handleWhole({ segments }) {
    for (const segment of segments) this.#onEvent(this.#segment({ ...segment, text: segment.text.trim() }));
    this.#end({ type: "ended", language: "en" });
  }

  #retryAfterMs(status) {
    if (status !== 503 && status !== 429) return 0;
    return Math.max(MIN_RETRY_MS, Number(this.#request.getResponseHeader("retry-after") ?? 0) * 1000);
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
  diarize: "false", // Speakers are known only at the end, but segments are shown as they come.
  "timestamp_granularities[]": "word",
};

const TRANSLATION_OPTIONS = { response_format: "verbose_json" };

function formOf(fields) {
  const form = new FormData();
  const file = fields.file; // last, so that the server knows the other fields before it receives the file
  for (const [name, value] of Object.entries(fields)) if (name !== "file" && value) form.append(name, value);
  if (file) form.append("file", file, file.name);
  return form;
}

function errorMessage(text, status) {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return t("statusResponse", { status });
  }
}
