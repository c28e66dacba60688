/** SessionState: the client's side of a live session as a state machine. It does no I/O. */

import { shouldReconnect } from "./reconnect.js";
import { t } from "./text.js";

const FINAL = "response.audio_transcript.done";
// Speech detection may be behind the received audio, and an utterance starts before it is detected.
const MAX_VAD_DELAY_MS = 13_000;
const ACKNOWLEDGEMENT_TIMEOUT_MS = 2_000; // about four times the interval of acknowledgements
const SILENCE_TIMEOUT_MS = 10_000; // without a message while an acknowledgement is overdue
// After the end of the recording the server sends nothing while it works, however long that takes. Resuming
// the session only checks the connection.
const ENDING_TIMEOUT_MS = 30_000;

/**
 * The recording may span several sessions: if the server has lost one, the next session starts at the first
 * audio that has no final yet. Positions are milliseconds of the recording; `offsetMs` is the position at
 * which this session started.
 *
 * `receive` and `closed` return events:
 *   {type: "speech_start", id, startMs}
 *   {type: "speech_end", id, endMs}
 *   {type: "partial", id, text, stable, startMs, speaker}   stable: number of characters that will not change;
 *     speaker: who probably speaks, or null
 *   {type: "final", id, text, words, startMs, endMs, language, speaker}   speaker: label of this session, or null
 *   {type: "revised", items}                       items: {id, spans} of earlier finals that have other speakers;
 *                                                  spans: {startMs, endMs, speaker} of each word
 *   {type: "dropped", id}                          the utterance will get no final
 *   {type: "connected", resumed, recognizer, session}   the server accepts audio; session: id of a new one
 *   {type: "lag", ms}                              recognition is so far behind, for all streams
 *   {type: "disconnected", message}                reconnect after a delay; message: of the server, if any
 *   {type: "session_lost"}                         the server has no such session: reconnect at once
 *   {type: "ended"}                                all finals have been received
 *   {type: "failed", message}                      nothing more will be received
 *   {type: "warning", message}                     an error that does not end the session
 */
export class SessionState {
  #buffer;
  #resumeToken = null;
  #lastSeq = 0;
  #openUtterances = new Map(); // without a final: id to startMs
  #finalMs; // end of the last final
  #acknowledgedMs;
  #isEnding = false;
  #settings;
  #lastError = null;

  /** settings: of each new session, beside those in its URL; null for none */
  constructor(buffer, offsetMs, settings = null) {
    this.#buffer = buffer;
    this.#settings = settings;
    this.offsetMs = this.#finalMs = this.#acknowledgedMs = offsetMs;
  }

  /** Query parameters that resume the session; empty for a new session. */
  get query() {
    return this.#resumeToken ? { resume: this.#resumeToken, ack: String(this.#lastSeq) } : {};
  }

  /** True after end(): the server may work for long before it sends anything. */
  get isEnding() {
    return this.#isEnding;
  }

