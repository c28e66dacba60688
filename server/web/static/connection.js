/** Line: carries a session over one WebSocket after another. All decisions are the session's. */

import { Pauses } from "./reconnect.js";

const MOST_UNSENT = 1 << 18; // bytes that the socket may hold; the rest waits in the backlog
const DRAIN_MS = 50; // after which a full socket is looked at again
const SILENT_MS = 10_000; // without a word of the server while sound goes out: the line is dead

/**
 * `url(query)` is where to dial, `protocols()` which subprotocols to offer; onNote hears the session's
 * notes, and {note: "dialling", attempt}.
 */
export class Line {
  #session;
  #backlog;
  #dialled;
  #onNote;
  #socket = null;
  #live = false;
  #over = false;
  #attempt = 0;
  #pauses = new Pauses(Math.random);
  #redial = null;
  #drain = null;
  #watchdog = null;
  #heardAt = 0;

  constructor(session, backlog, { url, protocols, onNote }) {
    this.#session = session;
    this.#backlog = backlog;
    this.#dialled = { url, protocols };
    this.#onNote = onNote;
    this.dialNow = this.dialNow.bind(this);
    addEventListener("online", this.dialNow);
  }

  /** Begins, or comes back without waiting any longer. */
  dialNow() {
    if (this.#over || this.#socket) return;
    clearTimeout(this.#redial);
    this.#dial();
  }

  /** Sends what is due. */
  carry() {
    clearTimeout(this.#drain);
    if (!this.#live) return;
    while (this.#backlog.hasUnsent && this.#socket.bufferedAmount < MOST_UNSENT) {
      const item = this.#backlog.next();
      this.#socket.send(item.sound ?? item.text);
    }
    if (this.#backlog.hasUnsent) this.#drain = setTimeout(() => this.carry(), DRAIN_MS);
    this.#watch();
  }

  /** Lets go of the session: nothing more will be told. */
  hangUp() {
    this.#over = true;
    removeEventListener("online", this.dialNow);
    for (const timer of [this.#redial, this.#drain, this.#watchdog]) clearTimeout(timer);
    this.#socket?.close(1000);
  }

  #dial() {
    this.#attempt += 1;
    this.#onNote({ note: "dialling", attempt: this.#attempt });
    const socket = new WebSocket(this.#dialled.url(this.#session.query), this.#dialled.protocols());
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.#leave(socket, code, reason);
    this.#socket = socket;
  }

  #hear(message) {
    this.#heardAt = performance.now();
    this.#tell(this.#session.receive(message));
    this.carry();
  }

  #leave(socket, code, reason) {
    if (this.#over || socket !== this.#socket) return;
    this.#socket = null;
    this.#live = false;
    clearTimeout(this.#watchdog);
    this.#watchdog = null;
    this.#tell(this.#session.closed(code, reason));
  }

  #tell(notes) {
    for (const note of notes) {
      this.#obey(note);
      this.#onNote(note);
    }
  }

  #obey({ note }) {
    if (note === "live") {
      this.#live = true;
      this.#attempt = 0;
      this.#pauses.reset();
    } else if (note === "cut" || note === "forgotten") {
      const pause = note === "cut" ? this.#pauses.next() : 0;
      this.#redial = setTimeout(() => this.#dial(), pause);
    } else if (note === "ended" || note === "failed") {
      this.hangUp();
    }
  }

  /** A line may die without a word. What is closed without a code may be gone on with. */
  #watch() {
    if (this.#watchdog) return;
    this.#heardAt = performance.now();
    const look = () => {
      if (performance.now() - this.#heardAt > SILENT_MS && this.#session.isUnanswered) {
        const dead = this.#socket;
        dead.close();
        this.#leave(dead, 1006, "");
      } else {
        this.#watchdog = setTimeout(look, SILENT_MS / 4);
      }
    };
    this.#watchdog = setTimeout(look, SILENT_MS / 4);
  }
}
