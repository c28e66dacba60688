/** LevelMeter: peak levels of the last seconds of audio, and the spans in which speech was detected. */

export const STEP_MS = 40;
const MAX_STEPS = 400; // 16 s; older peaks are overwritten
const MAX_SPANS = 64;

export class LevelMeter {
  #peaks = new Float32Array(MAX_STEPS); // ring buffer
  #count = 0; // steps since the start
  #spans = []; // {id, startMs, endMs}; endMs is Infinity while speech continues

  get endMs() {
    return this.#count * STEP_MS;
  }

  /** audio: Int16Array of one step */
  add(audio) {
    let peak = 0;
    for (const sample of audio) peak = Math.max(peak, Math.abs(sample));
    this.#peaks[this.#count % MAX_STEPS] = peak / 32768;
    this.#count += 1;
  }

  /** Peak of the latest step, 0 to 1. */
  get latest() {
    return this.#count ? this.#peaks[(this.#count - 1) % MAX_STEPS] : 0;
  }

  /** Return the peak of a step by its index, or 0 if it is overwritten or in the future. */
  peakAt(step) {
    return step >= 0 && step < this.#count && step >= this.#count - MAX_STEPS
      ? this.#peaks[step % MAX_STEPS]
      : 0;
  }

  startSpeech(id, startMs) {
    this.#spans.push({ id, startMs, endMs: Infinity });
    if (this.#spans.length > MAX_SPANS) this.#spans.shift();
  }

  endSpeech(id, endMs) {
    const span = this.#spans.find((each) => each.id === id);
    if (span) span.endMs = endMs;
  }

  /** Remove the span of an utterance that was dropped: it would never end. */
  removeSpeech(id) {
    this.#spans = this.#spans.filter((span) => span.id !== id);
  }

  isSpeech(ms) {
    return this.#spans.some(({ startMs, endMs }) => ms >= startMs && ms < endMs);
  }
}

/** Return the height of a bar, 0 to 1, on a logarithmic scale: the full height is 40 dB. */
export function barHeight(peak) {
  return Math.max(0, 1 + Math.log10(Math.max(peak, 1e-6)) / 2);
}
