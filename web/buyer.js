// One event for one buyer: what is left, and what this person has or can do.
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { act, Problem, read, resume, status } from "./api.js";
import { office } from "./identity.js";
import { moment, number, reason, t, time } from "./text.js";
import { Action, bookingsOf, html, Left, me, Meter, Sale, saleOf, tell, Trouble, useClock, useLive, useTitle, WhoAreYou } from "./ui.js";

const WAITING_PACE = { leastMs: 1500, mostMs: 10_000 };

const ACTIONS = ["book", "confirm", "cancel", "keep"];
const isActive = (booking) => ["HELD", "CONFIRMED", "WAITING"].includes(booking.status);

/** Read a user's booking of an event, null if there is none. */
async function bookingOf(userId, eventId) {
  if (!userId) return null;
  const { bookings } = await read(bookingsOf(userId, eventId), { tries: 1 });
  return bookings[0] ?? null;
}

export function Buyer({ eventId }) {
  const userId = me();
  const event = useLive(eventId, async () => (await status(eventId)).body);
  const booking = useLive(`${userId} ${eventId}`, () => bookingOf(userId, eventId), WAITING_PACE);
  const seen = (what) => (answer) => {
    if (!answer) return;
    booking.set(answer.body);
    tell(what === "keep" && isActive(answer.body) ? t.kept(answer.body.quantity) : (t.done[answer.body.status] ?? endOf(answer.body)));
    event.again();
  };
  useTitle(event.value?.name);
  const mine = useTurn(booking.value && booking.value.status);
  useEffect(() => {
    if (userId) ACTIONS.forEach((what) => resume(`${what}:${userId}:${eventId}`).then(seen(what), (error) => tell(reason(error), "bad")));
  }, [userId, eventId]);

  const change = (what, path, body) => async (options) => {
    try {
      seen(what)(await act(`${what}:${userId}:${eventId}`, "POST", path, { body: { userId, eventId, ...body }, ...options }));
    } catch (error) {
      if (error instanceof Problem) booking.again(), event.again(); // what is shown was out of date
      throw error;
    }
  };
  if (event.error?.code === "event-not-found") return html`<section><h1>${t.problems["event-not-found"]}</h1></section>`;
  if (event.error?.status === 401 || event.error?.code === "not-signed-in") return html`<section><h1>${t.signIn}</h1><${WhoAreYou} /></section>`;
  if (!event.value) return html`<${Trouble} error=${event.error} /><p class="loading">${t.loading}</p>`;
  return html`<article class="ticket">
    <${Trouble} error=${event.error ?? booking.error} />
    <${About} event=${event.value} />
    <div class="tear" aria-hidden="true"></div>
    <div class="mine" tabindex="-1" ref=${mine}>
      ${userId ? html`<${Mine} event=${event.value} booking=${booking.value} change=${change} />` : html`<${WhoAreYou} />`}
    </div>
  </article>`;
}

/** Say that the wait is over, for those who look elsewhere or listen. Returns the place that takes a lost focus. */
function useTurn(status) {
  const before = useRef(undefined);
  const place = useRef(null);
  useEffect(() => {
    if (before.current === "WAITING" && t.turn[status]) tell(t.turn[status]);
    const isLost = document.activeElement === document.body; // the button that was pressed is gone
    if (before.current !== undefined && isLost) place.current?.focus({ preventScroll: true });
    before.current = status;
  }, [status]);
  return place;
}

function About({ event }) {
  const at = useClock();
  const when = event.opensAt && at < Date.parse(event.opensAt) ? t.opens(moment(event.opensAt)) : event.closesAt && t.closes(moment(event.closesAt));
  return html`<div class="about">
    <${Sale} event=${event} />
    <h1>${event.name}</h1>
    <p class="soft">${[event.venue, when].filter(Boolean).join(" · ")}</p>
    ${saleOf(event, at).kind !== "off" && html`<${Availability} event=${event} />`}
  </div>`;
}

