/** MediaKeys: the media keys of a keyboard, a headset or the system control the player (W3C, Media Session). */

const SKIP_SECONDS = 5; // unless the system asks for another step

export class MediaKeys {
  #session = navigator.mediaSession; // undefined in browsers without it
  #media;
  #actions;

  /** The listener has onPlay(), and onSkip(by): the user wants the next segment (1) or the previous one (-1). */
  constructor(media, { onPlay, onSkip }) {
    this.#media = media;
    const seek = (seconds) => (media.currentTime = Math.max(0, seconds));
    this.#actions = {
      play: onPlay,
      pause: () => media.pause(),
      seekbackward: ({ seekOffset }) => seek(media.currentTime - (seekOffset ?? SKIP_SECONDS)),
      seekforward: ({ seekOffset }) => seek(media.currentTime + (seekOffset ?? SKIP_SECONDS)),
      seekto: ({ seekTime }) => seek(seekTime),
      previoustrack: () => onSkip(-1),
      nexttrack: () => onSkip(1),
    };
    for (const event of ["play", "pause", "seeked", "ratechange", "durationchange"])
      media.addEventListener(event, () => this.#showPosition());
  }

  /** Let the keys control what the player has loaded, or nothing. title: of it for people, or null */
  show(title) {
    if (!this.#session) return;
    this.#session.metadata = title === null ? null : new MediaMetadata({ title });
    for (const [action, handler] of Object.entries(this.#actions))
      this.#session.setActionHandler(action, title === null ? null : handler);
    this.#showPosition();
  }

  #showPosition() {
    if (!this.#session) return;
    const { duration, currentTime, playbackRate, paused } = this.#media;
    const isKnown = Number.isFinite(duration) && playbackRate > 0;
    this.#session.playbackState = this.#session.metadata === null ? "none" : paused ? "paused" : "playing";
    const state = { duration, playbackRate, position: Math.min(currentTime, duration) };
    this.#session.setPositionState(isKnown && this.#session.metadata ? state : undefined);
  }
}
