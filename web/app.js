// The page: where its parts are, and which one the address names.
import { render } from "./vendor/preact.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { finishSignIn, forgetMe, identity, office, onIdentity, signIn } from "./identity.js";
import { Home } from "./home.js";
import { Buyer } from "./buyer.js";
import { t } from "./text.js";
import { html, hush, Messages, tell } from "./ui.js";

/** Load a view that few visitors need when it is first shown. */
function Later({ load, name, ...rest }) {
  const [views, setViews] = useState(null);
  useEffect(() => void load().then(setViews), []);
  return views ? html`<${views[name]} ...${rest} />` : html`<p class="loading">${t.loading}</p>`;
}

const events = () => import("./organiser.js");
const live = () => import("./live.js");
const door = () => import("./door.js");

/** Return the view of a hash: #/e/ID for buyers of an event, #/o for organisers, #/d/ID at the door. */
function viewOf(hash) {
  const [, part = "", id] = hash.replace(/^#/, "").split("/");
  const eventId = id && decodeURIComponent(id);
  if (part === "") return html`<${Home} />`;
  if (part === "e" && id) return html`<${Buyer} key=${eventId} eventId=${eventId} />`;
  if (part === "d" && id) return html`<${Later} key=${`door ${eventId}`} load=${door} name="Door" eventId=${eventId} />`;
  if (part === "o" && id === "new") return html`<${Later} key="new" load=${events} name="NewEvent" />`;
  if (part === "o" && id) return html`<${Later} key=${eventId} load=${live} name="Live" eventId=${eventId} />`;
  if (part === "o") return html`<${Later} key="all" load=${events} name="Organiser" />`;
  return html`<p>${t.notFound}</p>`;
}

function Page() {
  const [hash, setHash] = useState(location.hash);
  const [, setUser] = useState(0);
  const main = useRef(null);
  useEffect(() => {
    const moved = () => {
      setHash(location.hash);
      hush();
      main.current.focus();
      window.scrollTo(0, 0);
    };
    addEventListener("hashchange", moved);
    const stop = onIdentity(() => (setUser((n) => n + 1), hush()));
    return () => (removeEventListener("hashchange", moved), stop());
  }, []);
  const { userId, isOrganiser } = identity();
  const isOrganising = isOrganiser && /^#\/[od]\b/.test(hash); // the door, too: it is reached from there
  const current = (is) => (is ? "page" : undefined);
  return html`
    <header>
      <a class="skip" href=${hash || "#/"} onClick=${(event) => (event.preventDefault(), main.current.focus())}>${t.skip}</a>
      <a class="brand" href="#/"><span aria-hidden="true" class="stub"></span>${t.title}</a>
      <nav aria-label=${t.title}>
        <a href="#/" aria-current=${current(!isOrganising)}>${t.home}</a>
        ${isOrganiser && html`<a href="#/o" aria-current=${current(isOrganising)}>${t.organise}</a>`}
      </nav>
      <div class="who">
        ${userId && html`<span title=${t.you(userId)}>${userId}</span>`}
        ${userId && html`<button class="quiet" onClick=${forgetMe}>${office.open ? t.change : t.signOut}</button>`}
        ${!userId && office.signIn && html`<button class="quiet" onClick=${signIn}>${t.signIn}</button>`}
      </div>
    </header>
    <main ref=${main} tabindex="-1" id="main">${viewOf(hash)}</main>
    <${Messages} />
  `;
}

document.title = t.title;
const failed = await finishSignIn();
render(html`<${Page} />`, document.getElementById("page"));
if (failed) tell(t.signInFailed(failed), "bad");
