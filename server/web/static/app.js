/** The page, put together. */

import { offerLanguages, offerModels } from "./option_lists.js";
import { FilePanel } from "./file_panel.js";
import { key } from "./api_key.js";
import { MicrophoneError } from "./microphone.js";
import { Player } from "./player.js";
import { addressOf, modelsOf, readiness, sessionAddress } from "./api.js";
import { Talk } from "./live_recording.js";
import { TalkPanel } from "./live_panel.js";
import { copy, save, SearchTool } from "./transcript_tools.js";
import { Transcript } from "./transcript.js";
import { TranscriptView } from "./transcript_view.js";

const by = (id) => document.getElementById(id);
const parts = (ids) => Object.fromEntries(Object.entries(ids).map(([name, id]) => [name, by(id)]));

// What the transcript's changes reach: its view, the search, the buttons.

const view = new TranscriptView(by("segments"), by("segment"), {
  onPlay: play,
  onEditing: () => player.pause(),
  onEdit: (id, text) => transcript.edit(id, text),
});
const transcript = new Transcript((change, segment) => tell(change, segment));
const search = new SearchTool(
  parts({ input: "search", found: "found", previous: "previous", next: "next" }),
  transcript,
  view,
);
let isKept = true; // there is nothing that would be lost
const keepers = [...document.querySelectorAll("#copy, #clear, [data-document]")];

function tell(change, segment) {
  view[change](segment);
  isKept = false;
  if (change === "changed") return;
  by("empty").hidden = !transcript.isEmpty;
  refreshKeepers();
  search.refresh();
}

// Hearing it again.

const player = new Player(by("player"), by("media"), (ms) => {
  const place = transcript.at(ms);
  view.mark("spoken", place ? [{ id: place.segment.id, from: place.index, to: place.index + 1 }] : []);
});

let isOfFile = false; // the transcript is a file's, not the microphone's

function play(ms) {
  const isHere = player.isLoaded && isOfFile === files.isOpen;
  if (isHere) player.playFrom(ms);
  else announce(talk.state === "idle" ? "Its sound is not here." : "Stop first, then you can hear it.");
}

// Talking.

const panel = new TalkPanel(
  parts({
    button: "record",
    label: "record-label",
    pause: "pause",
    status: "status",
    live: "live",
    wave: "wave",
    level: "level",
    elapsed: "elapsed",
    latency: "latency",
    details: "microphone-options",
    device: "device",
    echo: "echo",
    noise: "noise",
  }),
  askForKey,
);
const talk = new Talk(sessionAddress, () => key.protocols, {
  state: onState,
  sound: (sound) => panel.sound(sound),
  note: onNote,
});

function onState(state) {
  panel.state(state);
  refreshWorking();
  if (state !== "idle") player.unload();
  else if (talk.recording) void player.load(talk.recording.wav());
}

function onNote(note) {
  panel.note(note);
  if (note.note === "partial") transcript.showPartial(note.id, note.text, note.stable, note.startMs);
  else if (note.note === "final") showFinal(note);
  else if (note.note === "dropped") transcript.remove(note.id);
}

function showFinal({ id, text, words, startMs, endMs, language }) {
  transcript.language ??= language ?? null;
  transcript.showFinal(id, text, words, startMs, endMs);
  if (text) announce(text);
}

async function startTalking() {
  if (!talk.recording && !mayLose()) return;
  files.close();
  if (!talk.recording) transcript.empty();
  isOfFile = false;
  panel.begin(talk);
  problem("");
  try {
    await talk.start(panel.device, chosen());
  } catch (error) {
    if (!(error instanceof MicrophoneError)) throw error;
    problem(error.message);
    panel.say("Press the button and speak.", "idle");
  }
}

by("record").addEventListener("click", () => {
  if (talk.state === "idle") void startTalking();
  else if (talk.state === "ending") void talk.leave();
  else void talk.stop();
});
by("pause").addEventListener("click", () => (talk.state === "paused" ? talk.goOn() : talk.pause()));

// Files and addresses.

