/** SpeechPlaceholders: a line that grows while speech is heard, until its first words arrive. */

const STEP_MS = 400; // of speech for each dot
const MAX_DOTS = 75; // 30 s, the longest utterance by default

/** Positions are milliseconds of the recording. */
export class SpeechPlaceholders {
  #open = new Map(); // id to {startMs, endMs, track}; endMs is undefined while the utterance continues
  #timer = null;
  #transcript;
  #now;

  /** now(): the present as a position in the recording */
  constructor(transcript, now) {
    this.#transcript = transcript;
    this.#now = now;
  }

  /** event: of the SessionState */
  note({ type, id, startMs, endMs, track }) {
    if (type === "speech_start") this.#add(id, startMs, track);
    else if (type === "speech_end" && this.#open.has(id)) this.#open.get(id).endMs = endMs;
    else if (type === "partial" || type === "final" || type === "dropped") this.#open.delete(id);
    else if (type === "ended" || type === "failed") this.#removeAll();
  }

  #add(id, startMs, track) {
    this.#open.set(id, { startMs, track });
    this.#grow();
    this.#timer ??= setInterval(() => this.#grow(), STEP_MS);
  }

  #grow() {
    for (const [id, { startMs, endMs, track }] of this.#open) {
      const dots = Math.ceil(Math.max(1, (endMs ?? this.#now()) - startMs) / STEP_MS);
      this.#transcript.setSpeech(id, Math.min(dots, MAX_DOTS), startMs, track);
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
