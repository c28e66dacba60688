/** The page's texts in the user's language: English, or one of the tables in locales/. */

import { TEXTS as ENGLISH } from "./locales/en.js";

const LOADERS = {
  de: () => import("./locales/de.js"),
  vi: () => import("./locales/vi.js"),
};

/** The language of the texts, as a BCP 47 tag. */
export const language = chosenLanguage();
const texts = language === "en" ? ENGLISH : (await LOADERS[language]()).TEXTS;

/** Return a text, with the values in place of its {names}. A text that is not translated yet is English. */
export function t(key, values = {}) {
  return (texts[key] ?? ENGLISH[key]).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Translate a document: data-t is the key of an element's text, data-t-NAME the key of an attribute. */
export function translate(root) {
  root.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const name of ["aria-label", "placeholder", "title"])
    for (const element of root.querySelectorAll(`[data-t-${name}]`))
      element.setAttribute(name, t(element.getAttribute(`data-t-${name}`)));
}

function chosenLanguage() {
  const wanted = navigator.languages.map((tag) => tag.split("-")[0]);
  return wanted.find((each) => each === "en" || each in LOADERS) ?? "en";
}
