/** LiveRecording: sends microphone audio to live sessions. One recording may span several sessions. */

import { Connection } from "./connection.js";
import { Microphone } from "./microphone.js";
import { Recording } from "./recording.js";
import { SendBuffer } from "./send_buffer.js";
import { SessionState } from "./session_state.js";
import { t } from "./text.js";

const MAX_BUFFERED = 32 << 20; // bytes of audio that the server has not received: about six minutes at 48 kHz
const EVENTS = [
  "session.created",
  "session.closed",
  "input_audio_buffer.acknowledged",
  "input_audio_buffer.speech_started",
  "input_audio_buffer.speech_stopped",
  "transcript.partial",
  "server.lag",
];

/**
 * state: idle, starting (waiting for the microphone), live, paused or stopping (waiting for the last finals).
 * The listener has onState(state), onEvent(event), onAudio(Int16Array), and onRecording(recording) when a new
 * Recording begins.
 */
export class LiveRecording {
  state = "idle";
  recording = null;
  startMs = 0; // position in the recording at which the microphone was opened last
  #endMs = 0; // end of the recording
  #endedAt = 0; // time at which its last audio was received
  #microphone = null;
  #connection = null;
  #session = null;
  #buffer = null;
  #listener;
  #server;

  /**
   * server: urlOf(query) returns the URL of a session, protocolsOf() the subprotocols of a connection, and
   * diagnose() why a connection is refused (fetchAvailability of api.js)
   */
  constructor(server, listener) {
    this.#server = server;
    this.#listener = listener;
  }

  /** The present as a position in the recording, in ms. */
  get nowMs() {
    return this.#endMs + Math.max(0, performance.now() - this.#endedAt);
  }

  /**
   * Open the microphone and connect. options: {query, session} of RecognitionOptions. Throw MicrophoneError.
   */
  async start(device, options) {
    this.#setState("starting");
    try {
      this.#microphone = await Microphone.open(
        { ...device, rate: this.recording?.rate },
        (audio) => this.#addAudio(audio),
        () => void this.stop(),
      );
    } catch (error) {
      this.#setState("idle");
      throw error;
    }
    if (!this.recording) {
      this.recording = new Recording(this.#microphone.rate);
      this.#listener.onRecording(this.recording);
    }
    this.startMs = this.#endMs;
    this.#connect(options);
    this.#setState("live");
  }

  pause() {
    this.#setState("paused");
    this.#session.commit(this.#endMs);
    this.#connection.flush();
  }

  resume() {
    this.#setState("live");
  }

  /** Close the microphone. The last finals are still received. */
  async stop() {
    if (this.state !== "live" && this.state !== "paused") return;
    const microphone = this.#microphone;
    this.#microphone = null;
    await microphone.close();
    this.#setState("stopping");
    this.#session.end(this.#endMs);
    this.#connection.flush();
  }

  /** Close the microphone and the connection without waiting for the last finals. */
  async abort() {
    this.#connection?.close();
    await this.#microphone?.close();
    this.#microphone = null;
    this.#setState("idle");
  }

  /** Reconnect now if a reconnection is scheduled. */
  connectNow() {
    this.#connection?.connectNow();
  }

  /** Continue a Recording at its end; null: begin a new one. Call it only while idle. */
  use(recording) {
    this.recording = recording;
    this.#endMs = Math.ceil(recording?.ms ?? 0);
  }

  /** Return the duration of audio in ms. A fraction, which only the last message has, is rounded up. */
  durationOf(audio) {
    return Math.ceil((audio.length * 1000) / this.recording.rate);
  }

  #connect({ query: options, session }) {
    const format = { format: "pcm16", sample_rate: String(this.#microphone.rate), channels: "1" };
    const query = { ...options, ...format, include_audio: "false", words: "true", events: EVENTS.join(",") };
    this.#buffer = new SendBuffer(MAX_BUFFERED);
    this.#session = new SessionState(this.#buffer, this.#endMs, session);
    this.#connection = new Connection(this.#session, this.#buffer, {
      url: (resumption) => this.#server.urlOf(resumption.resume ? resumption : query),
      protocols: this.#server.protocolsOf,
      diagnose: this.#server.diagnose,
      onEvent: (event) => this.#onEvent(event),
    });
    this.#connection.connectNow();
  }

  #addAudio(audio) {
    if (this.state === "paused" || !this.#buffer) return;
    const startMs = this.#endMs;
    const endMs = startMs + this.durationOf(audio);
    this.#endMs = endMs;
    this.#endedAt = performance.now();
    this.recording.append(audio);
    this.#listener.onAudio(audio);
    this.#buffer.add({ audio, startMs, endMs });
    if (this.#buffer.isFull) this.#bufferFull();
    else this.#connection.flush();
  }

  #bufferFull() {
    this.#onEvent({
      type: "failed",
      message: t("bufferFull"),
    });
  }

  #onEvent(event) {
    this.#listener.onEvent(event);
    if (event.type === "ended" || event.type === "failed") void this.abort();
  }

  #setState(state) {
    this.state = state;
    this.#listener.onState(state);
  }
}
