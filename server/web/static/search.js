/** Search: where in a transcript a text stands. */

/**
 * Each place as {id, from, to}: the segment, and its words from the first to behind the last. Letters count
 * whatever their case, and accents do not count.
 */
export function placesOf(segments, wanted) {
  const needle = plain(wanted);
  if (!needle) return [];
  return segments.flatMap((segment) => placesIn(segment, needle));
}

function placesIn({ id, words }, needle) {
  const places = [];
  const starts = [];
  let text = "";
  for (const word of words) {
    starts.push(text.length);
    text += folded(word.text);
  }
  for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) {
    const from = starts.findLastIndex((start) => start <= at);
    const to = starts.findLastIndex((start) => start < at + needle.length) + 1;
    places.push({ id, from, to });
  }
  return places;
}

function plain(text) {
  return folded(text.trim());
}

function folded(text) {
  return text.replace(/\s+/g, " ").normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
