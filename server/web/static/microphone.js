/** Microphone: audio of the selected device at the sample rate of the audio system. */

/** The microphone cannot be used. The message tells the user why, and what to do. */
export class MicrophoneError extends Error {}

export class Microphone {
  #stream;
  #context;
  #node;

  /**
   * Ask for permission and open the device. Throw MicrophoneError.
   * rate: sample rate in Hz; default: that of the audio system
   * onAudio: called with Int16Array, mono, about 40 ms
   * onLost: called when the device is unplugged or the permission is withdrawn
   */
  static async open({ deviceId, echoCancellation, noiseSuppression, rate }, onAudio, onLost) {
    const microphone = new Microphone();
    const device = deviceId ? { deviceId: { exact: deviceId } } : {};
    // A user who turns noise suppression off wants unprocessed audio, without automatic gain as well.
    const processing = { echoCancellation, noiseSuppression, autoGainControl: noiseSuppression };
    microphone.#stream = await getUserMedia({ audio: { ...device, ...processing } });
    microphone.#stream.getAudioTracks()[0].addEventListener("ended", onLost);
    try {
      await microphone.#connect(onAudio, rate);
    } catch (error) {
      microphone.#release();
      throw new MicrophoneError(`The microphone audio could not be read: ${error.message}`);
    }
    return microphone;
  }

  /** Sample rate in Hz. */
  get rate() {
    return this.#context.sampleRate;
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

  async #connect(onAudio, rate) {
    this.#context = new AudioContext({ latencyHint: "interactive", ...(rate && { sampleRate: rate }) });
    await this.#context.audioWorklet.addModule(new URL("./capture_worklet.js", import.meta.url));
    const source = this.#context.createMediaStreamSource(this.#stream);
    this.#node = new AudioWorkletNode(this.#context, "capture", { numberOfOutputs: 0 });
    this.#node.port.onmessage = ({ data }) => data !== null && onAudio(data);
    source.connect(this.#node);
    await this.#context.resume();
  }

  #release() {
    for (const track of this.#stream.getTracks()) track.stop();
    void this.#context?.close();
  }
}

/** Return the devices that can be selected. They have labels only after the user allowed the microphone. */
export async function listMicrophones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId);
}

async function getUserMedia(constraints) {
  if (!navigator.mediaDevices) throw new MicrophoneError(INSECURE_CONTEXT);
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (error) {
    throw new MicrophoneError(
      ERROR_TEXTS[error.name] ?? `The microphone could not be opened: ${error.message}`,
    );
  }
}

const INSECURE_CONTEXT =
  "Browsers allow the microphone only on localhost or over HTTPS, and this page was loaded over HTTP from " +
  "another machine. To turn on TLS in the server, set SSL_CERTFILE (and SSL_KEYFILE if the key is in a " +
  "separate file), then open the page with https://. You can transcribe files without it.";

const ERROR_TEXTS = {
  NotAllowedError:
    "Microphone access was denied. Allow it for this page in the browser's address bar or in the system's " +
    "privacy settings, then click the button again. On other machines than localhost, browsers also require " +
    "HTTPS: the server's settings SSL_CERTFILE and SSL_KEYFILE turn it on.",
  NotFoundError: "No microphone was found. Connect one, then click the button again.",
  OverconstrainedError: "The selected microphone is no longer available. Select another one.",
  NotReadableError: "The microphone cannot be read. Another program may be using it.",
};