const Availability = ({ event }) => html`
  <p class="left"><b>${number(event.availableTickets)}</b> ${t.left(event.availableTickets)} <span class="soft">${t.ofTotal(event.totalTickets)}</span></p>
  <${Meter} event=${event} />
  <p class="soft">${t.waiting(event.waitingListCount)}${event.availableTickets > 0 && event.waitingListCount > 0 && ` · ${t.forLine}`}</p>
`;

/** What the user has, by the status of the booking. */
function Mine({ event, booking, change }) {
  if (booking === undefined) return html`<p class="loading">${t.loading}</p>`;
  if (booking?.status === "CONFIRMED") return html`<${Confirmed} booking=${booking} change=${change} />`;
  if (booking?.status === "HELD") return html`<${Held} event=${event} booking=${booking} change=${change} />`;
  if (booking?.status === "WAITING") return html`<${Waiting} booking=${booking} change=${change} />`;
  if (event.cancelledAt) return html`<p class="big">${t.problems["event-cancelled"]}</p>${booking && html`<p class="soft">${endOf(booking)}</p>`}`;
  return html`${booking && html`<p class="note">${endOf(booking)}</p>`}<${Book} event=${event} change=${change} />`;
}

const GiveBack = ({ booking, change, word = t.giveBack, sure = t.giveBackSure }) =>
  html`<${Action} kind="quiet danger" sure=${sure} run=${change("cancel", "cancel", { bookingId: booking.bookingId })}>${word}<//>`;

