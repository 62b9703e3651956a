// The door: let people in, with one thumb. A booking is let in once, whoever asks, and however often.
import { useRef, useState } from "./vendor/hooks.js";
import { act, now, read } from "./api.js";
import { identity } from "./identity.js";
import { number, reason, t, time } from "./text.js";
import { Field, html, tell, Trouble, useLive, useTitle, WhoAreYou } from "./ui.js";

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
  useTitle(event.value && `${t.door}: ${event.value.name}`);
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
  const shown = { checkIn, verdict: last && html`<${Result} ...${last} />`, forget: () => setLast(null) };
  return html`<section class="door">
    <h1>${event.value.name}</h1>
    <p class="soft">${t.letIn(event.value.checkedInTickets ?? 0, event.value.bookedTickets)}</p>
    <${Trouble} error=${event.error ?? guests.error} />
    ${guests.value ? html`<${Search} guests=${guests.value} ...${shown} />` : html`<${Typed} ...${shown} />`}
  </section>`;
}

const Verdict = ({ children }) => html`<div role="status" aria-live="assertive">${children}</div>`;

function Result({ kind, booking, text }) {
  const said = { in: t.welcome, again: booking.checkedInAt && t.alreadyIn(time(booking.checkedInAt)), no: text }[kind];
  return html`<div class=${`result ${kind}`}>
    <p class="big">${said}</p>
    <p>${[booking.userId, booking.quantity > 1 && t.tickets(booking.quantity)].filter(Boolean).join(" · ")}</p>
  </div>`;
}

const words = (text) => ` ${text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ")}`;

/** Find a guest by the beginning of a word of the name, or of the booking; a touch lets them in. */
function Search({ guests, checkIn, verdict, forget }) {
  const [wanted, setWanted] = useState("");
  const form = useRef(null);
  const text = wanted.trim().toLowerCase();
  const fits = (one) => one.bookingId.toLowerCase().startsWith(text) || words(one.userId).includes(words(text));
  const found = text ? guests.filter(fits).sort((one, other) => one.userId.localeCompare(other.userId)) : [];
  const let_ = (one) => {
    setWanted("");
    checkIn(one);
    form.current.elements.guest.focus(); // the next guest can be typed at once
  };
  const typed = (event) => {
    setWanted(event.target.value);
    forget(); // a verdict must not be taken for the next guest's
  };
  const submit = (event) => {
    event.preventDefault();
    if (found.length === 1) let_(found[0]);
  };
  return html`<div class="thumb">
    <ul class="guests">
      ${found.slice(0, SHOWN).map(
        (one) => html`<li key=${one.bookingId}>
          <button onClick=${() => let_(one)}>
            <span><strong>${one.userId}</strong> ${one.quantity > 1 && html`<span class="soft">${t.tickets(one.quantity)}</span>`}</span>
            <span class=${`pill ${one.checkedInAt ? "held" : "confirmed"}`}>${one.checkedInAt ? t.alreadyIn(time(one.checkedInAt)) : t.checkIn}</span>
          </button>
        </li>`,
      )}
    </ul>
    ${text && found.length > SHOWN && html`<p class="soft">${t.moreGuests(found.length - SHOWN)}</p>`}
    <${Verdict}>${text ? !found.length && html`<p class="result no">${t.noGuest}</p>` : (verdict ?? html`<p class="soft">${t.doorHint}</p>`)}<//>
    <form ref=${form} onSubmit=${submit}>
      <${Field} name="guest" label=${t.guest} value=${wanted} onInput=${typed} autocomplete="off" autocapitalize="none" spellcheck=${false} enterkeyhint="go" />
    </form>
  </div>`;
}

/** What is on a ticket, typed or from a scanner. */
function Typed({ checkIn, verdict, forget }) {
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    checkIn({ userId: form.get("user").trim(), bookingId: form.get("booking").trim() });
    event.target.reset();
    event.target.elements[0].focus();
  };
  return html`<div class="thumb">
    <${Verdict}>${verdict}<//>
    <form onSubmit=${submit} onInput=${forget}>
      <${Field} name="user" label=${t.guestName} required maxlength="128" autocomplete="off" autocapitalize="none" spellcheck=${false} />
      <${Field} name="booking" label=${t.code} required maxlength="128" autocomplete="off" autocapitalize="none" spellcheck=${false} />
      <button class="main large">${t.checkIn}</button>
    </form>
  </div>`;
}
