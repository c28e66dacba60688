/** Names of downloads. */

const MAX_LENGTH = 100;

/** Return the name of a download for a title: without folders, extension and characters that systems reject. */
export function downloadName(title, extension) {
  const last = title.split(/[\\/]/).filter(Boolean).at(-1) ?? "";
  const stem = last.replace(/[?#].*$/, "").replace(/\.[\p{L}\p{N}]{1,5}$/u, "");
  const clean = stem.replace(/[\p{Cc}<>:"|*]/gu, " ").replace(/\s+/g, " ").replace(/^[\s.]+|[\s.]+$/g, "");
  return `${[...clean].slice(0, MAX_LENGTH).join("") || "transcript"}.${extension}`;
}
