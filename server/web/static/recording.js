/** Recording: the audio of the microphone, kept in this tab for playback. */

import { wavHeader } from "./wav_encoder.js";

const MAX_BYTES = 512 << 20; // 93 minutes at 48 kHz; audio after that cannot be played back
const BLOB_BYTES = 1 << 20; // audio is moved to blobs of this size, which a browser may store on disk

/** Audio is 16 bits, mono, at one sample rate, so its size gives its duration. */
export class Recording {
  onBlob = () => {}; // called with each blob of audio as it is complete
  #blobs;
  #pending = [];
  #pendingBytes = 0;

  /** rate: sample rate in Hz; blobs: audio that was recorded before */
  constructor(rate, blobs = []) {
    this.rate = rate;
    this.#blobs = blobs;
    this.bytes = blobs.reduce((sum, { size }) => sum + size, 0);
  }

  get ms() {
    return (this.bytes / 2 / this.rate) * 1000;
  }

  /** audio: Int16Array */
  append(audio) {
    if (this.bytes >= MAX_BYTES) return;
    this.bytes += audio.byteLength;
    this.#pending.push(audio);
    this.#pendingBytes += audio.byteLength;
    if (this.#pendingBytes >= BLOB_BYTES) this.#flush();
  }

  /** Return the whole recording as a wav file. */
  toWav() {
    this.#flush();
    return new Blob([wavHeader(this.bytes, this.rate), ...this.#blobs], { type: "audio/wav" });
  }

  #flush() {
    if (this.#pendingBytes === 0) return;
    this.#blobs.push(new Blob(this.#pending));
    this.onBlob(this.#blobs.at(-1));
    this.#pending = [];
    this.#pendingBytes = 0;
  }
}
