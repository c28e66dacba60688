/** The page: connects its parts with each other and with the elements of index.html. */

import {
  fetchAvailability,
  fetchModels,
  fetchReadiness,
  fetchSubtitles,
  RequestError,
  sessionUrl,
  urlOf,
} from "./api.js";
import { apiKey } from "./api_key.js";
import { CaptionChannel } from "./caption_channel.js";
import { Captions } from "./captions.js";
import { problemOf } from "./file_check.js";
import { FileJob } from "./file_job.js";
import { FilePanel } from "./file_panel.js";
import { FileQueue, isOpen, MAX_ENTRIES } from "./file_queue.js";
import { FileUpload } from "./file_upload.js";
import { KeyboardShortcuts } from "./keyboard_shortcuts.js";
import { LibraryDatabase } from "./library_database.js";
import { Library } from "./library.js";
import { formatDate, LibraryPanel } from "./library_panel.js";
import { LivePanel } from "./live_panel.js";
import { MediaKeys } from "./media_keys.js";
import { LiveRecording } from "./live_recording.js";
import { MicrophoneError } from "./microphone.js";
import { setLanguageOptions, setModelOptions } from "./option_lists.js";
import { Player } from "./player.js";
import { QueuePanel } from "./queue_panel.js";
import { RecognitionOptions } from "./recognition_options.js";
import { RecognizerStatus } from "./recognizer_status.js";
import { SharePanel } from "./share_panel.js";
import { SpeechPlaceholders } from "./speech_placeholder.js";
import { SummaryPanel } from "./summary_panel.js";
import { t, translate } from "./text.js";
import { newId, Transcript } from "./transcript.js";
import { copyTranscript, download, SearchBox } from "./transcript_tools.js";
import { TranscriptView } from "./transcript_view.js";
import { WakeLock } from "./wake_lock.js";

const element = (id) => document.getElementById(id);
const elements = (ids) => Object.fromEntries(Object.entries(ids).map(([name, id]) => [name, element(id)]));

translate(document);

// Transcript

const view = new TranscriptView(element("segments"), element("segment"), {
  onPlay: play,
  onEditStart: () => player.pause(),
  onEdit: (id, text) => shown.edit(id, text),
  onRename,
});
const search = new SearchBox(
  elements({ input: "search", found: "found", previous: "previous", next: "next" }),
  view,
);
let shown = newRecording(); // the transcript on the page

function newRecording() {
  return new Transcript({ kind: "recording", title: t("recordingTitle", { date: formatDate(Date.now()) }) });
}

/** Show a transcript, and load its audio if there is no other file to listen to. */
function show(transcript) {
  if (transcript !== shown) {
    shown.listeners.delete(onTranscriptChange);
    shown = transcript;
    shown.listeners.add(onTranscriptChange);
    view.show(shown);
  }
  search.setTranscript(shown);
  captions.show(shown.segments);
  libraryPanel.select(shown.id);
  element("transcript-title").textContent = shown.hasText ? shown.title : t("transcript");
  refreshTranscript();
  if (live.state === "idle" && (!files.file || files.file === shown.media)) loadMedia();
}

function onTranscriptChange(change, segment, next) {
  view[change](segment ?? shown, next);
  captions.change(change, segment);
  if (change === "updated") return;
  refreshTranscript();
  search.refresh();
}

function refreshTranscript() {
  element("empty").hidden = !shown.isEmpty;
  for (const button of document.querySelectorAll("#copy, #delete, [data-format]")) button.disabled = !shown.hasText;
  const isComplete = shown.hasText && !(shown === liveTranscript && live.state !== "idle") && !shown.job;
  summaryPanel.show(shown, isComplete);
  element("import").disabled = !isComplete;
  element("delete").disabled ||= shown === liveTranscript && live.state !== "idle";
  element("undo").hidden = !shown.canUndo;
  element("new").hidden = !shown.hasText || live.state !== "idle";
}

