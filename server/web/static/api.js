/** Server: what the page asks the server about itself. */

import { key } from "./api_key.js";

const base = new URL(".", document.baseURI);

/** Address of a path of this server. */
export function addressOf(path) {
  return new URL(path, base).href;
}

/** Address of a live session. */
export function sessionAddress(query) {
  const url = new URL("ws/stt", base);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = new URLSearchParams(query);
  return url.href;
}

/** {status, models: [{id}]}; status 0: nobody answers, 401: it wants a key. */
export async function modelsOf() {
  const answer = await asked("v1/models");
  const models = answer.status === 200 ? answer.content.data : [];
  return { status: answer.status, models };
}

/** {status, languages}: status 200 while it is ready; languages by model, null where it is not loaded. */
export async function readiness() {
  const { status, content } = await asked("ready");
  const models = content?.models ?? [];
  return { status, languages: Object.fromEntries(models.map(({ name, languages }) => [name, languages])) };
}

/** Why no session begins: 0 nobody answers, 401 it wants a key, 503 it is not ready; 200 it has no place. */
export async function hindrance() {
  const { status } = await modelsOf();
  return status === 200 ? (await readiness()).status : status;
}

async function asked(path) {
  try {
    const response = await fetch(addressOf(path), { headers: key.headers, cache: "no-store" });
    return {
      status: response.status,
      content: response.ok || path === "ready" ? await response.json() : null,
    };
  } catch {
    return { status: 0, content: null };
  }
}
