// The door: let people in, with one thumb. A booking is let in once, whoever asks, and however often.
import { useState } from "./vendor/hooks.js";
import { act, now, read } from "./api.js";
import { identity } from "./identity.js";
import { number, reason, t, time } from "./text.js";
import { Field, html, tell, Trouble, useLive, WhoAreYou } from "./ui.js";

const ROWS = 100; // of a page, the most that the office gives
const SHOWN = 6; // on a phone, above the keyboard
const GUESTS_PACE = { leastMs: 10_000, mostMs: 60_000 };

/** Read who has tickets. Only organisers may see the list; others at the door type what is on the ticket. */
async function guestsOf(eventId) {
  if (!identity().isOrganiser) return null;
  const guests = [];
  for (let cursor = ""; cursor !== null; ) {
    const page = await read(`events/${encodeURIComponent(eventId)}/bookings?status=CONFIRMED&limit=${ROWS}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, { tries: 1 });
    guests.push(...page.bookings);
    cursor = page.nextCursor;
  }
  return guests;
}

export function Door({ eventId }) {
  const { isDoor } = identity();
  const event = useLive(eventId, () => read(`status/${encodeURIComponent(eventId)}`, { tries: 1 }));
  const guests = useLive(`guests ${eventId}`, () => (isDoor ? guestsOf(eventId) : null), GUESTS_PACE);
  const [last, setLast] = useState(null);
  if (!isDoor) return html`<section><h1>${t.door}</h1><p>${t.doorOnly}</p>${!identity().userId && html`<${WhoAreYou} />`}</section>`;
  if (event.error?.code === "event-not-found") return html`<section><h1>${t.problems["event-not-found"]}</h1></section>`;
  if (!event.value || guests.value === undefined) return html`<${Trouble} error=${event.error ?? guests.error} /><p class="loading">${t.loading}</p>`;

  const checkIn = async ({ userId, bookingId }) => {
    const began = now();
    let sentAgain = false;
    const onRetry = () => ((sentAgain = true), tell(t.retrying, "wait"));
    try {
      const { body } = await act(`check-in:${eventId}:${bookingId}`, "POST", "check-in", { body: { userId, eventId, bookingId }, onRetry });
      const isOurs = sentAgain && Date.parse(body.checkedInAt) >= began; // the answer to the first try was lost
      setLast({ kind: body.again && !isOurs ? "again" : "in", booking: body });
    } catch (error) {
      setLast({ kind: "no", booking: { userId }, text: t.doorProblems[error.code] ?? reason(error) });
    }
    guests.again();
    event.again();
  };
  return html`<section class="door">
    <h1>${event.value.name}</h1>
    <p class="soft">${t.letIn(event.value.checkedInTickets ?? 0, event.value.bookedTickets)}</p>
    <${Trouble} error=${event.error ?? guests.error} />
    <div role="status" aria-live="assertive">${last && html`<${Result} ...${last} />`}</div>
    ${guests.value ? html`<${Search} guests=${guests.value} checkIn=${checkIn} />` : html`<${Typed} checkIn=${checkIn} />`}
  </section>`;
}

function Result({ kind, booking, text }) {
  const said = { in: t.welcome, again: booking.checkedInAt && t.alreadyIn(time(booking.checkedInAt)), no: text }[kind];
  return html`<div class=${`result ${kind}`}>
    <p class="big">${said}</p>
    <p>${[booking.userId, booking.quantity > 1 && t.tickets(booking.quantity)].filter(Boolean).join(" · ")}</p>
  </div>`;
}

/** Find a guest by the beginning of a word of the name or of the booking; a touch lets them in. */
function Search({ guests, checkIn }) {
  const [wanted, setWanted] = useState("");
  const text = wanted.trim().toLowerCase();
  const fits = (one) => one.bookingId.toLowerCase().startsWith(text) || one.userId.toLowerCase().includes(text);
  const found = text ? guests.filter(fits) : [];
  const let_ = (one) => (setWanted(""), checkIn(one));
  const submit = (event) => {
    event.preventDefault();
    if (found.length === 1) let_(found[0]);
  };
  return html`
    <ul class="guests">
      ${found.slice(0, SHOWN).map(
        (one) => html`<li key=${one.bookingId}>
          <button class=${one.checkedInAt ? "quiet" : "main"} onClick=${() => let_(one)}>
            <strong>${one.userId}</strong>
            <span>${[one.quantity > 1 && t.tickets(one.quantity), one.checkedInAt && t.alreadyIn(time(one.checkedInAt))].filter(Boolean).join(" · ")}</span>
          </button>
        </li>`,
      )}
    </ul>
    <p class="soft">${text && (found.length > SHOWN ? t.moreGuests(found.length - SHOWN) : !found.length && t.noGuest)}</p>
    <form class="thumb" onSubmit=${submit}>
      <${Field} name="guest" label=${t.guest} value=${wanted} onInput=${(event) => setWanted(event.target.value)} autocomplete="off" autocapitalize="none" enterkeyhint="go" />
    </form>
  `;
}

/** What is on a ticket, typed or from a scanner. */
function Typed({ checkIn }) {
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    checkIn({ userId: form.get("user").trim(), bookingId: form.get("booking").trim() });
    event.target.reset();
    event.target.elements[0].focus();
  };
  return html`<form class="thumb" onSubmit=${submit}>
    <${Field} name="user" label=${t.guestName} required maxlength="128" autocomplete="off" autocapitalize="none" />
    <${Field} name="booking" label=${t.code} required maxlength="128" autocomplete="off" autocapitalize="none" />
    <button class="main large">${t.checkIn}</button>
  </form>`;
}
