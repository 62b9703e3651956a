"""`python -m bench.profile`: where the processor time of a booking goes, part by part, and what boto3 would take.

One process books with the real handler and the real engine. A part is measured by doing it alone, over and over, or
as the difference of two that are; each is the median of ROUNDS rounds, in turns, so that all meet the same machine.
The server, which is before the handler on one machine, is measured as a worker that no function is asked of.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import count, repeat
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from botocore.config import Config
from botocore.handlers import generate_idempotent_uuid

import functions.book.app as function
from bench import cpu, load, record
from harness.gateway import Context
from harness.running import below, running
from local import engine, gateway, template
from local.database import Database
from shared import telemetry
from shared.booking import catalog, office, sale
from shared.booking.attempt import BookingAttempt
from shared.edge import api, contract
from shared.model import Standing, Terms
from shared.store import aws_client, dynamodb
from shared.store.dynamodb import Deadline

ROUNDS = 5
TIMES = 400  # in each round
SERVER_S = 2.0  # of each round with the server; processor time of other processes is told in steps of 0.01 s
SERVER_IN_FLIGHT = 16
HEADERS = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"user-agent", b"bench")]


def main() -> None:
    """Measure, print, and keep the figures."""
    server_ms = _server_ms()
    with tempfile.TemporaryDirectory() as folder, engine.running(Path(folder)) as endpoint:
        Database.embedded(endpoint).adopt()
        for function in template.load().functions.values():
            os.environ.update(function.environment)
        os.environ["OPEN_TO_ALL"] = "true"  # as python -m local has it without --auth
        with Path(os.devnull).open("w", encoding="utf-8") as devnull:  # the log lines are written, to nowhere
            figures = _measured(_engine_pid(folder), devnull)
    result = {"machine": record.machine(), "ms": figures | {"server": server_ms}}
    record.write("profile", result)
    print(section(result))  # noqa: T201  # this is the product


def section(result: dict[str, Any]) -> str:
    """Return the part of docs/benchmark.md."""
    ms = result["ms"]
    after = {
        "API Gateway's part: request to payload, answer to response": ms["gateway"],
        "logger context (powertools)": ms["context"],
        "request in, answer out (`shared/edge/api.py`)": ms["edge"]
        - ms["context"]
        - ms["validation"]
        - ms["serializing"],
        "validation (pydantic)": ms["validation"],
        "the protocol: booking, items, transaction": ms["protocol"] - ms["telemetry"],
        "log line, which is the metric, too": ms["telemetry"],
        "answer to JSON": ms["serializing"],
        "request to JSON": ms["json"],
        "signing": ms["signing"],
        "HTTP to the database, there and back": ms["wire"] - ms["json"] - ms["signing"],
    }
    boto3 = "boto3: build, sign, send, parse"
    rows = [[name, f"{value:.3f}", f"{value:.3f}"] for name, value in after.items()]
    for row in rows[-3:]:
        row[1] = "in the next line"
    rows.append([boto3, f"{ms['boto3']:.3f}", "0"])
    without = sum(after.values()) - ms["wire"]
    rows.append(["**all in the function**", f"**{without + ms['boto3']:.3f}**", f"**{without + ms['wire']:.3f}**"])
    beside = {"the server around it (uvicorn), on one machine": "server", "the engine, a process of its own": "engine"}
    rows += [[name, f"{ms[part]:.3f}", f"{ms[part]:.3f}"] for name, part in beside.items()]
    handler = ms["edge"] + ms["protocol"]
    return "\n".join([
        "## Where the time goes",
        "",
        "Processor time of one booking in ms, before (boto3's client with parameter validation off) and after",
        "(`shared/store/aws_client.py`, docs/decisions/0006); measured in one run.",
        "",
        record.table(["part", "before", "after"], rows),
        "",
        f"The handler without the database takes {handler:.2f} ms; the goal is 0.4 ms at most.",
    ])  # fmt: skip


def _measured(engine_pid: int, devnull: Any) -> dict[str, float]:

    deadline = partial(Deadline.after, 60.0)
    handler: Any = telemetry.logger.registered_handler
    handler.stream = devnull
    event = catalog.open_event(Terms("The stadium", 1_000_000), deadline())
    router = gateway.Router(template.load().routes)
    found = router.find("POST", "/book")
    assert found
    context = Context()
    users = _names()

    bare: Any = boto3.client("dynamodb", config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))
    bare.meta.events.unregister("before-parameter-build.dynamodb.TransactWriteItems", generate_idempotent_uuid)

    def body() -> bytes:
        return json.dumps({"userId": next(users), "eventId": event.event_id}).encode()

    scope = {
        "method": "POST", "path": "/book", "raw_path": b"/book", "query_string": b"", "headers": HEADERS,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "scheme": "http", "http_version": "1.1",
    }  # fmt: skip
    payload = partial(gateway.payload, scope, *found, request_id="0" * 36)
    ready = function.handler(payload(body=body()), context)
    assert ready["statusCode"] == 201, ready  # noqa: PLR2004  # HTTP
    booking = BookingAttempt.of(event, "anna").confirmed()
    request = contract.BookRequest.model_validate({"userId": "anna", "eventId": event.event_id})

    def transaction() -> Any:
        standing = BookingAttempt.of(event, next(users))
        return sale._take(standing.home_lane, standing, standing.confirmed())  # noqa: SLF001  # the transaction itself

    signer = dynamodb.client()._signer  # noqa: SLF001
    sent = aws_client.to_json({"TransactItems": transaction()}).encode()
    target: dict[str, Any] = {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "DynamoDB_20120810.TransactWriteItems",
    }
    standing = Standing(booking, is_new=True)
    context_only = api.handler(lambda _: ready)
    parts: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
        "gateway": (body, lambda one: (payload(body=one), gateway.response(ready, "0" * 36))),
        "edge": (lambda: payload(body=body()), lambda one: function.handler(one, context)),
        "context": (lambda: payload(body=body()), lambda one: context_only(one, context)),
        "validation": (lambda: json.loads(body()), contract.BookRequest.model_validate),
        "serializing": (lambda: None, lambda _: contract.booking_answer(booking, None).model_dump_json()),
        "protocol": (lambda: next(users), lambda user: office.book(request.event_id, user, deadline())),
        "telemetry": (
            lambda: None,
            lambda _: telemetry.outcome(telemetry.Metric.BOOKING_CONFIRMED, event_id=event.event_id, user_id="anna"),
        ),
        "json": (transaction, lambda one: aws_client.to_json({"TransactItems": one}).encode()),
        "signing": (lambda: sent, lambda one: signer.headers(one, target)),
        "wire": (transaction, lambda one: dynamodb.client().call("TransactWriteItems", {"TransactItems": one})),
        "boto3": (transaction, lambda one: bare.transact_write_items(TransactItems=one)),
    }
    stand_ins = {
        "edge": partial(patch.object, office, "book", lambda *_: standing),
        "protocol": partial(patch.object, dynamodb.client(), "call", lambda *_: {}),
    }
    rounds: dict[str, list[float]] = {name: [] for name in [*parts, "engine"]}
    for _ in range(ROUNDS):
        for name, (prepare, do) in parts.items():
            given = [prepare() for _ in range(TIMES)]
            with stand_ins.get(name, nullcontext)():
                begun_s, engine_s = time.process_time(), cpu.of_process(engine_pid)
                for one in given:
                    do(one)
                used_s, engine_s = time.process_time() - begun_s, cpu.of_process(engine_pid) - engine_s
            rounds[name].append(1000 * used_s / TIMES)
            if name == "wire":
                rounds["engine"].append(1000 * engine_s / TIMES)
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


def _engine_pid(folder: str) -> int:
    [pid] = [pid for pid, command in below(os.getpid()).items() if "dynoxide" in command and folder in command]
    return pid


def _names() -> Iterator[str]:
    return (f"user-{number}" for number in count())


if __name__ == "__main__":
    main()