const summaryPanel = new SummaryPanel(
  elements({
    button: "summarize",
    panel: "summary",
    text: "summary-text",
    note: "summary-note",
    chapters: "summary-chapters",
    cancel: "summary-cancel",
    remove: "summary-remove",
  }),
  {
    onChapter: goTo,
    onDone: () => announce(t("summarized")),
    onEnd: refreshTranscript,
    onError: showRequestError,
  },
);

/** Show the text at a time, and play it from there if there is audio. */
function goTo(ms) {
  const segment = shown.segments.find(({ endMs }) => endMs > ms);
  if (segment) view.scrollTo({ id: segment.id, from: 0 });
  if (shown.media) void play(ms);
}

function onRename(label, name) {
  shown.rename(label, name);
  announce(shown.speakers.nameOf(label));
}

function undo() {
  if (shown.undo()) announce(t("undone"));
}

element("undo").addEventListener("click", undo);
element("new").addEventListener("click", () => {
  files.close();
  show(newRecording());
  element("record").focus();
});
addEventListener("keydown", (event) => {
  const isUndo = event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey;
  if (!isUndo || event.target.closest("input, textarea, select, [contenteditable]")) return;
  event.preventDefault();
  undo();
});

// Playback

const player = new Player(element("player"), element("media"), {
  onTime: highlightSpoken,
  onLoad: () => {
    files.followPlayer();
    mediaKeys.show(player.blob && (player.blob === shown.media ? shown.title : (files.file?.name ?? t("title"))));
  },
});
const mediaKeys = new MediaKeys(element("media"), { onPlay: () => player.play(), onSkip: skipSegment });
const captions = new Captions(element("media"), t("transcript"));
let spoken = ""; // the word that is highlighted

const SKIP_SECONDS = 5; // back and forward by keys
const SKIP_BACK_MS = 1000; // A segment that began less than this ago is not the previous one.

function highlightSpoken(ms) {
  const word = player.blob === shown.media ? shown.wordAt(ms) : undefined;
  const key = word ? `${word.segment.id} ${word.index}` : "";
  if (key === spoken) return;
  spoken = key;
  const parts = word ? [{ id: word.segment.id, from: word.index, to: word.index + 1 }] : [];
  view.highlight("playing", parts);
  if (word && element("follow").checked && !element("media").paused) view.keepInView(parts[0]);
}

function loadMedia() {
  if (shown.media === player.blob) return;
  if (shown.media) void player.load(shown.media);
  else player.unload();
}

/** Play the audio of the transcript on the page, whatever the player has at present. */
async function play(ms) {
  if (shown === liveTranscript && live.state !== "idle") {
    showError(t("stopToPlay"));
    return;
  }
  if (!shown.media) {
    showError(t("noAudio"));
    return;
  }
  if (player.blob !== shown.media) await player.load(shown.media);
  player.playFrom(ms);
}

function setSpeed(value) {
  element("speed").value = value;
  element("media").defaultPlaybackRate = element("media").playbackRate = Number(value);
}

/** by: 1 for the next faster speed, -1 for the next slower one */
function changeSpeed(by) {
  const speeds = [...element("speed").options].map((option) => option.value);
  const next = speeds[speeds.indexOf(element("speed").value) + by];
  if (next) setSpeed(next);
}

/** Play the next segment (by: 1) or the previous one (by: -1). */
function skipSegment(by) {
  if (!player.blob || player.blob !== shown.media) return;
  const ms = element("media").currentTime * 1000;
  const starts = shown.segments.map(({ startMs }) => startMs);
  const next = by > 0 ? starts.find((start) => start > ms) : starts.findLast((start) => start < ms - SKIP_BACK_MS);
  if (next !== undefined) player.playFrom(next);
}

function togglePlayback() {
  if (!player.blob) void play(0);
  else if (element("media").paused) player.play();
  else player.pause();
}

element("speed").addEventListener("change", ({ target }) => setSpeed(target.value));

// Library

const library = new Library(
  () => libraryPanel.update(),
  (error) => showError(t("notStored", { error: error.message })),
);
const libraryPanel = new LibraryPanel(
  elements({ panel: "library", count: "library-count", list: "library-list", template: "library-item" }),
  library,
  {
    onOpen: async (id) => {
      files.close();
      show(await library.get(id));
    },
    onDelete: deleteTranscript,
  },
);

