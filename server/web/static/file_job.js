/** FileJob: has a file or a URL transcribed as a job of the server, and receives its text (docs/jobs.md). */

import { errorMessage, formOf, retryAfterMs, segmentOf } from "./file_upload.js";
import { Backoff } from "./reconnect.js";
import { readEvents } from "./sse.js";
import { t } from "./text.js";

const MAX_RECONNECT_MS = 15_000;
const GONE = new Set(["job_not_found", "jobs_disabled"]); // the server has the job no more

/**
 * Events are those of FileUpload, and {type: "accepted", job} once the job is on the server's disk; {type: "job",
 * state, position, fraction} after each change of it, state: queued, fetching, transcribing, or disconnected while
 * its events are asked for again; {type: "speakers", spans} before the end of a job with speakers, spans: {startMs,
 * endMs, speaker} in order of time; and {type: "disabled"} at the end, in place of the others, if the server keeps
 * no jobs. A segment has its `index`, too. An end with `keepsJob` leaves the job as it is.
 */
export class FileJob {
  #url;
  #headers;
  #onEvent;
  // What a library can store: {id, received, receivedMs, offsetMs, isTranslation, hasSpeakers}; received: segments
  #job = null;
  #count = 0; // segments of the present stream of events
  #request = null;
  #isUploaded = false;
  #isCancelled = false;
  #ended = false;
  #abort = new AbortController();
  #backoff = new Backoff(Math.random, { firstMs: 500, maxMs: MAX_RECONNECT_MS });

  /** url: of the server's jobs; headers: of all requests */
  constructor(url, { headers, onEvent }) {
    this.#url = url;
    this.#headers = headers;
    this.#onEvent = onEvent;
  }

