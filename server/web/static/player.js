/** Player: playback of the recording or of the selected file. */

export class Player {
  blob = null; // what is loaded
  #box;
  #media;
  #url = null;
  #listener;
  #frame = null;

  /**
   * box: contains the media element. The listener has onTime(ms), called in each frame while it plays and when
   * the position changes, and onLoad(), called when another blob or none is loaded.
   */
  constructor(box, media, listener) {
    this.#box = box;
    this.#media = media;
    this.#listener = listener;
    media.addEventListener("timeupdate", () => this.#tell());
    media.addEventListener("playing", () => this.#follow());
    media.addEventListener("loadedmetadata", () => {
      box.toggleAttribute("data-video", media.videoWidth > 0);
    });
    // What scrolls into view must not lie behind the player, unless it stands beside the text.
    new ResizeObserver(() => {
      const below = getComputedStyle(box).position === "sticky" ? box.offsetHeight : 0;
      document.documentElement.style.scrollPaddingBottom = `${below}px`;
    }).observe(box);
  }

  get media() {
    return this.#media;
  }

  /** Load a blob. Resolves to its duration in seconds, or undefined if the browser cannot play it. */
  load(blob) {
    this.unload();
    this.blob = blob;
    this.#url = URL.createObjectURL(blob);
    this.#box.hidden = false;
    this.#listener.onLoad();
    return new Promise((resolve) => {
      const events = new AbortController();
      const done = (seconds) => {
        events.abort();
        resolve(seconds);
      };
      this.#media.addEventListener("loadedmetadata", () => done(this.#media.duration), events);
      this.#media.addEventListener("error", () => done(this.#failed(blob)), events);
      this.#media.src = this.#url;
    });
  }

  unload() {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.blob = this.#url = null;
    this.#box.hidden = true;
    this.#media.removeAttribute("src");
    this.#media.load();
    this.#listener.onLoad();
  }

  playFrom(ms) {
    this.#media.currentTime = ms / 1000;
    this.play();
  }

  play() {
    this.#media.play().catch((error) => {
      if (error.name !== "AbortError") throw error; // pause() was called before playback began
    });
  }

  pause() {
    this.#media.pause();
  }

  #failed(blob) {
    if (this.blob === blob) this.unload();
  }

  /** Tell the position in each frame: four times a second, as timeupdate, is too seldom for single words. */
  #follow() {
    cancelAnimationFrame(this.#frame);
    const next = () => {
      this.#tell();
      if (!this.#media.paused && !this.#media.ended) this.#frame = requestAnimationFrame(next);
    };
    this.#frame = requestAnimationFrame(next);
  }

  #tell() {
    this.#listener.onTime(this.#media.currentTime * 1000);
  }
}
