/** Recording: what the microphone heard, kept in this tab so that it can be heard again. */

import { wavHeader } from "./wav_encoder.js";

const MOST_BYTES = 512 << 20; // 93 minutes at 48 kHz; what comes after it cannot be heard again
const PIECE_BYTES = 1 << 20; // larger pieces become blobs, which a browser may put on disk

/** Sound is 16 bits, mono, at one rate for the recording's whole life: its bytes are its time. */
export class Recording {
  #pieces = [];
  #fresh = [];
  #freshBytes = 0;

  /** rate: Hz */
  constructor(rate) {
    this.rate = rate;
    this.bytes = 0;
  }

  get ms() {
    return (this.bytes / 2 / this.rate) * 1000;
  }

  /** sound: Int16Array */
  append(sound) {
    if (this.bytes >= MOST_BYTES) return;
    this.bytes += sound.byteLength;
    this.#fresh.push(sound);
    this.#freshBytes += sound.byteLength;
    if (this.#freshBytes >= PIECE_BYTES) this.#fold();
  }

  /** All of it. */
  wav() {
    this.#fold();
    return new Blob([wavHeader(this.bytes, this.rate), ...this.#pieces], { type: "audio/wav" });
  }

  #fold() {
    this.#pieces.push(new Blob(this.#fresh));
    this.#fresh = [];
    this.#freshBytes = 0;
  }
}
