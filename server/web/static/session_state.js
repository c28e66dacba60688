/** Session: what is known of the live session, and what follows from each message and each close. No I/O. */

import { isWorthComingBack } from "./reconnect.js";

const FINAL = "response.audio_transcript.done";
// Sound that has arrived may wait to be judged, and an utterance begins before it is noticed.
const UNJUDGED_MS = 13_000;
const ACKNOWLEDGED_MS = 2_000; // after which the server has acknowledged sound, about four times over

/**
 * The recording outlives sessions: where the server has forgotten one, the next goes on from the first
 * sound whose words have not come yet. Places are milliseconds of the recording; `offsetMs` is where this
 * session began in it.
 *
 * `receive` and `closed` return notes for whoever shows them:
 *   {note: "speech", id, startMs}              an utterance has begun
 *   {note: "silence", id, endMs}               it is over
 *   {note: "partial", id, text, stable, startMs}   stable: characters that will not change
 *   {note: "final", id, text, words, startMs, endMs, language}
 *   {note: "dropped", id}                      it will get no final
 *   {note: "live", resumed, recognizer}        the server listens
 *   {note: "cut"}                              the line is cut: dial again
 *   {note: "forgotten"}                        the server has forgotten the session: dial again
 *   {note: "ended"}                            all words have come
 *   {note: "failed", message}                  nothing more will come
 *   {note: "trouble", message}                 an error after which it goes on
 */
export class Session {
  #backlog;
  #token = null;
  #seen = 0; // the number of the newest message
  #open = new Map(); // utterances that wait for their final: id to startMs
  #toldMs; // the end of the last final
  #arrivedMs;
  #ending = false;
  #complaint = null; // the error that the server told of last

  constructor(backlog, offsetMs) {
    this.#backlog = backlog;
    this.offsetMs = this.#toldMs = this.#arrivedMs = offsetMs;
  }

  /** Parameters of the URL that goes on with the session, or begins one. */
  get query() {
    return this.#token ? { resume: this.#token, ack: String(this.#seen) } : {};
  }

  /** Sound went out, and its arrival should have been acknowledged long ago. */
  get isUnanswered() {
    return this.#backlog.unansweredMs > ACKNOWLEDGED_MS || this.#ending;
  }

  /** The end of the recording. */
  end(ms) {
    this.#ending = true;
    this.#backlog.add({ text: JSON.stringify({ type: "end_of_stream" }), startMs: ms, endMs: ms });
  }

  /** Ends the open utterance, so that its words come now. */
  commit(ms) {
    this.#backlog.add({
      text: JSON.stringify({ type: "input_audio_buffer.commit" }),
      startMs: ms,
      endMs: ms,
    });
  }

  receive(message) {
    if (message.type === "session.resumed") return this.#resumed(message);
    if (message.seq > 0 && message.seq <= this.#seen) return [];
    this.#seen = Math.max(this.#seen, message.seq ?? 0);
    const notes = this.#understand(message);
    this.#backlog.settle(this.#settledMs);
    return notes;
  }

  closed(code, reason) {
    const complaint = this.#complaint;
    this.#complaint = null;
    if (code === 1000) {
      return this.#ending
        ? [{ note: "ended" }]
        : [{ note: "failed", message: "The server ended the session." }];
    }
    if (complaint?.code === "resume_unknown") return this.#beginAnew("forgotten");
    if (isWorthComingBack(code, reason)) return this.#token ? [{ note: "cut" }] : this.#beginAnew("cut");
    return [
      { note: "failed", message: complaint?.message ?? `The server closed the line (${code} ${reason}).` },
    ];
  }

  /** All before it has been told, or was no speech. */
  get #settledMs() {
    const silentMs = Math.max(this.#toldMs, this.#arrivedMs - UNJUDGED_MS);
    return Math.min(silentMs, ...this.#open.values());
  }

  #understand(message) {
    switch (message.type) {
      case "session.created":
        this.#token = message.resume_token;
        this.#backlog.rewind(this.offsetMs);
        return [{ note: "live", resumed: false, recognizer: message.recognizer }];
      case "input_audio_buffer.acknowledged":
        this.#arrive(this.#place(message.received_ms));
        return [];
      case "input_audio_buffer.speech_started":
        this.#open.set(message.item_id, this.#place(message.audio_start_ms));
        return [{ note: "speech", id: message.item_id, startMs: this.#place(message.audio_start_ms) }];
      case "input_audio_buffer.speech_stopped":
        return [{ note: "silence", id: message.item_id, endMs: this.#place(message.audio_end_ms) }];
      case "transcript.partial":
        return [this.#partial(message)];
      case FINAL:
        this.#told(message);
        return [this.#final(message)];
      case "error":
        return this.#error(message);
      default:
        return [];
    }
  }

  #partial({ item_id: id, text, stable_chars: stable, start_ms: startMs }) {
    // The protocol counts code points, a string UTF-16 units.
    return {
      note: "partial",
      id,
      text,
      stable: [...text].slice(0, stable).join("").length,
      startMs: this.#place(startMs),
    };
  }

  #final(message) {
    const words = (message.words ?? []).map((word) => ({
      text: word.word,
      startMs: this.#place(word.start_ms),
      endMs: this.#place(word.end_ms),
      confidence: word.confidence,
    }));
    return {
      note: "final",
      id: message.item_id,
      text: message.transcript,
      words,
      startMs: this.#place(message.start_ms),
      endMs: this.#place(message.end_ms),
      language: message.language,
    };
  }

  #error(message) {
    if (message.item_id) {
      this.#told(message);
      return [
        { note: "dropped", id: message.item_id },
        { note: "trouble", message: message.message },
      ];
    }
    this.#complaint = message.error;
    return [];
  }

  #told({ item_id: id, end_ms: endMs }) {
    this.#open.delete(id);
    this.#toldMs = this.#place(endMs);
    this.#arrive(this.#toldMs);
  }

  #arrive(ms) {
    this.#arrivedMs = Math.max(this.#arrivedMs, ms);
    this.#backlog.arrived(this.#arrivedMs);
  }

  #resumed({ received_ms: receivedMs }) {
    this.#arrivedMs = this.#place(receivedMs);
    this.#backlog.rewind(this.#arrivedMs);
    return [{ note: "live", resumed: true }];
  }

  /** The next session begins with the first sound whose words have not come. */
  #beginAnew(note) {
    const dropped = [...this.#open.keys()].map((id) => ({ note: "dropped", id }));
    this.offsetMs =
      this.#backlog.startMs === undefined
        ? this.#arrivedMs
        : Math.max(this.#settledMs, this.#backlog.startMs);
    this.#token = null;
    this.#seen = 0;
    this.#open.clear();
    this.#toldMs = this.#arrivedMs = this.offsetMs;
    this.#backlog.rewind(this.offsetMs);
    return [...dropped, { note }];
  }

  #place(ms) {
    return this.offsetMs + ms;
  }
}
