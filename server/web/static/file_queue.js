/** FileQueue: files and URLs that wait for their transcription. One is worked on at a time. */

export const MAX_ENTRIES = 100; // waiting, running and finished ones that were not removed
const MAX_RETRY_AFTER_MS = 600_000; // a server that asks for more is not waited for
const MIN_ESTIMATE_MS = 3000; // of work before the remaining time is estimated

/**
 * An entry is {id, name, source, state, fraction, doneMs, message, transcript}. source: {file} or {url}, with
 * {startMs, endMs} of what is transcribed, and `isPart`. state: waiting, uploading, transcribing, done, failed or
 * cancelled. fraction: 0 to 1, or undefined; doneMs: position up to which there is text.
 *
 * The queue does no I/O: transcribe(entry, onEvent) starts the work and returns {cancel()}. Its events are those
 * of FileUpload. onChange(entry, event) is called after each event and change of state.
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
    return workedMs < MIN_ESTIMATE_MS ? undefined : (workedMs * (1 - entry.fraction)) / entry.fraction;
  }

  #startNext() {
    if (this.#work) return;
    const entry = this.entries.find(({ state }) => state === "waiting");
    if (!entry) return;
    clearTimeout(this.#retryTimer);
    Object.assign(entry, { state: "uploading", startedAt: undefined, fraction: entry.source.file ? 0 : undefined, message: "" });
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
      entry.startedAt ??= performance.now();
      entry.fraction = endMs > startMs ? Math.min(1, (event.endMs - startMs) / (endMs - startMs)) : undefined;
      this.#onChange(entry, event);
    } else {
      this.#work = null;
      this.#finish(entry, event);
    }
  }

  #uploaded(entry, fraction) {
    if (entry.source.url || entry.state !== "uploading") return;
    entry.fraction = fraction;
    if (fraction === 1)
      Object.assign(entry, { state: "transcribing", fraction: undefined, startedAt: performance.now() });
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
  return state === "waiting" || state === "uploading" || state === "transcribing";
}
