/** The user's API key, stored for this tab only. */

const STORAGE_KEY = "stt-key";

export const apiKey = {
  get value() {
    return sessionStorage.getItem(STORAGE_KEY) ?? "";
  },
  set value(text) {
    sessionStorage.setItem(STORAGE_KEY, text.trim());
  },
  /** Headers of an HTTP request. */
  get headers() {
    return this.value ? { Authorization: `Bearer ${this.value}` } : {};
  },
  /**
   * Subprotocols of a WebSocket. A browser cannot set headers on a WebSocket, so the key is sent as a
   * subprotocol. Empty if there is no key.
   */
  get protocols() {
    return this.value ? ["stt", `stt-key.${this.value}`] : [];
  },
};
