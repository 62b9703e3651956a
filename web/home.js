// The first page of buyers: their tickets of all events, and the events if they may see the list.
import { useState } from "./vendor/hooks.js";
import { read } from "./api.js";
import { identity, office } from "./identity.js";
import { moment, number, t } from "./text.js";
import { bookingsOf, html, Field, me, Sale, Trouble, useLive, WhoAreYou } from "./ui.js";

const SHOWN = 25;
const PAGE = 100; // rows that the office gives at most
const PAGES_MAX = 10;

export function Home() {
  const userId = me();
  const { isOrganiser } = identity();
  const first = (text) => html`<h1>${text}</h1>`;
  return html`
    ${userId && html`<${MyTickets} key=${userId} userId=${userId} />`}
    ${!userId && !office.open && html`<section>${first(t.myTickets)}<${WhoAreYou} /></section>`}
    ${isOrganiser ? html`<${Events} link=${(one) => `#/e/${encodeURIComponent(one.eventId)}`} heading=${userId ? html`<h2>${t.events}</h2>` : first(t.events)} />` : html`<${OpenLink} />`}
  `;
}

function MyTickets({ userId }) {
  const { value, error } = useLive(userId, () => read(`${bookingsOf(userId)}&limit=${SHOWN}`, { tries: 1 }), { leastMs: 5000, mostMs: 30_000 });
  const rows = value?.bookings ?? [];
  return html`<section>
    <h1>${t.myTickets}</h1>
    <${Trouble} error=${error} />
    ${value && !rows.length && html`<p class="soft">${t.noTickets}</p>`}
    ${rows.length > 0 &&
    html`<ul class="stubs">
      ${rows.map(
        (one) => html`<li key=${one.eventId}>
          <a class=${`stub-row ${one.status.toLowerCase()}`} href=${`#/e/${encodeURIComponent(one.eventId)}`}>
            <strong>${one.eventName}</strong>
            <span class="soft">${[one.eventVenue, one.quantity > 1 && t.tickets(one.quantity)].filter(Boolean).join(" · ")}</span>
            <span class=${`pill ${one.eventCancelledAt ? "" : one.status.toLowerCase()}`}>${standing(one)}</span>
          </a>
        </li>`,
      )}
    </ul>`}
  </section>`;
}

/** Say in a word or two how a booking stands. */
function standing(booking) {
  if (booking.eventCancelledAt) return t.eventCancelled;
  return booking.status === "WAITING" ? `${t.status.WAITING}: ${number(booking.position)}` : t.status[booking.status];
}

function OpenLink() {
  const open = (event) => {
    event.preventDefault();
    const id = new FormData(event.target).get("event").trim().split("/").pop();
    if (id) location.hash = `#/e/${encodeURIComponent(decodeURIComponent(id))}`;
  };
  return html`<section>
    <h2>${t.openLink}</h2>
    <form class="inline" onSubmit=${open}>
      <${Field} name="event" label=${t.eventId} hint=${t.openLinkHint} required autocomplete="off" />
      <button class="main">${t.go}</button>
    </form>
  </section>`;
}

/** Read the newest events, up to a thousand. */
async function newest() {
  const events = [];
  let cursor = "";
  for (let page = 0; page < PAGES_MAX && cursor !== null; page++) {
    const found = await read(`events?limit=${PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, { tries: 1 });
    events.push(...found.events);
    cursor = found.nextCursor;
  }
  return events;
}

export const OpenOne = () => html`<a class="button main" href="#/o/new">${t.newEvent}</a>`;

/** The searchable list of events; `link` gives the address of one. `aside` is shown next to the search. */
export function Events({ link, heading, aside }) {
  const { value, error } = useLive("events", newest, { leastMs: 5000, mostMs: 60_000 });
  const [wanted, setWanted] = useState("");
  const [shown, setShown] = useState(SHOWN);
  const words = wanted.toLowerCase().split(/\s+/);
  const found = (value ?? []).filter((one) => words.every((word) => `${one.name} ${one.venue ?? ""}`.toLowerCase().includes(word)));
  return html`<section>
    <div class="row heads">
      ${heading}
      <div class="row"><input type="search" aria-label=${t.search} placeholder=${t.search} onInput=${(event) => setWanted(event.target.value)} />${aside}</div>
    </div>
    <${Trouble} error=${error} />
    ${value && !found.length && html`<p class="soft">${value.length ? t.noMatch : t.noEvents}</p>`}
    ${value && !value.length && !aside && html`<${OpenOne} />`}
    <ul class="cards">
      ${found.slice(0, shown).map(
        (one) => html`<li key=${one.eventId}>
          <a class="card" href=${link(one)}>
            <${Sale} event=${one} />
            <strong>${one.name}</strong>
            ${(one.venue || one.opensAt) && html`<span class="soft">${[one.venue, one.opensAt && t.opens(moment(one.opensAt))].filter(Boolean).join(" · ")}</span>`}
            <span class="soft">${t.tickets(one.totalTickets)}</span>
          </a>
        </li>`,
      )}
    </ul>
    ${found.length > shown && html`<button class="quiet" onClick=${() => setShown(shown + SHOWN)}>${t.more}</button>`}
  </section>`;
}
