"""A load generator that uses little processor time: raw keep-alive connections, one request in flight on each.

The clients run in a process of their own, on uvloop. They read only the status and the length of a response.
"""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import uvloop

STOP_S_MAX = 60.0  # after the time is up, for the requests that are in flight


@dataclass
class Measured:
    """The measurements of a load. `latencies_s` has all requests, in the order of their responses."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Return the rate of responses."""
        return len(self.latencies_s) / self.seconds

    @property
    def figures(self) -> dict[str, float]:
        """Return rate and latencies, as rows of results have them."""
        return {
            "per_second": self.per_second,
            "p50_ms": self.quantile_ms(0.50),
            "p99_ms": self.quantile_ms(0.99),
        }

    def quantile_ms(self, share: float) -> float:
        """Return the latency that this share of the requests did not exceed."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


Requests = Callable[[int], Iterator[bytes]]  # of one connection, by its number


def post(path: str, body: str) -> bytes:
    """Return the bytes of a POST with a JSON body."""
    encoded = body.encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(encoded)}\r\n\r\n".encode() + encoded


def get(path: str) -> bytes:
    """Return the bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def ask(path: str, event_id: str, user: str, **more: int) -> bytes:
    """Return the bytes of a user's request to book or cancel."""
    return post(path, json.dumps({"userId": user, "eventId": event_id, **more}))


def forever(request: bytes, _connection: int) -> Iterator[bytes]:
    """Yield the same request again and again."""
    while True:
        yield request


def run(port: int, in_flight: int, seconds: float, requests: Requests) -> Measured:
    """Send what `requests` yields over so many connections until it ends or the time is up, in another process."""
    context = multiprocessing.get_context("fork")  # requests may be a closure; the parent has no threads
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, port, in_flight, seconds, requests))
    process.start()
    sender.close()
    if not receiver.poll(seconds + STOP_S_MAX):
        process.kill()
        raise TimeoutError(f"the load did not end within {seconds + STOP_S_MAX} s")
    measured: Measured = receiver.recv()
    process.join()
    return measured


class _Connection(asyncio.Protocol):
    """One keep-alive connection that sends its next request after the response to the last."""

    def __init__(self, requests: Iterator[bytes], until_s: float, measured: Measured) -> None:
        self._requests = requests
        self._until_s = until_s
        self._measured = measured
        self._buffer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        _, _, rest = head.lower().partition(b"content-length:")
        length = int(rest.partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = b""
        self._measured.latencies_s.append(time.perf_counter() - self._sent_s)
        status = int(head[9:12])
        self._measured.statuses[status] = self._measured.statuses.get(status, 0) + 1
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the office closed a connection"))

    def _next(self) -> None:
        request = next(self._requests, None) if time.perf_counter() < self._until_s else None
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_s = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]  # a stream's transport


def _run(sender: object, port: int, in_flight: int, seconds: float, requests: Requests) -> None:
    async def all_connections() -> Measured:
        loop = asyncio.get_running_loop()
        measured = Measured()
        begun_s = time.perf_counter()
        connections = [
            loop.create_connection(
                lambda number=number: _Connection(requests(number), begun_s + seconds, measured),  # type: ignore[misc]
                "127.0.0.1",
                port,
            )
            for number in range(in_flight)
        ]
        for _, connection in await asyncio.gather(*connections):
            await connection.done
        measured.seconds = time.perf_counter() - begun_s
        return measured

    sender.send(uvloop.run(all_connections()))  # type: ignore[attr-defined]  # a multiprocessing.Connection
