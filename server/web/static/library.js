/** Library: the transcripts of this browser. Those of files are stored; those of recordings if the user wants it. */

import { Recording } from "./recording.js";
import { Transcript } from "./transcript.js";

export const MAX_STORED = 500; // transcripts; further ones are listed in this tab only
const MAX_MEDIA_BYTES = 256 << 20; // of a file whose audio is stored too

const SAVED_CHANGES = new Set(["finalized", "edited", "restored"]);

export class Library {
  #database = null;
  #entries = new Map(); // by id: {id, title, kind, createdAt, language, endMs, rate, job, speakers, summary}
  #transcripts = new Map(); // by id: those that were made or opened in this tab
  #stored = new Set(); // ids in the database
  #unsaved = new Set(); // ids with text that is neither stored nor exported
  #parts = new Map(); // by id: number of stored parts of the audio
  #waiting = new Map(); // by id: parts of the audio of transcripts that are not listed yet
  #onChange;
  #onError;

  /** onChange(): the list has changed; onError(error): a transcript could not be stored */
  constructor(onChange, onError) {
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /** openDatabase(): resolves to a LibraryDatabase, or is rejected; then nothing is stored */
  async open(openDatabase) {
    try {
      this.#database = await openDatabase();
    } catch {
      return;
    }
    for (const entry of await this.#database.entries()) {
      this.#entries.set(entry.id, entry);
      this.#stored.add(entry.id);
    }
    this.#onChange();
  }

  /** The entries, newest first. */
  get entries() {
    return [...this.#entries.values()].sort((a, b) => b.createdAt - a.createdAt);
  }

  get hasUnsaved() {
    return this.#unsaved.size > 0;
  }

  isStored(id) {
    return this.#stored.has(id);
  }

  isUnsaved(id) {
    return this.#unsaved.has(id);
  }

  /** List a transcript as soon as it has text or a job. isStored: keep it beyond this tab */
  add(transcript, isStored) {
    if (this.#transcripts.has(transcript.id)) return;
    this.#transcripts.set(transcript.id, transcript);
    if (isStored && this.#database && this.#stored.size < MAX_STORED) {
      this.#stored.add(transcript.id);
      this.#parts.set(transcript.id, 0);
      this.#waiting.set(transcript.id, []);
      if (transcript.kind === "file" && transcript.media?.size <= MAX_MEDIA_BYTES)
        this.addMedia(transcript.id, transcript.media);
    }
    transcript.listeners.add((change, segment) => this.#changed(transcript, change, segment));
  }

  /** Store a part of the audio of a transcript, if the transcript is stored, as soon as it is listed. */
  addMedia(id, blob) {
    if (!this.#stored.has(id)) return;
    if (this.#waiting.has(id)) {
      this.#waiting.get(id).push(blob);
      return;
    }
    const part = this.#parts.get(id) ?? 0;
    this.#parts.set(id, part + 1);
    this.#save(id, () => this.#database.putMedia(id, part, blob));
  }

  /** Note that the user has downloaded or copied a transcript. */
  exported(id) {
    this.#unsaved.delete(id);
  }

  /** Return a transcript, with its audio if that is stored. */
  async get(id) {
    const known = this.#transcripts.get(id);
    if (known) return known;
    const entry = this.#entries.get(id);
    const [segments, parts] = await Promise.all([this.#database.segments(id), this.#database.media(id)]);
    const transcript = new Transcript({ ...entry, segments });
    this.#parts.set(id, parts.length);
    if (entry.kind === "recording" && parts.length) {
      transcript.recording = new Recording(entry.rate, parts);
      transcript.media = transcript.recording.toWav();
    } else transcript.media = parts[0] ?? null;
    this.add(transcript, false);
    return transcript;
  }

  has(id) {
    return this.#entries.has(id);
  }

  /** Take a transcript out of the list whose job has ended without text. It is listed again once it has text. */
  async withdraw({ id, media }) {
    if (!this.#entries.delete(id)) return;
    this.#onChange();
    if (!this.#stored.has(id)) return;
    this.#parts.set(id, 0);
    this.#waiting.set(id, media?.size <= MAX_MEDIA_BYTES ? [media] : []);
    await this.#save(id, () => this.#database.delete(id));
  }

  async delete(id) {
    const isStored = this.#stored.delete(id);
    for (const each of [this.#entries, this.#transcripts, this.#unsaved, this.#parts, this.#waiting])
      each.delete(id);
    this.#onChange();
    if (isStored) await this.#database.delete(id);
  }

  #changed(transcript, change, segment) {
    const { id } = transcript;
    if (!this.#transcripts.has(id)) return; // it was deleted
    const isSaved = SAVED_CHANGES.has(change);
    if (!isSaved && change !== "removed" && change !== "described" && change !== "renamed") return;
    if (!isSaved && !transcript.job && !this.#entries.has(id)) return;
    const entry = entryOf(transcript);
    this.#entries.set(id, entry);
    this.#onChange();
    if (!this.#stored.has(id)) this.#unsaved.add(id);
    else if (change === "removed") this.#save(id, () => this.#database.deleteSegment(id, segment.id));
    else this.#save(id, () => this.#database.put(entry, isSaved ? [segment] : []));
    const waiting = this.#waiting.get(id) ?? [];
    this.#waiting.delete(id);
    for (const blob of waiting) this.addMedia(id, blob);
  }

  /** A transcript that cannot be stored, most often because the disk is full, is kept in this tab only. */
  async #save(id, write) {
    try {
      await write();
    } catch (error) {
      if (!this.#stored.delete(id)) return;
      this.#unsaved.add(id);
      this.#onError(error);
    }
  }
}

function entryOf({ id, title, kind, createdAt, language, endMs, recording, job, speakers, summary }) {
  const rate = recording?.rate ?? null;
  return { id, title, kind, createdAt, language, endMs, rate, job, summary, speakers: speakers.stored };
}
