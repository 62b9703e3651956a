"""`python -m bench.profile`: where the processor time of a booking goes, part by part, and what boto3 would take.

One process books with the real handler on the real engine. A part is measured by repeating it alone, or as the
difference of two parts that are. Each figure is the median of ROUNDS rounds, in turns, so that other work on the
machine slows all parts alike. The server in front of the handler is measured by requests for a path that no function
answers.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count, repeat
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import functions.book.app as function
from bench import cpu, load, record
from bench.floor import Boto3Client
from harness.gateway import Context
from harness.running import below, running
from local import engine, gateway, template
from local.database import Database
from shared import telemetry
from shared.booking import catalog, office, sale
from shared.booking.attempt import BookingAttempt
from shared.edge import api, contract
from shared.model import Standing, Terms
from shared.runtime import Deadline
from shared.store import aws_client, dynamodb

ROUNDS = 5
TIMES = 400  # in each round
SERVER_S = 2.0  # of each round with the server; processor time of other processes is told in steps of 0.01 s
SERVER_IN_FLIGHT = 16
HEADERS = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"user-agent", b"bench")]


class Part(NamedTuple):
    """A part of a booking: its work, its preparation each time, and what is replaced during the work."""

    do: Callable[[Any], Any]
    prepare: Callable[[], Any] = lambda: None
    without: Callable[[], AbstractContextManager[Any]] = nullcontext


def main() -> None:
    """Measure, print, and keep the figures."""
    server_ms = _server_ms()
    with tempfile.TemporaryDirectory() as folder, engine.running(Path(folder)) as endpoint:
        Database.embedded(endpoint).adopt()
        for function in template.load().functions.values():
            os.environ.update(function.environment)
        os.environ["OPEN_TO_ALL"] = "true"  # as python -m local has it without --auth
        [engine_pid] = [pid for pid, command in below(os.getpid()).items() if "dynoxide" in command]
        with Path(os.devnull).open("w", encoding="utf-8") as devnull:  # the log lines are written, to nowhere
            figures = _measured(_parts(devnull), engine_pid)
    result = {"machine": record.machine(), "ms": figures | {"server": server_ms}}
    record.write("profile", result)
    print(section(result))  # noqa: T201  # this is the product


def section(result: Mapping[str, Any]) -> str:
    """Return the part of docs/benchmark.md."""
    ms = result["ms"]
    edge_ms = ms["edge"] - ms["context"] - ms["validation"] - ms["serializing"]
    code = {
        "API Gateway's part: request to payload, response to answer": ms["gateway"],
        "logger context (powertools)": ms["context"],
        "reading the request, building the response (`shared/edge/api.py`)": edge_ms,
        "validation (pydantic)": ms["validation"],
        "the protocol: booking, items, transaction": ms["protocol"] - ms["telemetry"],
        "log line, which is also the metric": ms["telemetry"],
        "response to JSON": ms["serializing"],
    }
    client = {
        "request to JSON": ms["json"],
        "signing": ms["signing"],
        "HTTP to the database and back": ms["client"] - ms["json"] - ms["signing"],
    }
    around = {"the server around it (uvicorn), on one machine": "server", "the engine, a process of its own": "engine"}
    code_ms = sum(code.values())
    rows = [
        *([name, f"{value:.3f}", f"{value:.3f}"] for name, value in code.items()),
        *([name, "in the next line", f"{value:.3f}"] for name, value in client.items()),
        ["boto3: build, sign, send, parse", f"{ms['boto3']:.3f}", "0"],
        ["**all in the function**", f"**{code_ms + ms['boto3']:.3f}**", f"**{code_ms + ms['client']:.3f}**"],
        *([name, f"{ms[part]:.3f}", f"{ms[part]:.3f}"] for name, part in around.items()),
    ]
    return f"""## Where the time goes

Processor time of one booking in ms, with boto3's client (parameter validation off) and with the office's own
(`shared/store/aws_client.py`, docs/decisions/0006), measured in one run.

{record.table(["part", "with boto3", "now"], rows)}

