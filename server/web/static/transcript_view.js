/**
 * TranscriptView: shows a transcript and lets the user play and edit it. Each change touches its own segment
 * only, so its cost does not depend on the length of the transcript.
 */

import { AutoScroll } from "./auto_scroll.js";
import { MAX_NAME } from "./speakers.js";
import { t } from "./text.js";
import { formatTime } from "./time_format.js";
import { joinWords } from "./word_timing.js";

const GROUP_SIZE = 25; // segments that the browser renders or skips together
const KEEP_IN_VIEW_MARGIN = 64; // pixels at the top, where the tools are
const LOW_CONFIDENCE = 0.4; // words below it are marked

/**
 * Callbacks: onPlay(ms): the user wants to hear the audio from there; onEditStart(): the user starts to edit
 * a text; onEdit(id, text): the user has edited a text; onRename(label, name): the user has named a speaker.
 */
export class TranscriptView {
  #list;
  #template;
  #items = new Map(); // by id: {item, text, stable, tail, segment}
  #highlighted = new Map(); // words by class
  #onPlay;
  #onEditStart;
  #onEdit;
  #onRename;
  #speakers; // of the transcript
  #autoScroll = new AutoScroll(document.getElementById("end"));

  constructor(list, template, { onPlay, onEditStart, onEdit, onRename }) {
    this.#list = list;
    this.#template = template;
    this.#onPlay = onPlay;
    this.#onEditStart = onEditStart;
    this.#onEdit = onEdit;
    this.#onRename = onRename;
    list.addEventListener("click", (event) => this.#onClick(event));
    list.addEventListener("dblclick", ({ target }) => this.#edit(target.closest(".segment")));
    list.addEventListener("keydown", (event) => this.#onKey(event));
    list.addEventListener("focusout", ({ target }) => this.#save(target));
  }

  /** Show another transcript, or the same one again. */
  show(transcript) {
    this.#list.replaceChildren();
    this.#items.clear();
    this.#highlighted.clear();
    this.#speakers = transcript.speakers;
    this.described(transcript);
    for (const segment of transcript.all) {
      this.added(segment);
      if (segment.words) this.finalized(segment);
    }
  }

  // Changes of the transcript

  /** The language decides about fonts, hyphenation and how a screen reader speaks. */
  described({ language }) {
    if (language) this.#list.lang = language;
    else this.#list.removeAttribute("lang");
  }

  /** A speaker has another name. */
  renamed() {
    for (const { segment } of this.#items.values()) this.#showSpeaker(segment);
  }

  restored(segment, next) {
    this.added(segment, next);
    this.finalized(segment);
  }

  added(segment, next) {
    const item = this.#template.content.cloneNode(true).firstElementChild;
    const text = item.querySelector(".text");
    const [stable, tail] = [document.createElement("span"), document.createElement("span")];
    tail.className = "tail";
    text.append(stable, tail);
    item.dataset.id = segment.id;
    this.#items.set(segment.id, {
      item,
      text,
      stable: addTextNode(stable),
      tail: addTextNode(tail),
      segment,
    });
    this.#showTime(segment);
    this.#showSpeaker(segment);
    this.updated(segment);
    if (next) this.#items.get(next.id).item.before(item);
    else this.#lastGroup().append(item);
  }

  /** Return the group to which the next segment is added. */
  #lastGroup() {
    const last = this.#list.lastElementChild;
    if (last && last.childElementCount < GROUP_SIZE) return last;
    const group = document.createElement("div");
    group.className = "group";
    this.#list.append(group);
    return group;
  }

  updated(segment) {
    const { id, text = "", stable = 0, dots = 0, speaker } = segment;
    const item = this.#items.get(id);
    if (item.speaker !== speaker) this.#showSpeaker(segment);
    item.stable.data = text.slice(0, stable);
    item.tail.data = dots ? "•".repeat(dots) : text.slice(stable);
    item.item.toggleAttribute("data-speech", dots > 0);
    if (dots) item.text.setAttribute("aria-label", t("speechHeard"));
    else item.text.removeAttribute("aria-label");
    if (!item.text.dir && text) item.text.dir = directionOf(text);
    this.#autoScroll.contentAdded();
  }

  finalized(segment) {
    this.#items.get(segment.id).item.removeAttribute("data-speech");
    this.#items.get(segment.id).text.removeAttribute("aria-label");
    this.#showTime(segment);
    this.#showSpeaker(segment);
    this.edited(segment);
    if (segment.language) this.#items.get(segment.id).text.lang = segment.language;
    this.#items.get(segment.id).item.querySelector(".edit").hidden = false;
    this.#autoScroll.contentAdded();
  }

  edited({ id, words }) {
    const { text } = this.#items.get(id);
    text.replaceChildren(...words.flatMap(wordNodes));
    text.dir = directionOf(text.textContent);
  }

  removed({ id }) {
    this.#items.get(id).item.remove();
    this.#items.delete(id);
  }

  // Highlighted words

  /** Set a class on words, and remove it from all other words. matches: {id, from, to} */
  highlight(name, matches) {
    for (const word of this.#highlighted.get(name) ?? []) word.classList.remove(name);
    const words = matches.flatMap(({ id, from, to }) => this.#words(id).slice(from, to));
    for (const word of words) word.classList.add(name);
    this.#highlighted.set(name, words);
  }

  /** Scroll to a match. */
  scrollTo({ id, from }) {
    this.#autoScroll.disable();
    this.#words(id)[from]?.scrollIntoView({ block: "center" });
  }

  /** Scroll to a word if it is out of view. */
  keepInView({ id, from }) {
    const word = this.#words(id)[from];
    if (!word) return;
    const { top, bottom } = word.getBoundingClientRect();
    const padding = parseFloat(getComputedStyle(document.documentElement).scrollPaddingBottom) || 0;
    if (top >= KEEP_IN_VIEW_MARGIN && bottom <= innerHeight - padding) return;
    this.#autoScroll.disable();
    word.scrollIntoView({ block: "center" });
  }

  #words(id) {
    return [...(this.#items.get(id)?.text.children ?? [])];
  }

  #showTime({ id, startMs }) {
    const time = this.#items.get(id).item.querySelector(".time");
    time.textContent = formatTime(startMs);
    time.setAttribute("aria-label", t("playFrom", { time: formatTime(startMs) }));
  }

  #showSpeaker({ id, speaker }) {
    const entry = this.#items.get(id);
    const { item } = entry;
    entry.speaker = speaker;
    const button = item.querySelector(".speaker");
    button.hidden = !speaker;
    if (!speaker) return;
    item.dataset.speaker = this.#speakers.colourOf(speaker);
    button.textContent = this.#speakers.nameOf(speaker);
    button.title = t("renameSpeaker");
  }

  // User input

  #onClick({ target }) {
    const item = target.closest(".segment");
    if (!item) return;
    if (target.closest(".speaker")) this.#rename(item);
    else if (target.closest(".time")) this.#onPlay(this.#segment(item).startMs);
    else if (target.closest(".edit")) this.#edit(item);
    else if (target.classList.contains("word") && !isEditing(target))
      this.#playWord(item, [...target.parentElement.children].indexOf(target));
  }

  #playWord(item, index) {
    const word = this.#segment(item).words?.[index];
    if (word) this.#onPlay(word.startMs);
  }

  #onKey(event) {
    const text = event.target.closest(".text");
    if (!text) return;
    const action = isEditing(text) ? EDITING_KEYS[event.key] : READING_KEYS[event.key];
    if (!action || event.isComposing) return;
    event.preventDefault();
    this[action](text, event.key);
  }

