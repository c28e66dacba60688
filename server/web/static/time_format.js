/** Formatting and parsing of times. */

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

/** Return "1:15.4" or "75.4" as 75400, and NaN if the text is not a time. */
export function parseTime(text) {
  if (!/^\s*(\d+:){0,2}\d+([.,]\d*)?\s*$/.test(text)) return NaN;
  const seconds = text
    .replace(",", ".")
    .split(":")
    .reduce((sum, part) => sum * 60 + Number(part), 0);
  return Math.round(seconds * 1000);
}

/** Return 75400 as "00:01:15.400", the format of WebVTT. SubRip has a comma as the decimal separator. */
export function formatTimestamp(ms, separator = ".") {
  const two = (number) => String(number).padStart(2, "0");
  const seconds = Math.floor(ms / 1000);
  const clock = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map(two).join(":");
  return `${clock}${separator}${String(ms % 1000).padStart(3, "0")}`;
}
