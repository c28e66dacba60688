/** Sound: a file that the browser can decode, as samples: to be drawn, and cut. */

import { pcm16, wavHeader } from "./wav_encoder.js";

export const RATE = 16_000; // Hz: what recognizers hear; other rates would only take memory
const MOST_SECONDS = 3600; // 230 MB of samples a channel
const MOST_BYTES = 64 << 20; // of a file that does not say how long it is
const STRIDE = 4; // of the samples, how many one is looked at for the picture

export class Sound {
  #buffer;

  /**
   * The sound of a file of `seconds`, or undefined where it is too long or the browser knows no such
   * format.
   */
  static async of(file, seconds) {
    if (!(seconds <= MOST_SECONDS || (seconds === Infinity && file.size <= MOST_BYTES))) return undefined;
    const sound = new Sound();
    try {
      sound.#buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
    } catch (error) {
      if (error.name !== "EncodingError" && error.name !== "NotReadableError") throw error;
      return undefined;
    }
    return sound;
  }

  get seconds() {
    return this.#buffer.duration;
  }

  /** The loudest sample of each of `count` parts, of the first channel. */
  peaks(count) {
    const samples = this.#buffer.getChannelData(0);
    const size = samples.length / count;
    return Float32Array.from({ length: count }, (_, i) => {
      let peak = 0;
      for (let at = Math.floor(i * size); at < (i + 1) * size; at += STRIDE)
        peak = Math.max(peak, Math.abs(samples[at]));
      return peak;
    });
  }

  /** The part between two places in ms, as a wav file, mixed to mono. */
  cut(startMs, endMs) {
    const [from, to] = [startMs, endMs].map((ms) => Math.round((ms * RATE) / 1000));
    const samples = new Float32Array(Math.min(to, this.#buffer.length) - from);
    const channels = this.#buffer.numberOfChannels;
    for (let channel = 0; channel < channels; channel += 1) {
      const heard = this.#buffer.getChannelData(channel).subarray(from, from + samples.length);
      for (let i = 0; i < samples.length; i += 1) samples[i] += heard[i] / channels;
    }
    const sound = pcm16(samples);
    return new File([wavHeader(sound.byteLength, RATE), sound], "part.wav", { type: "audio/wav" });
  }
}
