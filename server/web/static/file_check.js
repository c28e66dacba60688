/** What can be wrong with a file is said before it is uploaded. */

import { t } from "./text.js";

const HEAD_BYTES = 512;

/** Return why a file cannot be transcribed, or "" if nothing speaks against it. */
export async function problemOf(file) {
  if (file.size === 0) return t("fileEmpty");
  let head;
  try {
    head = await file.slice(0, HEAD_BYTES).arrayBuffer();
  } catch {
    return t("fileUnreadable"); // a folder, or a file that was moved
  }
  const start = new TextDecoder("utf-8").decode(head).trimStart().toLowerCase();
  return start.startsWith("<!doctype html") || start.startsWith("<html") ? t("fileWebPage") : "";
}
