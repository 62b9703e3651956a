// Who uses the page. An open office believes every name. Any other office has an OpenID issuer: people sign in there by
// authorization code with PKCE, and the page keeps the token until this tab is closed.
export const office = JSON.parse(document.getElementById("office").textContent);

const TOKEN = "office:token";
const SIGNING_IN = "office:signing-in";
const USER = "office:user";
const GROUP_CLAIMS = ["cognito:groups", "groups"];
const SCOPE_CLAIMS = ["scope", "scp"];
const DOOR = ["door", "shop", "organiser"]; // who may check people in
const here = () => `${location.origin}${location.pathname}`;

let token = sessionStorage.getItem(TOKEN);
const listeners = new Set();

export const accessToken = () => token;

/** Call back when the user changes; returns how to stop. */
export function onIdentity(changed) {
  listeners.add(changed);
  return () => listeners.delete(changed);
}

const changed = () => listeners.forEach((one) => one());

/** Return {userId, isOrganiser, isDoor}; userId is null before someone has signed in or given a name. */
export function identity() {
  if (office.open) return { userId: localStorage.getItem(USER), isOrganiser: true, isDoor: true };
  const claims = token ? claimsOf(token) : null;
  const has = (role) => claims !== null && hasRole(claims, role);
  return { userId: claims?.[office.userClaim] ?? null, isOrganiser: has("organiser"), isDoor: DOOR.some(has) };
}

/** Tell whether a token has a group or a scope of this name. */
function hasRole(claims, role) {
  const list = (names, split) =>
    names.flatMap((name) => {
      const value = claims[name] ?? [];
      return Array.isArray(value) ? value : split ? value.split(" ") : [value];
    });
  const scopes = list(SCOPE_CLAIMS, true);
  return list(GROUP_CLAIMS, false).includes(role) || [role, `ticket-office/${role}`].some((one) => scopes.includes(one));
}

function claimsOf(jwt) {
  try {
    const bytes = Uint8Array.from(atob(jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null; // not a JWT
  }
}

/** Remember a name in an open office. */
export function nameYourself(userId) {
  localStorage.setItem(USER, userId);
  changed();
}

export function forgetMe() {
  localStorage.removeItem(USER);
  sessionStorage.removeItem(TOKEN);
  token = null;
  changed();
}

async function client() {
  const { OAuth2Client } = await import("./vendor/oauth2.js");
  const issuer = new URL(office.signIn.issuer, document.baseURI).href.replace(/\/$/, "");
  return new OAuth2Client({
    server: `${issuer}/`,
    clientId: office.signIn.client,
    discoveryEndpoint: `${issuer}/.well-known/openid-configuration`,
  });
}

/** Go to the issuer; it sends the browser back here. Does nothing where there is no issuer to go to. */
export async function signIn() {
  if (!office.signIn) return;
  const { generateCodeVerifier } = await import("./vendor/oauth2.js");
  const asked = { codeVerifier: await generateCodeVerifier(), state: await generateCodeVerifier() };
  sessionStorage.setItem(SIGNING_IN, JSON.stringify({ ...asked, hash: location.hash }));
  const to = await (await client()).authorizationCode.getAuthorizeUri({ ...asked, redirectUri: here(), scope: ["openid"] });
  location.assign(to);
  await new Promise(() => {}); // the browser leaves this page
}

/** Finish a sign-in that the issuer has sent back; returns what went wrong, or null. */
export async function finishSignIn() {
  if (!/[?&](code|error)=/.test(location.search)) return null;
  const asked = JSON.parse(sessionStorage.getItem(SIGNING_IN) ?? "null");
  sessionStorage.removeItem(SIGNING_IN);
  const answer = location.href;
  history.replaceState(null, "", here() + (asked?.hash ?? ""));
  if (!asked) return null; // an old address: nobody is signing in
  try {
    const tokens = await (await client()).authorizationCode.getTokenFromCodeRedirect(answer, { redirectUri: here(), ...asked });
    const named = claimsOf(tokens.accessToken)?.[office.userClaim] !== undefined;
    token = named ? tokens.accessToken : tokens.idToken; // some issuers put a user's claims into the ID token only
    sessionStorage.setItem(TOKEN, token);
    return null;
  } catch (error) {
    return error.message;
  }
}
