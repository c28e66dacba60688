/** followShared: receives the text of a live session that its owner shares (docs/protocol.md). */

import { SEGMENTS } from "./caption_channel.js";
import { Backoff } from "./reconnect.js";
import { readEvents } from "./sse.js";

const SILENCE_MS = 45_000; // without a byte, after which the connection counts as dead; comments come every 15 s
const FINISHED = { 401: "expired", 404: "ended" };
const MAX_RECONNECT_MS = 15_000;

/**
 * Follow a session until it ends or the token expires. onLines({language, segments}): the latest segments;
 * onState(state): waiting (for speech), live, lost (connecting again), ended or expired
 */
export async function followShared({ session, token }, { onLines, onState }) {
  const url = new URL(`v1/shared/${encodeURIComponent(session)}/events`, document.baseURI);
  const texts = new SharedTexts();
  const backoff = new Backoff(Math.random, { firstMs: 500, maxMs: MAX_RECONNECT_MS });
  let lastId = "";

  /** Receive events until the connection ends. Return the state that follows, or throw. */
  async function receive() {
    const abort = new AbortController();
    let timer = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const headers = { authorization: `Bearer ${token}`, ...(lastId && { "last-event-id": lastId }) };
      const response = await fetch(url, { headers, signal: abort.signal, cache: "no-store" });
      if (!response.ok) return FINISHED[response.status] ?? "lost";
      onState(texts.isEmpty ? "waiting" : "live");
      for await (const events of readEvents(response)) {
        backoff.reset();
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(), SILENCE_MS);
        for (const { id, name, data } of events) {
          lastId = id ?? lastId;
          texts.apply(name, data);
        }
        if (!texts.isEmpty) onState("live");
        if (events.length) onLines(texts);
        if (events.some(({ name }) => name === "end")) return "ended";
        if (events.some(({ data }) => data.code === "invalid_share_token")) return "expired";
      }
      return "lost";
    } finally {
      clearTimeout(timer);
    }
  }

  for (;;) {
    const state = await receive().catch(() => "lost");
    onState(state);
    if (state !== "lost") return;
    await new Promise((resolve) => setTimeout(resolve, backoff.next()));
  }
}

/** The latest segments of a session. */
class SharedTexts {
  language = null;
  #segments = new Map(); // by the id of the utterance

  get segments() {
    return [...this.#segments.values()];
  }

  get isEmpty() {
    return !this.segments.some(({ text }) => text.trim());
  }

  apply(name, { item_id: id, text, language }) {
    if (name === "dropped") this.#segments.delete(id);
    if (name !== "partial" && name !== "final") return;
    this.#segments.set(id, { text });
    this.language = language ?? this.language;
    while (this.#segments.size > SEGMENTS) this.#segments.delete(this.#segments.keys().next().value);
  }
}
