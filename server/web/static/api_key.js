/** The user's API key: stored for this tab, or in this browser if the user wants that. */

const STORAGE_KEY = "stt-key";

export const apiKey = {
  get value() {
    return sessionStorage.getItem(STORAGE_KEY) ?? localStorage.getItem(STORAGE_KEY) ?? "";
  },
  /** remember: store it in this browser, for all tabs, until it is forgotten */
  set(text, { remember }) {
    this.forget();
    (remember ? localStorage : sessionStorage).setItem(STORAGE_KEY, text.trim());
  },
  forget() {
    for (const storage of [sessionStorage, localStorage]) storage.removeItem(STORAGE_KEY);
  },
  get isRemembered() {
    return localStorage.getItem(STORAGE_KEY) !== null;
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
