/**
 * The captions-only view: the latest words of a recording in another window, /captions?session=ID&lines=2, or of a
 * live session that its owner shares, /captions?lines=2#session=ID&token=TOKEN. A fragment is sent to no server.
 */

import { receiveCaptions } from "./caption_channel.js";
import { followShared } from "./shared_transcript.js";
import { t, translate } from "./text.js";

const MAX_CHARACTERS = 45; // of a line
const HINTS = {
  waiting: "captionsWaiting",
  lost: "captionsLost",
  ended: "captionsEnded",
  expired: "captionsExpired",
};
const query = new URLSearchParams(location.search);
const link = new URLSearchParams(location.hash.slice(1));
const lineCount = Math.min(6, Math.max(1, Number(query.get("lines")) || 2));
const lines = document.getElementById("lines");
const hint = document.getElementById("hint");

translate(document);
addEventListener("hashchange", () => location.reload());
if (link.has("token")) {
  showState("waiting");
  const shared = { session: link.get("session"), token: link.get("token") };
  void followShared(shared, { onLines: showLines, onState: showState });
} else {
  receiveCaptions(query.get("session"), (captions) => {
    showLines(captions);
    hint.hidden = lines.textContent !== "";
  });
}

/** state: of followShared. What was said last stays beside the hint. */
function showState(state) {
  hint.hidden = state === "live";
  if (state !== "live") hint.textContent = t(HINTS[state]);
}

function showLines({ language, segments }) {
  const text = segments
    .map((segment) => segment.text.trim())
    .filter(Boolean)
    .join(" ");
  if (language) lines.lang = language;
  lines.dir = "auto";
  lines.replaceChildren(
    ...lastLines(text).flatMap((line) => [
      Object.assign(document.createElement("span"), { textContent: line }),
      document.createElement("br"),
    ]),
  );
}

/** Return the last lines of a text. Lines are filled from the beginning, so that words do not jump between them. */
function lastLines(text) {
  const found = [""];
  for (const word of text.split(" ")) {
    if (found.at(-1) && (found.at(-1) + word).length > MAX_CHARACTERS) found.push("");
    found.push(`${found.pop()}${word} `);
  }
  return found.slice(-lineCount).map((line) => line.trim()).filter(Boolean);
}
