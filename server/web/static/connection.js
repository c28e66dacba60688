/** Connection: carries a live session over WebSockets, and reconnects. SessionState makes the decisions. */

import { Backoff } from "./reconnect.js";

const MAX_BUFFERED = 1 << 18; // bytes in the WebSocket's own buffer; the rest waits in the SendBuffer
const RETRY_SEND_MS = 50; // wait this long when the WebSocket's buffer is full
const WATCHDOG_MS = 2_500; // between checks whether the server still answers
const MAX_RETRY_AFTER_MS = 60_000;
const RETRY_JITTER = 0.2; // added to the time that the server asks for, so that clients do not come together

/**
 * Options: url(query) returns the URL to connect to, protocols() the subprotocols to offer, diagnose() why a
 * connection is refused, {status, lagMs, retryAfterMs, message}; onEvent(event) is called with the events of
 * the SessionState, {type: "connecting"}, and {type: "refused", status, lagMs, message, delayMs} if an
 * attempt failed: the next one follows after delayMs.
 *
 * A "disconnected" event has `quiet: true` if the connection is only being checked.
 */
export class Connection {
  #session;
  #buffer;
  #options;
  #onEvent;
  #socket = null;
  #isConnected = false;
  #isClosed = false;
  #isChecking = false; // the server was silent for long; the session is resumed to see whether it is there
  #attempt = 0; // since the last connection
  #backoff = new Backoff(Math.random);
  #reconnectTimer = null;
  #sendTimer = null;
  #watchdogTimer = null;
  #receivedAt = 0; // time of the last message

  constructor(session, buffer, { url, protocols, diagnose, onEvent }) {
    this.#session = session;
    this.#buffer = buffer;
    this.#options = { url, protocols, diagnose };
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
    this.#onEvent({ type: "connecting" });
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
      this.#onEvent(this.#isChecking && event.type === "disconnected" ? { ...event, quiet: true } : event);
    }
  }

  #apply({ type, message, resumed }) {
    if (type === "connected") {
      if (!resumed && this.#session.greeting) this.#socket.send(this.#session.greeting);
      this.#isConnected = true;
      this.#isChecking = false;
      this.#attempt = 0;
      this.#backoff.reset();
    } else if (type === "disconnected") {
      void this.#reconnectLater(message);
    } else if (type === "session_lost") {
      this.#reconnectTimer = setTimeout(() => this.#connect(), 0);
    } else if (type === "ended" || type === "failed") {
      this.close();
    }
  }

  /** Reconnect after a delay. If an attempt was refused, ask the server why, and when to try again. */
  async #reconnectLater(message) {
    let delayMs = this.#backoff.next();
    if (this.#attempt > 0) {
      const refusal = await this.#options.diagnose();
      if (this.#isClosed || this.#socket) return;
      this.#isChecking = false;
      const askedMs = Math.min(refusal.retryAfterMs, MAX_RETRY_AFTER_MS);
      delayMs = Math.max(delayMs, askedMs * (1 + RETRY_JITTER * Math.random()));
      this.#onEvent({ type: "refused", ...refusal, message: refusal.message || message || "", delayMs });
    }
    this.#reconnectTimer = setTimeout(() => this.#connect(), delayMs);
  }

  /** Detect a dead connection: a network may fail without closing it. Code 1006 allows to resume. */
  #startWatchdog() {
    if (this.#watchdogTimer) return;
    this.#receivedAt = performance.now();
    const check = () => {
      if (performance.now() - this.#receivedAt > this.#session.silenceTimeoutMs) {
        this.#isChecking = this.#session.isEnding;
        const dead = this.#socket;
        dead.close();
        this.#disconnected(dead, 1006, "");
      } else {
        this.#watchdogTimer = setTimeout(check, WATCHDOG_MS);
      }
    };
    this.#watchdogTimer = setTimeout(check, WATCHDOG_MS);
  }
}
