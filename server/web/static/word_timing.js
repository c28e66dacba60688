/** The words of a text with their times, and the new times of the words when the text is edited. */

/**
 * A word is {text, startMs, endMs, confidence}. Its text includes the white space after it, so that the
 * concatenation of all words is the text. confidence: 0 to 1, or null if it is unknown or the user has typed
 * the word.
 */

/**
 * Return the words of a text. recognized: words of the recognizer, {text, startMs, endMs, confidence}. If
 * they do not match the text, the words share the time between startMs and endMs.
 */
export function alignWords(text, recognized, startMs, endMs) {
  const words = splitAtWords(text, recognized) ?? distribute(tokenize(text), startMs, endMs);
  return words.flatMap(splitUnspaced);
}

/**
 * Return the words of an edited text. Words that were kept keep their times; the others share the time
 * between them.
 */
export function retimeWords(words, text, startMs, endMs) {
  const tokens = tokenize(text);
  const kept = commonSubsequence(
    words.map((word) => word.text.trim()),
    tokens.map((token) => token.trim()),
  );
  const timed = tokens.map((token, i) => (i in kept ? { ...words[kept[i]], text: token } : { text: token }));
  return fillTimes(timed, startMs, endMs);
}

/** Return the text of words. */
export function joinWords(words) {
  return words
    .map((word) => word.text)
    .join("")
    .trim();
}

/** Return the words of a text, each with the white space after it. */
function tokenize(text) {
  return (text.trim().match(/\S+\s*/g) ?? []).flatMap(unspacedWords);
}

/** Divide a word that is several words of a language without spaces. They share its time. */
function splitUnspaced(word) {
  const parts = unspacedWords(word.text);
  if (parts.length < 2) return [word];
  const { startMs, endMs, confidence } = word;
  return distribute(parts, startMs, endMs).map((part) => ({ ...part, confidence }));
}

// Scripts of languages without spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese.
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const segmenter = new Intl.Segmenter("ja", { granularity: "word" });

/** Return the words of a text without spaces; punctuation and what follows belong to the word before. */
function unspacedWords(text) {
  if (!UNSPACED.test(text)) return [text];
  const parts = [];
  for (const { segment, isWordLike } of segmenter.segment(text)) {
    if (isWordLike || parts.length === 0) parts.push(segment);
    else parts.push(parts.pop() + segment);
  }
  return parts;
}

/** Split a text before each recognized word. Return undefined if the words do not match the text. */
function splitAtWords(text, recognized) {
  const starts = [];
  let at = 0;
  for (const word of recognized) {
    const token = word.text.trim();
    const start = text.indexOf(token, at);
    if (!token || start < 0 || /[\p{L}\p{N}]/u.test(text.slice(at, start))) return undefined;
    starts.push(start);
    at = start + token.length;
  }
  if (starts.length === 0) return undefined;
  const bounds = [0, ...starts.slice(1), text.length];
  return recognized.map(({ startMs, endMs, confidence }, i) => ({
    text: text.slice(bounds[i], bounds[i + 1]),
    startMs,
    endMs,
    confidence: confidence ?? null,
  }));
}

/** Distribute the time between startMs and endMs over tokens in proportion to their lengths. */
function distribute(tokens, startMs, endMs) {
  const length = tokens.reduce((sum, token) => sum + token.length, 0);
  let position = startMs;
  return tokens.map((text) => {
    const start = position;
    position += ((endMs - startMs) * text.length) / length;
    return { text, startMs: Math.round(start), endMs: Math.round(position), confidence: null };
  });
}

/** Add times to the words that have none: they share the time between their neighbours. */
function fillTimes(timed, startMs, endMs) {
  const words = [];
  for (let i = 0; i < timed.length;) {
    let end = i;
    while (end < timed.length && timed[end].startMs === undefined) end += 1;
    if (end === i) {
      words.push(timed[i]);
      i += 1;
    } else {
      const from = words.at(-1)?.endMs ?? startMs;
      const until = Math.max(from, timed[end]?.startMs ?? endMs);
      words.push(
        ...distribute(
          timed.slice(i, end).map((word) => word.text),
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
 * Return the longest common subsequence of two lists: the index in the first list by the index in the
 * second. Segments have at most some hundred words, so the table of all pairs is small.
 */
function commonSubsequence(before, after) {
  const lengths = before
    .map(() => new Uint16Array(after.length + 1))
    .concat([new Uint16Array(after.length + 1)]);
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      lengths[i][j] =
        before[i] === after[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const indices = {};
  for (let i = 0, j = 0; i < before.length && j < after.length;) {
    if (before[i] === after[j]) indices[j++] = i++;
    else if (lengths[i + 1][j] >= lengths[i][j + 1]) i += 1;
    else j += 1;
  }
  return indices;
}
