// For organisers: the list of events, and the form that opens one.
import { useEffect } from "./vendor/hooks.js";
import { act, resume, unanswered } from "./api.js";
import { EventForm } from "./form.js";
import { Events, OpenOne } from "./home.js";
import { identity } from "./identity.js";
import { reason, t } from "./text.js";
import { html, tell, WhoAreYou } from "./ui.js";

const live = (event) => `#/o/${encodeURIComponent(event.eventId)}`;

const shown = (answer) => {
  if (!answer) return;
  addEventListener("hashchange", () => tell(t.opened), { once: true }); // in the view of the event
  location.hash = live(answer.body);
};

/** What everyone else sees instead. */
export const NotForYou = () => html`<section><h1>${t.organise}</h1><p>${t.organiserOnly}</p>${!identity().userId && html`<${WhoAreYou} />`}</section>`;

export function Organiser() {
  useEffect(() => void resume("open").then(shown, (error) => tell(reason(error), "bad")), []);
  if (!identity().isOrganiser) return html`<${NotForYou} />`;
  return html`<${Events} link=${live} heading=${html`<h1>${t.events}</h1>`} aside=${html`<${OpenOne} />`} />`;
}

export function NewEvent() {
  if (!identity().isOrganiser) return html`<${NotForYou} />`;
  // The same event that was sent and never answered has the same key: it is opened once.
  const open = async (body, options) => {
    const before = unanswered("open");
    const isSame = JSON.stringify(before?.body) === JSON.stringify(body);
    const key = isSame ? before.headers["Idempotency-Key"] : crypto.randomUUID();
    shown(await act("open", "POST", "initialize", { body, headers: { "Idempotency-Key": key }, ...options }));
  };
  return html`<section class="narrow"><h1>${t.newEvent}</h1><${EventForm} event=${{}} submit=${open} word=${t.openIt} isNew /></section>`;
}
