/** Key: what the server may want from its users. Kept for this tab alone. */

const NAME = "stt-key";

export const key = {
  get value() {
    return sessionStorage.getItem(NAME) ?? "";
  },
  set value(text) {
    sessionStorage.setItem(NAME, text.trim());
  },
  /** Headers of a request. */
  get headers() {
    return this.value ? { Authorization: `Bearer ${this.value}` } : {};
  },
  /**
   * A browser's WebSocket can send no header, so the key goes as a subprotocol; without one none is
   * offered.
   */
  get protocols() {
    return this.value ? ["stt", `stt-key.${this.value}`] : [];
  },
};