/** How many tickets: one field, and a button on either side of it. */
function Stepper({ id, label, most, value, set }) {
  const step = (by) => html`<button type="button" aria-label=${by < 0 ? t.fewer : t.more1} disabled=${value + by < 1 || value + by > most} onClick=${() => set(value + by)}>${by < 0 ? "−" : "+"}</button>`;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <div class="stepper">
      ${step(-1)}
      <input id=${id} inputmode="numeric" type="number" min="1" max=${most} value=${value} onInput=${(e) => set(Math.min(most, Math.max(1, e.target.valueAsNumber || 1)))} />
      ${step(1)}
    </div>
  </div>`;
}

/** Give some of the tickets back, or ask for fewer while waiting: the request names how many are kept. */
function KeepSome({ booking, change }) {
  const most = booking.quantity - 1;
  const [wanted, setWanted] = useState(most);
  if (most < 1) return null;
  const keep = Math.min(wanted, most);
  const waits = booking.status === "WAITING";
  return html`<details class="some">
    <summary>${waits ? t.askFewer : t.giveSome}</summary>
    <${Stepper} id="keep" label=${waits ? t.quantity : t.keep} most=${most} value=${keep} set=${setWanted} />
    <${Action} kind="quiet" run=${change("keep", "cancel", { bookingId: booking.bookingId, keep })}>${waits ? t.askFor(keep) : t.giveBackSome(booking.quantity - keep)}<//>
  </details>`;
}

function Confirmed({ booking, change }) {
  return html`
    <p class="big good">${booking.quantity > 1 ? t.hasTickets(booking.quantity) : t.hasTicket}</p>
    <p class="soft">${t.since(moment(booking.bookedAt))}</p>
    <p class="code"><span>${t.code}</span> <code>${booking.bookingId}</code></p>
    <${GiveBack} booking=${booking} change=${change} />
    <${KeepSome} booking=${booking} change=${change} />
  `;
}

function Held({ event, booking, change }) {
  const at = useClock();
  const isOffer = Boolean(booking.promotedAt);
  const isOver = at >= Date.parse(booking.expiresAt);
  const buyerConfirms = event.confirmedBy === "buyer";
  const mayConfirm = !isOver && (office.open || buyerConfirms);
  return html`
    <p class="big hold">${isOffer ? t.offered : t.held}</p>
    ${booking.quantity > 1 && html`<p>${t.tickets(booking.quantity)}</p>`}
    <p><${Left} until=${booking.expiresAt} at=${at} /> <span class="soft">${isOver ? t.overdue : !isOffer && t.heldUntil(time(booking.expiresAt))}</span></p>
    ${isOffer && !isOver && html`<p>${t.offeredUntil(moment(booking.expiresAt))}</p>`}
    <div class="row">
      ${mayConfirm && html`<${Action} kind="main" run=${change("confirm", "confirm", { bookingId: booking.bookingId })}>${buyerConfirms ? t.accept : t.pay}<//>`}
      <${GiveBack} booking=${booking} change=${change} />
    </div>
    <${KeepSome} booking=${booking} change=${change} />
    ${!buyerConfirms && !isOver && html`<p class="note">${office.open ? t.payNote : t.shopConfirms}</p>`}
  `;
}

function Waiting({ booking, change }) {
  return html`
    <p class="soft">${t.inLine}</p>
    <p class="place" aria-live="polite">${booking.positionIsEstimate && html`<span>${t.atMost}</span>`}<b>${number(booking.position)}</b></p>
    ${booking.position === 1 && !booking.positionIsEstimate && html`<p class="hold">${t.next}</p>`}
    ${booking.quantity > 1 && html`<p>${t.waitsFor(booking.quantity, booking.atLeast)}</p>`}
    <p class="soft">${t.waitNote}</p>
    <${GiveBack} booking=${booking} change=${change} word=${t.leave} sure=${t.leaveSure} />
    <${KeepSome} booking=${booking} change=${change} />
  `;
}

/** Say how a booking ended; one that has not does so with its event. */
function endOf({ status, was, cancelledBy }) {
  if (isActive({ status }) || cancelledBy === "event") return t.wasCalledOff;
  if (status === "EXPIRED") return t.wasExpired;
  if (status === "TRANSFERRED") return t.wasTransferred;
  if (cancelledBy !== "buyer") return t.problems["booking-cancelled"];
  return was === "WAITING" ? t.wasLeft : t.wasCancelled;
}

function Book({ event, change }) {
  const at = useClock();
  const sale = saleOf(event, at);
  const most = event.ticketsPerBooking;
  const [quantity, setQuantity] = useState(1);
  const [takesFewer, setTakesFewer] = useState(false);
  const [left, setLeft] = useState(0); // tickets, after a refusal because they are too few
  if (sale.kind === "off") return html`<p class="big">${sale.word}</p>`;
  if (sale.kind === "later") return html`<p class="big">${t.opensIn} <${Left} until=${event.opensAt} at=${at} /></p>`;
  const isFull = sale.kind === "out" && event.waitingListLimit !== undefined && event.waitingListCount >= event.waitingListLimit;
  if (isFull) return html`<p class="big">${t.listFull}</p><p class="soft">${t.listFullHint}</p>`;
  const book = (body) => async (options) => {
    try {
      await change("book", "book", body)(options);
    } catch (error) {
      if (error.code !== "too-few-tickets") throw error;
      setLeft(error.facts.availableTickets);
    }
  };
  const wanted = quantity === 1 ? {} : { quantity, ...(takesFewer && { atLeast: 1 }) };
  return html`
    ${most > 1 && html`<${Stepper} id="quantity" label=${t.quantity} most=${most} value=${quantity} set=${(n) => (setQuantity(n), setLeft(0))} />`}
    ${quantity > 1 && html`<label class="check"><input type="checkbox" checked=${takesFewer} onChange=${(e) => setTakesFewer(e.target.checked)} /> ${t.takesFewer}</label>`}
    <${Action} kind="main large" run=${book(wanted)}>
      ${sale.kind === "out" ? t.join : most > 1 ? t.bookSome(quantity) : t.book}
    <//>
    <div role="status">
      ${left > 0 &&
      html`<div class="note row"><span>${t.onlyLeft(left)}</span><${Action} kind="quiet" run=${book({ quantity: left })}>${t.take(left)}<//></div>`}
    </div>
    ${sale.kind === "out" && html`<p class="soft">${t.joinHint}</p>`}
  `;
}
