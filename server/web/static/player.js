/** Player: what was recorded or chosen, to be heard again. */

export class Player {
  #box;
  #media;
  #url = null;

  /** onPlace(ms): while it plays, about four times a second */
  constructor(box, media, onPlace) {
    this.#box = box;
    this.#media = media;
    media.addEventListener("timeupdate", () => onPlace(media.currentTime * 1000));
    media.addEventListener("loadedmetadata", () => {
      box.toggleAttribute("data-picture", media.videoWidth > 0);
    });
  }

  get media() {
    return this.#media;
  }

  get isLoaded() {
    return this.#url !== null;
  }

  /** Resolves to the duration in seconds, undefined where the browser cannot play it. */
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
      if (error.name !== "AbortError") throw error; // a pause came first
    });
  }

  pause() {
    this.#media.pause();
  }
}
