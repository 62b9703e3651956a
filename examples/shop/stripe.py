"""The payment provider: Stripe's API, as far as the shop uses it. https://docs.stripe.com/api.

Every POST may be repeated. What makes something new has an Idempotency-Key: Stripe keeps the first answer to it for at
least a day. What changes a PaymentIntent needs none: its status says what was done.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from examples.shop.calls import Answer, NoAnswerError, send
from examples.shop.store import Checkout, Payment, State

SESSION_S_MIN, SESSION_S_MAX = 30 * 60, 24 * 60 * 60  # from its making to its end
TOLERANCE_S = 5 * 60  # between the time in a signature and now
_OK, _BAD_REQUEST = 200, 400


@dataclass(frozen=True)
class Price:
    """What one ticket costs, in the smallest unit of a currency."""

    amount: int
    currency: str


@dataclass(frozen=True)
class Stripe:
    """An account at Stripe. `url` is https://api.stripe.com, or a stand-in."""

    url: str
    key: str
    webhook_secret: str
    price: Price
    shop_url: str

    def open_session(self, checkout: Checkout) -> dict[str, Any] | None:
        """Make a checkout session that authorises the payment without capturing it; None if it is too late for one.

        Its fields come from the checkout only, so a repeated request is the same. Raises: NoAnswerError.
        """
        names = {"bookingId": checkout.booking_id, "eventId": checkout.event_id, "userId": checkout.user_id}
        fields = {
            "mode": "payment",
            "client_reference_id": checkout.booking_id,
            "expires_at": checkout.session_ends,
            "success_url": f"{self.shop_url}/orders?bookingId={quote(checkout.booking_id)}",
            "payment_method_types[0]": "card",  # authorised at once, and captured later
            "payment_intent_data[capture_method]": "manual",
            "line_items[0][quantity]": 1,
            "line_items[0][price_data][currency]": self.price.currency,
            "line_items[0][price_data][unit_amount]": self.price.amount,
            "line_items[0][price_data][product_data][name]": "Ticket",
            **{f"metadata[{name}]": value for name, value in names.items()},
            **{f"payment_intent_data[metadata][{name}]": value for name, value in names.items()},
        }
        answer = self._post("/v1/checkout/sessions", fields, f"session-{checkout.booking_id}-{checkout.number}")
        if answer.status not in {_OK, _BAD_REQUEST}:  # 409 while a request with the same key is being worked on
            raise NoAnswerError(f"{answer.status} {answer.body}")
        return answer.body if answer.status == _OK else None

    def session(self, session_id: str) -> dict[str, Any]:
        """Read a session with its PaymentIntent. Raises: NoAnswerError."""
        return self._get(f"/v1/checkout/sessions/{session_id}?expand[]=payment_intent")

    def end_session(self, session_id: str) -> None:
        """End a session, so that it can no longer be paid; one that was paid stays. Raises: NoAnswerError."""
        self._post(f"/v1/checkout/sessions/{session_id}/expire")

    def capture(self, payment: Payment) -> State:
        """Collect an authorised payment; return SOLD, or UNCOLLECTED if that is no longer possible.

        Raises: NoAnswerError.
        """
        answer = self._post(f"/v1/payment_intents/{payment.id}/capture")
        status = answer.body["status"] if answer.status == _OK else self._status(payment)
        if status == "canceled":
            return State.UNCOLLECTED  # the authorisation has lapsed, after a week with most cards
        return self._reached(payment, status, "succeeded", State.SOLD)

    def give_back(self, payment: Payment) -> State:
        """Cancel an authorisation, or refund what was captured. Raises: NoAnswerError."""
        answer = self._post(f"/v1/payment_intents/{payment.id}/cancel")
        status = answer.body["status"] if answer.status == _OK else self._status(payment)
        if status == "succeeded":
            refund = self._post("/v1/refunds", {"payment_intent": payment.id}, f"refund-{payment.id}")
            code = refund.body.get("error", {}).get("code")
            status = "canceled" if refund.status == _OK or code == "charge_already_refunded" else status
        return self._reached(payment, status, "canceled", State.RETURNED)

    def _reached(self, payment: Payment, status: str, wanted: str, state: State) -> State:
        if status != wanted:
            raise NoAnswerError(f"{payment.id} is {status}, not yet {wanted}")
        return state

    def _status(self, payment: Payment) -> str:
        return str(self._get(f"/v1/payment_intents/{payment.id}")["status"])

    def _get(self, path: str) -> dict[str, Any]:
        answer = send(self.url + path, {"Authorization": f"Bearer {self.key}"})
        if answer.status != _OK:
            raise NoAnswerError(f"{answer.status} from {path}: {answer.body}")
        return answer.body

    def _post(self, path: str, fields: Mapping[str, object] = MappingProxyType({}), key: str = "") -> Answer:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/x-www-form-urlencoded"}
        if key:
            headers["Idempotency-Key"] = key
        return send(self.url + path, headers, urlencode(fields).encode())

    def event(self, body: bytes, header: str, now: float) -> dict[str, Any] | None:
        """Return the event of a webhook's body; None if Stripe has not signed it, or not within TOLERANCE_S.

        The header is `t=<seconds>,v1=<signature>`, with several v1 while the secret is being changed.
        """
        pairs = [part.partition("=") for part in header.split(",")]
        signed_at = next((value for name, _, value in pairs if name == "t"), "")
        if not re.fullmatch("[0-9]{1,12}", signed_at) or abs(now - int(signed_at)) > TOLERANCE_S:
            return None
        expected = hmac.new(self.webhook_secret.encode(), f"{signed_at}.".encode() + body, hashlib.sha256).hexdigest()
        given = [value for name, _, value in pairs if name == "v1"]
        if not any(hmac.compare_digest(expected.encode(), one.encode()) for one in given):
            return None
        event: dict[str, Any] = json.loads(body)
        return event