async function deleteTranscript(id) {
  if (!library.has(id)) {
    show(newRecording()); // it has no final text
    return;
  }
  const { title } = library.entries.find((entry) => entry.id === id);
  if (!confirm(t("confirmDelete", { title }))) return;
  const entry = queue.entries.find(({ transcript }) => transcript.id === id);
  if (entry) queue.remove(entry);
  await library.delete(id);
  if (shown.id === id) show(newRecording());
}

element("keep").checked = localStorage.getItem("stt-keep") === "true";
element("keep").addEventListener("change", ({ target }) => localStorage.setItem("stt-keep", target.checked));

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
    sound: "sound",
    device: "device",
    echo: "echo",
    noise: "noise",
  }),
  requestKey,
  () => recognizer.isLoading,
);
const live = new LiveRecording(
  { urlOf: sessionUrl, protocolsOf: () => apiKey.protocols, diagnose: fetchAvailability },
  { onState: onLiveState, onAudio: (audio) => panel.addAudio(audio), onEvent: onLiveEvent, onRecording },
);
const wakeLock = new WakeLock();
const captionChannel = new CaptionChannel();
let liveTranscript = null; // of the latest recording
let placeholders = null;
const sharePanel = new SharePanel(elements({ button: "share", list: "share-links", template: "share-link" }), {
  onCopied: () => sayCopied("share", "shareCopied", "share"),
  onError: showRequestError,
});
const sharesSessions = document.body.dataset.share === "true";

function onLiveState(state) {
  panel.showState(state);
  if (state === "idle") recognizer.watch(null);
  wakeLock.set(state === "live");
  if (state !== "idle") player.unload();
  else if (live.recording) {
    liveTranscript.describe({ media: live.recording.toWav() });
    if (shown === liveTranscript) loadMedia();
  }
  refreshControls();
}

/** A new Recording has begun: keep it with its transcript. */
function onRecording(recording) {
  const transcript = liveTranscript;
  transcript.recording = recording;
  recording.onBlob = (blob) => library.addMedia(transcript.id, blob);
}

function onLiveEvent(event) {
  panel.showEvent(event);
  placeholders.note(event);
  if (event.type === "connected" && !event.resumed) sharePanel.setSession(sharesSessions ? event.session : null);
  else if (event.type === "session_lost") sharePanel.setSession(null);
  if (event.type === "connected" && !event.resumed) liveTranscript.speakers.beginSession();
  if (event.type === "connected" && event.recognizer) {
    recognizer.watch(null);
    recognizer.show(event.recognizer);
  }
  else if (event.type === "partial")
    liveTranscript.setPartial(event.id, event.text, event.stable, event.startMs, event.track ?? event.speaker);
  else if (event.type === "final") showFinal(event);
  else if (event.type === "revised") for (const item of event.items) liveTranscript.reviseSpeakers(item);
  else if (event.type === "dropped") liveTranscript.remove(event.id);
}

/** Show why the server refused a request, and ask for a key if it lacked one. Throw any other error. */
function showRequestError(error) {
  if (!(error instanceof RequestError)) throw error;
  if (error.status === 401) requestKey();
  showError(error.message);
}

function showFinal(event) {
  if (event.language && !liveTranscript.language) liveTranscript.describe({ language: event.language });
  liveTranscript.setFinal(event);
  if (event.text) announce(event.text);
}

/** Record into the transcript on the page if it is one of a recording that can be continued, else into a new one. */
async function startRecording() {
  files.close();
  if (shown.kind !== "recording" || (shown.hasText && !shown.recording)) show(newRecording());
  liveTranscript = shown;
  library.add(liveTranscript, element("keep").checked);
  captionChannel.follow(liveTranscript);
  element("captions-link").href = `captions?session=${liveTranscript.id}`;
  sharePanel.setSession(null);
  placeholders = new SpeechPlaceholders(liveTranscript, () => live.nowMs);
  live.use(liveTranscript.recording ?? null);
  panel.start(live);
  showError("");
  try {
    await live.start(panel.device, { query: options.query, session: options.session });
    recognizer.watch(element("model").value);
  } catch (error) {
    if (!(error instanceof MicrophoneError)) throw error;
    showError(error.message);
    panel.showStatus(t("startHint"), "idle");
  }
}

