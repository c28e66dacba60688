/** Words: a text cut into words that know their time, and what becomes of them when the text is edited. */

/**
 * A word is {text, startMs, endMs, confidence}: its text has the blanks behind it, so that all words
 * together are the text. confidence: 0 to 1, or null where nobody tells it; a word that was typed has null.
 */

/** The words of a text; `heard` are the recognizer's own, {text, startMs, endMs, confidence}, or none. */
export function wordsOf(text, heard, startMs, endMs) {
  return pieces(text, heard) ?? spread(tokens(text), startMs, endMs);
}

/**
 * The words of a text that was edited: those that stayed keep their times, the others share what is
 * between.
 */
export function edited(words, text, startMs, endMs) {
  const found = tokens(text);
  const kept = common(
    words.map(bare),
    found.map((token) => token.trim()),
  );
  const placed = found.map((token, i) => (i in kept ? { ...words[kept[i]], text: token } : { text: token }));
  return filled(placed, startMs, endMs);
}

export function textOf(words) {
  return words
    .map((word) => word.text)
    .join("")
    .trim();
}

function bare(word) {
  return word.text.trim();
}

function tokens(text) {
  return text.trim().match(/\S+\s*/g) ?? [];
}

/** The text cut before each word that was heard; undefined if those words do not make the text. */
function pieces(text, heard) {
  const places = [];
  let at = 0;
  for (const word of heard) {
    const token = word.text.trim();
    const place = text.indexOf(token, at);
    if (!token || place < 0 || /[\p{L}\p{N}]/u.test(text.slice(at, place))) return undefined;
    places.push(place);
    at = place + token.length;
  }
  if (places.length === 0) return undefined;
  const cuts = [0, ...places.slice(1), text.length];
  return heard.map(({ startMs, endMs, confidence }, i) => ({
    text: text.slice(cuts[i], cuts[i + 1]),
    startMs,
    endMs,
    confidence: confidence ?? null,
  }));
}

/** Each character takes as long as any other. */
function spread(found, startMs, endMs) {
  const length = found.reduce((sum, token) => sum + token.length, 0);
  let now = startMs;
  return found.map((text) => {
    const from = now;
    now += ((endMs - startMs) * text.length) / length;
    return { text, startMs: Math.round(from), endMs: Math.round(now), confidence: null };
  });
}

function filled(placed, startMs, endMs) {
  const words = [];
  for (let i = 0; i < placed.length;) {
    let end = i;
    while (end < placed.length && placed[end].startMs === undefined) end += 1;
    if (end === i) {
      words.push(placed[i]);
      i += 1;
    } else {
      const from = words.at(-1)?.endMs ?? startMs;
      const until = Math.max(from, placed[end]?.startMs ?? endMs);
      words.push(
        ...spread(
          placed.slice(i, end).map((word) => word.text),
          from,
          until,
        ),
      );
      i = end;
    }
  }
  return words;
}

/**
 * The longest common subsequence of two lists: by place in the second one, the place in the first. Segments
 * have at most some hundred words, so a table of all pairs is small.
 */
function common(before, after) {
  const table = before
    .map(() => new Uint16Array(after.length + 1))
    .concat([new Uint16Array(after.length + 1)]);
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      table[i][j] =
        before[i] === after[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  const found = {};
  for (let i = 0, j = 0; i < before.length && j < after.length;) {
    if (before[i] === after[j]) found[j++] = i++;
    else if (table[i + 1][j] >= table[i][j + 1]) i += 1;
    else j += 1;
  }
  return found;
}