  /** How long the server may be silent now before the connection counts as dead, in ms. */
  get silenceTimeoutMs() {
    if (this.#buffer.unacknowledgedMs > ACKNOWLEDGEMENT_TIMEOUT_MS) return SILENCE_TIMEOUT_MS;
    return this.#isEnding && this.#resumeToken ? ENDING_TIMEOUT_MS : Infinity;
  }

  /** The message that comes before the audio of a new session, or null. */
  get greeting() {
    return this.#settings && JSON.stringify({ type: "session.update", session: this.#settings });
  }

  /** Queue the end of the recording. */
  end(ms) {
    this.#isEnding = true;
    this.#addCommand("end_of_stream", ms);
  }

  /** Queue a commit: it ends the open utterance, so that its final is sent now. */
  commit(ms) {
    this.#addCommand("input_audio_buffer.commit", ms);
  }

  /** Return the events of a message from the server. */
  receive(message) {
    if (message.type === "session.resumed") return this.#resumed(message);
    if (message.seq > 0 && message.seq <= this.#lastSeq) return [];
    this.#lastSeq = Math.max(this.#lastSeq, message.seq ?? 0);
    const events = this.#handle(message);
    this.#buffer.dropBefore(this.#transcribedMs);
    return events;
  }

  /** Return the events of a closed WebSocket. */
  closed(code, reason) {
    const error = this.#lastError;
    this.#lastError = null;
    if (code === 1000) {
      return this.#isEnding
        ? [{ type: "ended" }]
        : [{ type: "failed", message: t("serverEnded") }];
    }
    if (error?.code === "resume_unknown") return [...this.#startNewSession(), { type: "session_lost" }];
    if (shouldReconnect(code, reason)) {
      const dropped = this.#resumeToken ? [] : this.#startNewSession();
      return [...dropped, { type: "disconnected", message: error?.message }];
    }
    return [{ type: "failed", message: error?.message ?? t("serverClosed", { code, reason }) }];
  }

  /** All audio before this position has a final or contains no speech. */
  get #transcribedMs() {
    const noSpeechMs = Math.max(this.#finalMs, this.#acknowledgedMs - MAX_VAD_DELAY_MS);
    return Math.min(noSpeechMs, ...this.#openUtterances.values());
  }

  #addCommand(type, ms) {
    this.#buffer.add({ text: JSON.stringify({ type }), startMs: ms, endMs: ms });
  }

  #handle(message) {
    switch (message.type) {
      case "session.created":
        this.#resumeToken = message.resume_token;
        this.#buffer.rewind(this.offsetMs);
        return [
          { type: "connected", resumed: false, recognizer: message.recognizer, session: message.session_id },
        ];
      case "input_audio_buffer.acknowledged":
        this.#acknowledge(this.#toRecordingMs(message.received_ms));
        return [];
      case "input_audio_buffer.speech_started":
        return [this.#speechStart(message)];
      case "input_audio_buffer.speech_stopped":
        return [
          { type: "speech_end", id: message.item_id, endMs: this.#toRecordingMs(message.audio_end_ms) },
        ];
      case "transcript.partial":
        return [this.#partial(message)];
      case "server.lag":
        return [{ type: "lag", ms: message.lag_ms }];
      case FINAL:
        this.#closeUtterance(message);
        return [this.#final(message)];
      case "speakers.revised":
        return [{ type: "revised", items: message.items.map((item) => this.#revised(item)) }];
      case "error":
        return this.#error(message);
      default:
        return [];
    }
  }

  #speechStart({ item_id: id, audio_start_ms: sessionMs }) {
    const startMs = this.#toRecordingMs(sessionMs);
    this.#openUtterances.set(id, startMs);
    return { type: "speech_start", id, startMs };
  }

  #partial({ item_id: id, text, stable_chars: stable, start_ms: startMs, speaker = null }) {
    // The protocol counts code points, a JavaScript string counts UTF-16 units.
    return {
      type: "partial",
      id,
      text,
      stable: [...text].slice(0, stable).join("").length,
      startMs: this.#toRecordingMs(startMs),
      speaker,
    };
  }

  #final(message) {
    const words = (message.words ?? []).map((word) => ({
      text: word.word,
      startMs: this.#toRecordingMs(word.start_ms),
      endMs: this.#toRecordingMs(word.end_ms),
      confidence: word.confidence,
      speaker: word.speaker ?? null,
    }));
    return {
      type: "final",
      id: message.item_id,
      text: message.transcript,
      words,
      startMs: this.#toRecordingMs(message.start_ms),
      endMs: this.#toRecordingMs(message.end_ms),
      language: message.language,
      speaker: message.speaker ?? null,
    };
  }

  #revised({ item_id: id, speaker, words }) {
    const spans = words?.map((word) => ({
      startMs: this.#toRecordingMs(word.start_ms),
      endMs: this.#toRecordingMs(word.end_ms),
      speaker: word.speaker,
    }));
    return { id, spans: spans ?? [{ startMs: 0, endMs: Number.MAX_SAFE_INTEGER, speaker }] };
  }

  #error(message) {
    if (message.item_id) {
      this.#closeUtterance(message);
      return [
        { type: "dropped", id: message.item_id },
        { type: "warning", message: message.message },
      ];
    }
    this.#lastError = message.error;
    return [];
  }

  #closeUtterance({ item_id: id, end_ms: endMs }) {
    this.#openUtterances.delete(id);
    this.#finalMs = this.#toRecordingMs(endMs);
    this.#acknowledge(this.#finalMs);
  }

  #acknowledge(ms) {
    this.#acknowledgedMs = Math.max(this.#acknowledgedMs, ms);
    this.#buffer.acknowledge(this.#acknowledgedMs);
  }

  #resumed({ received_ms: receivedMs }) {
    this.#acknowledgedMs = this.#toRecordingMs(receivedMs);
    this.#buffer.rewind(this.#acknowledgedMs);
    return [{ type: "connected", resumed: true }];
  }

  /** Reset for a new session that starts at the first audio without a final. Return the dropped utterances. */
  #startNewSession() {
    const dropped = [...this.#openUtterances.keys()].map((id) => ({ type: "dropped", id }));
    this.offsetMs =
      this.#buffer.startMs === undefined
        ? this.#acknowledgedMs
        : Math.max(this.#transcribedMs, this.#buffer.startMs);
    this.#resumeToken = null;
    this.#lastSeq = 0;
    this.#openUtterances.clear();
    this.#finalMs = this.#acknowledgedMs = this.offsetMs;
    this.#buffer.rewind(this.offsetMs);
    return dropped;
  }

  #toRecordingMs(ms) {
    return this.offsetMs + ms;
  }
}