function toggleRecording() {
  if (live.state === "idle") void startRecording();
  else if (live.state === "stopping") void live.abort();
  else void live.stop();
}

function togglePause() {
  if (live.state === "paused") live.resume();
  else if (live.state === "live") live.pause();
}

element("record").addEventListener("click", toggleRecording);
element("pause").addEventListener("click", togglePause);

// Files and URLs

const queue = new FileQueue(transcribe, onQueueChange);
const queuePanel = new QueuePanel(
  elements({ panel: "queue", list: "queue-list", template: "queue-item" }),
  queue,
  (entry) => entry === files.entry,
  ({ transcript }) => {
    if (files.file !== transcript.media) files.close();
    show(transcript);
  },
);
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
  queue,
  { onOpenChange: onFileOpenChange, onError: showError, enqueue, keepsChannels: () => options.keepsChannels },
);

/** Start the work on an entry of the queue, or follow the job that it has. Return {cancel()}. */
function transcribe(entry, onEvent) {
  const { source, options: chosen, transcript } = entry;
  if (!transcript.job) for (const { id } of transcript.all) transcript.remove(id); // of an earlier attempt
  if (!transcript.job && !(chosen.job && keepsJobs)) return upload(entry, onEvent);
  let work = new FileJob(urlOf("v1/jobs"), {
    headers: apiKey.headers,
    // An older copy of the page may take the server for one with jobs.
    onEvent: (event) => (event.type === "disabled" ? (work = upload(entry, onEvent)) : onEvent(event)),
  });
  if (transcript.job) work.follow(transcript.job);
  else {
    entry.submission ??= newId();
    work.submit(entry.submission, { ...chosen.job, ...contentOf(source) }, offsetOf(source));
  }
  return { cancel: () => work.cancel() };
}

function upload({ source, options: { file } }, onEvent) {
  return new FileUpload(urlOf(`v1/audio/${file.isTranslation ? "translations" : "transcriptions"}`), {
    headers: apiKey.headers,
    fields: { ...file.fields, ...contentOf(source) },
    isTranslation: file.isTranslation,
    offsetMs: offsetOf(source),
    onEvent,
  });
}

function contentOf({ url, upload: file, trim }) {
  return url ? { url } : { ...trim, file };
}

/** Return the position in the file of the beginning of what is uploaded. */
function offsetOf({ isPart, startMs, trim }) {
  return isPart && !trim ? startMs : 0;
}

/** Follow the jobs of the library, which the page has begun before it was reloaded. */
async function followJobs() {
  for (const { id } of library.entries.filter(({ job }) => job)) {
    const transcript = await library.get(id);
    if (queue.isFull || queue.entries.some((entry) => entry.transcript === transcript)) continue;
    if (shown.isEmpty && live.state === "idle") show(transcript);
    queue.add({ name: transcript.title, source: {}, options: {}, transcript });
  }
}

/** Keep the job of an entry with its transcript, so that a reload finds it again, until the job has ended. */
function noteJob(entry, event) {
  const { transcript } = entry;
  if (event.type === "accepted") {
    entry.submission = undefined;
    transcript.describe({ job: event.job });
  } else if (event.type === "segment" && event.job) transcript.job = event.job; // stored with the segment
  else if (["ended", "failed", "cancelled"].includes(event.type) && transcript.job && !event.keepsJob) {
    transcript.describe({ job: null });
    if (!transcript.hasText) void library.withdraw(transcript);
  }
}

/** Add a file or URL to the queue, and return its entry, or undefined if the queue is full. */
function enqueue({ name, source }) {
  showError("");
  if (queue.isFull) {
    showError(t("queueFull", { count: MAX_ENTRIES }));
    return undefined;
  }
  const transcript = new Transcript({ kind: "file", title: name, media: source.file ?? null });
  library.add(transcript, true);
  return queue.add({ name, source, options: { file: options.file, job: options.job }, transcript });
}

