/**
 * TranscriptView: a transcript on the page. Each change touches its own segment only, whatever stands above
 * it.
 */

import { shown } from "./time_format.js";
import { Follow } from "./auto_scroll.js";
import { textOf } from "./word_timing.js";

const GROUP = 25; // segments that are rendered together, or not at all
const UNSURE = 0.4; // confidence below which a word is marked

/**
 * onPlay(ms): somebody wants to hear that place; onEditing(): begins to edit; onEdit(id, text): has changed
 * a text.
 */
export class TranscriptView {
  #list;
  #template;
  #items = new Map(); // by id: {item, text, stable, tail}
  #marked = new Map(); // classes to the words that have them
  #onPlay;
  #onEditing;
  #onEdit;
  #follow = new Follow(document.getElementById("end"));

  constructor(list, template, { onPlay, onEditing, onEdit }) {
    this.#list = list;
    this.#template = template;
    this.#onPlay = onPlay;
    this.#onEditing = onEditing;
    this.#onEdit = onEdit;
    list.addEventListener("click", (event) => this.#clicked(event));
    list.addEventListener("dblclick", ({ target }) => this.#edit(target.closest(".segment")));
    list.addEventListener("keydown", (event) => this.#pressed(event));
    list.addEventListener("focusout", ({ target }) => this.#save(target));
  }

  // what the transcript tells

  opened(segment) {
    const item = this.#template.content.cloneNode(true).firstElementChild;
    const text = item.querySelector(".text");
    const [stable, tail] = [document.createElement("span"), document.createElement("span")];
    tail.className = "tail";
    text.append(stable, tail);
    item.dataset.id = segment.id;
    this.#items.set(segment.id, { item, text, stable: stableOf(stable), tail: stableOf(tail), segment });
    this.#time(segment);
    this.changed(segment);
    this.#group().append(item);
  }

  /** Where the next segment belongs. */
  #group() {
    const last = this.#list.lastElementChild;
    if (last && last.childElementCount < GROUP) return last;
    const group = document.createElement("div");
    group.className = "group";
    this.#list.append(group);
    return group;
  }

  changed({ id, text = "", stable = 0 }) {
    const shownAs = this.#items.get(id);
    shownAs.stable.data = text.slice(0, stable);
    shownAs.tail.data = text.slice(stable);
    this.#follow.grown();
  }

  closed(segment) {
    this.#time(segment);
    this.edited(segment);
    this.#items.get(segment.id).item.querySelector(".edit").hidden = false;
    this.#follow.grown();
  }

  edited({ id, words }) {
    this.#items.get(id).text.replaceChildren(...words.flatMap(wordNodes));
  }

  removed({ id }) {
    this.#items.get(id).item.remove();
    this.#items.delete(id);
  }

  emptied() {
    this.#list.replaceChildren();
    this.#items.clear();
    this.#marked.clear();
  }

  // what others mark

  /** Gives words a class, and takes it from those that had it. places: {id, from, to} */
  mark(name, places) {
    for (const word of this.#marked.get(name) ?? []) word.classList.remove(name);
    const words = places.flatMap(({ id, from, to }) => this.#words(id).slice(from, to));
    for (const word of words) word.classList.add(name);
    this.#marked.set(name, words);
  }

  show({ id, from }) {
    this.#follow.off();
    this.#words(id)[from]?.scrollIntoView({ block: "center" });
  }

  #words(id) {
    return [...(this.#items.get(id)?.text.children ?? [])];
  }

  #time({ id, startMs }) {
    const time = this.#items.get(id).item.querySelector(".time");
    time.textContent = shown(startMs);
    time.setAttribute("aria-label", `Play from ${shown(startMs)}`);
  }

  // what people do

  #clicked({ target }) {
    const item = target.closest(".segment");
    if (!item) return;
    if (target.closest(".time")) this.#onPlay(this.#segment(item).startMs);
    else if (target.closest(".edit")) this.#edit(item);
    else if (target.classList.contains("word") && !isEdited(target))
      this.#play(item, [...target.parentElement.children].indexOf(target));
  }

  #play(item, index) {
    const word = this.#segment(item).words?.[index];
    if (word) this.#onPlay(word.startMs);
  }

  #pressed(event) {
    const text = event.target.closest(".text");
    if (!text) return;
    const act = isEdited(text) ? EDITING[event.key] : READING[event.key];
    if (!act || event.isComposing) return;
    event.preventDefault();
    this[act](text, event.key);
  }

  choose(text, key) {
    const words = [...text.children].filter((each) => each.classList.contains("word"));
    const chosen = words.findIndex((word) => word.classList.contains("chosen"));
    const next = Math.min(words.length - 1, Math.max(0, chosen + (key === "ArrowRight" ? 1 : -1)));
    words[chosen]?.classList.remove("chosen");
    words[next]?.classList.add("chosen");
  }

  playChosen(text) {
    const chosen = [...text.children].findIndex((word) => word.classList.contains("chosen"));
    this.#play(text.closest(".segment"), Math.max(0, chosen));
  }

  startEdit(text) {
    this.#edit(text.closest(".segment"));
  }

  keepEdit(text) {
    text.blur();
  }

  cancelEdit(text) {
    text.textContent = textOf(this.#segment(text.closest(".segment")).words);
    text.blur();
  }

  #edit(item) {
    const text = item?.querySelector(".text");
    const { words, startMs } = item ? this.#segment(item) : {};
    if (!words || isEdited(text)) return;
    this.#onEditing();
    text.textContent = textOf(words);
    text.contentEditable = "plaintext-only";
    text.setAttribute("role", "textbox");
    text.setAttribute("aria-label", `Text from ${shown(startMs)}`);
    text.focus();
    getSelection().selectAllChildren(text);
    getSelection().collapseToEnd();
  }

  #save(text) {
    if (!isEdited(text)) return;
    const segment = this.#segment(text.closest(".segment"));
    const written = text.textContent;
    for (const name of ["contenteditable", "role", "aria-label"]) text.removeAttribute(name);
    this.edited(segment);
    this.#onEdit(segment.id, written);
  }

  #segment(item) {
    return this.#items.get(item.dataset.id).segment;
  }
}

const READING = { ArrowLeft: "choose", ArrowRight: "choose", Enter: "playChosen", F2: "startEdit" };
const EDITING = { Enter: "keepEdit", Escape: "cancelEdit" };

function isEdited(element) {
  return element.isContentEditable;
}

/** The text node in an element: to write it costs less than to replace it. */
function stableOf(element) {
  return element.appendChild(document.createTextNode(""));
}

/** The word, and the blanks behind it. */
function wordNodes({ text, confidence }) {
  const span = document.createElement("span");
  span.className = "word";
  span.textContent = text.trimEnd();
  if (confidence !== null && confidence < UNSURE) {
    span.classList.add("unsure");
    span.title = `The recognizer is not sure of this word (${Math.round(confidence * 100)} %)`;
  }
  return [span, text.slice(span.textContent.length)];
}
