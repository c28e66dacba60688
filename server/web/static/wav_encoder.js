/** Encoding of wav files: PCM16, mono (RIFF/WAVE, Microsoft and IBM 1991). */

/** Return the 44 bytes before the samples. bytes: size of the samples; rate: sample rate in Hz */
export function wavHeader(bytes, rate) {
  const view = new DataView(new ArrayBuffer(44));
  const write = (at, text) => [...text].forEach((char, i) => view.setUint8(at + i, char.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, bytes, true);
  return view.buffer;
}

/** Convert samples from -1 to 1 to PCM16. */
export function pcm16(samples) {
  return Int16Array.from(samples, (sample) => Math.max(-1, Math.min(1, sample)) * 32767);
}
