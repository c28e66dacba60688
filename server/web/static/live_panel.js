/** TalkPanel: the button, the waveform and the words that say what the live session is doing. */

import { shown } from "./time_format.js";
import { Levels, height } from "./level_meter.js";
import { microphones } from "./microphone.js";
import { offerDevices } from "./option_lists.js";
import { hindrance } from "./api.js";
import { Wave } from "./waveform.js";

const LABELS = {
  idle: "Start talking",
  asking: "Start talking",
  live: "Stop",
  paused: "Stop",
  ending: "Do not wait",
};
const SAYS = {
  asking: "Waiting for the microphone …",
  live: "Listening.",
  paused: "Paused. Nothing is heard.",
  ending: "Writing down the last words …",
};
const AWAY = {
  0: "The server does not answer.",
  200: "The server takes no more streams just now.",
  401: "The server wants a key.",
  503: "The server is not ready yet.",
};

export class TalkPanel {
  #parts;
  #talk;
  #wave;
  #levels = new Levels();
  #isUp = false;
  #wasForgotten = false;
  #spokenMs = 0;
  #onKeyWanted;

  /** parts: the elements of the page by name; onKeyWanted(): the server refused for want of a key */
  constructor(parts, onKeyWanted) {
    this.#parts = parts;
    this.#wave = new Wave(parts.wave);
    this.#onKeyWanted = onKeyWanted;
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.#offerDevices());
    void this.#offerDevices();
  }

  /** What a take begins with. */
  begin(talk) {
    this.#talk = talk;
    this.#levels = new Levels();
    this.#spokenMs = 0;
    this.#isUp = false;
    this.#parts.latency.textContent = "–";
  }

  get device() {
    const { device, echo, noise } = this.#parts;
    return { deviceId: device.value, echoCancellation: echo.checked, noiseSuppression: noise.checked };
  }

  state(state) {
    const { button, label, pause, live, details } = this.#parts;
    const isOn = state === "live" || state === "paused";
    label.textContent = LABELS[state];
    button.setAttribute("aria-busy", state === "asking"); // disabled, it would lose the keyboard's focus
    document.body.toggleAttribute("data-talking", isOn);
    if (isOn) document.body.dataset.talking = state;
    pause.hidden = !isOn;
    pause.textContent = state === "paused" ? "Go on" : "Pause";
    details.hidden = state !== "idle";
    if (state === "idle") this.#wave.stop();
    else if (live.hidden && isOn) this.#start();
    if (state === "idle" || state === "ending") live.hidden = true;
    if (SAYS[state]) this.say(SAYS[state]);
    if (state === "live") this.#sayWhetherUp();
  }

  sound(sound) {
    this.#levels.add(sound);
    this.#spokenMs += this.#talk.msOf(sound);
  }

  note(note) {
    switch (note.note) {
      case "speech":
        return this.#levels.speech(note.id, note.startMs - this.#talk.takeMs);
      case "silence":
        return this.#levels.silence(note.id, note.endMs - this.#talk.takeMs);
      case "dropped":
        return this.#levels.drop(note.id);
      case "final":
        this.#parts.latency.textContent = `${(this.#talk.ageOf(note.endMs) / 1000).toFixed(2)} s`;
        return undefined;
      case "live":
        return this.#came(note.resumed);
      case "cut":
      case "forgotten":
        return this.#left(note.note);
      case "dialling":
        return this.#isUp ? undefined : this.#dialled(note.attempt);
      case "ended":
        return this.say("Done. All words are below.", "idle");
      case "failed":
      case "trouble":
        return this.say(note.message, "trouble");
      default:
        return undefined;
    }
  }

  say(text, kind = "busy") {
    this.#parts.status.textContent = text;
    this.#parts.status.dataset.kind = kind;
  }

  #start() {
    this.#parts.live.hidden = false;
    void this.#offerDevices();
    this.#wave.start(this.#levels, () => {
      this.#parts.level.value = height(this.#levels.latest);
      const elapsed = shown(this.#spokenMs);
      if (this.#parts.elapsed.textContent !== elapsed) this.#parts.elapsed.textContent = elapsed;
    });
  }

  #came(resumed) {
    this.#isUp = true;
    if (this.#talk.state === "ending") this.say(SAYS.ending);
    else if (resumed) this.say("Back on the line; no word was lost.");
    else if (this.#wasForgotten)
      this.say("Back: the server had started anew, and went on where your words ended.");
    else this.say(SAYS[this.#talk.state]);
    this.#wasForgotten = false;
  }

  #left(how) {
    this.#isUp = false;
    this.#wasForgotten ||= how === "forgotten";
    this.say("The line is cut. Coming back; what you say meanwhile is kept …", "trouble");
  }

  async #dialled(attempt) {
    if (attempt < 2) return;
    const status = await hindrance();
    if (this.#isUp || this.#talk.state === "idle") return;
    if (status === 401) this.#onKeyWanted();
    const why = AWAY[status] ?? `The server answers with status ${status}.`;
    this.say(`${why} Trying again (${attempt}); what you say meanwhile is kept …`, "trouble");
  }

  #sayWhetherUp() {
    if (!this.#isUp) this.say("Listening. Connecting …");
  }

  async #offerDevices() {
    offerDevices(this.#parts.device, await microphones());
  }
}
