/** FileRequest: a file, or an address, on its way to the server, and the segments that come back. */

import { EventStream } from "./sse.js";

/**
 * Notes, in order: {note: "sent", share} of the upload, 0 to 1; {note: "segment", id, text, words, startMs,
 * endMs}; and at the end {note: "ended", language}, {note: "failed", message, status} or {note:
 * "cancelled"}.
 */
export class FileRequest {
  #request = new XMLHttpRequest();
  #events = new EventStream();
  #read = 0; // characters of the answer
  #onNote;
  #offsetMs;
  #ended = false;

  /**
   * fields: of the form: model, and file or url; language
   * offsetMs: where what is sent begins in the file
   * headers: of the request
   */
  constructor(url, { fields, offsetMs = 0, headers, onNote }) {
    this.#onNote = onNote;
    this.#offsetMs = offsetMs;
    const request = this.#request;
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => this.#onNote({ note: "sent", share: loaded / total });
    request.upload.onload = () => this.#onNote({ note: "sent", share: 1 });
    request.onprogress = () => this.#readOn();
    request.onload = () => this.#finish();
    request.onerror = () => this.#end({ note: "failed", message: "The server cannot be reached." });
    request.onabort = () => this.#end({ note: "cancelled" });
    request.send(formOf({ ...fields, ...ASKED }));
  }

  cancel() {
    this.#request.abort();
  }

  #readOn() {
    if (this.#request.status !== 200) return;
    const text = this.#request.responseText;
    const events = this.#events.push(text.slice(this.#read));
    this.#read = text.length;
    for (const event of events) this.#hear(event);
  }

  #hear(event) {
    if (event.error) this.#end({ note: "failed", message: event.error.message });
    else if (event.type === "transcript.text.segment") this.#onNote(this.#segment(event));
    else if (event.type === "transcript.text.done") {
      this.#end({ note: "ended", language: event.languages?.[0]?.code ?? null });
    }
  }

  #segment({ id, text, words, start, end }) {
    const heard = (words ?? []).map((word) => ({
      text: word.word,
      startMs: this.#place(word.start),
      endMs: this.#place(word.end),
      confidence: word.confidence,
    }));
    return { note: "segment", id, text, words: heard, startMs: this.#place(start), endMs: this.#place(end) };
  }

  #place(seconds) {
    return this.#offsetMs + Math.round(seconds * 1000);
  }

  #finish() {
    this.#readOn();
    const { status, responseText } = this.#request;
    if (status === 200) this.#end({ note: "failed", message: "The answer of the server was cut off." });
    else this.#end({ note: "failed", status, message: messageOf(responseText, status) });
  }

  /** Only the first end counts. */
  #end(note) {
    if (this.#ended) return;
    this.#ended = true;
    this.#onNote(note);
  }
}

const ASKED = { stream: "true", response_format: "diarized_json", "timestamp_granularities[]": "word" };

function formOf(fields) {
  const form = new FormData();
  const file = fields.file; // last: by then the server knows the rest
  for (const [name, value] of Object.entries(fields)) if (name !== "file" && value) form.append(name, value);
  if (file) form.append("file", file, file.name);
  return form;
}

function messageOf(text, status) {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `The server answered with status ${status}.`;
  }
}
