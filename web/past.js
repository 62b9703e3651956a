// What happened to an event before its view was opened, from its bookings as they are now.
import { read } from "./api.js";

const ROWS = 100; // of a page, the most that the office gives
const PAGES_MAX = 5; // a larger event is watched from now on only

/** Yield {at, what, n} for each thing that one booking says of itself. */
function* rowsOf(one) {
  const tickets = one.quantity;
  const takenAt = one.transferredFrom ? null : (one.heldAt ?? one.bookedAt); // a transfer books nothing anew
  const endedAt = one.cancelledAt ?? one.expiredAt;
  if (one.joinedAt) yield { at: one.joinedAt, what: "joined", n: 1 };
  if (one.promotedAt) yield { at: one.promotedAt, what: "left", n: 1 };
  if (takenAt) yield { at: takenAt, what: "booked", n: tickets };
  if (one.checkedInAt) yield { at: one.checkedInAt, what: "letIn", n: tickets };
  if (endedAt) yield one.heldAt || one.bookedAt ? { at: endedAt, what: "returned", n: tickets } : { at: endedAt, what: "left", n: 1 };
}

/** Add up the rows of the same kind and second; the newest is first. */
function summed(rows) {
  const found = new Map();
  for (const row of rows) {
    const key = `${row.at.slice(0, 19)} ${row.what}`;
    found.set(key, { ...row, n: row.n + (found.get(key)?.n ?? 0) });
  }
  return [...found.values()].sort((one, other) => (one.at < other.at ? 1 : -1));
}

/** Return what happened, the newest first, as {at, what, n}; null if the event has too many bookings to read them all. */
export async function pastOf(path, event) {
  const rows = [];
  if (event.soldOutAt) rows.push({ at: event.soldOutAt, what: "soldOut", n: 1 });
  if (event.cancelledAt) rows.push({ at: event.cancelledAt, what: "cancelled", n: 1 });
  let cursor = "";
  for (let page = 0; page < PAGES_MAX; page++) {
    const found = await read(`${path}/bookings?limit=${ROWS}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    for (const one of found.bookings) rows.push(...rowsOf(one));
    if (found.nextCursor === null) return summed(rows);
    cursor = found.nextCursor;
  }
  return null;
}

/** Return the tickets booked in each second from `from` to `to`, both in seconds since 1970, as [seconds, tickets]. */
export function ratesOf(past, from, to) {
  const booked = new Map();
  for (const { at, what, n } of past) {
    const second = Math.floor(Date.parse(at) / 1000);
    if (what === "booked") booked.set(second, n + (booked.get(second) ?? 0));
  }
  const seconds = [];
  for (let second = Math.ceil(from); second < Math.floor(to); second++) seconds.push(second);
  return [seconds, seconds.map((second) => booked.get(second) ?? 0)];
}