function onQueueChange(entry, event) {
  const { name, transcript, state } = entry;
  queuePanel.show(entry);
  files.showEntry(entry);
  if (event) noteJob(entry, event);
  if (event?.type === "segment") {
    transcript.setFinal(event);
    if (shown !== transcript && isShownNext(transcript)) show(transcript);
    if (shown === transcript) announce(event.text);
  } else if (event?.type === "speakers") {
    if (shown === transcript && document.activeElement.isContentEditable) document.activeElement.blur(); // save it
    transcript.setSpeakers(event.spans);
  } else if (event?.type === "ended") {
    if (event.language) transcript.describe({ language: event.language });
    announce(t(transcript.hasText ? "complete" : "fileSilence"));
    if (!transcript.hasText) showError(`${name}: ${t("fileSilence")}`);
  } else if (event?.type === "failed") {
    if (event.status === 401) requestKey();
    showError(`${name}: ${event.message}`);
  } else if (event?.type === "cancelled") announce(t("cancelled"));
  if (state !== "transcribing" || !event) refreshControls();
}

/** Return whether a transcript that gets its first text takes the place of the one on the page. */
function isShownNext(transcript) {
  if (live.state !== "idle") return false;
  return files.file ? files.file === transcript.media : shown.isEmpty || files.isOpen;
}

/** Open one file, so that a part can be selected. Several, or one while others are transcribed, are queued. */
async function openFiles(list) {
  if (list.length === 1 && !queue.isBusy && live.state === "idle") {
    showError("");
    await files.open(list[0]);
    return;
  }
  files.close();
  const problems = [];
  for (const file of list) {
    const problem = await problemOf(file);
    if (problem) problems.push(`${file.name}: ${problem}`);
    else enqueue({ name: file.name, source: { file, upload: file, startMs: 0, endMs: await secondsOf(file) * 1000 } });
  }
  if (problems.length) showError(problems.join(" "));
}

/** Return the duration of a file in seconds, or NaN if the browser does not know it. */
function secondsOf(file) {
  const probe = document.createElement("video");
  const url = URL.createObjectURL(file);
  return new Promise((resolve) => {
    probe.onloadedmetadata = () => resolve(probe.duration);
    probe.onerror = () => resolve(NaN);
    probe.preload = "metadata";
    probe.src = url;
  }).finally(() => URL.revokeObjectURL(url));
}

function onFileOpenChange() {
  refreshControls();
  queuePanel.refresh();
  if (!files.isOpen && live.state === "idle") loadMedia();
}

element("choose").addEventListener("click", () => element("file").click());
element("file").addEventListener("change", ({ target }) => {
  if (target.files.length) void openFiles([...target.files]);
  target.value = "";
});
element("url-form").addEventListener("submit", (event) => {
  event.preventDefault();
  files.openUrl(element("url").value);
});
const keepsJobs = document.body.dataset.jobs === "true";
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
  if (event.dataTransfer.files.length) void openFiles([...event.dataTransfer.files]);
});

// Export

const COPIED_MS = 2000; // for which the button says that it has copied

async function copy() {
  if (!shown.hasText) return;
  await copyTranscript(shown);
  library.exported(shown.id);
  sayCopied("copy", "copiedButton", "copy");
}

/** Say for a while on a button that it has copied. done, label: keys of its texts */
function sayCopied(button, done, label) {
  announce(t("copied"));
  element(button).textContent = t(done);
  setTimeout(() => (element(button).textContent = t(label)), COPIED_MS);
}

element("copy").addEventListener("click", () => void copy());
element("delete").addEventListener("click", () => void deleteTranscript(shown.id));
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => void exportAs(button.dataset.format, shown));
}

async function exportAs(format, transcript) {
  showError("");
  try {
    await download(format, transcript);
    library.exported(transcript.id);
  } catch (error) {
    showRequestError(error);
  }
}

