/** Connection: carries a live session over WebSockets, and reconnects. SessionState makes the decisions. */

import { Backoff } from "./reconnect.js";

const MAX_BUFFERED = 1 << 18; // bytes in the WebSocket's own buffer; the rest waits in the SendBuffer
const RETRY_SEND_MS = 50; // wait this long when the WebSocket's buffer is full
const SILENCE_TIMEOUT_MS = 10_000; // without a message while an acknowledgement is overdue

/**
 * Options: url(query) returns the URL to connect to, protocols() the subprotocols to offer; onEvent(event)
 * is called with the events of the SessionState and with {type: "connecting", attempt}.
 */
export class Connection {
  #session;
  #buffer;
  #options;
  #onEvent;
  #socket = null;
  #isConnected = false;
  #isClosed = false;
  #attempt = 0;
  #backoff = new Backoff(Math.random);
  #reconnectTimer = null;
  #sendTimer = null;
  #watchdogTimer = null;
  #receivedAt = 0; // time of the last message

  constructor(session, buffer, { url, protocols, onEvent }) {
    this.#session = session;
    this.#buffer = buffer;
    this.#options = { url, protocols };
    this.#onEvent = onEvent;
    this.connectNow = this.connectNow.bind(this);
    addEventListener("online", this.connectNow);
  }

  /** Connect, or reconnect without waiting any longer. */
  connectNow() {
    if (this.#isClosed || this.#socket) return;
    clearTimeout(this.#reconnectTimer);
    this.#connect();
  }

  /** Send what is in the buffer, as far as the WebSocket accepts it. */
  flush() {
    clearTimeout(this.#sendTimer);
    if (!this.#isConnected) return;
    while (this.#buffer.hasUnsent && this.#socket.bufferedAmount < MAX_BUFFERED) {
      const item = this.#buffer.next();
      this.#socket.send(item.audio ?? item.text);
    }
    if (this.#buffer.hasUnsent) this.#sendTimer = setTimeout(() => this.flush(), RETRY_SEND_MS);
    this.#startWatchdog();
  }

  /** Close the connection. No event follows. */
  close() {
    this.#isClosed = true;
    removeEventListener("online", this.connectNow);
    for (const timer of [this.#reconnectTimer, this.#sendTimer, this.#watchdogTimer]) clearTimeout(timer);
    this.#socket?.close(1000);
  }

  #connect() {
    this.#attempt += 1;
    this.#onEvent({ type: "connecting", attempt: this.#attempt });
    const socket = new WebSocket(this.#options.url(this.#session.query), this.#options.protocols());
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.#disconnected(socket, code, reason);
    this.#socket = socket;
  }

  #receive(message) {
    this.#receivedAt = performance.now();
    this.#dispatch(this.#session.receive(message));
    this.flush();
  }

  #disconnected(socket, code, reason) {
    if (this.#isClosed || socket !== this.#socket) return;
    this.#socket = null;
    this.#isConnected = false;
    clearTimeout(this.#watchdogTimer);
    this.#watchdogTimer = null;
    this.#dispatch(this.#session.closed(code, reason));
  }

  #dispatch(events) {
    for (const event of events) {
      this.#apply(event);
      this.#onEvent(event);
    }
  }

  #apply({ type }) {
    if (type === "connected") {
      this.#isConnected = true;
      this.#attempt = 0;
      this.#backoff.reset();
    } else if (type === "disconnected" || type === "session_lost") {
      const delay = type === "disconnected" ? this.#backoff.next() : 0;
      this.#reconnectTimer = setTimeout(() => this.#connect(), delay);
    } else if (type === "ended" || type === "failed") {
      this.close();
    }
  }

  /** Detect a dead connection: a network may fail without closing it. Code 1006 allows to resume. */
  #startWatchdog() {
    if (this.#watchdogTimer) return;
    this.#receivedAt = performance.now();
    const check = () => {
      if (performance.now() - this.#receivedAt > SILENCE_TIMEOUT_MS && this.#session.isReplyOverdue) {
        const dead = this.#socket;
        dead.close();
        this.#disconnected(dead, 1006, "");
      } else {
        this.#watchdogTimer = setTimeout(check, SILENCE_TIMEOUT_MS / 4);
      }
    };
    this.#watchdogTimer = setTimeout(check, SILENCE_TIMEOUT_MS / 4);
  }
}
