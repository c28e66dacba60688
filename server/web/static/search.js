/** Text search in a transcript. */

/**
 * Return the matches. A match is a list of {id, from, to}, one for each segment in which it lies: the segment,
 * and its words from index `from` up to, not including, `to`. The search ignores case and accents, and a match
 * may begin in one segment and end in a later one.
 */
export function findMatches(segments, query) {
  const needle = normalize(query.trim());
  if (!needle) return [];
  const { text, words, starts } = indexOf(segments);
  const matches = [];
  let first = 0; // word in which the last match began: starts are in order
  for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) {
    while (first + 1 < starts.length && starts[first + 1] <= at) first += 1;
    let last = first;
    while (last + 1 < starts.length && starts[last + 1] < at + needle.length) last += 1;
    matches.push(partsOf(words.slice(first, last + 1)));
  }
  return matches;
}

/** Return the text of all segments, its words as {id, index}, and where each word starts in it. */
function indexOf(segments) {
  const [words, starts] = [[], []];
  let text = "";
  for (const segment of segments) {
    if (text && !text.endsWith(" ")) text += " ";
    segment.words.forEach((word, index) => {
      starts.push(text.length);
      words.push({ id: segment.id, index });
      text += normalize(word.text);
    });
  }
  return { text, words, starts };
}

/** Join consecutive words to one part for each segment. */
function partsOf(words) {
  const parts = [];
  for (const { id, index } of words) {
    if (parts.at(-1)?.id === id) parts.at(-1).to = index + 1;
    else parts.push({ id, from: index, to: index + 1 });
  }
  return parts;
}

// Letters with a stroke and ligatures, which Unicode does not decompose.
const LETTERS = { đ: "d", ð: "d", ł: "l", ø: "o", ß: "ss", æ: "ae", œ: "oe", ı: "i" };

function normalize(text) {
  return text
    .replace(/\s+/g, " ")
    .normalize("NFD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[đðłøßæœı]/g, (letter) => LETTERS[letter]);
}
