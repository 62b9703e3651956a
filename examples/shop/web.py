"""The shop's HTTP server. Webhooks are only noted, so they are answered at once.

POST /orders {eventId, userId}      hold a ticket, and learn where to pay for it
GET  /orders?bookingId=             how far the payment is
POST /stripe                        Stripe's webhook
POST /office-events                 an event of the office's bus, from a rule with an API destination
"""

import json
import time
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from examples.shop.calls import NoAnswerError
from examples.shop.shop import Answer, Shop

BODY_BYTES_MAX = 256 * 1024


class Server(ThreadingHTTPServer):
    """The server of a shop, on this machine. A proxy in front of it adds TLS."""

    def __init__(self, shop: Shop, port: int, events_secret: str) -> None:
        """Listen. Without a secret, no rule of the office's bus may post events."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.shop = shop
        self.events_secret = events_secret


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 30  # seconds for a request to arrive

    def do_POST(self) -> None:
        answers = {"/orders": self._order, "/stripe": self._stripe, "/office-events": self._office}
        try:
            size = int(self.headers.get("Content-Length", 0))
            if self.path not in answers or size > BODY_BYTES_MAX:
                answer: Answer = 404, {"code": "not-found"}
            else:
                answer = answers[self.path](self.rfile.read(size))
        except NoAnswerError as error:
            answer = 503, {"code": "try-again", "detail": str(error)}
        except (ValueError, KeyError, TypeError) as error:
            answer = 400, {"code": "malformed", "detail": repr(error)}
        self._respond(*answer)

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        found = parse_qs(asked.query).get("bookingId", [])
        is_known = asked.path == "/orders" and found
        self._respond(*(self.server.shop.state(found[0]) if is_known else (404, {"code": "not-found"})))

    def _order(self, body: bytes) -> Answer:
        wanted = json.loads(body)
        return self.server.shop.order(str(wanted["eventId"]), str(wanted["userId"]))

    def _stripe(self, body: bytes) -> Answer:
        signature = self.headers.get("Stripe-Signature", "")
        event = self.server.shop.stripe.event(body, signature, time.time())
        if event is None:
            return 400, {"code": "bad-signature"}
        self.server.shop.hear_stripe(event)
        return 200, {}

    def _office(self, body: bytes) -> Answer:
        given, secret = self.headers.get("X-Webhook-Secret", ""), self.server.events_secret
        if not secret or not compare_digest(given.encode(), secret.encode()):
            return 403, {"code": "bad-secret"}
        self.server.shop.hear_office(json.loads(body))
        return 200, {}

    def _respond(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log no requests: the shop tells what it does."""
