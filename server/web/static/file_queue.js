/** FileQueue: files and URLs that wait for their transcription. One is worked on at a time. */

export const MAX_ENTRIES = 100; // waiting, running and finished ones that were not removed
const MAX_RETRY_AFTER_MS = 600_000; // a server that asks for more is not waited for
const MIN_ESTIMATE_MS = 3000; // of work before the remaining time is estimated

/**
 * An entry is {id, name, source, state, fraction, doneMs, message, transcript}. source: {file} or {url}, with
 * {startMs, endMs} of what is transcribed, `isPart`, and `trim`, fields of the request, if the server cuts it; empty for a job that goes on after the page was reloaded.
 * state: waiting, uploading, downloading, queued (on the server), transcribing, disconnected, done, failed or
 * cancelled. fraction: 0 to 1, or undefined; doneMs: position up to which there is text; position: files before it.
 *
 * The queue does no I/O: transcribe(entry, onEvent) starts the work and returns {cancel()}. Its events are those
 * of FileUpload and FileJob. onChange(entry, event) is called after each event and change of state.
 */
export class FileQueue {
  entries = [];
  #transcribe;
  #onChange;
  #work = null; // {entry, request}
  #retryTimer = null;
  #count = 0;

  constructor(transcribe, onChange) {
    this.#transcribe = transcribe;
    this.#onChange = onChange;
  }

  get isBusy() {
    return this.entries.some(isOpen);
  }

  get isFull() {
    return this.entries.length >= MAX_ENTRIES;
  }

  /** Add a file or a URL, and return its entry. transcript: receives the text; options: of the request */
  add({ name, source, options, transcript }) {
    this.#count += 1;
    const entry = { id: this.#count, name, source, options, transcript, state: "waiting", doneMs: 0, message: "" };
    this.entries.push(entry);
    this.#onChange(entry);
    this.#startNext();
    return entry;
  }

  /** Stop the work on an entry, or take it out of the waiting ones. */
  cancel(entry) {
    if (!isOpen(entry)) return;
    if (this.#work?.entry === entry) {
      this.#work.request.cancel(); // its last event follows
      return;
    }
    clearTimeout(this.#retryTimer);
    this.#end(entry, "cancelled", { type: "cancelled" });
  }

  /** Begin an entry that failed or was cancelled again. */
  retry(entry) {
    Object.assign(entry, { state: "waiting", doneMs: 0, message: "", fraction: undefined });
    this.#onChange(entry);
    this.#startNext();
  }

  remove(entry) {
    this.cancel(entry);
    this.entries = this.entries.filter((each) => each !== entry);
    this.#onChange(entry);
  }

  /** Return the estimated ms until an entry is done, or undefined. */
  remainingMs(entry) {
    if (entry.state !== "transcribing" || !(entry.fraction > 0)) return undefined;
    const workedMs = performance.now() - entry.startedAt;
    const done = entry.fraction - entry.startedFraction;
    return workedMs < MIN_ESTIMATE_MS || done <= 0 ? undefined : (workedMs * (1 - entry.fraction)) / done;
  }

  #startNext() {
    if (this.#work) return;
    const entry = this.entries.find(({ state }) => state === "waiting");
    if (!entry) return;
    clearTimeout(this.#retryTimer);
    const state = entry.source.url ? "downloading" : "uploading";
    Object.assign(entry, { state, startedAt: undefined, fraction: entry.source.file ? 0 : undefined, message: "" });
    this.#onChange(entry);
    this.#work = { entry };
    const request = this.#transcribe(entry, (event) => this.#onEvent(entry, event));
    if (this.#work?.entry === entry) this.#work.request = request;
  }

  #onEvent(entry, event) {
    if (event.type === "progress") {
      this.#uploaded(entry, event.fraction);
      this.#onChange(entry, event);
    } else if (event.type === "segment") {
      const { startMs, endMs } = entry.source;
      Object.assign(entry, { state: "transcribing", doneMs: event.endMs });
      if (endMs > startMs) entry.fraction = Math.min(1, (event.endMs - startMs) / (endMs - startMs));
      this.#started(entry, 0);
      this.#onChange(entry, event);
    } else if (event.type === "job") {
      this.#jobChanged(entry, event);
      this.#onChange(entry, event);
    } else if (event.type === "accepted" || event.type === "speakers") {
      this.#onChange(entry, event);
    } else {
      this.#work = null;
      this.#finish(entry, event);
    }
  }

  #jobChanged(entry, { state, position, fraction }) {
    const shown = state === "fetching" ? "downloading" : state;
    Object.assign(entry, { state: shown, position, fraction: state === "transcribing" ? fraction : undefined });
    if (state !== "transcribing") entry.startedAt = undefined;
    // A job that is found again was begun earlier: only what is done from now on counts.
    else this.#started(entry, fraction ?? 0);
  }

  /** Estimate the remaining time from now on. fraction: done until now */
  #started(entry, fraction) {
    if (entry.startedAt === undefined)
      Object.assign(entry, { startedAt: performance.now(), startedFraction: fraction });
  }

  #uploaded(entry, fraction) {
    if (entry.source.url || entry.state !== "uploading") return;
    entry.fraction = fraction;
    if (fraction === 1) {
      Object.assign(entry, { state: "transcribing", fraction: undefined });
      this.#started(entry, 0);
    }
  }

  #finish(entry, event) {
    const waitMs = event.retryAfterMs;
    if (event.type === "failed" && waitMs > 0 && waitMs <= MAX_RETRY_AFTER_MS) {
      Object.assign(entry, { state: "waiting", message: event.message, fraction: undefined });
      this.#retryTimer = setTimeout(() => this.#startNext(), waitMs);
      this.#onChange(entry, { ...event, type: "busy" });
      return;
    }
    this.#end(entry, { ended: "done", failed: "failed", cancelled: "cancelled" }[event.type], event);
  }

  #end(entry, state, event) {
    Object.assign(entry, { state, fraction: undefined, message: event.message ?? "" });
    this.#onChange(entry, event);
    this.#startNext();
  }
}

/** Return whether an entry waits or is worked on. */
export function isOpen({ state }) {
  return state !== "done" && state !== "failed" && state !== "cancelled";
}
