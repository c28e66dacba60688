/** LiveRecording: sends the audio of a microphone to the server, and that of a tab or screen as a track of its own. */

import { LiveTrack } from "./live_track.js";
import { Microphone } from "./microphone.js";
import { Recording } from "./recording.js";
import { t } from "./text.js";

const EVENTS = [
  "session.created",
  "session.closed",
  "input_audio_buffer.acknowledged",
  "input_audio_buffer.speech_started",
  "input_audio_buffer.speech_stopped",
  "transcript.partial",
  "server.lag",
  "speakers.revised",
];

/**
 * state: idle, starting (waiting for the microphone), live, paused or stopping (waiting for the last finals).
 * The listener has onState(state), onEvent(event), onAudio(Int16Array) with all tracks mixed, and
 * onRecording(recording) when a new Recording begins. Events of one of two tracks have its label: `speaker` of a
 * final, `track` of the others.
 */
export class LiveRecording {
  state = "idle";
  recording = null;
  startMs = 0; // position in the recording at which the microphone was opened last
  #endMs = 0; // end of the recording
  #endedAt = 0; // time at which its last audio was received
  #microphone = null;
  #tracks = []; // of the recording that runs, LiveTrack
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
    for (const track of this.#tracks) track.commit(this.#endMs);
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
    for (const track of this.#tracks) track.end(this.#endMs);
  }

  /** Close the microphone and the connection without waiting for the last finals. */
  async abort() {
    for (const track of this.#tracks) track.close();
    await this.#microphone?.close();
    this.#microphone = null;
    this.#tracks = [];
    this.#setState("idle");
  }

  /** Reconnect now if a reconnection is scheduled. */
  connectNow() {
    for (const track of this.#tracks) track.connectNow();
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

  /** With two tracks each one is a speaker of its own, so the server need not tell speakers apart. */
  #connect({ query: { diarize, ...options }, session }) {
    const format = { format: "pcm16", sample_rate: String(this.#microphone.rate), channels: "1" };
    const query = { ...options, ...format, include_audio: "false", words: "true", events: EVENTS.join(",") };
    const labels = this.#microphone.tracks;
    if (diarize && labels.length === 1) query.diarize = diarize;
    const start = { query, session, offsetMs: this.#endMs };
    this.#tracks = labels.map((label) => new LiveTrack(this.#server, start, (event) => this.#onEvent(event, label)));
    for (const track of this.#tracks) track.connectNow();
  }

  #addAudio(audio) {
    if (this.state === "paused" || this.#tracks.length === 0) return;
    const mixed = mixOf(audio);
    const startMs = this.#endMs;
    const endMs = startMs + this.durationOf(mixed);
    this.#endMs = endMs;
    this.#endedAt = performance.now();
    this.recording.append(mixed);
    this.#listener.onAudio(mixed);
    for (const [i, track] of this.#tracks.entries()) track.add(audio[i], startMs, endMs);
    if (this.#tracks.some(({ isFull }) => isFull)) this.#onEvent({ type: "failed", message: t("bufferFull") });
  }

  /** Pass an event of a track on. Two tracks are connected, and have ended, once both are and have. */
  #onEvent(event, label = null) {
    const { type } = event;
    if (type === "connected" && !this.#tracks.every(({ isConnected }) => isConnected)) return;
    if (type === "ended" && !this.#tracks.every(({ isEnded }) => isEnded)) return;
    this.#listener.onEvent(label ? { ...event, ...ofTrack(event, label) } : event);
    if (type === "ended" || type === "failed") void this.abort();
  }

  #setState(state) {
    this.state = state;
    this.#listener.onState(state);
  }
}

/** Return what differs in an event of one of two tracks: a link would show the text of one session only. */
function ofTrack({ type }, label) {
  if (type === "connected") return { session: null };
  return type === "final" ? { speaker: label } : { track: label };
}

/** Return the sum of tracks, Int16Arrays of the same length. */
function mixOf(tracks) {
  if (tracks.length === 1) return tracks[0];
  return tracks[0].map((sample, i) => {
    let sum = 0;
    for (const track of tracks) sum += track[i];
    return Math.max(-32768, Math.min(32767, sum));
  });
}
