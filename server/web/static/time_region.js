/** TimeRegion: the part of a file to transcribe, where there is no waveform: by typing two times. The server cuts it. */

import { formatTime, parseTime } from "./time_format.js";

export class TimeRegion {
  #seconds;
  #inputs;
  #startMs = 0;
  #endMs;

  /** seconds: length of the file; NaN, Infinity or undefined if it is unknown. inputs: {start, end} */
  constructor(seconds, inputs) {
    this.#seconds = Number.isFinite(seconds) ? seconds : NaN;
    this.#inputs = inputs;
    this.#endMs = Math.round(this.#seconds * 1000);
    for (const input of Object.values(inputs)) input.onchange = () => this.#readInputs();
    this.#writeInputs();
  }

  get startMs() {
    return this.#startMs;
  }

  /** NaN: the end of a file whose length is unknown. */
  get endMs() {
    return this.#endMs;
  }

  get isWholeFile() {
    return this.#startMs === 0 && (Number.isNaN(this.#endMs) || this.#endMs >= Math.round(this.#seconds * 1000));
  }

  /** Fields of a request for this part. */
  get fields() {
    return this.isWholeFile ? {} : cutFields(this);
  }

  close() {
    for (const input of Object.values(this.#inputs)) input.onchange = null;
  }

  #writeInputs() {
    this.#inputs.start.value = formatTime(this.#startMs, { tenths: true });
    this.#inputs.end.value = Number.isNaN(this.#endMs) ? "" : formatTime(this.#endMs, { tenths: true });
  }

  /** Apply the typed times; an empty end is that of the file. Restore the inputs if a time is invalid. */
  #readInputs() {
    const { start, end } = this.#inputs;
    const lastMs = Math.round(this.#seconds * 1000);
    const startMs = parseTime(start.value);
    const isTyped = end.value.trim() !== "";
    const wantedMs = isTyped ? parseTime(end.value) : lastMs;
    const endMs = wantedMs > lastMs ? lastMs : wantedMs;
    // Comparisons with an unknown end are false.
    if (startMs >= 0 && !(startMs >= endMs) && !(isTyped && Number.isNaN(endMs)))
      [this.#startMs, this.#endMs] = [startMs, endMs];
    this.#writeInputs();
  }
}

/** Return the fields of a request for a part. endMs: NaN for the end of the file */
export function cutFields({ startMs, endMs }) {
  return { start: String(startMs / 1000), ...(!Number.isNaN(endMs) && { end: String(endMs / 1000) }) };
}
