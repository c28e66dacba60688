/** The captions-only view, /captions?session=ID&lines=2: the latest words of a recording in another window. */

import { receiveCaptions } from "./caption_channel.js";
import { translate } from "./text.js";

const MAX_CHARACTERS = 45; // of a line
const query = new URLSearchParams(location.search);
const lineCount = Math.min(6, Math.max(1, Number(query.get("lines")) || 2));
const lines = document.getElementById("lines");

translate(document);
receiveCaptions(query.get("session"), ({ language, segments }) => {
  const text = segments
    .map((segment) => segment.text.trim())
    .filter(Boolean)
    .join(" ");
  document.getElementById("hint").hidden = text !== "";
  if (language) lines.lang = language;
  lines.dir = "auto";
  lines.replaceChildren(
    ...lastLines(text).flatMap((line) => [
      Object.assign(document.createElement("span"), { textContent: line }),
      document.createElement("br"),
    ]),
  );
});

/** Return the last lines of a text. Lines are filled from the beginning, so that words do not jump between them. */
function lastLines(text) {
  const found = [""];
  for (const word of text.split(" ")) {
    if (found.at(-1) && (found.at(-1) + word).length > MAX_CHARACTERS) found.push("");
    found.push(`${found.pop()}${word} `);
  }
  return found.slice(-lineCount).map((line) => line.trim()).filter(Boolean);
}
