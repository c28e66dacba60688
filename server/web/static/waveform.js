/** Waveform: the last seconds of microphone audio on a canvas. Detected speech has the accent colour. */

import { barHeight, STEP_MS } from "./level_meter.js";

const BAR_WIDTH = 3; // CSS pixels per step
const DELAY_MS = 120; // behind the newest audio, so that uneven arrival does not show
const REDUCED_MOTION_MS = 500; // between frames if the user prefers reduced motion

export class Waveform {
  #canvas;
  #levels = null;
  #shownMs = 0; // end of what is shown
  #drawnAt = 0;
  #frame = null;
  #timer = null;
  #colours = {};
  #reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(canvas) {
    this.#canvas = canvas;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#readColours());
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  /** Draw a LevelMeter until stop(). onFrame() is called after each frame. */
  start(levels, onFrame) {
    this.#levels = levels;
    this.#shownMs = levels.endMs;
    this.#readColours();
    this.#resize();
    const ask = () => (this.#frame = requestAnimationFrame(draw));
    const draw = (now) => {
      this.#draw(now);
      onFrame();
      // A timer, as a callback in each frame makes the browser work for each frame, even if it draws nothing.
      if (this.#reducedMotion.matches) this.#timer = setTimeout(ask, REDUCED_MOTION_MS);
      else ask();
    };
    ask();
  }

  stop() {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
  }

  #readColours() {
    const style = getComputedStyle(this.#canvas);
    this.#colours = { speech: style.getPropertyValue("--accent"), silence: style.getPropertyValue("--wave") };
  }

  #resize() {
    const ratio = devicePixelRatio;
    this.#canvas.width = Math.round(this.#canvas.clientWidth * ratio);
    this.#canvas.height = Math.round(this.#canvas.clientHeight * ratio);
  }

  #draw(now) {
    const elapsed = Math.min(now - this.#drawnAt, 1000);
    this.#drawnAt = now;
    const endMs = this.#levels.endMs;
    this.#shownMs = Math.min(endMs, Math.max(endMs - 2 * DELAY_MS, this.#shownMs + elapsed));
    const context = this.#canvas.getContext("2d");
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, width, height);
    const last = Math.floor(this.#shownMs / STEP_MS);
    const shift = (this.#shownMs / STEP_MS - last) * BAR_WIDTH;
    for (const speech of [false, true]) this.#drawBars(context, { last, shift, width, height, speech });
  }

  /** last: step of the rightmost bar; shift: pixels to the left; speech: draw steps with or without speech */
  #drawBars(context, { last, shift, width, height, speech }) {
    context.fillStyle = speech ? this.#colours.speech : this.#colours.silence;
    context.beginPath();
    for (let i = 0; i * BAR_WIDTH < width + BAR_WIDTH; i += 1) {
      if (this.#levels.isSpeech((last - i) * STEP_MS) !== speech) continue;
      const bar = Math.max(2, barHeight(this.#levels.peakAt(last - i)) * height);
      context.rect(width - i * BAR_WIDTH - shift, (height - bar) / 2, BAR_WIDTH - 1, bar);
    }
    context.fill();
  }
}
