/** Part: which part of a file is wanted, on its waveform and as two times that can be typed. */

import { shown, typed } from "./time_format.js";
import Regions from "./vendor/wavesurfer/regions.esm.js";
import WaveSurfer from "./vendor/wavesurfer/wavesurfer.esm.js";

const PEAKS = 2000; // of the picture
// docs/decisions/0013: the policy names the hash of the stylesheet that wavesurfer.js writes for this height.
const HEIGHT = 88;

export class Part {
  #sound;
  #picture;
  #region;
  #inputs;

  /** container: of the picture; inputs: {start, end}; media: the element that plays the same sound */
  constructor(sound, container, inputs, media) {
    this.#sound = sound;
    this.#inputs = inputs;
    const style = getComputedStyle(container);
    const colour = (name) => style.getPropertyValue(name).trim();
    const regions = Regions.create();
    this.#picture = WaveSurfer.create({
      container,
      media,
      peaks: [sound.peaks(PEAKS)],
      duration: sound.seconds,
      height: HEIGHT,
      waveColor: colour("--wave"),
      progressColor: colour("--accent"),
      cursorColor: colour("--ink"),
      barWidth: 2,
      barGap: 1,
      normalize: true,
      plugins: [regions],
    });
    this.#region = regions.addRegion({
      start: 0,
      end: sound.seconds,
      color: "rgb(15 125 120 / 14%)",
      drag: true,
      resize: true,
    });
    this.#region.on("update", () => this.#write());
    for (const input of Object.values(inputs)) input.onchange = () => this.#read();
    this.#write();
  }

  get startMs() {
    return Math.round(this.#region.start * 1000);
  }

  get endMs() {
    return Math.round(this.#region.end * 1000);
  }

  get isWhole() {
    return this.startMs === 0 && this.endMs >= Math.floor(this.#sound.seconds * 1000);
  }

  /** As a wav file. */
  cut() {
    return this.#sound.cut(this.startMs, this.endMs);
  }

  close() {
    this.#picture.destroy();
  }

  #write() {
    this.#inputs.start.value = shown(this.startMs, { tenths: true });
    this.#inputs.end.value = shown(Math.round(this.endMs / 100) * 100, { tenths: true });
  }

  /** What is no time, or leaves nothing between the two, is put back. */
  #read() {
    const [start, end] = [this.#inputs.start, this.#inputs.end].map(({ value }) => typed(value) / 1000);
    if (start < end) this.#region.setOptions({ start, end: Math.min(end, this.#sound.seconds) });
    this.#write();
  }
}