const files = new FilePanel(
  parts({
    panel: "file-panel",
    name: "file-name",
    note: "file-note",
    wave: "file-wave",
    part: "part",
    start: "part-start",
    end: "part-end",
    form: "file-form",
    submit: "transcribe",
    cancel: "cancel",
    close: "file-close",
    progressBox: "file-progress",
    progress: "progress",
    progressLabel: "progress-label",
  }),
  player,
  () =>
    mayLose() && {
      url: addressOf("v1/audio/transcriptions"),
      headers: key.headers,
      fields: { model: "default", ...chosen() },
    },
  { shown: onFileShown, begin: onFileBegin, segment: showFinal, end: onFileEnd, problem: onProblem },
);

function openFile(file) {
  if (file && !isWorking()) void files.open(file);
}

function onFileShown() {
  refreshWorking();
  if (!files.isOpen && talk.state === "idle" && talk.recording) void player.load(talk.recording.wav());
}

function onFileBegin() {
  problem("");
  talk.forget();
  transcript.empty();
  isOfFile = true;
  refreshWorking();
}

function onFileEnd(language) {
  transcript.language ??= language;
  refreshWorking();
  announce("The transcript is complete.");
}

function onProblem(message, status) {
  if (status === 401) askForKey();
  else problem(message);
}

by("choose").addEventListener("click", () => by("file").click());
by("file").addEventListener("change", ({ target }) => {
  openFile(target.files[0]);
  target.value = "";
});
by("address-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!isWorking()) files.fetch(by("address").value);
});
by("address-form").hidden = document.body.dataset.fetchUrls !== "true";

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.toggleAttribute("data-dragging", true);
});
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) document.body.toggleAttribute("data-dragging", false);
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.toggleAttribute("data-dragging", false);
  openFile(event.dataTransfer.files[0]);
});

// Keeping it.

by("copy").addEventListener("click", async () => {
  await copy(transcript);
  isKept = true;
  announce("Copied.");
});
by("clear").addEventListener("click", () => {
  if (!mayLose()) return;
  transcript.empty();
  talk.forget();
  files.close();
  player.unload();
});
for (const button of document.querySelectorAll("[data-document]")) {
  button.addEventListener("click", () => {
    save(button.dataset.document, transcript);
    isKept = true;
  });
}

/** Whether what is on the page may go: it was kept, or its owner says so. */
function mayLose() {
  return isKept || transcript.isEmpty || confirm("The transcript below was not kept. Replace it?");
}

// What the server has, and the key that it may want.

let languages = {}; // by model; null where it is not loaded yet

function chosen() {
  const language = by("language").value;
  const model = by("model").value;
  return { ...(model && { model }), ...(language && { language }) };
}

async function learn() {
  const [{ status, models }, ready] = await Promise.all([modelsOf(), readiness()]);
  if (status === 401) {
    askForKey();
    return;
  }
  by("key-form").hidden = true;
  languages = ready.languages;
  offerModels(by("model"), models);
  offerLanguages(by("language"), languages[by("model").value]);
}

by("model").addEventListener("change", () => offerLanguages(by("language"), languages[by("model").value]));

/** Where one was given, it is a wrong one. */
function askForKey() {
  by("key-wrong").hidden = !key.value;
  if (!by("key-form").hidden) return;
  by("key-form").hidden = false;
  by("key").focus();
}

by("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.value = by("key").value;
  by("key").value = "";
  void learn();
  talk.dialNow();
});

// All of it.

function isWorking() {
  return talk.state !== "idle" || files.isBusy;
}

function refreshWorking() {
  for (const choice of [by("language"), by("model")])
    choice.disabled = isWorking() || choice.options.length < 2;
  by("others").hidden = talk.state !== "idle" || files.isOpen;
  by("record").disabled = files.isBusy;
  by("segments").classList.toggle("playable", talk.state === "idle");
  refreshKeepers();
}

function refreshKeepers() {
  for (const button of keepers) button.disabled = transcript.isEmpty;
  by("clear").disabled ||= isWorking();
}

/** For who does not see it. */
function announce(text) {
  by("announcer").textContent = text;
}

function problem(text) {
  by("problem").textContent = text;
  by("problem").hidden = !text;
}

addEventListener("beforeunload", (event) => {
  if (isWorking() || !(isKept || transcript.isEmpty)) event.preventDefault();
});

void learn();
