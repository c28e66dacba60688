/** Requests to the server's HTTP API, and the URLs of its endpoints. */

import { apiKey } from "./api_key.js";
import { errorMessage } from "./file_upload.js";
import { readEvents } from "./sse.js";
import { t } from "./text.js";

const base = new URL(".", document.baseURI);
const SHARE_SECONDS = 4 * 3600; // for which a link is valid, unless the recording ends before

/** Return the absolute URL of a path on this server. */
export function urlOf(path) {
  return new URL(path, base).href;
}

/** Return the WebSocket URL of a live session. query: its parameters. */
export function sessionUrl(query) {
  const url = new URL("ws/stt", base);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = new URLSearchParams(query);
  return url.href;
}

/** Return {status, models: [{id}]}. status: 0 if the server is unreachable, 401 if it requires an API key. */
export async function fetchModels() {
  const { status, content } = await getJson("v1/models");
  return { status, models: status === 200 ? content.data : [] };
}

/**
 * Return {status, state, error, models, recognizer}. status: 200 if the server is ready, 0 if it cannot be
 * reached; state and error: of the models that it needs; models: {name, state, languages, download}, the default
 * first; languages: null if it is not loaded; download: {bytes, total_bytes} while it is loaded, null if none is
 * needed; recognizer: description of the default model, null until it is loaded.
 */
export async function fetchReadiness() {
  const { status, content } = await getJson("ready");
  return {
    status,
    state: content?.state ?? null,
    error: content?.error ?? null,
    models: content?.models ?? [],
    recognizer: content?.recognizer ?? null,
  };
}

/**
 * Return why a session cannot start: {status, lagMs, retryAfterMs, message}. status: 200 if it can, 0 if the
 * server cannot be reached, 401 if it requires an API key, 429 or 503 if it is busy; message: the server's.
 */
export async function fetchAvailability() {
  const { status, content, retryAfter } = await getJson("ws/stt");
  return {
    status,
    lagMs: content?.lag_ms ?? 0,
    retryAfterMs: retryAfter * 1000,
    message: content?.error?.message ?? "",
  };
}

/** A request that the server refused; status: 0 if it could not be reached. */
export class RequestError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Return the document, a blob, that the server makes of the JSON of a transcript. Throw RequestError. */
export async function fetchDocument(format, json) {
  return (await post(`v1/documents?format=${format}`, json, "documentNeedsServer")).blob();
}

/**
 * Yield what the server sends while it summarizes the JSON of a transcript (docs/summaries.md). signal: of an
 * AbortController, which ends it. Throw RequestError, also when it was aborted.
 */
export async function* fetchSummary(json, signal) {
  const response = await post("v1/summaries?chapters=true", json, "unreachable", signal);
  try {
    for await (const events of readEvents(response)) for (const { data } of events) yield data;
  } catch {
    throw new RequestError(t("unreachable"), 0);
  }
}

/**
 * Make a link with which others follow a live session. Return {id, url, expiresAt}; url: of the view; expiresAt: ms
 * since 1970. Throw RequestError.
 */
export async function fetchShareLink(session) {
  const body = JSON.stringify({ expires_in: SHARE_SECONDS });
  const { id, link, expires_at: expires } = await (await post(`v1/sessions/${session}/share`, body, "unreachable")).json();
  return { id, url: urlOf(link.slice(1)), expiresAt: expires * 1000 };
}

/** Withdraw a link by its id. Throw RequestError. */
export async function withdrawShareLink(session, id) {
  await send("DELETE", `v1/sessions/${session}/share/${id}`, undefined, "unreachable");
}

/**
 * Return the segments of a file with subtitles, {startMs, endMs, text, speaker}. hasSpeakers: names before colons are
 * those of speakers. Throw RequestError, also if the file cannot be read.
 */
export async function fetchSubtitles(file, hasSpeakers) {
  const path = `v1/subtitles?speakers=${hasSpeakers}`;
  const { segments } = await (await send("POST", path, file, "unreachable", undefined, "text/plain")).json();
  return segments.map(({ start, end, text, speaker }) => ({
    startMs: Math.round(start * 1000),
    endMs: Math.round(end * 1000),
    text,
    speaker,
  }));
}

/** Post JSON. unreachable: key of the text for a server that cannot be reached. Throw RequestError. */
function post(path, body, unreachable, signal) {
  return send("POST", path, body, unreachable, signal);
}

async function send(method, path, body, unreachable, signal, type = "application/json") {
  const headers = { ...apiKey.headers, ...(body && { "content-type": type }) };
  const response = await fetch(urlOf(path), { method, headers, body, signal }).catch(() => {
    throw new RequestError(t(unreachable), 0);
  });
  if (response.ok) return response;
  throw new RequestError(errorMessage(await response.text(), response.status), response.status);
}

/** Return {status, content, retryAfter}: the JSON of a response, also of an error; retryAfter: in seconds. */
async function getJson(path) {
  try {
    const response = await fetch(urlOf(path), { headers: apiKey.headers, cache: "no-store" });
    const retryAfter = Number(response.headers.get("retry-after") ?? 0);
    return { status: response.status, content: await response.json(), retryAfter };
  } catch {
    return { status: 0, content: null, retryAfter: 0 };
  }
}
