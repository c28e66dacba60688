/** Wave: the last seconds of the microphone on a canvas, detected speech in the accent's colour. */

import { height, STEP_MS } from "./level_meter.js";

const BAR = 3; // CSS pixels a step
const DELAY_MS = 120; // behind the newest sound, so that the picture moves evenly though messages do not
const STILL_MS = 500; // between pictures where motion is unwanted

export class Wave {
  #canvas;
  #levels = null;
  #shownMs = 0;
  #drawnAt = 0;
  #frame = null;
  #colours = {};
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(canvas) {
    this.#canvas = canvas;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#readColours());
    new ResizeObserver(() => this.#fit()).observe(canvas);
  }

  /** onFrame(): called with each picture */
  start(levels, onFrame) {
    this.#levels = levels;
    this.#shownMs = levels.endMs;
    this.#readColours();
    this.#fit();
    const draw = (now) => {
      this.#frame = requestAnimationFrame(draw);
      if (this.#still.matches && now - this.#drawnAt < STILL_MS) return;
      this.#draw(now);
      onFrame();
    };
    this.#frame = requestAnimationFrame(draw);
  }

  stop() {
    cancelAnimationFrame(this.#frame);
  }

  #readColours() {
    const style = getComputedStyle(this.#canvas);
    this.#colours = { speech: style.getPropertyValue("--accent"), silence: style.getPropertyValue("--wave") };
  }

  #fit() {
    const ratio = devicePixelRatio;
    this.#canvas.width = Math.round(this.#canvas.clientWidth * ratio);
    this.#canvas.height = Math.round(this.#canvas.clientHeight * ratio);
  }

  #draw(now) {
    const passed = Math.min(now - this.#drawnAt, 1000);
    this.#drawnAt = now;
    const endMs = this.#levels.endMs;
    this.#shownMs = Math.min(endMs, Math.max(endMs - 2 * DELAY_MS, this.#shownMs + passed));
    const pen = this.#canvas.getContext("2d");
    const { clientWidth: width, clientHeight: tall } = this.#canvas;
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    pen.clearRect(0, 0, width, tall);
    const last = Math.floor(this.#shownMs / STEP_MS);
    const shift = (this.#shownMs / STEP_MS - last) * BAR;
    for (const speech of [false, true]) this.#bars(pen, { last, shift, width, tall, speech });
  }

  #bars(pen, { last, shift, width, tall, speech }) {
    pen.fillStyle = speech ? this.#colours.speech : this.#colours.silence;
    pen.beginPath();
    for (let i = 0; i * BAR < width + BAR; i += 1) {
      if (this.#levels.isSpeech((last - i) * STEP_MS) !== speech) continue;
      const bar = Math.max(2, height(this.#levels.at(last - i)) * tall);
      pen.rect(width - i * BAR - shift, (tall - bar) / 2, BAR - 1, bar);
    }
    pen.fill();
  }
}
