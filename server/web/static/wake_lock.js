/** WakeLock: keeps the screen on while a recording runs. Browsers offer it only over HTTPS and on localhost. */

export class WakeLock {
  #isWanted = false;
  #lock = null;

  constructor() {
    // The browser releases the lock while the page is hidden.
    document.addEventListener("visibilitychange", () => void this.#request());
  }

  /** Keep the screen on, or let it go off again. */
  set(isWanted) {
    this.#isWanted = isWanted;
    if (isWanted) void this.#request();
    else {
      void this.#lock?.release();
      this.#lock = null;
    }
  }

  async #request() {
    if (!this.#isWanted || document.hidden || !navigator.wakeLock) return;
    try {
      const lock = await navigator.wakeLock.request("screen");
      if (this.#isWanted) this.#lock = lock;
      else void lock.release();
    } catch (error) {
      if (error.name !== "NotAllowedError") throw error; // for example in battery saver
    }
  }
}
