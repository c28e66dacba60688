/** LongWav: a wav file of any length, of which a part is cut without decoding or reading the rest. */

const PCM = new Set([1, 3, 0xfffe]); // samples as integers, as floats, or as the extension says
const MAX_CHUNKS = 32; // before the samples
const PEAK_FRAMES = 256; // that are looked at for each peak

export class LongWav {
  #file;
  #format; // content of the chunk "fmt "
  #start; // of the samples in the file, in bytes
  #bytes; // of the samples
  #rate; // bytes per second
  #frame; // bytes of one sample of all channels

  /** Return undefined if a file is no wav file with uncompressed samples. */
  static async open(file) {
    if ((await text(file, 0, 4)) !== "RIFF" || (await text(file, 8, 4)) !== "WAVE") return undefined;
    const wav = new LongWav();
    wav.#file = file;
    let at = 12;
    for (let i = 0; i < MAX_CHUNKS && at + 8 <= file.size; i += 1) {
      const [name, size] = [await text(file, at, 4), (await bytes(file, at + 4, 4)).getUint32(0, true)];
      if (name === "fmt ") wav.#readFormat(await bytes(file, at + 8, size));
      if (name === "data") return wav.#format ? wav.#withSamples(at + 8, size) : undefined;
      at += 8 + size + (size % 2);
    }
    return undefined;
  }

  get seconds() {
    return this.#bytes / this.#rate;
  }

  /** Return about the peaks of `count` equal parts, 0 to 1; zeros if the samples have not 16 bits. */
  async peaks(count) {
    const peaks = new Float32Array(count);
    if (this.#format.getUint16(14, true) !== 16) return peaks;
    await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const at = this.#start + this.#align((i / count) * this.#bytes);
        const samples = new Int16Array(await this.#file.slice(at, at + PEAK_FRAMES * this.#frame).arrayBuffer());
        for (const sample of samples) peaks[i] = Math.max(peaks[i], Math.abs(sample) / 32768);
      }),
    );
    return peaks;
  }

  /** Return the part between two times as a wav file with the same format. */
  toWav(startMs, endMs) {
    const [from, to] = [startMs, endMs].map((ms) => this.#align((ms / 1000) * this.#rate));
    const samples = this.#file.slice(this.#start + from, this.#start + Math.min(to, this.#bytes));
    const format = this.#format;
    const header = new DataView(new ArrayBuffer(28 + format.byteLength));
    const write = (at, name) => [...name].forEach((letter, i) => header.setUint8(at + i, letter.charCodeAt(0)));
    write(0, "RIFF");
    header.setUint32(4, header.byteLength - 8 + samples.size, true);
    write(8, "WAVEfmt ");
    header.setUint32(16, format.byteLength, true);
    for (let i = 0; i < format.byteLength; i += 1) header.setUint8(20 + i, format.getUint8(i));
    write(20 + format.byteLength, "data");
    header.setUint32(24 + format.byteLength, samples.size, true);
    return new File([header, samples], "part.wav", { type: "audio/wav" });
  }

  #readFormat(format) {
    if (format.byteLength < 16 || !PCM.has(format.getUint16(0, true))) return;
    this.#rate = format.getUint32(8, true);
    this.#frame = format.getUint16(12, true);
    this.#format = this.#rate && this.#frame ? format : undefined;
  }

  /** A recorder that was cut off leaves a wrong size: then the samples end with the file. */
  #withSamples(start, size) {
    this.#start = start;
    this.#bytes = this.#align(Math.min(size || Infinity, this.#file.size - start));
    return this.#bytes > 0 ? this : undefined;
  }

  #align(position) {
    return Math.floor(position / this.#frame) * this.#frame;
  }
}

async function bytes(file, at, length) {
  return new DataView(await file.slice(at, at + length).arrayBuffer());
}

function text(file, at, length) {
  return file.slice(at, at + length).text();
}
