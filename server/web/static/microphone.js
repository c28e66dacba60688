/** Microphone: sound from the chosen device, at the audio system's own rate. */

/** Why there is no sound, in words for the one who wanted to speak. */
export class MicrophoneError extends Error {}

export class Microphone {
  #stream;
  #context;
  #node;

  /**
   * Asks for the device. Raises MicrophoneError.
   * rate: Hz to go on with; without it the audio system's own
   * onSound: called with Int16Array, mono, about 40 ms
   * onLost: called when the device is unplugged or taken away
   */
  static async open({ deviceId, echoCancellation, noiseSuppression, rate }, onSound, onLost) {
    const microphone = new Microphone();
    const device = deviceId ? { deviceId: { exact: deviceId } } : {};
    // The gain follows the noise suppression: who wants the sound as it is, wants it so in both.
    const wanted = { echoCancellation, noiseSuppression, autoGainControl: noiseSuppression };
    microphone.#stream = await asked({ audio: { ...device, ...wanted } });
    microphone.#stream.getAudioTracks()[0].addEventListener("ended", onLost);
    try {
      await microphone.#connect(onSound, rate);
    } catch (error) {
      microphone.#release();
      throw new MicrophoneError(`The sound of the microphone could not be read: ${error.message}`);
    }
    return microphone;
  }

  /** Hz */
  get rate() {
    return this.#context.sampleRate;
  }

  /** Until all that was heard has been passed on. */
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

  async #connect(onSound, rate) {
    this.#context = new AudioContext({ latencyHint: "interactive", ...(rate && { sampleRate: rate }) });
    await this.#context.audioWorklet.addModule(new URL("./capture_worklet.js", import.meta.url));
    const source = this.#context.createMediaStreamSource(this.#stream);
    this.#node = new AudioWorkletNode(this.#context, "capture", { numberOfOutputs: 0 });
    this.#node.port.onmessage = ({ data }) => data !== null && onSound(data);
    source.connect(this.#node);
    await this.#context.resume();
  }

  #release() {
    for (const track of this.#stream.getTracks()) track.stop();
    void this.#context?.close();
  }
}

/** The devices that can be chosen; they have names only once the microphone was allowed. */
export async function microphones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId);
}

async function asked(constraints) {
  if (!navigator.mediaDevices) throw new MicrophoneError(INSECURE);
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (error) {
    throw new MicrophoneError(WHY[error.name] ?? `The microphone could not be opened: ${error.message}`);
  }
}

const INSECURE =
  "Browsers allow the microphone on localhost or over TLS only, and this page came over plain HTTP from " +
  "another machine. Whoever runs the server can turn TLS on: set SSL_CERTFILE (and SSL_KEYFILE, where the " +
  "key is in a file of its own), then open the page with https://. Files can be transcribed without it.";

const WHY = {
  NotAllowedError:
    "The microphone was refused. Allow it for this page in the browser's address bar, or in the system's " +
    "privacy settings, then press the button again. Over the network browsers also want TLS: the server's " +
    "settings SSL_CERTFILE and SSL_KEYFILE turn it on.",
  NotFoundError: "There is no microphone. Plug one in, then press the button again.",
  OverconstrainedError: "The chosen microphone is not there any more. Choose another one.",
  NotReadableError: "The microphone cannot be read: another program may be using it.",
};
