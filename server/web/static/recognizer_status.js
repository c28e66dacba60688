/** RecognizerStatus: says which recognizer runs, where, and why it is a fallback; and how far its load is. */

import { t } from "./text.js";

const POLL_MS = 1000; // while the recognizer is being loaded or the server cannot be reached
const WAITING = new Set(["absent", "loading"]); // states of a model that a session waits for

export class RecognizerStatus {
  #elements;
  #fetchReadiness;
  #onReady;
  #startedAt = 0; // time of the first answer that it is loading
  #timer = null;
  #isKnown = false; // the default recognizer is
  #watched = null; // name of a model that a recording waits for

  /**
   * elements: {line, notice, progress, bar, seconds}; fetchReadiness(): see api.js; onReady(readiness): called once
   * the recognizer is known
   */
  constructor(elements, fetchReadiness, onReady) {
    this.#elements = elements;
    this.#fetchReadiness = fetchReadiness;
    this.#onReady = onReady;
  }

  /** True until the default recognizer, or the watched one, is known. */
  get isLoading() {
    return this.#startedAt > 0;
  }

  /** Show the load of another model until watch(null): a recording waits for it. name: of the model */
  watch(name) {
    this.#watched = name;
    if (name) void this.poll();
    else if (this.#isKnown) this.#stop();
  }

  /** Ask until the server names its recognizer or says that it has none. */
  async poll() {
    clearTimeout(this.#timer);
    const wasKnown = this.#isKnown;
    const readiness = await this.#fetchReadiness();
    const { status, state, error, models, recognizer } = readiness;
    if (wasKnown && !this.#watched) return;
    const watched = models.find(({ name, state: its }) => name === this.#watched && WAITING.has(its));
    if (recognizer) {
      this.#isKnown = true;
      this.#onReady(readiness);
      if (watched) this.#showLoading(watched.download);
      else {
        this.#stop();
        this.show(recognizer);
      }
    } else if (state === "failed") {
      this.#stop();
      this.#showLine(t("recognizerFailed", { error }), "error");
    } else if (status === 0) {
      this.#showLine(t("serverUnreachable"), "error");
      this.#pollLater();
    } else this.#showLoading(models[0]?.download);
  }

  /** recognizer: as /ready and session.created describe it */
  show({ model, device, dtype, fallback, reason }) {
    const { line, notice } = this.#elements;
    this.#showLine(t("recognizer", { model, device: dtype === "none" ? device : `${device} (${dtype})` }));
    line.title = reason ?? "";
    notice.hidden = !fallback;
    notice.replaceChildren(...(fallback ? withCode(fallback) : []));
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#startedAt = 0;
  }

  #pollLater() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.poll(), POLL_MS);
  }

  /** Show the bytes of a download, then the seconds of the load. Both change often, so no screen reader reads them. */
  #showLoading(download) {
    const { progress, bar, seconds } = this.#elements;
    this.#startedAt ||= performance.now();
    const isDownloading = download && download.bytes < download.total_bytes;
    this.#pollLater();
    this.#showLine(t(isDownloading ? "recognizerDownloading" : "recognizerLoading"));
    progress.hidden = false;
    if (isDownloading) {
      bar.value = download.bytes / download.total_bytes;
      const [done, total] = [download.bytes, download.total_bytes].map((bytes) => Math.round(bytes / 1e6));
      seconds.textContent = t("megabytes", { done, total });
    } else {
      bar.removeAttribute("value");
      seconds.textContent = t("seconds", { seconds: Math.round((performance.now() - this.#startedAt) / 1000) });
    }
  }

  #showLine(text, kind = "idle") {
    const { line, progress } = this.#elements;
    if (line.textContent !== text) line.textContent = text; // a screen reader announces each change
    line.dataset.kind = kind;
    progress.hidden = true;
  }
}

/** Return nodes for a text in which commands stand between backticks. */
function withCode(text) {
  return text.split("`").map((part, i) => {
    if (i % 2 === 0) return part;
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  });
}
