/** The page: connects its parts with each other and with the elements of index.html. */

import { fetchAvailability, fetchModels, fetchReadiness, sessionUrl, urlOf } from "./api.js";
import { apiKey } from "./api_key.js";
import { FilePanel } from "./file_panel.js";
import { LivePanel } from "./live_panel.js";
import { LiveRecording } from "./live_recording.js";
import { MicrophoneError } from "./microphone.js";
import { setLanguageOptions, setModelOptions } from "./option_lists.js";
import { Player } from "./player.js";
import { RecognizerStatus } from "./recognizer_status.js";
import { SpeechPlaceholders } from "./speech_placeholder.js";
import { t } from "./text.js";
import { Transcript } from "./transcript.js";
import { copyText, download, SearchBox } from "./transcript_tools.js";
import { TranscriptView } from "./transcript_view.js";

const element = (id) => document.getElementById(id);
const elements = (ids) => Object.fromEntries(Object.entries(ids).map(([name, id]) => [name, element(id)]));

// Transcript

const view = new TranscriptView(element("segments"), element("segment"), {
  onPlay: play,
  onEditStart: () => player.pause(),
  onEdit: (id, text) => transcript.edit(id, text),
});
const transcript = new Transcript((change, segment) => onTranscriptChange(change, segment));
const search = new SearchBox(
  elements({ input: "search", found: "found", previous: "previous", next: "next" }),
  transcript,
  view,
);
let isSaved = true; // or empty since the page was loaded
const transcriptButtons = [...document.querySelectorAll("#copy, #clear, [data-format]")];

function onTranscriptChange(change, segment) {
  view[change](segment);
  if (segment && !segment.dots) isSaved = false;
  if (change === "updated") return;
  element("empty").hidden = !transcript.isEmpty;
  refreshTranscriptButtons();
  search.refresh();
}

// Playback

const player = new Player(element("player"), element("media"), (ms) => {
  const word = transcript.wordAt(ms);
  view.highlight("playing", word ? [{ id: word.segment.id, from: word.index, to: word.index + 1 }] : []);
});

let isTranscriptOfFile = false; // otherwise it is the microphone's

function play(ms) {
  if (player.isLoaded && isTranscriptOfFile === files.isOpen) player.playFrom(ms);
  else announce(live.state === "idle" ? "The audio is not available." : "Stop recording to play the audio.");
}

// Live recording