/** Put edited subtitles in the place of the text. A file that cannot be read changes nothing. */
async function importSubtitles(file) {
  showError("");
  const transcript = shown;
  try {
    const subtitles = await fetchSubtitles(file, transcript.speakers.labels.length > 0);
    transcript.importSubtitles(subtitles);
    announce(t("imported", { count: subtitles.length }));
  } catch (error) {
    showRequestError(error);
  }
}

element("import").addEventListener("click", () => element("subtitles").click());
element("subtitles").addEventListener("change", ({ target }) => {
  if (target.files.length) void importSubtitles(target.files[0]);
  target.value = "";
});

// Models, languages and the API key

element("diarize").disabled = document.body.dataset.diarize !== "true";
element("diarize-option").hidden = element("diarize").disabled;

let languages = {}; // by model; null if the model is not loaded

const options = new RecognitionOptions(
  elements({
    language: "language",
    model: "model",
    hotwords: "hotwords",
    translate: "translate",
    speed: "exactness",
    diarize: "diarize",
    multichannel: "multichannel",
  }),
);

const recognizer = new RecognizerStatus(
  elements({
    line: "recognizer",
    notice: "model-notice",
    progress: "recognizer-progress",
    bar: "recognizer-bar",
    seconds: "recognizer-seconds",
  }),
  fetchReadiness,
  (readiness) => {
    languages = Object.fromEntries(readiness.models.map((each) => [each.name, each.languages]));
    options.setTranslates(readiness.recognizer.translates);
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
  element("remember").checked = apiKey.isRemembered;
  element("key-form").hidden = false;
  element("key").focus();
}

element("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  apiKey.set(element("key").value, { remember: element("remember").checked });
  element("key").value = "";
  void loadModels();
  live.connectNow();
  for (const entry of queue.entries) if (entry.state === "failed" && entry.transcript.job) queue.retry(entry);
});

// Keyboard

new KeyboardShortcuts(
  elements({
    dialog: "shortcuts",
    list: "shortcuts-list",
    open: "shortcuts-open",
    close: "shortcuts-close",
    enabled: "shortcuts-enabled",
  }),
  {
    r: { text: "keyRecord", run: toggleRecording },
    p: { text: "keyPause", run: togglePause },
    k: { text: "keyPlay", run: togglePlayback },
    j: { text: "keyBack", run: () => (element("media").currentTime -= SKIP_SECONDS) },
    l: { text: "keyForward", run: () => (element("media").currentTime += SKIP_SECONDS) },
    "[": { text: "keySlower", run: () => changeSpeed(-1) },
    "]": { text: "keyFaster", run: () => changeSpeed(1) },
    "/": { text: "keySearch", run: () => element("search").focus() },
    c: { text: "keyCopy", run: () => void copy() },
    o: { text: "keyOpen", run: () => element("choose").click() },
  },
);

// State of the page

function refreshControls() {
  const isBusy = live.state !== "idle";
  for (const select of [element("language"), element("model")])
    select.disabled = isBusy || select.options.length < 2;
  element("recognition-options").hidden = isBusy;
  element("file-source").hidden = isBusy || files.isOpen;
  element("keep-option").hidden = isBusy;
  element("captions-link").hidden = live.state !== "live" && live.state !== "paused";
  element("segments").classList.toggle("playable", !isBusy || shown !== liveTranscript);
  refreshTranscript();
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
  const isLost = (entry) => isOpen(entry) && !(entry.transcript.job && library.isStored(entry.transcript.id));
  if (live.state !== "idle" || queue.entries.some(isLost) || library.hasUnsaved) event.preventDefault();
});

shown.listeners.add(onTranscriptChange);
view.show(shown);
search.setTranscript(shown);
refreshControls();
void loadModels();
void recognizer.poll();
void library.open(() => LibraryDatabase.open()).then(followJobs);
addEventListener("load", () => void keepForOffline());

/** Let the browser keep the page, so that it opens, with its library, without the server. */
async function keepForOffline() {
  const url = new URL("./offline_worker.js", import.meta.url);
  // Browsers refuse it where they do not trust the certificate; then the page needs the server.
  await navigator.serviceWorker?.register(url, { scope: new URL("../../", url) }).catch(() => {});
}
