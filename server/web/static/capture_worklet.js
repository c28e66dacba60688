/**
 * Audio worklet, in the audio thread: posts what its inputs receive, each mixed to mono, as 40 ms of PCM16 each. One
 * message has an array for each input; they cover the same time.
 */

const MESSAGE_MS = 40;

class Capture extends AudioWorkletProcessor {
  #inputs; // for each one the samples that are buffered, up to a second, far more than a message
  #count = 0; // samples that are buffered
  #first = 0; // index of the first buffered sample in the stream
  #endMs = MESSAGE_MS; // where the next message ends
  #ended = false;

  constructor({ numberOfInputs }) {
    super();
    this.#inputs = Array.from({ length: numberOfInputs }, () => new Float32Array(Math.ceil(sampleRate)));
    this.port.onmessage = () => this.#end();
  }

  process(inputs) {
    if (this.#ended) return false;
    const frames = Math.max(...inputs.map((channels) => channels[0]?.length ?? 0));
    inputs.forEach((channels, i) => this.#mix(this.#inputs[i], channels, frames));
    this.#count += frames;
    // Messages end at whole milliseconds, so every position in the recording is a whole number.
    let end = Math.ceil((this.#endMs * sampleRate) / 1000);
    while (this.#first + this.#count >= end) {
      this.#post(end - this.#first);
      this.#endMs += MESSAGE_MS;
      end = Math.ceil((this.#endMs * sampleRate) / 1000);
    }
    return true;
  }

  /** An input without channels, such as a tab that plays nothing, is silent. */
  #mix(samples, channels, frames) {
    for (let i = 0; i < frames; i += 1) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      samples[this.#count + i] = channels.length ? sum / channels.length : 0;
    }
  }

  /** Post the remaining samples, then null. */
  #end() {
    this.#post(this.#count);
    this.port.postMessage(null);
    this.#ended = true;
  }

  #post(count) {
    if (count === 0) return;
    const message = this.#inputs.map((samples) => {
      const pcm = Int16Array.from(samples.subarray(0, count), (sample) => Math.max(-1, Math.min(1, sample)) * 32767);
      samples.copyWithin(0, count, this.#count);
      return pcm;
    });
    this.#first += count;
    this.#count -= count;
    this.port.postMessage(
      message,
      message.map(({ buffer }) => buffer),
    );
  }
}

registerProcessor("capture", Capture);
