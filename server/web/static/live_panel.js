/** LivePanel: the controls, the status text and the waveform of a live recording. */

import { Lag } from "./lag.js";
import { LevelMeter, barHeight } from "./level_meter.js";
import { canShareSound, listMicrophones } from "./microphone.js";
import { setDeviceOptions } from "./option_lists.js";
import { t } from "./text.js";
import { formatTime } from "./time_format.js";
import { Waveform } from "./waveform.js";

const BUTTON_LABELS = { idle: "start", starting: "start", live: "stop", paused: "stop", stopping: "finishNow" };
const STATUS_TEXTS = {
  starting: "waitingForMicrophone",
  live: "listening",
  paused: "paused",
  stopping: "waitingForWords",
};
const TICK_MS = 250; // between updates of the lag and of the time until the next attempt
const SHOWN_LAG_MS = 1000;
const SILENCE_HINT_MS = 8000; // of recording without speech
const SOUND = 0.002; // peak below which a microphone gives no sound, of full scale

export class LivePanel {
  #elements;
  #live; // LiveRecording
  #waveform;
  #levels = new LevelMeter();
  #lag = new Lag();
  #isConnected = false;
  #wasConnected = false; // in this recording
  #wasSessionLost = false;
  #hasSpeech = false;
  #isHinting = false; // the status says that nothing is heard
  #peak = 0; // of the recording
  #recordedMs = 0; // since start()
  #nextTryAt = 0; // time of the next attempt to connect; 0 if none is scheduled
  #tick = null;
  #onKeyRequired;
  #isLoading;

  /**
   * elements: of the page, by name; onKeyRequired(): the server refused a request without a valid API key;
   * isLoading(): whether the server still loads its recognizer
   */
  constructor(elements, onKeyRequired, isLoading) {
    this.#elements = elements;
    this.#waveform = new Waveform(elements.wave);
    this.#onKeyRequired = onKeyRequired;
    this.#isLoading = isLoading;
    elements.sound.disabled = !canShareSound;
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.#listDevices());
    void this.#listDevices();
  }

  /** Reset the panel before a LiveRecording starts. */
  start(live) {
    this.#live = live;
    this.#levels = new LevelMeter();
    this.#lag = new Lag();
    this.#recordedMs = this.#peak = this.#nextTryAt = 0;
    this.#isConnected = this.#wasConnected = this.#hasSpeech = false;
    this.#elements.latency.textContent = "–";
    this.#elements.elapsed.textContent = formatTime(0);
  }

  get device() {
    const { sound, device, echo, noise } = this.#elements;
    return {
      source: sound.value,
      deviceId: device.value,
      echoCancellation: echo.checked,
      noiseSuppression: noise.checked,
    };
  }

