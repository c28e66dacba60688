/** When to reconnect after a WebSocket was closed, and after which delay. */

// Going away, no status, abnormal closure, internal error, restart, try again later, client too slow.
const RECONNECT_CODES = new Set([1001, 1005, 1006, 1011, 1012, 1013, 4013]);

/** Return false if the server has ended the session. With code 1011 the reason decides. */
export function shouldReconnect(code, reason) {
  return RECONNECT_CODES.has(code) && reason !== "internal_error";
}

/**
 * Exponential backoff with full jitter: each delay is a random fraction of a bound that doubles, so that
 * clients which lost the same server do not reconnect together. random: returns 0 to 1
 */
export class Backoff {
  #nextMs;

  constructor(random, { firstMs = 200, maxMs = 5000 } = {}) {
    this.random = random;
    this.firstMs = firstMs;
    this.maxMs = maxMs;
    this.reset();
  }

  reset() {
    this.#nextMs = this.firstMs;
  }

  /** Return the delay before the next attempt, in ms. */
  next() {
    const boundMs = this.#nextMs;
    this.#nextMs = Math.min(2 * boundMs, this.maxMs);
    return boundMs * this.random();
  }
}
