/** Levels: how loud the last seconds were, and where speech was noticed in them. */

export const STEP_MS = 40;
const KEPT = 400; // steps: 16 s; older ones are forgotten
const SPANS = 64;

export class Levels {
  #peaks = new Float32Array(KEPT);
  #count = 0; // steps since the beginning
  #spans = []; // {id, startMs, endMs}, endMs Infinity while it goes on

  get endMs() {
    return this.#count * STEP_MS;
  }

  /** sound: Int16Array of one step */
  add(sound) {
    let peak = 0;
    for (const sample of sound) peak = Math.max(peak, Math.abs(sample));
    this.#peaks[this.#count % KEPT] = peak / 32768;
    this.#count += 1;
  }

  /** 0 to 1, of the latest step. */
  get latest() {
    return this.#count ? this.#peaks[(this.#count - 1) % KEPT] : 0;
  }

  /** The peak of a step, by its number; 0 where it is forgotten or to come. */
  at(step) {
    return step >= 0 && step < this.#count && step >= this.#count - KEPT ? this.#peaks[step % KEPT] : 0;
  }

  speech(id, startMs) {
    this.#spans.push({ id, startMs, endMs: Infinity });
    if (this.#spans.length > SPANS) this.#spans.shift();
  }

  silence(id, endMs) {
    const span = this.#spans.find((each) => each.id === id);
    if (span) span.endMs = endMs;
  }

  /** It will not be ended by anybody any more. */
  drop(id) {
    this.#spans = this.#spans.filter((span) => span.id !== id);
  }

  isSpeech(ms) {
    return this.#spans.some(({ startMs, endMs }) => ms >= startMs && ms < endMs);
  }
}

/** 0 to 1 as the eye would have it: 40 dB are the whole height. */
export function height(peak) {
  return Math.max(0, 1 + Math.log10(Math.max(peak, 1e-6)) / 2);
}