  showState(state) {
    const { button, label, pause, live, details } = this.#elements;
    const isOn = state === "live" || state === "paused";
    label.textContent = t(BUTTON_LABELS[state]);
    button.setAttribute("aria-busy", state === "starting"); // a disabled button would lose the focus
    document.body.toggleAttribute("data-recording", isOn);
    if (isOn) document.body.dataset.recording = state;
    pause.hidden = !isOn;
    pause.textContent = t(state === "paused" ? "resume" : "pause");
    details.hidden = state !== "idle";
    if (state === "idle") this.#waveform.stop();
    else if (live.hidden && isOn) this.#showLevels();
    if (state === "idle" || state === "stopping") live.hidden = true;
    if (STATUS_TEXTS[state]) this.showStatus(t(STATUS_TEXTS[state]));
    if (state === "live" && !this.#isConnected)
      this.showStatus(t(this.#isLoading() ? "loadingListening" : "connecting"));
    clearInterval(this.#tick);
    if (state !== "idle") this.#tick = setInterval(() => this.#showTimes(), TICK_MS);
  }

  addAudio(audio) {
    this.#levels.add(audio);
    this.#peak = Math.max(this.#peak, this.#levels.latest);
    const before = this.#recordedMs;
    this.#recordedMs += this.#live.durationOf(audio);
    if (before < SILENCE_HINT_MS && this.#recordedMs >= SILENCE_HINT_MS) this.#showSilence();
  }

  /** event: of the SessionState or the Connection */
  showEvent(event) {
    this.#lag.note(event);
    switch (event.type) {
      case "speech_start":
        return this.#speechStarted(event);
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
        return this.#disconnected(event);
      case "connecting":
        return this.#connecting();
      case "refused":
        return this.#refused(event);
      case "ended":
        return this.showStatus(t(this.#hasSpeech ? "done" : "doneSilence"), "idle");
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
    this.#elements.detail.textContent = "";
    this.#isHinting = false;
  }

  #showLevels() {
    this.#elements.live.hidden = false;
    void this.#listDevices();
    this.#waveform.start(this.#levels, () => {
      this.#elements.level.value = barHeight(this.#levels.latest);
      setText(this.#elements.elapsed, formatTime(this.#recordedMs));
    });
  }

  /** Show the lag and the time until the next attempt. They change each second, so no screen reader reads them. */
  #showTimes() {
    const lagMs = this.#lag.at(this.#live.nowMs);
    const leftMs = this.#nextTryAt - performance.now();
    const parts = [];
    if (this.#isConnected && lagMs > SHOWN_LAG_MS)
      parts.push(t("behind", { seconds: Math.round(lagMs / 1000) }));
    if (this.#nextTryAt && leftMs > 0) parts.push(t("nextTry", { seconds: Math.ceil(leftMs / 1000) }));
    setText(this.#elements.detail, parts.join(" "));
  }

  #speechStarted({ id, startMs }) {
    this.#hasSpeech = true;
    this.#levels.startSpeech(id, startMs - this.#live.startMs);
    if (this.#isHinting && this.#live.state === "live") this.showStatus(t(STATUS_TEXTS.live));
  }

  #showSilence() {
    if (this.#hasSpeech || !this.#isConnected || this.#live.state !== "live") return;
    this.showStatus(t(this.#peak < SOUND ? "noSound" : "noSpeech"));
    this.#isHinting = true;
  }

  #showLatency(endMs) {
    const seconds = (this.#live.nowMs - endMs) / 1000;
    this.#elements.latency.textContent = t("seconds", { seconds: seconds.toFixed(2) });
  }

  #connected(resumed) {
    this.#isConnected = true;
    this.#nextTryAt = 0;
    if (this.#live.state === "stopping" || !this.#wasConnected) this.showStatus(t(STATUS_TEXTS[this.#live.state]));
    else if (resumed) this.showStatus(t("reconnected"));
    else if (this.#wasSessionLost) this.showStatus(t("sessionLost"));
    else this.showStatus(t(STATUS_TEXTS[this.#live.state]));
    this.#wasConnected = true;
    this.#wasSessionLost = false;
  }

  #disconnected({ type, quiet }) {
    this.#isConnected = false;
    this.#wasSessionLost ||= type === "session_lost";
    if (this.#wasConnected && !quiet) this.showStatus(t("lineCut"), "error");
  }

  #connecting() {
    this.#nextTryAt = 0;
    setText(this.#elements.detail, "");
  }

  /** Say why an attempt to connect failed. A busy server is no error: it will have room. */
  #refused({ status, lagMs, message, delayMs }) {
    if (this.#live.state === "idle") return;
    if (status === 401) this.#onKeyRequired();
    this.#nextTryAt = performance.now() + delayMs;
    const isBusy = status === 503 || status === 429 || status === 200;
    setText(this.#elements.status, isBusy ? busyText(lagMs, message) : outageText(status));
    this.#elements.status.dataset.kind = isBusy ? "busy" : "error";
  }

  async #listDevices() {
    setDeviceOptions(this.#elements.device, await listMicrophones());
  }
}

function busyText(lagMs, message) {
  if (lagMs > SHOWN_LAG_MS) return t("busyBehind", { seconds: Math.round(lagMs / 1000) });
  return message ? t("refused", { reason: message }) : t("busy");
}

function outageText(status) {
  const reasons = { 0: t("unreachable"), 401: t("keyRequired") };
  return t("refused", { reason: reasons[status] ?? t("statusResponse", { status }) });
}

/** Write a text only if it differs: a screen reader announces each change. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
