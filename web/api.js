// Requests to the office. Every request may be sent again, with one effect: so whenever the outcome is unknown, the same
// request is sent again, and an action that the page did not see the end of is finished by the next visit.
import { accessToken, signIn } from "./identity.js";

const TRIES_MAX = 8; // within about two minutes
const TIMEOUT_MS = 15_000; // longer than the office takes to give up
const PAUSE_MS_MAX = 30_000;
const RESUMED_MS_MAX = 120_000; // older actions are dropped: what became of them is read instead
const NOT_NOW = new Set([429, 500, 502, 503, 504]);
const KEPT = "office:action:";
const WHEN_READ = new Set(["asOf", "etag"]); // of an event: they change with each count

/** The office refused a request: `code` says why, the other fields are facts. */
export class Problem extends Error {
  constructor(status, facts) {
    super(facts.detail ?? facts.message ?? `HTTP ${status}`);
    Object.assign(this, { status, code: facts.code ?? `http-${status}`, facts });
  }
}

/** The office did not answer: the outcome of the request is unknown. */
export class NoAnswer extends Error {}

const base = new URL(".", document.baseURI);
let clockAheadMs = 0; // of the office, compared with this device

/** Return the office's time in ms, which the time limits are counted in. */
export const now = () => Date.now() + clockAheadMs;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Send a request until there is an answer; return {status, body, etag}. Throws Problem, NoAnswer. The answer is the
 * office's own, unless `cache` is "default": then it may be as old as the office allows.
 */
export async function send(method, path, { body, headers = {}, tries = TRIES_MAX, cache = "no-store", onRetry } = {}) {
  for (let attempt = 0; ; attempt++) {
    let pauseMs = Math.random() * 1000 * 2 ** attempt;
    const answer = await ask(method, path, body, headers, cache);
    if (answer && !NOT_NOW.has(answer.status)) return outcome(answer);
    if (attempt + 1 >= tries) {
      if (answer?.status === 500) return outcome(answer);
      throw new NoAnswer();
    }
    pauseMs += 1000 * Number(answer?.headers.get("Retry-After") ?? 0);
    onRetry?.();
    await pause(Math.min(pauseMs, PAUSE_MS_MAX));
  }
}

async function ask(method, path, body, headers, cache) {
  const token = accessToken();
  try {
    return await fetch(new URL(path, base), {
      method,
      cache,
      headers: {
        ...(body && { "Content-Type": "application/json" }),
        ...(token && { Authorization: `Bearer ${token}` }),
        ...headers,
      },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    return null; // no connection, or no answer in time
  }
}

async function outcome(answer) {
  const body = await answer.json().catch(() => ({}));
  const date = Date.parse(answer.headers.get("Date"));
  if (date) clockAheadMs = Math.abs(date - Date.now()) > 2000 ? date - Date.now() : 0;
  if (answer.status === 401 && accessToken()) await signIn(); // the token has expired
  if (!answer.ok) throw new Problem(answer.status, body);
  return { status: answer.status, body, etag: answer.headers.get("ETag") };
}

export const read = async (path, options) => (await send("GET", path, options)).body;

/** Read an event's status as everybody sees it, up to a second old; return {body, etag}. */
export const status = (eventId) => send("GET", `status/${encodeURIComponent(eventId)}`, { tries: 1, cache: "default" });

const inFlight = new Map();

/**
 * Send a request that changes something, at most one at a time for each `name`: a second click gets the first one's
 * answer. It is kept on this device until there is an answer.
 */
export function act(name, method, path, options = {}) {
  if (!inFlight.has(name)) {
    const { onRetry, ...request } = options;
    store(KEPT + name, { method, path, request, at: Date.now() });
    const sent = send(method, path, { ...request, onRetry })
      .then(
        (answer) => (drop(KEPT + name), answer),
        (error) => {
          if (error instanceof Problem) drop(KEPT + name);
          throw error;
        },
      )
      .finally(() => inFlight.delete(name));
    inFlight.set(name, sent);
  }
  return inFlight.get(name);
}

/** Return the request of this name that has had no answer yet, null if there is none. */
export const unanswered = (name) => stored(KEPT + name)?.request ?? null;

/** Finish the action of this name that an earlier visit did not see the end of; return its answer, null if none. */
export async function resume(name) {
  const kept = stored(KEPT + name);
  if (!kept) return null;
  if (Date.now() - kept.at > RESUMED_MS_MAX) return drop(KEPT + name), null;
  return act(name, kept.method, kept.path, kept.request);
}

/** What is kept on this device. If its storage is full, nothing is kept, and the page goes on. */
function stored(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {}
}

function drop(key) {
  try {
    localStorage.removeItem(key);
  } catch {}
}

/**
 * Call `look` again and again: each second while its result changes, less often while it does not or while it fails, and
 * not at all while the page is hidden. Returns {now, stop}: `now` looks at once.
 */
export function poll(look, { leastMs = 1000, mostMs = 10_000 } = {}) {
  let timer, stopped, running, last;
  let waitMs = leastMs;
  const run = async () => {
    clearTimeout(timer);
    if (stopped || running || document.hidden) return;
    running = true;
    try {
      const seen = JSON.stringify(await look(), (key, value) => (WHEN_READ.has(key) ? undefined : value));
      waitMs = seen === last ? Math.min(waitMs * 1.5, mostMs) : leastMs;
      last = seen;
    } catch {
      waitMs = Math.min(waitMs * 2, mostMs);
    }
    running = false;
    if (!stopped) timer = setTimeout(run, waitMs * (0.9 + Math.random() * 0.2));
  };
  const wake = () => {
    waitMs = leastMs;
    run();
  };
  document.addEventListener("visibilitychange", wake);
  window.addEventListener("online", wake);
  run();
  return {
    now: wake,
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
      window.removeEventListener("online", wake);
    },
  };
}
