/** SendBuffer: audio and commands that are unsent, or were sent and may have to be sent again. */

/**
 * Items are audio packets, `{audio: Int16Array, startMs, endMs}`, and commands, `{text, startMs, endMs}`
 * with startMs equal to endMs, in the order of the recording. Positions are milliseconds of the recording.
 *
 * The buffer holds at most `capacity` bytes of audio. When it is full, acknowledged audio is dropped first:
 * it is needed only if the server loses the session. Audio that is not acknowledged is never dropped: when
 * `isFull` is true, no more fits and the recording has to stop.
 */
export class SendBuffer {
  #items = [];
  #sent = 0; // number of items that were sent
  #acknowledgedMs = 0;

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

  /** Milliseconds of audio that were sent and are not acknowledged. */
  get unacknowledgedMs() {
    return Math.max(0, (this.#items[this.#sent - 1]?.endMs ?? 0) - this.#acknowledgedMs);
  }

  /** Position of the first item, or undefined if the buffer is empty. */
  get startMs() {
    return this.#items[0]?.startMs;
  }

  add(item) {
    this.#items.push(item);
    this.size += sizeOf(item);
    this.#evictAcknowledged();
  }

  /** Return the next item to send, or undefined, and count it as sent. */
  next() {
    const item = this.#items[this.#sent];
    if (item) this.#sent += 1;
    return item;
  }

  /** Note that the server has received all audio up to a position. */
  acknowledge(ms) {
    this.#acknowledgedMs = Math.max(this.#acknowledgedMs, ms);
    this.#evictAcknowledged();
  }

  /** Drop what was sent and ends at or before a position. It is not needed again in any case. */
  dropBefore(ms) {
    let count = 0;
    while (count < this.#sent && this.#items[count].endMs <= ms) count += 1;
    this.#drop(count);
  }

  /** Send everything after a position again, with the commands at that position: they may have been lost. */
  rewind(ms) {
    this.#acknowledgedMs = ms;
    this.#sent = this.#items.findIndex((item) => (item.audio ? item.endMs > ms : item.startMs >= ms));
    if (this.#sent < 0) this.#sent = this.#items.length;
    const first = this.#items[this.#sent];
    if (first?.audio && first.startMs < ms) {
      this.#items.splice(this.#sent, 1, ...splitAt(first, ms));
      this.#sent += 1;
    }
  }

  #evictAcknowledged() {
    let count = 0;
    let size = this.size;
    while (size > this.capacity && count < this.#sent && this.#items[count].endMs <= this.#acknowledgedMs) {
      size -= sizeOf(this.#items[count]);
      count += 1;
    }
    this.#drop(count);
  }

  #drop(count) {
    for (const item of this.#items.splice(0, count)) this.size -= sizeOf(item);
    this.#sent -= count;
  }
}

function sizeOf(item) {
  return item.audio?.byteLength ?? 0;
}

function splitAt({ audio, startMs, endMs }, ms) {
  const index = Math.ceil((audio.length * (ms - startMs)) / (endMs - startMs));
  return [
    { audio: audio.subarray(0, index), startMs, endMs: ms },
    { audio: audio.subarray(index), startMs: ms, endMs },
  ];
}
