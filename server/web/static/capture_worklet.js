/** In the audio thread: sound from the microphone, mixed to mono, as messages of 40 ms of PCM16. */

const MESSAGE_MS = 40;

class Capture extends AudioWorkletProcessor {
  #samples = new Float32Array(Math.ceil(sampleRate)); // a second: far more than a message
  #count = 0; // of the samples that wait
  #first = 0; // the number of the first of them, in the stream
  #endMs = MESSAGE_MS;
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
    // Messages end at whole milliseconds: every place in the recording is a whole number.
    let end = Math.ceil((this.#endMs * sampleRate) / 1000);
    while (this.#first + this.#count >= end) {
      this.#post(end - this.#first);
      this.#endMs += MESSAGE_MS;
      end = Math.ceil((this.#endMs * sampleRate) / 1000);
    }
    return true;
  }

  #end() {
    this.#post(this.#count);
    this.port.postMessage(null);
    this.#ended = true;
  }

  #post(count) {
    if (count === 0) return;
    const sound = new Int16Array(count);
    for (let i = 0; i < count; i += 1) {
      sound[i] = Math.max(-1, Math.min(1, this.#samples[i])) * 32767;
    }
    this.#samples.copyWithin(0, count, this.#count);
    this.#first += count;
    this.#count -= count;
    this.port.postMessage(sound, [sound.buffer]);
  }
}

registerProcessor("capture", Capture);
