/** EventStream: server-sent events out of a text that grows. */

export class EventStream {
  #rest = "";

  /** The JSON documents of the events that are complete with this piece. */
  push(piece) {
    const [...events] = (this.#rest + piece).split("\n\n");
    this.#rest = events.pop();
    return events
      .map((event) => event.split("\n").filter((line) => line.startsWith("data:")))
      .filter((lines) => lines.length > 0)
      .map((lines) => JSON.parse(lines.map((line) => line.slice(5)).join("\n")));
  }
}
