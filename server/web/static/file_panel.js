/** FilePanel: the selected file or URL, its waveform, and the progress of its transcription. */

import { AudioFile, MAX_SECONDS } from "./audio_file.js";
import { problemOf } from "./file_check.js";
import { isOpen } from "./file_queue.js";
import { stateText } from "./queue_panel.js";
import { t } from "./text.js";
import { cutFields, TimeRegion } from "./time_region.js";

export class FilePanel {
  #elements;
  #player;
  #queue;
  #listener;
  #source = null; // {file, region, seconds} or {url}; region: FileRegion or TimeRegion
  #entry = null; // of the queue, once it is transcribed

  /**
   * elements: of the page, by name. The listener has onOpenChange() when a file is opened or closed, onError(text),
   * enqueue({name, source}), which returns an entry of the queue, or undefined if nothing is to be sent, and
   * keepsChannels(): whether channels are transcribed apart.
   */
  constructor(elements, player, queue, listener) {
    this.#elements = elements;
    this.#player = player;
    this.#queue = queue;
    this.#listener = listener;
    elements.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    elements.cancel.addEventListener("click", () => this.#entry && this.#queue.cancel(this.#entry));
    elements.close.addEventListener("click", () => this.close());
  }

  get isOpen() {
    return this.#source !== null;
  }

  get isBusy() {
    return this.#entry !== null && isOpen(this.#entry);
  }

  /** The file that is open, or null. */
  get file() {
    return this.#source?.file ?? null;
  }

  /** Show a file, with its waveform if the browser can decode it. */
  async open(file) {
    this.close();
    const source = { file, region: null, seconds: undefined };
    this.#show(source, file.name);
    this.#showNote(t("readingFile"));
    const problem = await problemOf(file);
    if (this.#source !== source) return;
    if (problem) {
      this.close();
      this.#listener.onError(`${file.name}: ${problem}`);
      return;
    }
    source.seconds = await this.#player.load(file);
    const audio = await AudioFile.decode(file, source.seconds);
    if (this.#source !== source) return;
    if (audio) await this.#showRegion(source, audio);
    else this.#showTimes(source);
    this.#showNote(audio ? "" : t(source.seconds > MAX_SECONDS ? "tooLongForPart" : "noWaveform"));
    this.#elements.submit.disabled = false;
  }

  /** Transcribe a URL, which the server downloads. */
  openUrl(url) {
    this.close();
    this.#show({ url }, url);
    this.#send();
  }

  /** Close the panel. What is being transcribed goes on. */
  close() {
    this.#source?.region?.close();
    this.#source = this.#entry = null;
    this.#elements.panel.hidden = true;
    this.#listener.onOpenChange();
  }

  /** The entry of the queue whose progress the panel shows, or null. */
  get entry() {
    return this.#entry;
  }

  /** Show the progress of an entry, if it is the panel's. */
  showEntry(entry) {
    if (entry !== this.#entry) return;
    const isBusy = isOpen(entry);
    this.#setBusy(isBusy);
    this.#elements.progressBox.hidden = !isBusy;
    if (isBusy) this.#showProgress(stateText(entry, this.#queue.remainingMs(entry)), entry.fraction);
  }

  /** Move the cursor of the waveform with the player only while the player has this file. */
  followPlayer() {
    this.#source?.region?.setMedia?.(this.#player.blob === this.#source.file ? this.#player.media : null);
  }

  #show(source, name) {
    this.#source = source;
    this.#elements.panel.hidden = false;
    this.#elements.name.textContent = name;
    this.#elements.wave.hidden = this.#elements.region.hidden = true;
    this.#elements.progressBox.hidden = true;
    this.#elements.cancel.hidden = true;
    this.#elements.submit.disabled = true;
    this.#elements.submit.hidden = false;
    this.#showNote("");
    this.#listener.onOpenChange();
  }

  async #showRegion(source, audio) {
    const { FileRegion, PEAKS } = await import("./file_region.js");
    const peaks = await audio.peaks(PEAKS);
    if (this.#source !== source) return;
    this.#elements.wave.hidden = this.#elements.region.hidden = false;
    const inputs = { start: this.#elements.start, end: this.#elements.end };
    source.region = new FileRegion(audio, peaks, this.#elements.wave, inputs, this.#player.media);
    source.seconds = audio.seconds;
    this.followPlayer();
  }

  /** Let the user type the times of a part. */
  #showTimes(source) {
    this.#elements.region.hidden = false;
    source.region = new TimeRegion(source.seconds, { start: this.#elements.start, end: this.#elements.end });
  }

  #showNote(text) {
    this.#elements.note.textContent = text;
    this.#elements.note.hidden = !text;
  }

  #send() {
    const { file, url, region, seconds } = this.#source;
    const isPart = Boolean(region && !region.isWholeFile);
    const startMs = isPart ? region.startMs : 0;
    const endMs = region ? region.endMs : seconds * 1000;
    // Of the part that the server cuts out, as it does where the page would mix the channels.
    const trim = region?.fields ?? (isPart && this.#listener.keepsChannels() ? cutFields(region) : undefined);
    const upload = isPart && !trim ? region.toWav() : file;
    const source = { file, url, upload, startMs, endMs, isPart, trim };
    this.#entry = this.#listener.enqueue({ name: file?.name ?? url, source }) ?? null;
    if (this.#entry) this.showEntry(this.#entry);
  }

  /** Replace the submit button by the cancel button or back, and move the keyboard focus along. */
  #setBusy(isBusy) {
    const { cancel, submit } = this.#elements;
    const hadFocus = document.activeElement === (isBusy ? submit : cancel);
    cancel.hidden = !isBusy;
    submit.hidden = isBusy || !this.#source.file;
    if (hadFocus) (isBusy ? cancel : submit).focus();
  }

  /** fraction: 0 to 1; undefined or NaN if it is unknown */
  #showProgress(label, fraction) {
    this.#elements.progressLabel.textContent = label;
    if (fraction >= 0) this.#elements.progress.value = fraction;
    else this.#elements.progress.removeAttribute("value");
  }
}
