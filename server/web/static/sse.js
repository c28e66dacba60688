/** SseParser: parses server-sent events from a text stream (WHATWG HTML, "Server-sent events"). */

export class SseParser {
  #rest = ""; // an incomplete event

  /** Add a chunk of text. Return the JSON documents of the events that it completes. */
  push(chunk) {
    const [...events] = (this.#rest + chunk).split("\n\n");
    this.#rest = events.pop();
    return events
      .map((event) => event.split("\n").filter((line) => line.startsWith("data:")))
      .filter((lines) => lines.length > 0)
      .map((lines) => JSON.parse(lines.map((line) => line.slice(5)).join("\n")));
  }
}
