/** The options of the select elements for language, model and microphone. */

import { language, t } from "./text.js";

const names = new Intl.DisplayNames([language], { type: "language" });

/** Return the name of a language for people. code: ISO 639-1 */
export function languageName(code) {
  return names.of(code) ?? code;
}

// Offered if a model does not list its languages or is not loaded yet.
const COMMON_LANGUAGES =
  "ar bg bn ca cs da de el en es et fa fi fr gu he hi hr hu id it ja kn ko lt lv ml mr ms nl no pl pt ro ru " +
  "sk sl sr sv sw ta te th tr uk ur vi zh";

/** supported: language codes of the model, if known. With the first option the model detects the language. */
export function setLanguageOptions(select, supported) {
  const codes = supported?.length ? supported : COMMON_LANGUAGES.split(" ");
  const options = codes
    .map((code) => [code, languageName(code)])
    .sort((a, b) => a[1].localeCompare(b[1]));
  setOptions(select, [
    ["", codes.length === 1 ? languageName(codes[0]) : t("automatic")],
    ...(codes.length > 1 ? options : []),
  ]);
}

/** models: {id}, the default model first */
export function setModelOptions(select, models) {
  setOptions(
    select,
    models.map(({ id }) => [id, id]),
  );
}

/** devices: MediaDeviceInfo */
export function setDeviceOptions(select, devices) {
  const named = devices.filter(({ label, deviceId }) => label && deviceId !== "default");
  setOptions(select, [["", t("systemDefault")], ...named.map(({ deviceId, label }) => [deviceId, label])]);
}

/** Replace the options, and keep the selected one if it is still available. */
function setOptions(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  select.value = options.some(([value]) => value === before) ? before : (options[0]?.[0] ?? "");
  select.disabled = options.length < 2;
}
