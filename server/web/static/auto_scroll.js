/** AutoScroll: keeps the end of the page in view while content is added, until the user scrolls up. */

const SCROLL_UP_KEYS = new Set(["ArrowUp", "PageUp", "Home"]);

export class AutoScroll {
  #end;
  #isEnabled = true;
  #isScheduled = false;

  /** end: an element below all content. Scrolling down to it enables automatic scrolling again. */
  constructor(end) {
    this.#end = end;
    new IntersectionObserver(([entry]) => (this.#isEnabled ||= entry.isIntersecting)).observe(end);
    addEventListener("wheel", ({ deltaY }) => deltaY < 0 && this.disable(), { passive: true });
    addEventListener("touchmove", () => this.disable(), { passive: true });
    addEventListener("keydown", ({ key }) => SCROLL_UP_KEYS.has(key) && this.disable());
    addEventListener(
      "mousedown",
      ({ clientX }) => clientX >= document.documentElement.clientWidth && this.disable(),
    ); // on the scroll bar
  }

  disable() {
    this.#isEnabled = false;
  }

  /** Scroll to the end in the next frame, once for all calls before it. */
  contentAdded() {
    if (!this.#isEnabled || this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      this.#end.scrollIntoView({ block: "end" });
    });
  }
}
