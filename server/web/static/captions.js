/** Captions: the transcript as a text track of the player, so a video has captions, also in full screen. */

const MAX_CHARACTERS = 84; // of a cue: two lines
const MAX_CUE_MS = 7000;
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
    const cues = divide(segment.words).map((words) => {
      const [start, end] = [words[0].startMs / 1000, words.at(-1).endMs / 1000];
      return new VTTCue(start, Math.max(end, start + 0.001), escape(words.map(({ text }) => text).join("").trim()));
    });
    this.#cues.set(segment.id, cues);
    for (const cue of cues) this.#track.addCue(cue);
  }

  #remove(id) {
    for (const cue of this.#cues.get(id) ?? []) this.#track.removeCue(cue);
    this.#cues.delete(id);
  }
}

/** Return words in parts that fill two lines or seven seconds. Subtitle files are made with more care, by the server. */
function divide(words) {
  const parts = [];
  let length = 0; // of the last part
  for (const word of words) {
    const part = parts.at(-1);
    const fits = part && length + word.text.trim().length <= MAX_CHARACTERS && word.endMs - part[0].startMs <= MAX_CUE_MS;
    if (fits) part.push(word);
    else parts.push([word]);
    length = word.text.length + (fits ? length : 0);
  }
  return parts;
}

/** Escape what WebVTT would parse as a tag or an entity. */
function escape(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
