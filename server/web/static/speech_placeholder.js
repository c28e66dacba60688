/** SpeechPlaceholders: a line that grows while speech is heard, until its first words arrive. */

const STEP_MS = 400; // of speech for each dot
const MAX_DOTS = 75; // 30 s, the longest utterance by default

/** Positions are milliseconds of the recording. */
export class SpeechPlaceholders {
  #open = new Map(); // id to {startMs, endMs}; endMs is undefined while the utterance continues
  #timer = null;
  #transcript;
  #now;

  /** now(): the present as a position in the recording */
  constructor(transcript, now) {
    this.#transcript = transcript;
    this.#now = now;
  }

  /** event: of the SessionState */
  note({ type, id, startMs, endMs }) {
    if (type === "speech_start") this.#add(id, startMs);
    else if (type === "speech_end" && this.#open.has(id)) this.#open.get(id).endMs = endMs;
    else if (type === "partial" || type === "final" || type === "dropped") this.#open.delete(id);
    else if (type === "ended" || type === "failed") this.#removeAll();
  }

  #add(id, startMs) {
    this.#open.set(id, { startMs });
    this.#grow();
    this.#timer ??= setInterval(() => this.#grow(), STEP_MS);
  }

  #grow() {
    for (const [id, { startMs, endMs }] of this.#open) {
      const dots = Math.ceil(Math.max(1, (endMs ?? this.#now()) - startMs) / STEP_MS);
      this.#transcript.setSpeech(id, Math.min(dots, MAX_DOTS), startMs);
    }
    if (this.#open.size === 0) this.#stop();
  }

  #removeAll() {
    for (const id of this.#open.keys()) this.#transcript.remove(id);
    this.#open.clear();
    this.#stop();
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
