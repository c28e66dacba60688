/** Backlog: what is to be sent, and what was sent and may be needed again, in the order of the recording. */

/**
 * Items are packets of sound, `{sound: Int16Array, startMs, endMs}`, and commands, `{text, startMs, endMs}`
 * with both places the same. Places are milliseconds of the recording.
 *
 * It holds at most `capacity` bytes of sound. When it is full, sound that the server has acknowledged goes
 * first: it would be needed only if the server forgot the session. Sound that has not arrived is never
 * dropped: `isFull` says that no more can be held, and the recording has to end.
 */
export class Backlog {
  #items = [];
  #sent = 0; // of the items, how many were sent
  #arrivedMs = 0;

  constructor(capacity) {
    this.capacity = capacity;
    this.size = 0;
  }

  get isFull() {
    return this.size >= this.capacity;
  }

  get hasUnsent() {
    return this.#sent < this.#items.length;
  }

  /** Milliseconds of sound that were sent and not acknowledged. */
  get unansweredMs() {
    return Math.max(0, (this.#items[this.#sent - 1]?.endMs ?? 0) - this.#arrivedMs);
  }

  /** Where what is held begins; undefined where nothing is. */
  get startMs() {
    return this.#items[0]?.startMs;
  }

  add(item) {
    this.#items.push(item);
    this.size += sizeOf(item);
    this.#makeRoom();
  }

  /** What to send now, or undefined; from here on it counts as sent. */
  next() {
    const item = this.#items[this.#sent];
    if (item) this.#sent += 1;
    return item;
  }

  /** The server has all sound up to there. */
  arrived(ms) {
    this.#arrivedMs = Math.max(this.#arrivedMs, ms);
    this.#makeRoom();
  }

  /** Nothing before that place will be needed any more, whatever happens. */
  settle(ms) {
    let count = 0;
    while (count < this.#sent && this.#items[count].endMs <= ms) count += 1;
    this.#forget(count);
  }

  /** All behind that place is to be sent again: commands that stand there too, as they may have been lost. */
  rewind(ms) {
    this.#arrivedMs = ms;
    this.#sent = this.#items.findIndex((item) => (item.sound ? item.endMs > ms : item.startMs >= ms));
    if (this.#sent < 0) this.#sent = this.#items.length;
    const first = this.#items[this.#sent];
    if (first?.sound && first.startMs < ms) {
      this.#items.splice(this.#sent, 1, ...halves(first, ms));
      this.#sent += 1;
    }
  }

  #makeRoom() {
    let count = 0;
    let size = this.size;
    while (size > this.capacity && count < this.#sent && this.#items[count].endMs <= this.#arrivedMs) {
      size -= sizeOf(this.#items[count]);
      count += 1;
    }
    this.#forget(count);
  }

  #forget(count) {
    for (const item of this.#items.splice(0, count)) this.size -= sizeOf(item);
    this.#sent -= count;
  }
}

function sizeOf(item) {
  return item.sound?.byteLength ?? 0;
}

function halves({ sound, startMs, endMs }, ms) {
  const cut = Math.ceil((sound.length * (ms - startMs)) / (endMs - startMs));
  return [
    { sound: sound.subarray(0, cut), startMs, endMs: ms },
    { sound: sound.subarray(cut), startMs: ms, endMs },
  ];
}
