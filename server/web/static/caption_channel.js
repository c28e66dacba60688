/** CaptionChannel: sends the latest lines of the recording to the captions-only view in other windows. */

const NAME = "stt-captions";
export const SEGMENTS = 3; // the latest ones, enough to fill the lines

/** The session in its messages is the id of the transcript. Windows of this browser and origin receive them. */
export class CaptionChannel {
  #channel = new BroadcastChannel(NAME);
  #transcript = null;
  #publish = () => this.publish();

  constructor() {
    // A view that is opened later asks for what there is.
    this.#channel.onmessage = ({ data }) => data.type === "ask" && this.publish();
  }

  /** Send each change of a transcript from now on. */
  follow(transcript) {
    this.#transcript?.listeners.delete(this.#publish);
    this.#transcript = transcript;
    transcript.listeners.add(this.#publish);
  }

  publish() {
    if (!this.#transcript) return;
    const segments = this.#transcript.all.slice(-SEGMENTS).map(({ words, text }) => ({
      text: words ? words.map((word) => word.text).join("") : (text ?? ""),
      isFinal: Boolean(words),
    }));
    const { id, language } = this.#transcript;
    this.#channel.postMessage({ type: "lines", session: id, language, segments });
  }
}

/** Call onLines({language, segments}) with the lines of a session; null: of any session of this browser. */
export function receiveCaptions(session, onLines) {
  const channel = new BroadcastChannel(NAME);
  channel.onmessage = ({ data }) => {
    if (data.type === "lines" && (!session || data.session === session)) onLines(data);
  };
  channel.postMessage({ type: "ask" });
}
