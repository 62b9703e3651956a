"""A proxy in front of the engine that records every response and causes what the engine never does.

That is throttling, conflicts, faults, a missing privilege, and slow responses.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from harness.serving import Fields, serving

ENGINE_S_MAX = 10.0
_TABLES = "DynamoDB_20120810."  # prefix of the operation; the streams have another

Body = dict[str, Any]
Refusal = tuple[int, Body]  # status and body of DynamoDB's response


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request to DynamoDB and its response."""

    operation: str
    request: Body
    status: int
    answer: Body


@dataclass
class Proxy:
    """The proxy. Its settings apply from the next request on."""

    engine: str
    endpoint: str = ""  # of the proxy itself
    refuse: Callable[[str, Body], Refusal | None] = lambda _operation, _request: None
    delay_s: float = 0.0  # of every response about tables
    _exchanges: list[Exchange] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def look(self) -> list[Exchange]:
        """Return what passed since the last call."""
        with self._lock:
            new, self._exchanges = self._exchanges, []
        return new

    def refuses(self, refusal: Callable[[str, Body], Refusal | None], times: int) -> None:
        """Refuse so many of the next requests for which `refusal` returns a response."""
        left = times

        def refuse(operation: str, request: Body) -> Refusal | None:
            nonlocal left
            with self._lock:
                found = refusal(operation, request) if left else None
                left -= found is not None
            return found

        self.refuse = refuse

    def heal(self) -> None:
        """Stop causing trouble."""
        self.refuse, self.delay_s = Proxy.refuse, 0.0

    def meet(self, headers: Fields, body: bytes) -> tuple[int, bytes]:
        """Answer a request, or let the engine answer it."""
        target, request = headers["x-amz-target"], json.loads(body)
        operation = target.rpartition(".")[2]
        is_table = target.startswith(_TABLES) and operation not in {"DescribeTable", "CreateTable"}
        refusal = self.refuse(operation, request) if is_table else None
        if refusal:
            status, text = refusal[0], json.dumps(refusal[1]).encode()
        else:
            with closing(HTTPConnection(urlsplit(self.engine).netloc, timeout=ENGINE_S_MAX)) as connection:
                connection.request("POST", "/", body, headers)
                response = connection.getresponse()
                status, text = response.status, response.read()
        if is_table and self.delay_s:
            time.sleep(self.delay_s)
        with self._lock:
            self._exchanges.append(Exchange(operation, request, status, json.loads(text)))
        return status, text


@contextmanager
def before(engine: str) -> Iterator[Proxy]:
    """Run a proxy in front of the engine at this URL."""
    proxy = Proxy(engine)
    with serving(lambda _method, _path, headers, body: proxy.meet(headers, body)) as proxy.endpoint:
        yield proxy


def throttling(_operation: str, _request: Body) -> Refusal:
    """Refuse as a table over its limits does."""
    return _refusal(400, "ProvisionedThroughputExceededException")


def index_throttling(operation: str, request: Body) -> Refusal | None:
    """Refuse bookings as the index by user does over its limits."""
    return _index_throttling("byUser", operation, request)


def hold_index_throttling(operation: str, request: Body) -> Refusal | None:
    """Refuse bookings as the index of holds does over its limits."""
    return _index_throttling("holdsByExpiry", operation, request)


def _index_throttling(index: str, operation: str, request: Body) -> Refusal | None:
    if operation != "TransactWriteItems" or "BookingsTable" not in json.dumps(request):
        return None
    status, answer = throttling(operation, request)
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/BookingsTable/index/{index}"
    reasons = [{"reason": "IndexWriteKeyRangeThroughputExceeded", "resource": arn}]
    return status, answer | {"ThrottlingReasons": reasons}


def fault(_operation: str, _request: Body) -> Refusal:
    """Answer as DynamoDB does after a fault of its own."""
    return _refusal(500, "InternalServerError")


def conflict(operation: str, request: Body) -> Refusal | None:
    """Refuse anna's transactions as DynamoDB does if others hold all of their items."""
    if operation != "TransactWriteItems" or '"anna"' not in json.dumps(request):
        return None
    reasons = [{"Code": "TransactionConflict", "Message": "as the drill wants it"} for _ in request["TransactItems"]]
    status, answer = _refusal(400, "TransactionCanceledException")
    return status, answer | {"CancellationReasons": reasons}


def denied(_operation: str, _request: Body) -> Refusal:
    """Refuse as DynamoDB does if the role lacks the privilege."""
    return _refusal(400, "AccessDeniedException")


def _refusal(status: int, code: str) -> Refusal:
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "as the drill wants it"}
