"""The ticket office as the shop uses it: hold, confirm, return, and listen."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from examples.shop.calls import Answer, NoAnswerError, send
from examples.shop.store import Payment

RENEW_S = 60  # before a token expires
SILENCE_S_MAX = 60.0  # the stream of events sends something more often


class Tokens:
    """The shop's tokens by the client credentials grant: output TokenUrl, and the app client ShopClientId."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read where to get them. Without TOKEN_URL, OFFICE_TOKEN is the token, or the office requires none."""
        self._url = environment.get("TOKEN_URL", "")
        client = f"{environment.get('CLIENT_ID', '')}:{environment.get('CLIENT_SECRET', '')}"
        self._client = base64.b64encode(client.encode()).decode()
        self._token = environment.get("OFFICE_TOKEN", "")
        self._until_s = 0.0

    def header(self) -> dict[str, str]:
        """Return the header with a token that is valid. Raises: NoAnswerError."""
        if self._url and time.monotonic() > self._until_s:
            headers = {"Authorization": f"Basic {self._client}", "Content-Type": "application/x-www-form-urlencoded"}
            answer = send(self._url, headers, urlencode({"grant_type": "client_credentials"}).encode())
            if answer.status != 200:
                raise NoAnswerError(f"no token: {answer.body}")
            self._token = answer.body["access_token"]
            self._until_s = time.monotonic() + answer.body["expires_in"] - RENEW_S
        return {"Authorization": f"Bearer {self._token}"}


@dataclass(frozen=True)
class Office:
    """The office at a URL."""

    url: str
    tokens: Tokens

    def book(self, event_id: str, user_id: str) -> Answer:
        """Hold a ticket for the user, or return the booking that they have. Raises: NoAnswerError."""
        return self._post("/book", {"eventId": event_id, "userId": user_id})

    def confirm(self, payment: Payment) -> Answer:
        """Confirm the hold that was paid for. The office keeps the first reference. Raises: NoAnswerError."""
        return self._post("/confirm", {**_booking(payment), "reference": payment.id})

    def cancel(self, payment: Payment) -> Answer:
        """Return the ticket. Raises: NoAnswerError."""
        return self._post("/cancel", _booking(payment))

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what the bus of a local office announces: all that it has kept, then what follows.

        On AWS, a rule on the bus posts the same to the shop. Raises: OSError when the stream breaks.
        """
        request = Request(f"{self.url}/local/events", headers={**self.tokens.header(), "Last-Event-ID": "0"})
        with urlopen(request, timeout=SILENCE_S_MAX) as lines:
            for line in lines:
                if line.startswith(b"data:"):
                    yield json.loads(line.removeprefix(b"data:"))["detail"]

    def _post(self, path: str, fields: Mapping[str, str]) -> Answer:
        headers = {**self.tokens.header(), "Content-Type": "application/json"}
        return send(self.url + path, headers, json.dumps(fields).encode())


def _booking(payment: Payment) -> dict[str, str]:
    """Name the booking by its id: a late request then leaves alone what the user has booked since."""
    return {"eventId": payment.event_id, "userId": payment.user_id, "bookingId": payment.booking_id}
