// The form that opens or changes an event.
import { useState } from "./vendor/hooks.js";
import { reason, t } from "./text.js";
import { Field, html, tell } from "./ui.js";

const MOMENTS = ["opensAt", "closesAt"];
const NUMBERS = ["totalTickets", "waitingListLimit", "ticketsPerBooking", "holdSeconds", "offerSeconds"];

/** Write a time as the field of a browser takes it: in the zone of this device. */
function toField(iso) {
  if (!iso) return "";
  const at = new Date(iso);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function fromField(name, text) {
  if (text === "") return null;
  if (MOMENTS.includes(name)) return new Date(text).toISOString();
  return NUMBERS.includes(name) ? Number(text) : text;
}

/** Return the fields that differ from the event; of a new event those that are set. */
function changes(form, event) {
  const found = {};
  for (const [name, text] of new FormData(form)) {
    const before = MOMENTS.includes(name) ? toField(event[name]) : String(event[name] ?? "");
    if (text !== before) found[name] = fromField(name, text);
  }
  return found;
}

export function EventForm({ event, submit, word, isNew = false }) {
  const [busy, setBusy] = useState(false);
  const send = async (submitted) => {
    submitted.preventDefault();
    if (busy) return;
    const changed = changes(submitted.target, event);
    if (!Object.keys(changed).length) return tell(t.sameAsBefore);
    setBusy(true);
    try {
      await submit(changed, { onRetry: () => tell(t.retrying, "wait") });
    } catch (error) {
      tell(reason(error), "bad");
    }
    setBusy(false);
  };
  const number = { type: "number", inputmode: "numeric" };
  return html`<form class="event" onSubmit=${send}>
    <${Field} name="name" label=${t.name} defaultValue=${event.name ?? ""} required maxlength="200" />
    <${Field} name="venue" label=${t.venue} defaultValue=${event.venue ?? ""} maxlength="200" hint=${isNew && t.optional} />
    <${Field} name="totalTickets" label=${t.totalTickets} ...${number} min="1" max="1000000" defaultValue=${event.totalTickets ?? 100} required />
    <${Field} name="waitingListLimit" label=${t.waitingListLimit} ...${number} min="0" defaultValue=${event.waitingListLimit ?? ""} hint=${t.noLimit} />
    <${Field} name="opensAt" label=${t.opensAt} type="datetime-local" step="1" defaultValue=${toField(event.opensAt)} hint=${t.opensNow} />
    <${Field} name="closesAt" label=${t.closesAt} type="datetime-local" step="1" defaultValue=${toField(event.closesAt)} hint=${t.staysOpen} />
    ${isNew && html`<${Terms} />`}
    <div class="row end"><button class=${`main ${busy ? "busy" : ""}`} aria-disabled=${busy}>${word}</button></div>
  </form>`;
}

/** What is fixed once the event is open. */
function Terms() {
  const number = { type: "number", inputmode: "numeric", min: 1 };
  return html`<fieldset>
    <legend>${t.terms}</legend>
    <p class="soft">${t.fixedHint}</p>
    <${Field} name="ticketsPerBooking" label=${t.ticketsPerBooking} ...${number} max="20" hint=${t.oneEach} />
    <${Field} name="holdSeconds" label=${t.holdSeconds} ...${number} max="86400" hint=${t.noHold} />
    <${Field} name="offerSeconds" label=${t.offerSeconds} ...${number} max="604800" hint=${t.asHold} />
    <div class="field">
      <label for="field-confirmedBy">${t.confirmedBy}</label>
      <select id="field-confirmedBy" name="confirmedBy" aria-describedby="field-confirmedBy-hint">
        <option value="">${t.byShop}</option>
        <option value="buyer">${t.byBuyer}</option>
      </select>
      <small id="field-confirmedBy-hint">${t.confirms}</small>
    </div>
  </fieldset>`;
}
