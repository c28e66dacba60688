/** Requests to the server's HTTP API, and the URLs of its endpoints. */

import { apiKey } from "./api_key.js";

const base = new URL(".", document.baseURI);

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
 * Return {status, languages, recognizer}. status: 200 if the server is ready; languages: by model, null if it
 * is not loaded; recognizer: description of the default model, null until it is loaded.
 */
export async function fetchReadiness() {
  const { status, content } = await getJson("ready");
  const models = content?.models ?? [];
  return {
    status,
    languages: Object.fromEntries(models.map(({ name, languages }) => [name, languages])),
    recognizer: content?.recognizer ?? null,
  };
}

/**
 * Return why no session can start: 0 the server is unreachable, 401 it requires an API key, 503 it is not
 * ready, 200 it is ready but at capacity.
 */
export async function fetchAvailability() {
  const { status } = await fetchModels();
  return status === 200 ? (await fetchReadiness()).status : status;
}

async function getJson(path) {
  try {
    const response = await fetch(urlOf(path), { headers: apiKey.headers, cache: "no-store" });
    return {
      status: response.status,
      content: response.ok || path === "ready" ? await response.json() : null,
    };
  } catch {
    return { status: 0, content: null };
  }
}
