/** Formatting and parsing of times. */

import { language } from "./text.js";

/** Return 75400 as "1:15", or as "1:15.4" with tenths. */
export function formatTime(ms, { tenths = false } = {}) {
  const unit = tenths ? 100 : 1000;
  const whole = Math.floor(Math.max(0, ms) / unit) * unit;
  const seconds = (whole / 1000) % 60;
  const minutes = Math.floor(whole / 60_000) % 60;
  const hours = Math.floor(whole / 3_600_000);
  const tail = (tenths ? seconds.toFixed(1) : String(seconds)).padStart(tenths ? 4 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });

/** Return the time of day for people. ms: since 1970 */
export function formatClock(ms) {
  return clock.format(ms);
}

/** Return "1:15.4" or "75.4" as 75400, and NaN if the text is not a time. */
export function parseTime(text) {
  if (!/^\s*(\d+:){0,2}\d+([.,]\d*)?\s*$/.test(text)) return NaN;
  const seconds = text
    .replace(",", ".")
    .split(":")
    .reduce((sum, part) => sum * 60 + Number(part), 0);
  return Math.round(seconds * 1000);
}
