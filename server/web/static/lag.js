/** Lag: how far recognition is behind what was said, in ms. */

/**
 * Two facts tell it: an utterance that ended and has no final yet, and the lag that the server reports for
 * all streams. The larger one counts. Positions are milliseconds of the recording.
 */
export class Lag {
  #ended = new Map(); // utterances without a final: id to the position of their end
  #reportedMs = 0;

  /** Note what an event of the SessionState says. */
  note(event) {
    if (event.type === "speech_end") this.#ended.set(event.id, event.endMs);
    else if (event.type === "final" || event.type === "dropped") this.#ended.delete(event.id);
    else if (event.type === "lag") this.#reportedMs = event.ms;
    else if (event.type === "disconnected" || event.type === "session_lost") this.#reportedMs = 0;
  }

  /** Return the lag at a position of the recording, which is the present. */
  at(nowMs) {
    return Math.max(this.#reportedMs, ...[...this.#ended.values()].map((endMs) => nowMs - endMs));
  }
}
