/** Text search in a transcript. */

/**
 * Return the matches as {id, from, to}: the segment, and its words from index `from` up to, not including,
 * `to`. The search ignores case and accents.
 */
export function findMatches(segments, query) {
  const needle = normalize(query.trim());
  if (!needle) return [];
  return segments.flatMap((segment) => matchesIn(segment, needle));
}

function matchesIn({ id, words }, needle) {
  const matches = [];
  const starts = []; // of each word in the text
  let text = "";
  for (const word of words) {
    starts.push(text.length);
    text += normalize(word.text);
  }
  for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) {
    const from = starts.findLastIndex((start) => start <= at);
    const to = starts.findLastIndex((start) => start < at + needle.length) + 1;
    matches.push({ id, from, to });
  }
  return matches;
}

function normalize(text) {
  return text.replace(/\s+/g, " ").normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
