// The parts that the views share.
import { createElement } from "./vendor/preact.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";
import { now, poll } from "./api.js";
import { identity, nameYourself, office, signIn } from "./identity.js";
import { duration, number, reason, t } from "./text.js";

export const html = htm.bind(createElement);

let say = () => {};

/** Show a message at the foot of the page, which screen readers read out. */
export const tell = (text, kind = "good") => say({ text, kind, at: Date.now() });

/** Take the message away: it was for someone else, or of another view. */
export const hush = () => say(null);

const MESSAGE_MS = 6000;

/** The place of messages. */
export function Messages() {
  const [message, setMessage] = useState(null);
  useEffect(() => {
    say = setMessage;
  }, []);
  useEffect(() => {
    const timer = message && setTimeout(() => setMessage(null), MESSAGE_MS);
    return () => clearTimeout(timer);
  }, [message]);
  return html`<div class="messages" role="status" aria-live="polite">${message && html`<p class=${message.kind}>${message.text}</p>`}</div>`;
}

/** Call `look` while the page is shown; return {value, error, again, set}. `key` names what is looked at. */
export function useLive(key, look, pace) {
  const [seen, setSeen] = useState({ key });
  const polling = useRef(null);
  const sets = useRef(0);
  useEffect(() => {
    let current = true;
    polling.current = poll(async () => {
      const before = sets.current;
      try {
        const value = await look();
        if (current && before === sets.current) setSeen({ key, value }); // else it is older than what was set
        return value;
      } catch (error) {
        if (current) setSeen((before) => ({ key, value: before.key === key ? before.value : undefined, error }));
        throw error;
      }
    }, pace);
    return () => {
      current = false;
      polling.current.stop();
    };
  }, [key]);
  const { value, error } = seen.key === key ? seen : {}; // not what was seen under another key
  const set = (newer) => {
    sets.current += 1;
    setSeen({ key, value: newer });
    polling.current?.now();
  };
  return { value, error, again: () => polling.current?.now(), set };
}

/** Name the tab after what it shows. */
export function useTitle(name) {
  useEffect(() => {
    document.title = name ? `${name} · ${t.title}` : t.title;
    return () => (document.title = t.title);
  }, [name]);
}

/** Draw again each second, for countdowns. */
export function useClock() {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return now();
}

/** A button whose work takes time: a second click while it works does nothing. */
export function Action({ run, children, kind = "", sure }) {
  const [busy, setBusy] = useState(false);
  const dialog = useRef(null);
  const mounted = useRef(true);
  useEffect(() => () => (mounted.current = false), []);
  const go = async () => {
    if (busy) return;
    setBusy(true);
    try {
      await run({ onRetry: () => tell(t.retrying, "wait") });
    } catch (error) {
      tell(reason(error), "bad");
    }
    if (mounted.current) setBusy(false);
  };
  const ask = sure ? () => dialog.current.showModal() : go;
  return html`<button type="button" class=${`${kind} ${busy ? "busy" : ""}`} aria-disabled=${busy} onClick=${ask}>${children}</button>
    ${sure &&
    html`<dialog ref=${dialog} aria-label=${sure} onClose=${(event) => event.target.returnValue === "yes" && go()}>
      <form method="dialog">
        <p>${sure}</p>
        <div class="row end">
          <button value="no" class="quiet">${t.cancel}</button>
          <button value="yes" class=${kind.includes("danger") ? "danger" : "main"}>${children}</button>
        </div>
      </form>
    </dialog>`}`;
}

/** A field of a form with its label. */
export function Field({ label, hint, ...rest }) {
  const id = `field-${rest.name}`;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <input id=${id} aria-describedby=${hint ? `${id}-hint` : undefined} ...${rest} />
    ${hint && html`<small id=${`${id}-hint`}>${hint}</small>`}
  </div>`;
}

/** How much of an event is taken. */
export function Meter({ event }) {
  const taken = event.totalTickets - event.availableTickets;
  const part = event.totalTickets ? taken / event.totalTickets : 0;
  return html`<div class="meter" role="img" aria-label=${`${number(taken)} / ${number(event.totalTickets)}`}>
    <i style=${{ transform: `scaleX(${part})` }}></i>
  </div>`;
}

/** Whether an event sells, as a word with a colour; `at` is the office's time. */
export function saleOf(event, at) {
  if (event.cancelledAt) return { kind: "off", word: t.eventCancelled };
  if (event.opensAt && at < Date.parse(event.opensAt)) return { kind: "later", word: t.notYet };
  if (event.closesAt && at >= Date.parse(event.closesAt)) return { kind: "off", word: t.closed };
  if (event.soldOutAt || event.availableTickets === 0) return { kind: "out", word: t.soldOut };
  return { kind: "on", word: t.onSale };
}

export function Sale({ event }) {
  const sale = saleOf(event, now());
  return html`<span class=${`pill ${sale.kind}`}>${sale.word}</span>`;
}

export const Left = ({ until, at }) => html`<strong class="clock" aria-label=${t.timeLeft}>${duration(Date.parse(until) - at)}</strong>`;

/** Ask who the user is: by name in an open office, else by signing in. */
export function WhoAreYou() {
  if (!office.open) {
    if (!office.signIn) return html`<p>${t.signInFirst}</p>`;
    return html`<p>${t.signInFirst}</p><${Action} kind="main" run=${signIn}>${t.signIn}<//>`;
  }
  const submit = (event) => {
    event.preventDefault();
    const name = new FormData(event.target).get("user").trim();
    if (name) nameYourself(name);
  };
  return html`<form class="inline" onSubmit=${submit}>
    <${Field} name="user" label=${t.whoAreYou} hint=${t.whoHint} autocomplete="username" required maxlength="128" />
    <button class="main">${t.go}</button>
  </form>`;
}

export const me = () => identity().userId;
export const bookingsOf = (userId, eventId) =>
  `bookings?userId=${encodeURIComponent(userId)}${eventId ? `&eventId=${encodeURIComponent(eventId)}` : ""}`;

/** Reading failed: what is shown may be old, or is missing. */
export const Trouble = ({ error }) =>
  error && html`<p class="trouble" role="alert">${error.code ? reason(error) : t.offline}</p>`;
