"""Requests to the office, each recorded with the times at which it began and its response came."""

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from checker.history import NO_RESPONSE, Exchange, History

RESPONSE_S = 20.0  # docs/clients.md: wait for over 10 seconds
TRIES_MAX = 30
PAUSE_S, PAUSE_S_MAX = 0.02, 0.5  # doubled with each try; shorter than docs/clients.md advises: a round is short
NOT_SENT = -1  # the status of a request without a connection: the office never saw it
SILENCE_S = 1.0  # a stream of announcements that is silent for this long has ended


class Client:
    """One per round; each thread has a connection of its own."""

    def __init__(self, port: int, history: History) -> None:
        self.port = port
        self.history = history
        self.slowest_s = 0.0
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self._second = ThreadPoolExecutor(max_workers=32, thread_name_prefix="twice")

    def close(self) -> None:
        """Wait for pending requests and close all connections."""
        self._second.shutdown()
        for connection in self._connections:
            connection.close()

    def send(self, op: str, drop_after_s: float | None = None, *, record: bool = True, **parts: Any) -> Exchange:
        """Send a request once; break the connection if it is not answered within `drop_after_s`."""
        begin = time.monotonic()
        status, response, end = NO_RESPONSE, None, float("inf")
        try:
            connection = self._connect()
        except OSError:
            return Exchange(op, begin, status=NOT_SENT)
        try:
            connection.sock.settimeout(drop_after_s or RESPONSE_S)
            status, response = _ask(connection, *_request(op, **parts))
            end = time.monotonic()
            self.slowest_s = max(self.slowest_s, end - begin)
        except (OSError, http.client.HTTPException):
            connection.close()
        exchange = Exchange(op, begin, end, status, response, **parts)
        if record:
            self.history.add(exchange)
        return exchange

    def ask(self, op: str, rng: random.Random, drop_after_s: float | None = None, **parts: Any) -> Exchange:
        """Send a request until it is answered, as docs/clients.md advises; the last try is the result."""
        exchange = self.send(op, drop_after_s, **parts)
        for tries in range(TRIES_MAX):
            if exchange.status != NOT_SENT and not exchange.is_open:
                break
            time.sleep(rng.uniform(0, min(PAUSE_S_MAX, PAUSE_S * 2**tries)))
            exchange = self.send(op, **parts)
        return exchange

    def together(self, *calls: Callable[[], Exchange]) -> list[Exchange]:
        """Make several calls at once, and wait for all."""
        others = [self._second.submit(call) for call in calls[1:]]
        return [calls[0](), *(other.result() for other in others)]

    def pages(self, op: str, rng: random.Random, **parts: Any) -> list[Exchange]:
        """Read a whole list, page by page."""
        query = {"limit": "100"} | parts.pop("query", {})
        found = [self.ask(op, rng, query=query, **parts)]
        while found[-1].is_done and found[-1].response["nextCursor"]:
            found.append(self.ask(op, rng, query=query | {"cursor": found[-1].response["nextCursor"]}, **parts))
        return found

    def listen(self, after: str = "0", *, at_rest: bool = False) -> Exchange:
        """Read the announcements after the place `after`, until none arrives for a while."""
        begin = time.monotonic()
        told: list[dict[str, Any]] = []
        status = NO_RESPONSE
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SILENCE_S)) as connection:
                connection.request("GET", "/local/events", headers={"Last-Event-ID": after})
                response = connection.getresponse()
                status = response.status
                for lines in _events(response):
                    told.append(_told(lines))  # noqa: PERF401 - keep what arrived before the timeout
        except (OSError, http.client.HTTPException):
            pass  # silence, or a broken connection: keep what arrived before
        exchange = Exchange("listen", begin, time.monotonic(), status, told, at_rest=at_rest)
        if status != NO_RESPONSE:
            self.history.add(exchange)
        return exchange

    def _connect(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=RESPONSE_S)
            self._connections.append(connection)
        if connection.sock is None:
            connection.connect()
        return connection


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: str | None, key: str) -> tuple[int, Any]:
    headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    text = response.read()
    if response.will_close:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, {"bad": text.decode(errors="replace")}


def _request(  # noqa: PLR0913 - the parts of a request
    op: str,
    *,
    event: str = "",
    user: str = "",
    body: dict[str, Any] | None = None,
    key: str = "",
    query: dict[str, str] | None = None,
    at_rest: bool = False,  # noqa: ARG001 - for the history only
) -> tuple[str, str, str | None, str]:
    """Return method, path with query, body and key of an operation of docs/api.md."""
    method, path = {
        "initialize": ("POST", "/initialize"),
        "book": ("POST", "/book"),
        "confirm": ("POST", "/confirm"),
        "cancel": ("POST", "/cancel"),
        "transfer": ("POST", "/transfer"),
        "check-in": ("POST", "/check-in"),
        "status": ("GET", f"/status/{event}"),
        "bookings": ("GET", "/bookings"),
        "events": ("GET", "/events"),
        "event-bookings": ("GET", f"/events/{event}/bookings"),
        "waiting-list": ("GET", f"/events/{event}/waiting-list"),
        "change": ("PATCH", f"/events/{event}"),
        "cancel-event": ("POST", f"/events/{event}/cancel"),
    }[op]
    asked = dict(query or {})
    if op in ("status", "bookings") and user:
        asked["userId"] = user
    if op == "bookings" and event:
        asked["eventId"] = event
    if op in ("book", "confirm", "cancel", "transfer", "check-in"):
        body = {"userId": user, "eventId": event} | (body or {})
    return method, path + (f"?{urlencode(asked)}" if asked else ""), json.dumps(body) if body else None, key


def _told(lines: dict[str, str]) -> dict[str, Any]:
    """Return an announcement and its place in the stream; keep a malformed one as it is."""
    try:
        return {"place": lines["id"], "detail": json.loads(lines["data"])["detail"]}
    except (KeyError, ValueError, TypeError):
        return {"place": lines.get("id", ""), "bad": lines}


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, str]]:
    """Yield the fields of each server-sent event, until the stream ends or is silent."""
    lines: dict[str, str] = {}
    pending = b""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < SILENCE_S:
        chunk = response.read1(65536)
        if not chunk:
            return
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            name, _, value = line.decode(errors="replace").rstrip("\r").partition(":")
            if name:
                lines[name] = value.removeprefix(" ")
            elif not value and "data" in lines:
                yield lines
                lines = {}
                quiet_since = time.monotonic()
