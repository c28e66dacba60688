/** FileRegion: the part of a file to transcribe, selected on its waveform or by typing two times. */

import { formatTime, parseTime } from "./time_format.js";
import Regions from "./vendor/wavesurfer/regions.esm.js";
import WaveSurfer from "./vendor/wavesurfer/wavesurfer.esm.js";

export const PEAKS = 2000; // of the waveform
// The Content-Security-Policy has the hash of the style that wavesurfer.js writes for this height: see
// docs/decisions/0013.
const HEIGHT = 88;

export class FileRegion {
  #audio;
  #waveform;
  #region;
  #inputs;
  #media;
  #idle = new Audio(); // moves the cursor while the player has another file

  /** peaks: of the audio, PEAKS of them; container: of the waveform; inputs: {start, end}; media: the element that plays the file */
  constructor(audio, peaks, container, inputs, media) {
    this.#audio = audio;
    this.#inputs = inputs;
    this.#media = media;
    const style = getComputedStyle(container);
    const colour = (name) => style.getPropertyValue(name).trim();
    const regions = Regions.create();
    this.#waveform = WaveSurfer.create({
      container,
      media,
      peaks: [peaks],
      duration: audio.seconds,
      height: HEIGHT,
      waveColor: colour("--wave"),
      progressColor: colour("--accent"),
      cursorColor: colour("--text"),
      barWidth: 2,
      barGap: 1,
      normalize: true,
      plugins: [regions],
    });
    this.#region = regions.addRegion({
      start: 0,
      end: audio.seconds,
      color: "rgb(15 125 120 / 14%)",
      drag: true,
      resize: true,
    });
    this.#region.on("update", () => this.#writeInputs());
    for (const input of Object.values(inputs)) input.onchange = () => this.#readInputs();
    this.#writeInputs();
  }

  get startMs() {
    return Math.round(this.#region.start * 1000);
  }

  get endMs() {
    return Math.round(this.#region.end * 1000);
  }

  get isWholeFile() {
    return this.startMs === 0 && this.endMs >= Math.floor(this.#audio.seconds * 1000);
  }

  /** Return the region as a wav file. */
  toWav() {
    return this.#audio.toWav(this.startMs, this.endMs);
  }

  /** media: the element that plays the file; null while it plays another one */
  setMedia(media) {
    const next = media ?? this.#idle;
    if (next !== this.#media) this.#waveform.setMediaElement(next);
    this.#media = next;
  }

  close() {
    this.#waveform.destroy();
  }

  #writeInputs() {
    this.#inputs.start.value = formatTime(this.startMs, { tenths: true });
    this.#inputs.end.value = formatTime(Math.round(this.endMs / 100) * 100, { tenths: true });
  }

  /** Apply the typed times. Restore the inputs if a time is invalid or the region would be empty. */
  #readInputs() {
    const [start, end] = [this.#inputs.start, this.#inputs.end].map(({ value }) => parseTime(value) / 1000);
    if (start < end) this.#region.setOptions({ start, end: Math.min(end, this.#audio.seconds) });
    this.#writeInputs();
  }
}
