/** SseParser, readEvents: parse server-sent events from a text stream (WHATWG HTML, "Server-sent events"). */

export class SseParser {
  #rest = ""; // an incomplete event

  /** Add a chunk of text. Return the events that it completes: {name, data, id}; data: of JSON; id: if it has one */
  push(chunk) {
    const [...events] = (this.#rest + chunk).split("\n\n");
    this.#rest = events.pop();
    return events.map(parse).filter(({ data }) => data !== undefined);
  }
}

/** Yield, for each chunk of a response, the events that it completes; none for a comment. */
export async function* readEvents(response) {
  const parser = new SseParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) yield parser.push(chunk.value);
}

/** Return {name, data, id} of the lines of an event. data: undefined for a comment */
function parse(event) {
  const lines = event.split("\n");
  const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
  const name = lines.find((line) => line.startsWith("event:"))?.slice(6).trim() ?? "message";
  const id = lines.find((line) => line.startsWith("id:"))?.slice(3).trim();
  return { ...(id && { id }), name, data: data.length > 0 ? JSON.parse(data.join("\n")) : undefined };
}
