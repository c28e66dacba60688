/** LivePanel: the controls, the status text and the waveform of a live recording. */

import { fetchAvailability } from "./api.js";
import { LevelMeter, barHeight } from "./level_meter.js";
import { listMicrophones } from "./microphone.js";
import { setDeviceOptions } from "./option_lists.js";
import { formatTime } from "./time_format.js";
import { Waveform } from "./waveform.js";

const BUTTON_LABELS = {
  idle: "Start recording",
  starting: "Start recording",
  live: "Stop",
  paused: "Stop",
  stopping: "Finish now",
};
const STATUS_TEXTS = {
  starting: "Waiting for the microphone…",
  live: "Listening.",
  paused: "Paused. Audio is not recorded.",
  stopping: "Waiting for the last words…",
};
const OUTAGE_TEXTS = {
  0: "The server is not responding.",
  200: "The server accepts no more sessions at the moment.",
  401: "The server requires an API key.",
  503: "The server is not ready yet.",
};

export class LivePanel {
  #elements;
  #live; // LiveRecording
  #waveform;
  #levels = new LevelMeter();
  #isConnected = false;
  #wasSessionLost = false;
  #recordedMs = 0; // since start()
  #onKeyRequired;

  /** elements: of the page, by name; onKeyRequired(): the server refused a request without a valid API key */
  constructor(elements, onKeyRequired) {
    this.#elements = elements;
    this.#waveform = new Waveform(elements.wave);
    this.#onKeyRequired = onKeyRequired;
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.#listDevices());
    void this.#listDevices();
  }

  /** Reset the panel before a LiveRecording starts. */
  start(live) {
    this.#live = live;
    this.#levels = new LevelMeter();
    this.#recordedMs = 0;
    this.#isConnected = false;
    this.#elements.latency.textContent = "–";
  }

  get device() {
    const { device, echo, noise } = this.#elements;
    return { deviceId: device.value, echoCancellation: echo.checked, noiseSuppression: noise.checked };
  }

  showState(state) {
    const { button, label, pause, live, details } = this.#elements;
    const isOn = state === "live" || state === "paused";
    label.textContent = BUTTON_LABELS[state];
    button.setAttribute("aria-busy", state === "starting"); // a disabled button would lose the focus
    document.body.toggleAttribute("data-recording", isOn);
    if (isOn) document.body.dataset.recording = state;
    pause.hidden = !isOn;
    pause.textContent = state === "paused" ? "Resume" : "Pause";
    details.hidden = state !== "idle";
    if (state === "idle") this.#waveform.stop();
    else if (live.hidden && isOn) this.#showLevels();
    if (state === "idle" || state === "stopping") live.hidden = true;
    if (STATUS_TEXTS[state]) this.showStatus(STATUS_TEXTS[state]);
    if (state === "live" && !this.#isConnected) this.showStatus("Listening. Connecting…");
  }

  addAudio(audio) {
    this.#levels.add(audio);
    this.#recordedMs += this.#live.durationOf(audio);
  }

  /** event: of the SessionState or the Connection */
  showEvent(event) {
    switch (event.type) {
      case "speech_start":
        return this.#levels.startSpeech(event.id, event.startMs - this.#live.startMs);
      case "speech_end":
        return this.#levels.endSpeech(event.id, event.endMs - this.#live.startMs);
      case "dropped":
        return this.#levels.removeSpeech(event.id);
      case "final":
        return this.#showLatency(event.endMs);
      case "connected":
        return this.#connected(event.resumed);
      case "disconnected":
      case "session_lost":
        return this.#disconnected(event.type);
      case "connecting":
        return this.#isConnected ? undefined : this.#connecting(event.attempt);
      case "ended":
        return this.showStatus("Done. The transcript is complete.", "idle");
      case "failed":
      case "warning":
        return this.showStatus(event.message, "error");
      default:
        return undefined;
    }
  }

  /** kind: idle, busy or error */
  showStatus(text, kind = "busy") {
    this.#elements.status.textContent = text;
    this.#elements.status.dataset.kind = kind;
  }

  #showLevels() {
    this.#elements.live.hidden = false;
    void this.#listDevices();
    this.#waveform.start(this.#levels, () => {
      this.#elements.level.value = barHeight(this.#levels.latest);
      const elapsed = formatTime(this.#recordedMs);
      if (this.#elements.elapsed.textContent !== elapsed) this.#elements.elapsed.textContent = elapsed;
    });
  }

  #showLatency(endMs) {
    const seconds = this.#live.elapsedSince(endMs) / 1000;
    this.#elements.latency.textContent = `${seconds.toFixed(2)} s`;
  }

  #connected(resumed) {
    this.#isConnected = true;
    if (this.#live.state === "stopping") this.showStatus(STATUS_TEXTS.stopping);
    else if (resumed) this.showStatus("Reconnected. No audio was lost.");
    else if (this.#wasSessionLost)
      this.showStatus("Reconnected. The server lost the session; transcription continues in a new one.");
    else this.showStatus(STATUS_TEXTS[this.#live.state]);
    this.#wasSessionLost = false;
  }

  #disconnected(type) {
    this.#isConnected = false;
    this.#wasSessionLost ||= type === "session_lost";
    this.showStatus("Connection lost. Reconnecting; your audio is kept…", "error");
  }

  async #connecting(attempt) {
    if (attempt < 2) return;
    const status = await fetchAvailability();
    if (this.#isConnected || this.#live.state === "idle") return;
    if (status === 401) this.#onKeyRequired();
    const reason = OUTAGE_TEXTS[status] ?? `The server responds with status ${status}.`;
    this.showStatus(`${reason} Reconnecting (attempt ${attempt}); your audio is kept…`, "error");
  }

  async #listDevices() {
    setDeviceOptions(this.#elements.device, await listMicrophones());
  }
}