const panel = new LivePanel(
  elements({
    button: "record",
    label: "record-label",
    pause: "pause",
    status: "status-text",
    detail: "status-detail",
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
  requestKey,
  () => recognizer.isLoading,
);
const live = new LiveRecording(
  { urlOf: sessionUrl, protocolsOf: () => apiKey.protocols, diagnose: fetchAvailability },
  { onState: onLiveState, onAudio: (audio) => panel.addAudio(audio), onEvent: onLiveEvent },
);
const placeholders = new SpeechPlaceholders(transcript, () => live.nowMs);

function onLiveState(state) {
  panel.showState(state);
  refreshControls();
  if (state !== "idle") player.unload();
  else if (live.recording) void player.load(live.recording.toWav());
}

function onLiveEvent(event) {
  panel.showEvent(event);
  placeholders.note(event);
  if (event.type === "connected" && event.recognizer) recognizer.show(event.recognizer);
  if (event.type === "partial") transcript.setPartial(event.id, event.text, event.stable, event.startMs);
  else if (event.type === "final") showFinal(event);
  else if (event.type === "dropped") transcript.remove(event.id);
}

function showFinal({ id, text, words, startMs, endMs, language }) {
  transcript.language ??= language ?? null;
  transcript.setFinal(id, text, words, startMs, endMs);
  if (text) announce(text);
}

async function startRecording() {
  if (!live.recording && !confirmDiscard()) return;
  files.close();
  if (!live.recording) transcript.clear();
  isTranscriptOfFile = false;
  panel.start(live);
  showError("");
  try {
    await live.start(panel.device, selectedOptions());
  } catch (error) {
    if (!(error instanceof MicrophoneError)) throw error;
    showError(error.message);
    panel.showStatus(t("startHint"), "idle");
  }
}

element("record").addEventListener("click", () => {
  if (live.state === "idle") void startRecording();
  else if (live.state === "stopping") void live.abort();
  else void live.stop();
});
element("pause").addEventListener("click", () => (live.state === "paused" ? live.resume() : live.pause()));

// Files and URLs

const files = new FilePanel(
  elements({
    panel: "file-panel",
    name: "file-name",
    note: "file-note",
    wave: "file-wave",
    region: "region",
    start: "region-start",
    end: "region-end",
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
    confirmDiscard() && {
      url: urlOf("v1/audio/transcriptions"),
      headers: apiKey.headers,
      fields: { model: "default", ...selectedOptions() },
    },
  {
    onOpenChange: onFileOpenChange,
    onStart: onFileStart,
    onSegment: showFinal,
    onError: onFileError,
    onEnd: onFileEnd,
  },
);

function openFile(file) {
  if (file && !isBusy()) void files.open(file);
}

function onFileOpenChange() {
  refreshControls();
  if (!files.isOpen && live.state === "idle" && live.recording) void player.load(live.recording.toWav());
}

function onFileStart() {
  showError("");
  live.discard();
  transcript.clear();
  isTranscriptOfFile = true;
  refreshControls();
}

function onFileEnd(language) {
  transcript.language ??= language;
  refreshControls();
  announce("The transcript is complete.");
}

function onFileError(message, status) {
  if (status === 401) requestKey();
  else showError(message);
}

element("choose").addEventListener("click", () => element("file").click());
element("file").addEventListener("change", ({ target }) => {
  openFile(target.files[0]);
  target.value = "";
});
element("url-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!isBusy()) files.openUrl(element("url").value);
});
element("url-form").hidden = document.body.dataset.fetchUrls !== "true";

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

// Export

element("copy").addEventListener("click", async () => {
  await copyText(transcript);
  isSaved = true;
  announce("Copied.");
});
element("clear").addEventListener("click", () => {
  if (!confirmDiscard()) return;
  transcript.clear();
  live.discard();
  files.close();
  player.unload();
});
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => {
    download(button.dataset.format, transcript);
    isSaved = true;
  });
}

/** Return whether the transcript may be discarded. Ask the user if it is not saved. */
function confirmDiscard() {
  return isSaved || transcript.isEmpty || confirm("The transcript is not saved. Discard it?");
}

// Models, languages and the API key

let languages = {}; // by model; null if the model is not loaded

function selectedOptions() {
  const language = element("language").value;
  const model = element("model").value;
  return { ...(model && { model }), ...(language && { language }) };
}

const recognizer = new RecognizerStatus(
  elements({
    line: "recognizer",
    notice: "model-notice",
    progress: "recognizer-progress",
    seconds: "recognizer-seconds",
  }),
  fetchReadiness,
  (readiness) => {
    languages = readiness.languages;
    showLanguages();
    if (element("model").options.length === 0) void loadModels();
  },
);

async function loadModels() {
  const { status, models } = await fetchModels();
  if (status === 401) requestKey();
  if (status !== 200) return;
  element("key-form").hidden = true;
  setModelOptions(element("model"), models);
  showLanguages();
}

function showLanguages() {
  setLanguageOptions(element("language"), languages[element("model").value]);
}

element("model").addEventListener("change", showLanguages);

/** Show the form for the API key. A key that was entered before is invalid. */
function requestKey() {
  element("key-invalid").hidden = !apiKey.value;
  if (!element("key-form").hidden) return;
  element("key-form").hidden = false;
  element("key").focus();
}

element("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  apiKey.value = element("key").value;
  element("key").value = "";
  void loadModels();
  live.connectNow();
});

// State of the page

function isBusy() {
  return live.state !== "idle" || files.isBusy;
}

function refreshControls() {
  for (const select of [element("language"), element("model")])
    select.disabled = isBusy() || select.options.length < 2;
  element("file-source").hidden = live.state !== "idle" || files.isOpen;
  element("record").disabled = files.isBusy;
  element("segments").classList.toggle("playable", live.state === "idle");
  refreshTranscriptButtons();
}

function refreshTranscriptButtons() {
  for (const button of transcriptButtons) button.disabled = !transcript.hasText;
  element("clear").disabled ||= isBusy();
}

/** Announce a text to screen readers. */
function announce(text) {
  element("announcer").textContent = text;
}

function showError(text) {
  element("error").textContent = text;
  element("error").hidden = !text;
}

addEventListener("beforeunload", (event) => {
  if (isBusy() || !(isSaved || transcript.isEmpty)) event.preventDefault();
});

void loadModels();
void recognizer.poll();
