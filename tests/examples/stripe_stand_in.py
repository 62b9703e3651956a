"""A stand-in for Stripe: checkout sessions, payment intents and refunds, as far as the shop of examples/ uses them.

Written by https://docs.stripe.com/api, with none of the shop's code. It refuses what Stripe refuses: sessions that end
too early or too late, a captured payment that is captured or cancelled, a second refund. Like Stripe's, its ids are
unique among all accounts: an office's events still name the payments of earlier tests.
"""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import httpx

from harness.serving import Fields, serving

KEY, SECRET = "sk_test_1", "whsec_1"
Answer = tuple[int, dict[str, Any]]
Hook = Callable[[str, str], None]  # called with a path and "before" or "after"


@dataclass
class StripeStandIn:
    """An account: what was made, and how often money was taken and given back."""

    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    payments: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, tuple[Fields, Answer]] = field(default_factory=dict)  # by Idempotency-Key
    done: list[tuple[str, str]] = field(default_factory=list)  # what changed a payment
    token: dict[str, Any] = field(default_factory=dict)  # for the office, which another server would give
    hook: Hook = lambda _path, _when: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # ---------------------------------------------------------------- as the buyer and the card's bank

    def pay(self, session_id: str) -> str:
        """Pay a session; return the PaymentIntent, which is authorised."""
        session = self.sessions[session_id]
        assert session["status"] == "open", session["status"]
        payment_id = f"pi_{uuid4().hex}"
        metadata = session["payment_metadata"]
        self.payments[payment_id] = {"id": payment_id, "status": "requires_capture", "metadata": metadata}
        session |= {"status": "complete", "payment_status": "unpaid", "payment_intent": payment_id}
        return payment_id

    def lapse(self, payment_id: str) -> None:
        """End an authorisation that was not captured in time."""
        self.payments[payment_id]["status"] = "canceled"

    def collected(self) -> set[str]:
        """Return the payments whose money the shop has."""
        taken = {payment for what, payment in self.done if what == "capture"}
        return taken - {payment for what, payment in self.done if what == "refund"}

    def authorised(self) -> set[str]:
        """Return the payments whose money is still reserved."""
        return {name for name, payment in self.payments.items() if payment["status"] == "requires_capture"}

    # ---------------------------------------------------------------- webhooks

    def event(self, type_: str, of: str) -> bytes:
        """Return the body of an event about a session or a payment."""
        thing = self.sessions[of] if of in self.sessions else self.payments[of]
        return json.dumps({"id": f"evt_{uuid4().hex}", "type": type_, "data": {"object": thing}}).encode()

    def deliver(self, shop: str, type_: str, of: str) -> None:
        """Post an event to the shop's webhook."""
        body = self.event(type_, of)
        assert post_signed(shop, body, signature(body)).status_code == 200

    # ---------------------------------------------------------------- the API

    def answer(self, method: str, path: str, fields: Fields, key: str) -> Answer:
        """Answer a request; one whose Idempotency-Key is known gets the first answer."""
        with self._lock:
            if key in self.answers:
                known, answer = self.answers[key]
                return answer if known == fields else (400, {"error": {"type": "idempotency_error"}})
            answer = self._answer(method, path.removeprefix("/v1/"), fields)
            if key and answer[0] == 200:  # requests that fail validation are not kept
                self.answers[key] = fields, answer
            return answer

    def _answer(self, method: str, path: str, fields: Fields) -> Answer:
        match (method, *path.split("/")):
            case ("POST", "checkout", "sessions"):
                return self._open_session(fields)
            case ("POST", "checkout", "sessions", name, "expire"):
                return self._end_session(self.sessions[name])
            case ("GET", "checkout", "sessions", name):
                session = self.sessions[name]
                return 200, session | {"payment_intent": self.payments.get(session["payment_intent"])}
            case ("GET", "payment_intents", name):
                return 200, self.payments[name]
            case ("POST", "payment_intents", name, "capture" | "cancel" as what):
                return self._move(name, what)
        assert (method, path) == ("POST", "refunds")
        return self._refund(fields["payment_intent"])

    def _open_session(self, fields: Fields) -> Answer:
        from_now_s = int(fields["expires_at"]) - time.time()
        if not 30 * 60 <= from_now_s <= 24 * 60 * 60:
            return _refused("expires_at must be between 30 minutes and 24 hours from now")
        name = f"cs_{uuid4().hex}"
        metadata = {key[9:-1]: value for key, value in fields.items() if key.startswith("metadata[")}
        prefix = "payment_intent_data[metadata]["
        self.sessions[name] = {
            "id": name,
            "url": f"https://checkout.stripe.example/{name}",
            "status": "open",
            "payment_status": "unpaid",
            "payment_intent": None,
            "expires_at": int(fields["expires_at"]),
            "metadata": metadata,
            "payment_metadata": {key[len(prefix) : -1]: fields[key] for key in fields if key.startswith(prefix)},
            "capture_method": fields["payment_intent_data[capture_method]"],
        }
        return 200, self.sessions[name]

    def _end_session(self, session: dict[str, Any]) -> Answer:
        if session["status"] != "open":
            return _refused("only open sessions can be expired")
        session["status"] = "expired"
        return 200, session

    def _move(self, name: str, what: str) -> Answer:
        payment = self.payments[name]
        if payment["status"] != "requires_capture":
            return _refused("unexpected state", "payment_intent_unexpected_state")
        payment["status"] = "succeeded" if what == "capture" else "canceled"
        self.done.append((what, name))
        return 200, payment

    def _refund(self, name: str) -> Answer:
        if self.payments[name]["status"] != "succeeded":
            return _refused("nothing was captured")
        if ("refund", name) in self.done:
            return _refused("refunded before", "charge_already_refunded")
        self.done.append(("refund", name))
        return 200, {"id": f"re_{uuid4().hex}", "status": "succeeded"}

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve the API; yield its URL."""
        with serving(self._serve) as url:
            yield url

    def _serve(self, method: str, target: str, headers: Fields, body: bytes) -> tuple[int, bytes]:
        path = urlsplit(target).path
        if path == "/oauth2/token":
            assert (headers["authorization"].partition(" ")[0], body) == ("Basic", b"grant_type=client_credentials")
            return 200, json.dumps(self.token).encode()
        assert headers["authorization"] == f"Bearer {KEY}"
        self.hook(path, "before")
        key = headers.get("idempotency-key", "")
        status, answer = self.answer(method, path, dict(parse_qsl(body.decode())), key)
        self.hook(path, "after")
        return status, json.dumps(answer).encode()


def _refused(message: str, code: str = "") -> Answer:
    return 400, {"error": {"type": "invalid_request_error", "code": code, "message": message}}


def signature(body: bytes, secret: str = SECRET, at: float | None = None, scheme: str = "v1") -> str:
    """Return the Stripe-Signature of a body."""
    moment = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},{scheme}={digest}"


def post_signed(shop: str, body: bytes, header: str | None) -> httpx.Response:
    """Post a body to the shop's webhook."""
    headers = {} if header is None else {b"stripe-signature": header.encode("latin-1")}
    return httpx.post(f"{shop}/stripe", content=body, headers=headers, timeout=30)


@contextmanager
def proxy(port: int, hook: Hook) -> Iterator[str]:
    """Yield the URL of a proxy in front of an office; it calls the hook before and after each request."""

    def serve(method: str, target: str, headers: Fields, body: bytes) -> tuple[int, bytes]:
        path = urlsplit(target).path
        hook(path, "before")
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, target, body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        hook(path, "after")
        return answer.status, content

    with serving(serve) as url:
        yield url
