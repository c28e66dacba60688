/** Player: playback of the recording or of the selected file. */

export class Player {
  #box;
  #media;
  #url = null;

  /** onTime(ms): called with the playback position, about four times a second */
  constructor(box, media, onTime) {
    this.#box = box;
    this.#media = media;
    media.addEventListener("timeupdate", () => onTime(media.currentTime * 1000));
    media.addEventListener("loadedmetadata", () => {
      box.toggleAttribute("data-video", media.videoWidth > 0);
    });
  }

  get media() {
    return this.#media;
  }

  get isLoaded() {
    return this.#url !== null;
  }

  /** Load a blob. Resolves to its duration in seconds, or undefined if the browser cannot play it. */
  load(blob) {
    this.unload();
    this.#url = URL.createObjectURL(blob);
    this.#box.hidden = false;
    return new Promise((resolve) => {
      const events = new AbortController();
      const done = (seconds) => {
        events.abort();
        resolve(seconds);
      };
      this.#media.addEventListener("loadedmetadata", () => done(this.#media.duration), events);
      this.#media.addEventListener("error", () => done(this.unload()), events);
      this.#media.src = this.#url;
    });
  }

  unload() {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
    this.#box.hidden = true;
    this.#media.removeAttribute("src");
    this.#media.load();
  }

  playFrom(ms) {
    this.#media.currentTime = ms / 1000;
    this.#media.play().catch((error) => {
      if (error.name !== "AbortError") throw error; // pause() was called before playback began
    });
  }

  pause() {
    this.#media.pause();
  }
}
