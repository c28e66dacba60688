/** Audio worklet, in the audio thread: posts microphone audio, mixed to mono, as 40 ms of PCM16 each. */

const MESSAGE_MS = 40;

class Capture extends AudioWorkletProcessor {
  #samples = new Float32Array(Math.ceil(sampleRate)); // one second, far more than a message
  #count = 0; // samples that are buffered
  #first = 0; // index of the first buffered sample in the stream
  #endMs = MESSAGE_MS; // where the next message ends
  #ended = false;

  constructor() {
    super();
    this.port.onmessage = () => this.#end();
  }

  process([channels]) {
    if (this.#ended) return false;
    const frames = channels[0]?.length ?? 0;
    for (let i = 0; i < frames; i += 1) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.#samples[this.#count] = sum / channels.length;
      this.#count += 1;
    }
    // Messages end at whole milliseconds, so every position in the recording is a whole number.
    let end = Math.ceil((this.#endMs * sampleRate) / 1000);
    while (this.#first + this.#count >= end) {
      this.#post(end - this.#first);
      this.#endMs += MESSAGE_MS;
      end = Math.ceil((this.#endMs * sampleRate) / 1000);
    }
    return true;
  }

  /** Post the remaining samples, then null. */
  #end() {
    this.#post(this.#count);
    this.port.postMessage(null);
    this.#ended = true;
  }

  #post(count) {
    if (count === 0) return;
    const pcm = new Int16Array(count);
    for (let i = 0; i < count; i += 1) {
      pcm[i] = Math.max(-1, Math.min(1, this.#samples[i])) * 32767;
    }
    this.#samples.copyWithin(0, count, this.#count);
    this.#first += count;
    this.#count -= count;
    this.port.postMessage(pcm, [pcm.buffer]);
  }
}

registerProcessor("capture", Capture);
