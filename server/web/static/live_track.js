/** LiveTrack: one live session of a recording, or several one after another, with the audio for it. */

import { Connection } from "./connection.js";
import { SendBuffer } from "./send_buffer.js";
import { SessionState } from "./session_state.js";

const MAX_BUFFERED = 32 << 20; // bytes of audio that the server has not received: about six minutes at 48 kHz

export class LiveTrack {
  isConnected = false;
  isEnded = false;
  #buffer = new SendBuffer(MAX_BUFFERED);
  #session;
  #connection;

  /**
   * server: of LiveRecording; query: parameters of a new session; session: its settings, or null; offsetMs: position
   * of the recording at which it begins; onEvent(event): see SessionState and Connection
   */
  constructor(server, { query, session, offsetMs }, onEvent) {
    this.#session = new SessionState(this.#buffer, offsetMs, session);
    this.#connection = new Connection(this.#session, this.#buffer, {
      url: (resumption) => server.urlOf(resumption.resume ? resumption : query),
      protocols: server.protocolsOf,
      diagnose: server.diagnose,
      onEvent: (event) => {
        this.#note(event.type);
        onEvent(event);
      },
    });
  }

  /** True if no more audio fits. */
  get isFull() {
    return this.#buffer.isFull;
  }

  /** Connect, or reconnect now if a reconnection is scheduled. */
  connectNow() {
    this.#connection.connectNow();
  }

  /** Send audio, an Int16Array, or keep it until the server can be reached. */
  add(audio, startMs, endMs) {
    this.#buffer.add({ audio, startMs, endMs });
    if (!this.isFull) this.#connection.flush();
  }

  /** End the open utterance. */
  commit(ms) {
    this.#session.commit(ms);
    this.#connection.flush();
  }

  /** End the recording. The last finals are still received. */
  end(ms) {
    this.#session.end(ms);
    this.#connection.flush();
  }

  close() {
    this.#connection.close();
  }

  #note(type) {
    if (type === "connected") this.isConnected = true;
    else if (type === "disconnected" || type === "session_lost") this.isConnected = false;
    else if (type === "ended") this.isEnded = true;
  }
}
