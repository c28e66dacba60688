/** Comeback: when it is worth coming back after a cut, and how soon. */

// Going away, no status, broken, failed, stopping, too full, events left unread.
const WORTH = new Set([1001, 1005, 1006, 1011, 1012, 1013, 4013]);

/** False where the server has ended the session; of 1011 the reason says whether it has. */
export function isWorthComingBack(code, reason) {
  return WORTH.has(code) && reason !== "internal_error";
}

/**
 * Pauses between attempts in ms: random parts of a pause that doubles, so that pages which a server lost
 * together do not come back together ("full jitter"). random: 0 to 1
 */
export class Pauses {
  #next;

  constructor(random, { firstMs = 200, longestMs = 5000 } = {}) {
    this.random = random;
    this.firstMs = firstMs;
    this.longestMs = longestMs;
    this.reset();
  }

  reset() {
    this.#next = this.firstMs;
  }

  next() {
    const pause = this.#next;
    this.#next = Math.min(2 * pause, this.longestMs);
    return pause * this.random();
  }
}
