"""A proxy before the engine: it notes every answer, and meets requests with what the engine itself never does.

That is throttling, conflicts, faults, a missing privilege, answers that take their time, and records of the stream that
were written some time ago.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from local.template import load

ENGINE_S_MAX = 10.0
_TABLES = "DynamoDB_20120810."  # before the operation; the streams have another

Body = dict[str, Any]
Refusal = tuple[int, Body]  # status, and what DynamoDB says
_Item = tuple[str, str]  # of a table, by its key
KEYS = {one.name: [key["AttributeName"] for key in one.arguments["KeySchema"]] for one in load().tables}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request to DynamoDB and its answer."""

    operation: str
    request: Body
    status: int
    answer: Body
    at_s: float  # when it was answered, since 1970


@dataclass
class Proxy:
    """The way to the engine. What is set applies from the next request on."""

    endpoint: str
    refuse: Callable[[str, Body], Refusal | None] = lambda _operation, _request: None
    delay_s: float = 0.0  # of every answer of a table
    holds_s: float = 0.0  # for so long a transaction is in hand, and others on its items conflict; with 0 none does
    conflicts: int = 0  # items of transactions that were refused so
    records_older_s: float = 0.0  # records of the stream that are read now were written so much earlier
    _in_hand: set[_Item] = field(default_factory=set)
    _exchanges: list[Exchange] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def look(self) -> list[Exchange]:
        """Return what went through since the last look."""
        with self._lock:
            new, self._exchanges = self._exchanges, []
        return new

    def refuses(self, refusal: Callable[[str, Body], Refusal | None], times: int) -> None:
        """Refuse the next requests to which `refusal` has an answer, so many of them."""
        left = times

        def refuse(operation: str, request: Body) -> Refusal | None:
            nonlocal left
            with self._lock:
                found = refusal(operation, request) if left else None
                left -= found is not None
            return found

        self.refuse = refuse

    def heal(self) -> None:
        """Be a DynamoDB that is well again."""
        self.refuse, self.delay_s, self.holds_s, self.records_older_s = Proxy.refuse, 0.0, 0.0, 0.0

    def meet(self, target: str, headers: dict[str, str], body: bytes, connection: HTTPConnection) -> tuple[int, bytes]:
        """Answer a request, or let the engine do so."""
        operation = target.rpartition(".")[2]
        is_table = target.startswith(_TABLES) and operation not in {"DescribeTable", "CreateTable"}
        request = json.loads(body)
        refusal = self.refuse(operation, request) if is_table else None
        with self._held(operation, request) as conflict:
            if refusal := refusal or conflict:
                status, text = refusal[0], json.dumps(refusal[1]).encode()
            else:
                connection.request("POST", "/", body, headers)
                response = connection.getresponse()
                status, text = response.status, response.read()
        if is_table and self.delay_s:
            time.sleep(self.delay_s)
        answer = json.loads(text)
        if operation == "GetRecords" and self.records_older_s:
            for record in answer["Records"]:
                record["dynamodb"]["ApproximateCreationDateTime"] -= self.records_older_s
            text = json.dumps(answer).encode()
        with self._lock:
            self._exchanges.append(Exchange(operation, request, status, answer, time.time()))
        return status, text

    @contextmanager
    def _held(self, operation: str, request: Body) -> Iterator[Refusal | None]:
        """Have a transaction's items in hand for as long as it is asked for; or yield its conflict with another."""
        holds_s = self.holds_s
        if operation != "TransactWriteItems" or not holds_s:
            yield None
            return
        wanted = set(_items(request))
        with self._lock:
            conflict = _conflict(request, self._in_hand)
            if conflict:
                self.conflicts += len(wanted & self._in_hand)
            else:
                self._in_hand |= wanted
        yield conflict
        if not conflict:
            time.sleep(holds_s)
            with self._lock:
                self._in_hand -= wanted


@contextmanager
def before(engine: str) -> Iterator[Proxy]:
    """Start a proxy before the engine at this URL; it ends with the block."""
    address = urlsplit(engine)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 65536

        def setup(self) -> None:
            super().setup()
            self.engine = HTTPConnection(address.hostname or "", address.port, timeout=ENGINE_S_MAX)

        def finish(self) -> None:
            super().finish()
            self.engine.close()

        def do_POST(self) -> None:
            target = self.headers["x-amz-target"]
            body = self.rfile.read(int(self.headers["content-length"]))
            status, text = proxy.meet(target, dict(self.headers), body, self.engine)
            fields = f"content-type: application/x-amz-json-1.0\r\ncontent-length: {len(text)}"
            whole = f"HTTP/1.1 {status} -\r\n{fields}\r\n\r\n".encode() + text
            self.wfile.write(whole)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def throttling(_operation: str, _request: Body) -> Refusal:
    """Be a table over its limits."""
    return _refusal(400, "ProvisionedThroughputExceededException")


def index_throttling(operation: str, request: Body) -> Refusal | None:
    """Be an index by user over its limits: it takes no booking."""
    if operation != "TransactWriteItems" or "BookingsTable" not in {table for table, _ in _items(request)}:
        return None
    status, answer = throttling(operation, request)
    index = "arn:aws:dynamodb:us-east-1:000000000000:table/BookingsTable/index/byUser"
    reasons = [{"reason": "IndexWriteKeyRangeThroughputExceeded", "resource": index}]
    return status, answer | {"ThrottlingReasons": reasons}


def fault(_operation: str, _request: Body) -> Refusal:
    """Be a DynamoDB that has a fault of its own."""
    return _refusal(500, "InternalServerError")


def _conflict(request: Body, taken: set[_Item]) -> Refusal | None:
    """Refuse a transaction for each of its items that another has in hand."""
    codes = ["TransactionConflict" if item in taken else "None" for item in _items(request)]
    if "TransactionConflict" not in codes:
        return None
    status, answer = _refusal(400, "TransactionCanceledException")
    return status, answer | {"CancellationReasons": [{"Code": code, "Message": code} for code in codes]}


def _items(request: Body) -> list[_Item]:
    """Return what a transaction touches: table and key of each of its items."""
    found = []
    for one in request["TransactItems"]:
        [action] = one.values()
        table, values = action["TableName"], action.get("Key") or action["Item"]
        found.append((table, json.dumps([values[name] for name in KEYS[table]])))
    return found


def denied(_operation: str, _request: Body) -> Refusal:
    """Be an account in which somebody took the role's privileges."""
    return _refusal(400, "AccessDeniedException")


def _refusal(status: int, code: str) -> Refusal:
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "as the drill wants it"}