  selectWord(text, key) {
    const words = [...text.children].filter((each) => each.classList.contains("word"));
    const selected = words.findIndex((word) => word.classList.contains("selected"));
    const forward = getComputedStyle(text).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    const next = Math.min(words.length - 1, Math.max(0, selected + (key === forward ? 1 : -1)));
    words[selected]?.classList.remove("selected");
    words[next]?.classList.add("selected");
  }

  playSelected(text) {
    const selected = [...text.children].findIndex((word) => word.classList.contains("selected"));
    this.#playWord(text.closest(".segment"), Math.max(0, selected));
  }

  startEdit(text) {
    this.#edit(text.closest(".segment"));
  }

  /** Save, and keep the keyboard focus: on the text, or on the next one if an empty text was removed. */
  saveEdit(text) {
    const item = text.closest(".segment");
    const texts = [...this.#list.querySelectorAll(".text")];
    const neighbour = texts[texts.indexOf(text) + 1] ?? texts[texts.indexOf(text) - 1];
    text.blur();
    (item.isConnected ? text : (neighbour ?? this.#list.parentElement)).focus();
  }

  cancelEdit(text) {
    text.textContent = joinWords(this.#segment(text.closest(".segment")).words);
    this.saveEdit(text);
  }

  #edit(item) {
    const text = item?.querySelector(".text");
    const { words, startMs } = item ? this.#segment(item) : {};
    if (!words || isEditing(text)) return;
    this.#onEditStart();
    text.textContent = joinWords(words);
    text.contentEditable = "plaintext-only";
    text.setAttribute("role", "textbox");
    text.setAttribute("aria-label", t("textAt", { time: formatTime(startMs) }));
    text.focus();
    getSelection().selectAllChildren(text);
    getSelection().collapseToEnd();
  }

  #save(text) {
    if (!isEditing(text)) return;
    const segment = this.#segment(text.closest(".segment"));
    const content = text.textContent;
    for (const name of ["contenteditable", "role", "aria-label"]) text.removeAttribute(name);
    this.edited(segment);
    this.#onEdit(segment.id, content);
  }

  /** Put a field in the place of a speaker's name. Enter and a click elsewhere save it, Escape does not. */
  #rename(item) {
    const button = item.querySelector(".speaker");
    const { speaker } = this.#segment(item);
    const input = document.createElement("input");
    Object.assign(input, { className: "speaker-name", maxLength: MAX_NAME, value: this.#speakers.nameOf(speaker) });
    input.setAttribute("aria-label", t("nameOfSpeaker", { name: input.value }));
    let isOpen = true;
    const close = (isSaved) => {
      if (!isOpen) return;
      isOpen = false; // removing the field lets it lose the focus
      const hadFocus = document.activeElement === input;
      input.remove();
      button.hidden = false;
      if (hadFocus) button.focus();
      if (isSaved) this.#onRename(speaker, input.value);
    };
    input.addEventListener("blur", () => close(true));
    input.addEventListener("keydown", (event) => {
      if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
      event.preventDefault(); // Enter would press the button, which gets the focus
      close(event.key === "Enter");
    });
    button.hidden = true;
    button.after(input);
    input.focus();
    input.select();
  }

  #segment(item) {
    return this.#items.get(item.dataset.id).segment;
  }
}

const READING_KEYS = {
  ArrowLeft: "selectWord",
  ArrowRight: "selectWord",
  Enter: "playSelected",
  F2: "startEdit",
};
const EDITING_KEYS = { Enter: "saveEdit", Escape: "cancelEdit" };

function isEditing(element) {
  return element.isContentEditable;
}

/** Add a text node to an element. Writing to it is cheaper than replacing it. */
function addTextNode(element) {
  return element.appendChild(document.createTextNode(""));
}

const LETTER = /\p{L}/u;
const RIGHT_TO_LEFT =
  /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

/** Return the direction of a text, "ltr" or "rtl": that of its first letter (UAX 9, rules P2 and P3). */
function directionOf(text) {
  return RIGHT_TO_LEFT.test(text.match(LETTER)?.[0] ?? "") ? "rtl" : "ltr";
}

/** Return the element of a word, and the white space after it. */
function wordNodes({ text, confidence }) {
  const span = document.createElement("span");
  span.className = "word";
  span.textContent = text.trimEnd();
  if (confidence !== null && confidence < LOW_CONFIDENCE) {
    span.classList.add("low-confidence");
    span.title = t("lowConfidence", { percent: Math.round(confidence * 100) });
  }
  return [span, text.slice(span.textContent.length)];
}
