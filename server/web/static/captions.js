/** Captions: the transcript as a text track of the player, so a video has captions, also in full screen. */

import { toCues } from "./subtitles.js";

const CHANGES = new Set(["finalized", "edited", "restored", "removed"]);

export class Captions {
  #track;
  #cues = new Map(); // by id of the segment

  /** media: the element of the player; label: of the track */
  constructor(media, label) {
    this.#track = media.addTextTrack("captions", label);
    this.#track.mode = "showing";
  }

  /** Show the captions of a transcript, or none. segments: final ones */
  show(segments) {
    for (const id of [...this.#cues.keys()]) this.#remove(id);
    for (const segment of segments) this.#add(segment);
  }

  /** Follow a change of the transcript. */
  change(change, segment) {
    if (!CHANGES.has(change)) return;
    this.#remove(segment.id);
    if (change !== "removed") this.#add(segment);
  }

  #add(segment) {
    const cues = toCues([segment]).map(
      ({ startMs, endMs, lines }) => new VTTCue(startMs / 1000, endMs / 1000, escape(lines.join("\n"))),
    );
    this.#cues.set(segment.id, cues);
    for (const cue of cues) this.#track.addCue(cue);
  }

  #remove(id) {
    for (const cue of this.#cues.get(id) ?? []) this.#track.removeCue(cue);
    this.#cues.delete(id);
  }
}

/** Escape what WebVTT would parse as a tag or an entity. */
function escape(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