  /**
   * Submit a new job. key: the same one for each attempt to submit it; fields: of the form, with file or url;
   * offsetMs: position in the file at which the uploaded part starts
   */
  submit(key, fields, offsetMs) {
    const request = (this.#request = new XMLHttpRequest());
    request.open("POST", this.#url);
    for (const [name, value] of Object.entries({ ...this.#headers, "idempotency-key": key }))
      request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => this.#emit({ type: "progress", fraction: loaded / total });
    request.upload.onload = () => {
      this.#isUploaded = true;
      this.#emit({ type: "progress", fraction: 1 });
    };
    request.onload = () => this.#submitted(offsetMs, fields);
    request.onerror = () => this.#fail(t("fileServerUnreachable"));
    request.onabort = () => this.#end({ type: "cancelled" });
    if (fields.url) request.setRequestHeader("content-type", "application/json");
    request.send(fields.url ? JSON.stringify(fields) : formOf(fields));
  }

  /** Receive the text of a job that was submitted before, from the first segment that was not received. */
  follow(job) {
    this.#job = job;
    void this.#follow();
  }

  cancel() {
    if (this.#isCancelled) return;
    this.#isCancelled = true;
    if (this.#job) void this.#cancelJob();
    // A whole file may have become a job, whose id is in the response.
    else if (!this.#isUploaded) this.#request.abort();
  }

  #submitted(offsetMs, { task, diarize }) {
    const { status, responseText } = this.#request;
    if (status !== 200 && status !== 202) {
      if (this.#isCancelled) this.#end({ type: "cancelled" });
      else if (codeOf(responseText) === "jobs_disabled") this.#end({ type: "disabled" });
      else this.#fail(errorMessage(responseText, status), { status, retryAfterMs: retryAfterMs(this.#request) });
      return;
    }
    const { id } = JSON.parse(responseText);
    const isTranslation = task === "translate";
    this.#job = { id, received: 0, receivedMs: 0, offsetMs, isTranslation, hasSpeakers: diarize === "true" };
    this.#emit({ type: "accepted", job: this.#job });
    if (this.#isCancelled) void this.#cancelJob();
    else void this.#follow();
  }

  async #follow() {
    while (!this.#ended) {
      await this.#receive().catch(() => {}); // The connection was lost.
      if (this.#ended) return;
      this.#emit({ type: "job", state: "disconnected" });
      await new Promise((resolve) => setTimeout(resolve, this.#backoff.next()));
    }
  }

  /** Receive events until the connection ends. */
  async #receive() {
    const signal = this.#abort.signal;
    const response = await fetch(`${this.#jobUrl}/events`, { headers: this.#headers, signal, cache: "no-store" });
    if (!response.ok) {
      const text = await response.text();
      if (GONE.has(codeOf(text))) this.#fail(t("jobGone"));
      else if (response.status === 401)
        this.#fail(errorMessage(text, 401), { status: 401, keepsJob: true });
      return;
    }
    this.#count = 0;
    for await (const events of readEvents(response)) {
      this.#backoff.reset();
      for (const { name, data } of events) await this.#handle(name, data);
    }
  }

  async #handle(name, data) {
    if (name === "segment") this.#handleSegment(data);
    else if (name === "job") await this.#handleJob(data);
    else if (name === "error" && GONE.has(data.code)) this.#fail(t("jobGone"));
  }

  #handleSegment(data) {
    const { received, receivedMs, offsetMs, isTranslation, hasSpeakers } = this.#job;
    const index = this.#count;
    this.#count += 1;
    const segment = segmentOf({ ...data, id: `job-${received}` }, offsetMs);
    // What was received is left as it is: the user may have edited it since. A job that has ended has other segments
    // than before, if it has speakers.
    if (hasSpeakers ? segment.endMs <= receivedMs : index < received) return;
    this.#job = { ...this.#job, received: received + 1, receivedMs: segment.endMs };
    this.#emit({ ...segment, language: isTranslation ? "en" : data.language, job: this.#job });
  }

  async #handleJob({ status, position, progress, language, error }) {
    if (status === "succeeded" && this.#job.hasSpeakers) await this.#receiveSpeakers();
    if (status === "succeeded") this.#end({ type: "ended", language: this.#job.isTranslation ? "en" : language });
    else if (status === "failed") this.#fail(error.message);
    else if (status === "cancelled") this.#end({ type: "cancelled" });
    else {
      const { seconds_done: done, seconds_total: total } = progress;
      this.#emit({ type: "job", state: status, position, fraction: total > 0 ? Math.min(1, done / total) : undefined });
    }
  }

  /** Receive the speakers, which are known once the whole file was heard. Throw if the connection is lost. */
  async #receiveSpeakers() {
    const signal = this.#abort.signal;
    const response = await fetch(`${this.#jobUrl}/transcript`, { headers: this.#headers, signal, cache: "no-store" });
    if (!response.ok) throw new Error(`status ${response.status}`); // The events are asked for again.
    const { segments } = await response.json();
    const spans = segments.map((segment) => segmentOf(segment, this.#job.offsetMs)).filter(({ speaker }) => speaker);
    this.#emit({ type: "speakers", spans });
  }

  async #cancelJob() {
    const request = { method: "DELETE", headers: this.#headers };
    const response = await fetch(`${this.#jobUrl}?keep=true`, request).catch(() => null);
    if (response?.ok || response?.status === 404) this.#end({ type: "cancelled" });
    else this.#fail(t("notCancelled"), { status: response?.status ?? 0, keepsJob: true });
  }

  get #jobUrl() {
    return `${this.#url}/${this.#job.id}`;
  }

  #fail(message, { status = 0, retryAfterMs = 0, keepsJob = false } = {}) {
    this.#end({ type: "failed", message, status, retryAfterMs, keepsJob });
  }

  #emit(event) {
    if (!this.#ended) this.#onEvent(event);
  }

  /** Emit the last event. Later ones are ignored. */
  #end(event) {
    if (this.#ended) return;
    this.#ended = true;
    this.#abort.abort();
    this.#onEvent(event);
  }
}

/** Return the code of an error in JSON, or undefined. */
function codeOf(text) {
  try {
    return JSON.parse(text).error.code;
  } catch {
    return undefined;
  }
}
