// One event for its organiser: counts, bookings a second, what happened, and what can be changed.
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { act, pause, read, resume, send, status } from "./api.js";
import { Chart, CHART_S } from "./chart.js";
import { saveBookings } from "./csv.js";
import { EventForm } from "./form.js";
import { identity } from "./identity.js";
import { NotForYou } from "./organiser.js";
import { pastOf, ratesOf } from "./past.js";
import { number, reason, t, time } from "./text.js";
import { Action, html, Meter, Sale, tell, Trouble, useClock, useLive, useTitle } from "./ui.js";

const HAPPENED_MAX = 10; // as high as the chart
const HELD_ROWS = 100; // a page of a list
const COUNTS_MS_MAX = 1000; // how old the counts of a status may be
const PACE = { leastMs: 1000, mostMs: 2500 };

export function Live({ eventId }) {
  const path = `events/${encodeURIComponent(eventId)}`;
  const isOrganiser = identity().isOrganiser;
  const seen = useLive(eventId, () => look(eventId), PACE);
  const { samples, happened, isWhole } = useHistory(path, isOrganiser ? seen.value?.event : undefined);
  useTitle(seen.value?.event.name);
  useEffect(() => {
    for (const what of ["change", "call-off"]) resume(`${what}:${eventId}`).then((answer) => answer && seen.again(), (error) => tell(reason(error), "bad"));
  }, [eventId]);
  if (!isOrganiser) return html`<${NotForYou} />`;
  if (seen.error?.code === "event-not-found") return html`<h1>${t.problems["event-not-found"]}</h1>`;
  if (!seen.value) return html`<${Trouble} error=${seen.error} /><p class="loading">${t.loading}</p>`;
  const { event } = seen.value;
  return html`
    <div class="row"><div><${Sale} event=${event} /><h1>${event.name}</h1><p class="soft">${event.venue}</p></div>
      <p class="row"><a class="button quiet" href=${`#/d/${encodeURIComponent(eventId)}`}>${t.door}</a> <a class="button quiet" href=${`#/e/${encodeURIComponent(eventId)}`}>${t.buyerPage}</a></p></div>
    <${Trouble} error=${seen.error} />
    <${Tiles} event=${event} held=${seen.value.held} />
    <div class="columns">
      <section><h2>${t.perSecond}</h2><${Chart} data=${samples} /></section>
      <section><h2>${t.latest}</h2><${Happened} rows=${happened} isWhole=${isWhole} /></section>
    </div>
    <${Controls} key=${eventId} path=${path} ...${seen.value} again=${seen.again} />
  `;
}

async function look(eventId) {
  const { body, etag } = await status(eventId);
  const held = body.holdSeconds || body.offerSeconds ? await heldOf(eventId) : null;
  return { event: body, etag, held };
}

/** Count the tickets that are held, of the first hundred holds: {tickets, hasMore}. */
async function heldOf(eventId) {
  const page = await read(`events/${encodeURIComponent(eventId)}/bookings?status=HELD&limit=${HELD_ROWS}`, { tries: 1 });
  return { tickets: page.bookings.reduce((sum, one) => sum + one.quantity, 0), hasMore: page.nextCursor !== null };
}

/**
 * Remember what each look at the event showed, and what has changed since the one before. What happened before the first
 * look comes from the bookings, unless they are too many: then the history is not whole.
 */
function useHistory(path, event) {
  const [past, setPast] = useState(null);
  const kept = useRef({ samples: [[], []], changes: [], first: null, last: null });
  const isSeen = event !== undefined;
  useEffect(() => void (isSeen && pastOf(path, event).then(setPast, () => {})), [path, isSeen]); // else from now on only
  const isNews = isSeen && !(event.asOf <= kept.current.last?.asOf); // each function counts for itself: some are behind
  if (isNews) kept.current = withLook(kept.current, event);
  const { samples, changes, first, last } = kept.current;
  if (!past || !first) return { samples, happened: changes, isWhole: false };
  const before = past.filter((one) => one.at <= first.asOf);
  const opened = Date.parse(first.createdAt) / 1000;
  const [times, rates] = ratesOf(before, Math.max(opened, secondsOf(last) - CHART_S), secondsOf(first));
  return {
    samples: [[...times, ...samples[0]], [...rates, ...samples[1]]],
    happened: [...changes, ...before].slice(0, HAPPENED_MAX),
    isWhole: true,
  };
}

const secondsOf = (event) => Date.parse(event.asOf) / 1000;

/** Add what a look at the event shows to what is kept of the looks before. */
function withLook({ samples: [times, rates], changes, first, last }, event) {
  const at = secondsOf(event);
  const rows = last ? differences(last, event).map((one) => ({ ...one, at: event.asOf })) : [];
  const booked = rows.find((one) => one.what === "booked")?.n ?? 0;
  const rate = last ? Math.round((10 * booked) / Math.max(at - secondsOf(last), 0.2)) / 10 : 0;
  const from = Math.max(times.findIndex((one) => one > at - CHART_S), 0);
  return {
    samples: [[...times.slice(from), at], [...rates.slice(from), rate]],
    changes: [...rows.reverse(), ...changes].slice(0, HAPPENED_MAX),
    first: first ?? event,
    last: event,
  };
}

function differences(before, after) {
  const found = [];
  const rows = [
    [after.totalTickets - before.totalTickets, "raised", "lowered"],
    [after.bookedTickets - before.bookedTickets, "booked", "returned"],
    [after.waitingListCount - before.waitingListCount, "joined", "left"],
    [(after.checkedInTickets ?? 0) - (before.checkedInTickets ?? 0), "letIn"],
  ];
  for (const [n, more, fewer] of rows) if (n) found.push({ what: n > 0 ? more : fewer, n: Math.abs(n) });
  if (after.soldOutAt && !before.soldOutAt) found.push({ what: "soldOut" });
  if (!after.soldOutAt && before.soldOutAt) found.push({ what: "onSaleAgain" });
  if (after.cancelledAt && !before.cancelledAt) found.push({ what: "cancelled" });
  return found;
}

function Tiles({ event, held }) {
  const booked = event.bookedTickets - (held?.tickets ?? 0);
  const tiles = [
    ["free", number(event.availableTickets), t.free],
    held && ["held", `${number(held.tickets)}${held.hasMore ? "+" : ""}`, t.heldCount],
    ["booked", number(booked), t.booked],
    ["waiting", number(event.waitingListCount), t.inList],
  ];
  return html`<dl class="tiles">${tiles.filter(Boolean).map(([kind, n, word]) => html`<div class=${`tile ${kind}`} key=${kind}><dt>${word}</dt><dd>${n}</dd></div>`)}</dl>
    <${Meter} event=${event} />`;
}

function Happened({ rows, isWhole }) {
  if (!rows.length) return html`<p class="soft">${isWhole ? t.nothingYet : t.nothingSince}</p>`;
  return html`<ol class="happened">${rows.map((one) => html`<li key=${one.at + one.what} class=${`what-${one.what}`}><time>${time(one.at)}</time> ${t.happened[one.what](one.n)}</li>`)}</ol>`;
}

function Controls({ path, event, etag, again }) {
  const [form, setForm] = useState({ event, etag, number: 0 });
  const at = useClock();
  const show = (answer) => {
    setForm((before) => ({ event: answer.body, etag: answer.etag, number: before.number + 1 }));
    again();
  };
  const change = async (body, options, headers = {}) => {
    try {
      show(await act(`change:${event.eventId}`, "PATCH", path, { body, headers, ...options }));
      tell(t.saved);
    } catch (error) {
      if (error.code !== "event-changed") throw error;
      await pause(COUNTS_MS_MAX); // a status read before that may not have the other change yet
      show(await send("GET", `status/${encodeURIComponent(event.eventId)}`));
      tell(t.changedMeanwhile, "bad");
    }
  };
  const callOff = async (options) => show(await act(`call-off:${event.eventId}`, "POST", `${path}/cancel`, options));
  if (event.cancelledAt) {
    return html`<section><p>${event.emptiedAt ? t.emptied : t.emptying(event.bookedTickets + event.waitingListCount)}</p><${Export} path=${path} /></section>`;
  }
  const isClosed = event.closesAt && at >= Date.parse(event.closesAt);
  const save = (body, options) => change(body, options, form.etag ? { "If-Match": form.etag } : {});
  return html`<section>
    <h2>${t.settings}</h2>
    <${EventForm} key=${form.number} event=${form.event} submit=${save} word=${t.save} />
    <div class="row start">
      ${isClosed
        ? html`<${Action} kind="quiet" run=${(options) => change({ closesAt: null }, options)}>${t.reopen}<//>`
        : html`<${Action} kind="quiet" sure=${t.closeSure} run=${(options) => change({ closesAt: new Date(at).toISOString() }, options)}>${t.closeSale}<//>`}
      <${Action} kind="quiet danger" sure=${t.callOffSure} run=${callOff}>${t.callOff}<//>
      <${Export} path=${path} />
    </div>
  </section>`;
}

function Export({ path }) {
  const run = () => saveBookings(path, (n) => tell(t.exporting(n), "wait"));
  return html`<${Action} kind="quiet" run=${run}>${t.exportCsv}<//>`;
}
