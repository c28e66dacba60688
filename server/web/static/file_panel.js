/** FilePanel: a file that was chosen, or an address, on its way to a transcript. */

import { shown } from "./time_format.js";
import { FileRequest } from "./file_upload.js";
import { Sound } from "./audio_file.js";

/** The listener hears shown() when a file comes or goes, begin(), segment(note), problem(message, status) and
 * end(language). */
export class FilePanel {
  #parts;
  #player;
  #asking; // () => {url, headers, fields}, or false where nothing is to be sent
  #listener;
  #job = null; // {file, part, seconds} or {url}
  #request = null;

  /** parts: the elements of the page by name */
  constructor(parts, player, asking, listener) {
    this.#parts = parts;
    this.#player = player;
    this.#asking = asking;
    this.#listener = listener;
    parts.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    parts.cancel.addEventListener("click", () => this.#request.cancel());
    parts.close.addEventListener("click", () => this.close());
  }

  get isOpen() {
    return this.#job !== null;
  }

  get isBusy() {
    return this.#request !== null;
  }

  /** Shows the file, and its waveform where the browser can read it. */
  async open(file) {
    this.close();
    const job = { file, part: null, seconds: undefined };
    this.#show(job, file.name);
    this.#note("Reading the file …");
    job.seconds = await this.#player.load(file);
    const sound = await Sound.of(file, job.seconds);
    if (this.#job !== job) return;
    if (sound) await this.#offerPart(job, sound);
    this.#note(sound ? "" : "The browser cannot draw this file: the whole of it will be transcribed.");
    this.#parts.submit.disabled = false;
  }

  /** Has the server fetch an address, and transcribes it at once. */
  fetch(url) {
    this.close();
    this.#show({ url }, url);
    this.#send();
  }

  close() {
    this.#request?.cancel();
    this.#job?.part?.close();
    if (this.#job?.file) this.#player.unload();
    this.#job = null;
    this.#parts.panel.hidden = true;
    this.#listener.shown();
  }

  #show(job, name) {
    this.#job = job;
    this.#parts.panel.hidden = false;
    this.#parts.name.textContent = name;
    this.#parts.wave.hidden = this.#parts.part.hidden = true;
    this.#parts.progressBox.hidden = true;
    this.#parts.submit.disabled = true;
    this.#parts.submit.hidden = false;
    this.#note("");
    this.#listener.shown();
  }

  async #offerPart(job, sound) {
    const { Part } = await import("./file_region.js");
    if (this.#job !== job) return;
    this.#parts.wave.hidden = this.#parts.part.hidden = false;
    const inputs = { start: this.#parts.start, end: this.#parts.end };
    job.part = new Part(sound, this.#parts.wave, inputs, this.#player.media);
    job.seconds = sound.seconds;
  }

  #note(text) {
    this.#parts.note.textContent = text;
    this.#parts.note.hidden = !text;
  }

  #send() {
    const asking = this.#asking();
    if (!asking) return;
    const { file, url, part, seconds } = this.#job;
    const isCut = part && !part.isWhole;
    const [startMs, endMs] = part ? [part.startMs, part.endMs] : [0, seconds * 1000];
    this.#listener.begin();
    this.#busy(true);
    this.#progress(file ? "Uploading" : "The server fetches it", file ? 0 : undefined);
    this.#request = new FileRequest(asking.url, {
      ...asking,
      offsetMs: isCut ? startMs : 0,
      fields: { ...asking.fields, ...(url ? { url } : { file: isCut ? part.cut() : file }) },
      onNote: (note) => this.#hear(note, startMs, endMs),
    });
  }

  #hear(note, startMs, endMs) {
    if (note.note === "sent") {
      this.#sent(note.share);
    } else if (note.note === "segment") {
      this.#listener.segment(note);
      this.#progress(`Transcribed to ${shown(note.endMs)}`, (note.endMs - startMs) / (endMs - startMs));
    } else {
      this.#finish(note);
    }
  }

  #sent(share) {
    if (this.#job?.url) return;
    const isDone = share === 1;
    this.#progress(
      isDone ? "Transcribing" : `Uploading: ${Math.floor(share * 100)} %`,
      isDone ? undefined : share,
    );
  }

  #finish(note) {
    this.#request = null;
    if (!this.#job) return;
    this.#busy(false);
    this.#parts.progressBox.hidden = true;
    if (note.note === "failed") this.#listener.problem(note.message, note.status);
    this.#listener.end(note.language ?? null);
  }

  /** The keyboard's focus goes from the button that goes to the one that comes. */
  #busy(isBusy) {
    const { cancel, submit } = this.#parts;
    const hadFocus = document.activeElement === (isBusy ? submit : cancel);
    cancel.hidden = !isBusy;
    submit.hidden = isBusy || !this.#job.file;
    if (hadFocus) (isBusy ? cancel : submit).focus();
  }

  /** share: 0 to 1; undefined or no number where it is not known */
  #progress(label, share) {
    this.#parts.progressBox.hidden = false;
    this.#parts.progressLabel.textContent = label;
    if (share >= 0) this.#parts.progress.value = Math.min(1, share);
    else this.#parts.progress.removeAttribute("value");
  }
}
