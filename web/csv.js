// All bookings of an event as a file for a spreadsheet.
import { read } from "./api.js";

const ROWS = 100; // of a page, the most that the office gives

/** Write a value so that no spreadsheet takes it for a formula or for two columns. */
function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Read all pages and let the browser save them; `progress` gets the number of rows so far. */
export async function saveBookings(path, progress) {
  const rows = [];
  let cursor = "";
  do {
    const page = await read(`${path}/bookings?limit=${ROWS}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    rows.push(...page.bookings);
    cursor = page.nextCursor;
    progress(rows.length);
  } while (cursor !== null);
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const lines = [columns, ...rows.map((row) => columns.map((name) => row[name]))];
  const file = new Blob(["\ufeff", ...lines.map((line) => `${line.map(cell).join(",")}\r\n`)], { type: "text/csv" });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: "bookings.csv" });
  link.click();
  URL.revokeObjectURL(link.href);
}
