/** RecognizerStatus: says which recognizer runs, where, and why it is a fallback; and that it is loading. */

import { t } from "./text.js";

const POLL_MS = 1000; // while the recognizer is being loaded or the server cannot be reached

export class RecognizerStatus {
  #elements;
  #fetchReadiness;
  #onReady;
  #startedAt = 0; // time of the first answer that it is loading
  #timer = null;

  /**
   * elements: {line, notice, progress, seconds}; fetchReadiness(): see api.js; onReady(readiness): called once
   * the recognizer is known
   */
  constructor(elements, fetchReadiness, onReady) {
    this.#elements = elements;
    this.#fetchReadiness = fetchReadiness;
    this.#onReady = onReady;
  }

  /** True until the default recognizer is known. */
  get isLoading() {
    return this.#startedAt > 0;
  }

  /** Ask until the server names its recognizer or says that it has none. */
  async poll() {
    clearTimeout(this.#timer);
    const readiness = await this.#fetchReadiness();
    const { status, state, error, recognizer } = readiness;
    if (recognizer) {
      this.#startedAt = 0;
      this.show(recognizer);
      this.#onReady(readiness);
    } else if (state === "failed") {
      this.#startedAt = 0;
      this.#showLine(t("recognizerFailed", { error }), "error");
    } else {
      if (status === 0) this.#showLine(t("serverUnreachable"), "error");
      else this.#showLoading();
      this.#timer = setTimeout(() => void this.poll(), POLL_MS);
    }
  }

  /** recognizer: as /ready and session.created describe it */
  show({ model, device, dtype, fallback, reason }) {
    const { line, notice } = this.#elements;
    this.#showLine(t("recognizer", { model, device: dtype === "none" ? device : `${device} (${dtype})` }));
    line.title = reason ?? "";
    notice.hidden = !fallback;
    notice.replaceChildren(...(fallback ? withCode(fallback) : []));
  }

  #showLoading() {
    this.#startedAt ||= performance.now();
    this.#showLine(t("recognizerLoading"));
    this.#elements.progress.hidden = false;
    const seconds = Math.round((performance.now() - this.#startedAt) / 1000);
    this.#elements.seconds.textContent = t("seconds", { seconds });
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
