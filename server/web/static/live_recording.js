/**
 * Talk: from the microphone to the line, and what comes back; one recording, however many sessions it
 * takes.
 */

import { Backlog } from "./send_buffer.js";
import { Line } from "./connection.js";
import { Microphone } from "./microphone.js";
import { Recording } from "./recording.js";
import { Session } from "./session_state.js";

const MOST_WAITING = 32 << 20; // bytes of sound that the server does not have: about six minutes at 48 kHz
const EVENTS = [
  "session.created",
  "session.closed",
  "input_audio_buffer.acknowledged",
  "input_audio_buffer.speech_started",
  "input_audio_buffer.speech_stopped",
  "transcript.partial",
];

/**
 * state: idle, asking (for the microphone), live, paused, ending. The listener hears state(name),
 * note(note) and sound(Int16Array).
 */
export class Talk {
  state = "idle";
  recording = null;
  takeMs = 0; // where in the recording the microphone was opened last
  #positionMs = 0; // the end of the recording
  #heardAt = 0; // by the clock, when that was
  #microphone = null;
  #line = null;
  #session = null;
  #backlog = null;
  #listener;
  #addressOf;
  #protocolsOf;

  /** addressOf(query): of a session; protocolsOf(): to offer, asked at each attempt */
  constructor(addressOf, protocolsOf, listener) {
    this.#addressOf = addressOf;
    this.#protocolsOf = protocolsOf;
    this.#listener = listener;
  }

  /** choices: of the session: language, model. Raises MicrophoneError. */
  async start(device, choices) {
    this.#become("asking");
    try {
      this.#microphone = await Microphone.open(
        { ...device, rate: this.recording?.rate },
        (sound) => this.#hear(sound),
        () => void this.stop(),
      );
    } catch (error) {
      this.#become("idle");
      throw error;
    }
    this.recording ??= new Recording(this.#microphone.rate);
    this.takeMs = this.#positionMs;
    this.#dial(choices);
    this.#become("live");
  }

  pause() {
    this.#become("paused");
    this.#session.commit(this.#positionMs);
    this.#line.carry();
  }

  goOn() {
    this.#become("live");
  }

  /** The last words still come. */
  async stop() {
    if (this.state !== "live" && this.state !== "paused") return;
    const microphone = this.#microphone;
    this.#microphone = null;
    await microphone.close();
    this.#become("ending");
    this.#session.end(this.#positionMs);
    this.#line.carry();
  }

  /** Does not wait for the last words. */
  async leave() {
    this.#line?.hangUp();
    await this.#microphone?.close();
    this.#microphone = null;
    this.#become("idle");
  }

  /** Tries the line at once, where it waits. */
  dialNow() {
    this.#line?.dialNow();
  }

  /** Forgets the recording: the next one begins at 0. Only while idle. */
  forget() {
    this.recording = null;
    this.#positionMs = 0;
  }

  /** How long ago a place of the recording was heard, in ms. */
  ageOf(ms) {
    return Math.max(0, performance.now() - this.#heardAt + this.#positionMs - ms);
  }

  /** How long a piece of sound is; the last one may end within a millisecond, which counts as a whole one. */
  msOf(sound) {
    return Math.ceil((sound.length * 1000) / this.recording.rate);
  }

  #dial(choices) {
    const sound = { format: "pcm16", sample_rate: String(this.#microphone.rate), channels: "1" };
    const asked = { ...choices, ...sound, include_audio: "false", words: "true", events: EVENTS.join(",") };
    this.#backlog = new Backlog(MOST_WAITING);
    this.#session = new Session(this.#backlog, this.#positionMs);
    this.#line = new Line(this.#session, this.#backlog, {
      url: (query) => this.#addressOf(query.resume ? query : asked),
      protocols: this.#protocolsOf,
      onNote: (note) => this.#note(note),
    });
    this.#line.dialNow();
  }

  #hear(sound) {
    if (this.state === "paused" || !this.#backlog) return;
    const startMs = this.#positionMs;
    const endMs = startMs + this.msOf(sound);
    this.#positionMs = endMs;
    this.#heardAt = performance.now();
    this.recording.append(sound);
    this.#listener.sound(sound);
    this.#backlog.add({ sound, startMs, endMs });
    if (this.#backlog.isFull) this.#giveUp();
    else this.#line.carry();
  }

  #giveUp() {
    this.#note({
      note: "failed",
      message: "The server has been away for too long: no more can be kept for it.",
    });
  }

  #note(note) {
    this.#listener.note(note);
    if (note.note === "ended" || note.note === "failed") void this.leave();
  }

  #become(state) {
    this.state = state;
    this.#listener.state(state);
  }
}
