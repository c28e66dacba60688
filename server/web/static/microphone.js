/** Microphone: audio of the selected device, of a shared tab or screen, or of both, apart or mixed. */

import { SHARED_TRACK, USER_TRACK } from "./speakers.js";
import { t } from "./text.js";

/** The audio cannot be captured. The message tells the user why, and what to do. */
export class MicrophoneError extends Error {}

export class Microphone {
  #streams = [];
  #isMixed;
  #context;
  #node;

  /**
   * Ask for permission and open the device. Throw MicrophoneError.
   * source: "microphone", "screen" (the sound of a tab or screen that the user selects), "both" (as two tracks) or
   * "mixed"
   * rate: sample rate in Hz; default: that of the audio system
   * onAudio: called with an Int16Array for each track, mono, about 40 ms
   * onLost: called when the device is unplugged or the permission is withdrawn
   */
  static async open({ source = "microphone", rate, ...device }, onAudio, onLost) {
    const microphone = new Microphone();
    microphone.#isMixed = source === "mixed";
    try {
      const ready = microphone.#prepare(rate); // Meanwhile, so that no word is lost once the device is open.
      ready.catch(() => {}); // An error of the device comes first.
      // The screen first: browsers allow it only right after a click.
      if (source !== "microphone") microphone.#streams.push(await getDisplaySound());
      if (source !== "screen") microphone.#streams.unshift(await getDevice(device));
      for (const stream of microphone.#streams) stream.getAudioTracks()[0].addEventListener("ended", onLost);
      await ready;
      await microphone.#connect(onAudio);
    } catch (error) {
      microphone.#release();
      if (error instanceof MicrophoneError) throw error;
      throw new MicrophoneError(t("micUnreadable", { error: error.message }));
    }
    return microphone;
  }

  /** Sample rate in Hz. */
  get rate() {
    return this.#context.sampleRate;
  }

  /** Labels of the speakers of the tracks; null for the only one. */
  get tracks() {
    return this.#streams.length === 1 || this.#isMixed ? [null] : [USER_TRACK, SHARED_TRACK];
  }

  /** Close the device. Resolves when all captured audio was passed to onAudio. */
  async close() {
    const done = new Promise((resolve) => {
      this.#node.port.addEventListener("message", ({ data }) => data === null && resolve());
    });
    if (this.#context.state === "running") {
      this.#node.port.postMessage("end");
      await done;
    }
    this.#release();
  }

  async #prepare(rate) {
    this.#context = new AudioContext({ latencyHint: "interactive", ...(rate && { sampleRate: rate }) });
    await this.#context.audioWorklet.addModule(new URL("./capture_worklet.js", import.meta.url));
  }

  async #connect(onAudio) {
    this.#node = new AudioWorkletNode(this.#context, "capture", {
      numberOfInputs: this.tracks.length,
      numberOfOutputs: 0,
    });
    this.#node.port.onmessage = ({ data }) => data !== null && onAudio(data);
    for (const [i, stream] of this.#streams.entries())
      this.#context.createMediaStreamSource(stream).connect(this.#node, 0, this.#isMixed ? 0 : i);
    await this.#context.resume();
  }

  #release() {
    for (const stream of this.#streams) for (const track of stream.getTracks()) track.stop();
    void this.#context?.close();
  }
}

/** Return the devices that can be selected. They have labels only after the user allowed the microphone. */
export async function listMicrophones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId);
}

/** True if the browser can share the sound of a tab or screen. */
export const canShareSound = Boolean(navigator.mediaDevices?.getDisplayMedia);

async function getDevice({ deviceId, echoCancellation, noiseSuppression }) {
  if (!navigator.mediaDevices) throw new MicrophoneError(t("micInsecure"));
  const device = deviceId ? { deviceId: { exact: deviceId } } : {};
  // A user who turns noise suppression off wants unprocessed audio, without automatic gain as well.
  const processing = { echoCancellation, noiseSuppression, autoGainControl: noiseSuppression };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { ...device, ...processing } });
  } catch (error) {
    throw new MicrophoneError(
      error.name in ERROR_TEXTS ? t(ERROR_TEXTS[error.name]) : t("micNotOpened", { error: error.message }),
    );
  }
}

/** Let the user select a tab or screen. Browsers share its sound only together with its picture. */
async function getDisplaySound() {
  const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  let stream;
  try {
    stream = await navigator.mediaDevices.getDisplayMedia({ video: true, audio, systemAudio: "include" });
  } catch (error) {
    throw new MicrophoneError(t(error.name === "NotAllowedError" ? "shareDenied" : "shareFailed"));
  }
  if (stream.getAudioTracks().length > 0) return stream;
  for (const track of stream.getTracks()) track.stop();
  throw new MicrophoneError(t("shareSilent"));
}

const ERROR_TEXTS = {
  NotAllowedError: "micDenied",
  NotFoundError: "micNotFound",
  OverconstrainedError: "micGone",
  NotReadableError: "micInUse",
};
