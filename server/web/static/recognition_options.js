/** RecognitionOptions: what the user chose about recognition, as parameters of a live session and of a file. */

const STORAGE_KEY = "stt-options";
const EXACT_SILENCE_MS = 900; // that ends an utterance: longer ones have fewer errors and come later
const FAST_SILENCE_MS = 200;
const MAX_HOTWORDS = 1000; // of the server
const MAX_HOTWORD_CHARS = 100;

export class RecognitionOptions {
  #elements;

  /**
   * elements: {language, model, hotwords, translate, speed, diarize, multichannel} of the page; diarize: disabled where
   * the server does not distinguish speakers
   */
  constructor(elements) {
    this.#elements = elements;
    const stored = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "{}");
    elements.hotwords.value = stored.hotwords ?? "";
    elements.speed.value = stored.speed ?? "";
    elements.diarize.checked = stored.diarize ?? false;
    elements.multichannel.checked = stored.multichannel ?? false;
    for (const name of ["hotwords", "speed", "diarize", "multichannel"])
      elements[name].addEventListener("change", () => this.#store());
  }

  /** Allow a translation only if the recognizer can translate. */
  setTranslates(translates) {
    this.#elements.translate.disabled = !translates;
    if (!translates) this.#elements.translate.checked = false;
  }

  /** The words that are likely to occur, separated by commas or lines. */
  get hotwords() {
    const words = this.#elements.hotwords.value.split(/[,\n;]/).map((word) => word.trim());
    return words.filter((word) => word && word.length <= MAX_HOTWORD_CHARS).slice(0, MAX_HOTWORDS);
  }

  get #diarizes() {
    const { diarize } = this.#elements;
    return diarize.checked && !diarize.disabled;
  }

  /** Whether the channels of a file are transcribed apart. */
  get keepsChannels() {
    return this.#elements.multichannel.checked;
  }

  /** Fields of a file or job about speakers: where each channel is one, the server does not search for others. */
  get #speakers() {
    if (this.keepsChannels) return { multichannel: "true" };
    return this.#diarizes ? { diarize: "true" } : {};
  }

  /** Query parameters of a live session. */
  get query() {
    const { language, model, translate } = this.#elements;
    return {
      ...(model.value && { model: model.value }),
      ...(language.value && { language: language.value }),
      ...(translate.checked && { task: "translate" }),
      ...(this.#diarizes && { diarize: "true" }),
    };
  }

  /** Settings of a live session that its URL cannot carry, or null. */
  get session() {
    const silence = { fast: FAST_SILENCE_MS, exact: EXACT_SILENCE_MS }[this.#elements.speed.value];
    const { hotwords } = this;
    if (!silence && hotwords.length === 0) return null;
    return { ...(silence && { vad: { silence_ms: silence } }), ...(hotwords.length > 0 && { hotwords }) };
  }

  /** Fields of the form of a file, and whether its text is to be translated. */
  get file() {
    const { language, model, translate, speed } = this.#elements;
    const { hotwords } = this;
    const fields = {
      model: model.value || "default",
      ...(language.value && { language: language.value }),
      ...(hotwords.length > 0 && { keywords: JSON.stringify(hotwords) }),
      ...(speed.value === "fast" && { chunking_strategy: JSON.stringify({ type: "server_vad" }) }),
      ...(!translate.checked && this.#speakers), // translations have no speakers
    };
    return { fields, isTranslation: translate.checked };
  }

  /** Fields of a job for a file, or null if jobs lack an option that was chosen. */
  get job() {
    const { language, model, translate, speed } = this.#elements;
    const { hotwords } = this;
    if (speed.value === "fast") return null; // A job sends its text in parts of up to two minutes.
    return {
      model: model.value || "default",
      ...(language.value && { language: language.value }),
      ...(hotwords.length > 0 && { hotwords: JSON.stringify(hotwords) }),
      ...(translate.checked && { task: "translate" }),
      ...this.#speakers,
    };
  }

  #store() {
    const { hotwords, speed, diarize, multichannel } = this.#elements;
    const chosen = {
      hotwords: hotwords.value,
      speed: speed.value,
      diarize: diarize.checked,
      multichannel: multichannel.checked,
    };
    localStorage.setItem(STORAGE_KEY, JSON.stringify(chosen));
  }
}
