/** FilePanel: the selected file or URL, its waveform, and the progress of its transcription. */

import { AudioFile } from "./audio_file.js";
import { FileUpload } from "./file_upload.js";
import { formatTime } from "./time_format.js";

/**
 * The listener has onOpenChange() when a file is opened or closed, onStart(), onSegment(event),
 * onError(message, status) and onEnd(language).
 */
export class FilePanel {
  #elements;
  #player;
  #prepareRequest;
  #listener;
  #source = null; // {file, region, seconds} or {url}
  #upload = null;

  /**
   * elements: of the page, by name
   * prepareRequest(): returns {url, headers, fields}, or false if nothing is to be sent
   */
  constructor(elements, player, prepareRequest, listener) {
    this.#elements = elements;
    this.#player = player;
    this.#prepareRequest = prepareRequest;
    this.#listener = listener;
    elements.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    elements.cancel.addEventListener("click", () => this.#upload.cancel());
    elements.close.addEventListener("click", () => this.close());
  }

  get isOpen() {
    return this.#source !== null;
  }

  get isBusy() {
    return this.#upload !== null;
  }

  /** Show a file, with its waveform if the browser can decode it. */
  async open(file) {
    this.close();
    const source = { file, region: null, seconds: undefined };
    this.#show(source, file.name);
    this.#showNote("Reading the file…");
    source.seconds = await this.#player.load(file);
    const audio = await AudioFile.decode(file, source.seconds);
    if (this.#source !== source) return;
    if (audio) await this.#showRegion(source, audio);
    this.#showNote(audio ? "" : "This browser cannot show a waveform. The whole file will be transcribed.");
    this.#elements.submit.disabled = false;
  }

  /** Transcribe a URL, which the server downloads. */
  openUrl(url) {
    this.close();
    this.#show({ url }, url);
    this.#send();
  }

  close() {
    this.#upload?.cancel();
    this.#source?.region?.close();
    if (this.#source?.file) this.#player.unload();
    this.#source = null;
    this.#elements.panel.hidden = true;
    this.#listener.onOpenChange();
  }

  #show(source, name) {
    this.#source = source;
    this.#elements.panel.hidden = false;
    this.#elements.name.textContent = name;
    this.#elements.wave.hidden = this.#elements.region.hidden = true;
    this.#elements.progressBox.hidden = true;
    this.#elements.submit.disabled = true;
    this.#elements.submit.hidden = false;
    this.#showNote("");
    this.#listener.onOpenChange();
  }

  async #showRegion(source, audio) {
    const { FileRegion } = await import("./file_region.js");
    if (this.#source !== source) return;
    this.#elements.wave.hidden = this.#elements.region.hidden = false;
    const inputs = { start: this.#elements.start, end: this.#elements.end };
    source.region = new FileRegion(audio, this.#elements.wave, inputs, this.#player.media);
    source.seconds = audio.seconds;
  }

  #showNote(text) {
    this.#elements.note.textContent = text;
    this.#elements.note.hidden = !text;
  }

  #send() {
    const request = this.#prepareRequest();
    if (!request) return;
    const { file, url, region, seconds } = this.#source;
    const isPart = region && !region.isWholeFile;
    const [startMs, endMs] = region ? [region.startMs, region.endMs] : [0, seconds * 1000];
    this.#listener.onStart();
    this.#setBusy(true);
    this.#showProgress(file ? "Uploading" : "The server is downloading the file", file ? 0 : undefined);
    this.#upload = new FileUpload(request.url, {
      ...request,
      offsetMs: isPart ? startMs : 0,
      fields: { ...request.fields, ...(url ? { url } : { file: isPart ? region.toWav() : file }) },
      onEvent: (event) => this.#onEvent(event, startMs, endMs),
    });
  }

  #onEvent(event, startMs, endMs) {
    if (event.type === "progress") {
      this.#showUpload(event.fraction);
    } else if (event.type === "segment") {
      this.#listener.onSegment(event);
      const fraction = (event.endMs - startMs) / (endMs - startMs);
      this.#showProgress(`Transcribed up to ${formatTime(event.endMs)}`, fraction);
    } else {
      this.#finish(event);
    }
  }

  #showUpload(fraction) {
    if (this.#source?.url) return;
    const isDone = fraction === 1;
    this.#showProgress(
      isDone ? "Transcribing" : `Uploading: ${Math.floor(fraction * 100)}%`,
      isDone ? undefined : fraction,
    );
  }

  #finish(event) {
    this.#upload = null;
    if (!this.#source) return;
    this.#setBusy(false);
    this.#elements.progressBox.hidden = true;
    if (event.type === "failed") this.#listener.onError(event.message, event.status);
    this.#listener.onEnd(event.language ?? null);
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
    this.#elements.progressBox.hidden = false;
    this.#elements.progressLabel.textContent = label;
    if (fraction >= 0) this.#elements.progress.value = Math.min(1, fraction);
    else this.#elements.progress.removeAttribute("value");
  }
}