The handler without the database takes {ms["edge"] + ms["protocol"]:.2f} ms. The goal is at most 0.4 ms.
"""


def _parts(log: Any) -> dict[str, Part]:
    """Return the parts. The log lines go to this file."""
    handler: Any = telemetry.logger.registered_handler
    handler.stream = log
    deadline = partial(Deadline.after, 60.0)
    event = catalog.open_event(Terms("The stadium", 1_000_000), deadline())
    users = (f"user-{number}" for number in count())
    payload, context = _payloads(), Context()
    booking = BookingAttempt.of(event, "anna").with_tickets()
    standing = Standing(booking, is_new=True)
    boto3, own = Boto3Client(parameter_validation=False), dynamodb.client()
    signer = own._signer  # noqa: SLF001  # measured alone
    target = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.TransactWriteItems"}
    outcome = partial(telemetry.outcome, telemetry.Metric.BOOKING_CONFIRMED, event_id=event.event_id, user_id="anna")

    def body() -> bytes:
        return json.dumps({"userId": next(users), "eventId": event.event_id}).encode()

    def transaction() -> dict[str, Any]:
        attempt = BookingAttempt.of(event, next(users))
        booking = attempt.with_tickets()
        taken = sale._take(attempt.home_lane, booking)  # noqa: SLF001  # the transaction itself
        return {"TransactItems": [taken, attempt.put(booking)]}

    ready = function.handler(payload(body()), context)
    assert ready["statusCode"] == 201, ready  # noqa: PLR2004  # HTTP
    context_only = api.handler(lambda _: ready)
    sent = aws_client.to_json(transaction()).encode()
    return {
        "gateway": Part(lambda one: (payload(one), gateway.response(ready, "0" * 36)), body),
        "edge": Part(
            lambda one: function.handler(one, context),
            lambda: payload(body()),
            partial(patch.object, office, "book", lambda *_: standing),
        ),
        "context": Part(lambda one: context_only(one, context), lambda: payload(body())),
        "validation": Part(contract.BookRequest.model_validate, lambda: json.loads(body())),
        "serializing": Part(lambda _: contract.booking_response(Standing(booking)).model_dump_json()),
        "protocol": Part(
            lambda user: office.book(event.event_id, user, deadline()),
            lambda: next(users),
            partial(patch.object, own, "call", lambda *_: {}),
        ),
        "telemetry": Part(lambda _: outcome()),
        "json": Part(lambda one: aws_client.to_json(one).encode(), transaction),
        "signing": Part(lambda _: signer.headers(sent, target)),
        "client": Part(lambda one: own.call("TransactWriteItems", one), transaction),
        "boto3": Part(lambda one: boto3.call("TransactWriteItems", one), transaction),
    }


def _payloads() -> Callable[[bytes], Any]:
    """Return what makes API Gateway's payload of the body of a booking."""
    found = gateway.Router(template.load().routes).find("POST", "/book")
    assert found
    scope = {
        "method": "POST", "path": "/book", "raw_path": b"/book", "query_string": b"", "headers": HEADERS,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "scheme": "http", "http_version": "1.1",
    }  # fmt: skip
    return lambda body: gateway.payload(scope, *found, request_id="0" * 36, body=body)


def _measured(parts: Mapping[str, Part], engine_pid: int) -> dict[str, float]:
    """Return the processor time of each part, and of the engine beside the client's, in ms."""
    rounds: dict[str, list[float]] = {name: [] for name in [*parts, "engine"]}
    for _ in range(ROUNDS):
        for name, part in parts.items():
            given = [part.prepare() for _ in range(TIMES)]
            with part.without():
                begun_s, engine_s = time.process_time(), cpu.of_process(engine_pid)
                for one in given:
                    part.do(one)
                rounds[name].append(1000 * (time.process_time() - begun_s) / TIMES)
            if name == "client":
                rounds["engine"].append(1000 * (cpu.of_process(engine_pid) - engine_s) / TIMES)
    return {name: statistics.median(found) for name, found in rounds.items()}


def _server_ms() -> float:
    """Measure what a worker takes for a request with a booking's body that no function answers."""
    request = load.post("/nowhere", json.dumps({"userId": "user-1", "eventId": "0" * 36}))
    rounds = []
    with running(workers=1) as office:
        [worker] = office.pids("local.worker")
        for _ in range(ROUNDS):
            before_s = cpu.of_process(worker)
            measured = load.run(office.port, SERVER_IN_FLIGHT, SERVER_S, lambda _: repeat(request))
            assert measured.statuses.keys() == {404}, measured.statuses
            rounds.append(1000 * (cpu.of_process(worker) - before_s) / len(measured.latencies_s))
    return statistics.median(rounds)


if __name__ == "__main__":
    main()
