/** AudioFile: the decoded samples of a file, for its waveform and for cutting a part out of it. */

import { LongWav } from "./long_wav.js";
import { pcm16, wavHeader } from "./wav_encoder.js";

export const RATE = 16_000; // Hz. Recognizers use this rate; a higher one would only use more memory.
export const MAX_SECONDS = 3600; // 230 MB of samples per channel
const MAX_BYTES = 64 << 20; // of a file whose duration is unknown
const PEAK_STRIDE = 4; // peaks() looks at one of so many samples

export class AudioFile {
  #buffer;

  /**
   * Decode a file. seconds: its duration. Return undefined if it is too long or if the browser does not
   * support the format. A wav file may have any length: it is not decoded.
   */
  static async decode(file, seconds) {
    if (seconds > MAX_SECONDS) return LongWav.open(file);
    if (!(seconds <= MAX_SECONDS || (seconds === Infinity && file.size <= MAX_BYTES))) return undefined;
    const audio = new AudioFile();
    try {
      audio.#buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
    } catch (error) {
      if (error.name !== "EncodingError" && error.name !== "NotReadableError") throw error;
      return undefined;
    }
    return audio;
  }

  get seconds() {
    return this.#buffer.duration;
  }

  /** Return the peak of each of `count` equal parts of the first channel, 0 to 1. */
  peaks(count) {
    const samples = this.#buffer.getChannelData(0);
    const size = samples.length / count;
    return Float32Array.from({ length: count }, (_, i) => {
      let peak = 0;
      for (let at = Math.floor(i * size); at < (i + 1) * size; at += PEAK_STRIDE)
        peak = Math.max(peak, Math.abs(samples[at]));
      return peak;
    });
  }

  /** Return the part between two times as a wav file, mixed to mono. */
  toWav(startMs, endMs) {
    const [from, to] = [startMs, endMs].map((ms) => Math.round((ms * RATE) / 1000));
    const mono = new Float32Array(Math.min(to, this.#buffer.length) - from);
    const channels = this.#buffer.numberOfChannels;
    for (let channel = 0; channel < channels; channel += 1) {
      const samples = this.#buffer.getChannelData(channel).subarray(from, from + mono.length);
      for (let i = 0; i < mono.length; i += 1) mono[i] += samples[i] / channels;
    }
    const pcm = pcm16(mono);
    return new File([wavHeader(pcm.byteLength, RATE), pcm], "part.wav", { type: "audio/wav" });
  }
}
