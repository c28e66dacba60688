/** Follow: keeps the end of the page in sight while it grows, until somebody scrolls up to read. */

const UPWARDS = new Set(["ArrowUp", "PageUp", "Home"]);

export class Follow {
  #end;
  #isOn = true;
  #isDue = false;

  /** end: an element behind all that grows. Whoever scrolls down to it is followed again. */
  constructor(end) {
    this.#end = end;
    new IntersectionObserver(([entry]) => (this.#isOn ||= entry.isIntersecting)).observe(end);
    addEventListener("wheel", ({ deltaY }) => deltaY < 0 && this.off(), { passive: true });
    addEventListener("touchmove", () => this.off(), { passive: true });
    addEventListener("keydown", ({ key }) => UPWARDS.has(key) && this.off());
    addEventListener(
      "mousedown",
      ({ clientX }) => clientX >= document.documentElement.clientWidth && this.off(),
    ); // the bar
  }

  off() {
    this.#isOn = false;
  }

  /** Something has grown. Many such calls make one movement, with the next frame. */
  grown() {
    if (!this.#isOn || this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#end.scrollIntoView({ block: "end" });
    });
  }
}
