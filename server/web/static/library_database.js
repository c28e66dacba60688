/** LibraryDatabase: transcripts and their audio in the browser's database (IndexedDB). */

const NAME = "stt-library";
const VERSION = 1;
const STORES = ["entries", "segments", "media"];

/**
 * Each segment and each part of the audio is a record of its own, so that saving one more costs the same however
 * long the transcript is. An entry is {id, title, kind, createdAt, language, endMs, rate, job, speakers,
 * summary}; job: of FileJob, while it has not ended, else null; speakers: [label, name] of each one.
 */
export class LibraryDatabase {
  #database;

  /** Open the database, or throw if the browser allows none, for example in a private window. */
  static async open() {
    const library = new LibraryDatabase();
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("entries", { keyPath: "id" });
      request.result.createObjectStore("segments", { keyPath: ["transcript", "id"] });
      request.result.createObjectStore("media", { keyPath: ["transcript", "part"] });
    };
    library.#database = await resultOf(request);
    return library;
  }

  entries() {
    return this.#read("entries", (store) => store.getAll());
  }

  /** Return the segments of a transcript in the order of speech. */
  async segments(id) {
    const records = await this.#read("segments", (store) => store.getAll(rangeOf(id)));
    return records.map(({ segment }) => segment).sort((a, b) => a.startMs - b.startMs);
  }

  /** Return the parts of the audio of a transcript, blobs. */
  async media(id) {
    const records = await this.#read("media", (store) => store.getAll(rangeOf(id)));
    return records.map(({ blob }) => blob);
  }

  /** Store an entry, and segments that have changed. */
  put(entry, segments = []) {
    return this.#write((stores) => {
      stores.entries.put(entry);
      for (const segment of segments) stores.segments.put({ transcript: entry.id, id: segment.id, segment });
    });
  }

  putMedia(id, part, blob) {
    return this.#write(({ media }) => media.put({ transcript: id, part, blob }));
  }

  deleteSegment(id, segmentId) {
    return this.#write(({ segments }) => segments.delete([id, segmentId]));
  }

  delete(id) {
    return this.#write(({ entries, segments, media }) => {
      entries.delete(id);
      segments.delete(rangeOf(id));
      media.delete(rangeOf(id));
    });
  }

  #read(name, request) {
    return resultOf(request(this.#database.transaction(name).objectStore(name)));
  }

  #write(change) {
    const transaction = this.#database.transaction(STORES, "readwrite");
    change(Object.fromEntries(STORES.map((name) => [name, transaction.objectStore(name)])));
    transaction.commit(); // at once, so that a page that is left now has saved it
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

function rangeOf(id) {
  return IDBKeyRange.bound([id], [id, []]);
}

function resultOf(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
