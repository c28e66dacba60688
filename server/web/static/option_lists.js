/** Choices: language, model, microphone: what can be chosen, filled in from what there is. */

const names = new Intl.DisplayNames(["en"], { type: "language" });

// Offered where a model does not tell which it knows, or is not loaded yet.
const COMMON =
  "ar bg bn ca cs da de el en es et fa fi fr gu he hi hr hu id it ja kn ko lt lv ml mr ms nl no pl pt ro ru " +
  "sk sl sr sv sw ta te th tr uk ur vi zh";

/** known: codes of the languages that a model knows, if it tells. The first choice leaves it to the model. */
export function offerLanguages(select, known) {
  const codes = known?.length ? known : COMMON.split(" ");
  const options = codes
    .map((code) => [code, names.of(code) ?? code])
    .sort((a, b) => a[1].localeCompare(b[1]));
  offer(select, [
    ["", codes.length === 1 ? names.of(codes[0]) : "Automatic"],
    ...(codes.length > 1 ? options : []),
  ]);
}

/** models: {id}, the default first */
export function offerModels(select, models) {
  offer(
    select,
    models.map(({ id }) => [id, id]),
  );
}

/** devices: MediaDeviceInfo */
export function offerDevices(select, devices) {
  const named = devices.filter(({ label, deviceId }) => label && deviceId !== "default");
  offer(select, [["", "The system’s own"], ...named.map(({ deviceId, label }) => [deviceId, label])]);
}

/** What was chosen before stays chosen if it is still there. */
function offer(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  select.value = options.some(([value]) => value === before) ? before : (options[0]?.[0] ?? "");
  select.disabled = options.length < 2;
}
