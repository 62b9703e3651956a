"""The workers over HTTP, with a handler that returns its input."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.local.programs import Program, echo_template, happens, opened

WORKERS = 2
CLIENTS = 64
NEW_CLIENTS = 8  # fewer than wait for a worker in its socket


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a data folder."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def program(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Start the program with the echo handler."""
    template = echo_template(tmp_path_factory.mktemp("echo"))
    with opened("--template", template, "--data", str(data), "--workers", str(WORKERS)) as program:
        yield program


def logs(data: Path) -> str:
    """Return the workers' logs."""
    return "".join(path.read_text() for path in data.glob("logs/worker-*.log"))


def test_a_handler_gets_the_same_input_as_on_lambda(program: Program) -> None:
    """Payload, context and environment."""
    answer = httpx.post(f"{program.url}/echo/a%20b%2Fc?x=1&x=2", json={"a": "é"})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    seen = answer.json()
    event = seen["event"]
    assert event["rawPath"] == "/echo/a b/c"
    assert event["pathParameters"] == {"id": "a b/c"}
    assert json.loads(event["body"]) == {"a": "é"}
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert (
        event["requestContext"]["requestId"] == answer.headers["apigw-requestid"] == seen["context"]["aws_request_id"]
    )
    assert seen["context"]["function_name"] == seen["name"] == "EchoFunction"
    assert seen["context"]["memory_limit_in_mb"] == "256"
    assert seen["context"]["invoked_function_arn"].endswith(":function:EchoFunction")
    assert 0 < seen["context"]["remaining_ms"] <= 1000
    assert seen["colour"] == "red"
    assert seen["database"].startswith("http://127.0.0.1:")


def test_a_handler_that_raises_answers_500(program: Program, data: Path) -> None:
    """Details go to the log only, and the next request is answered."""
    for what in ("raise", "nonsense"):
        answer = httpx.get(f"{program.url}/do/{what}")
        assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["apigw-requestid"] in logs(data)
    assert "ValueError: as the test wants it" in logs(data)
    assert httpx.get(f"{program.url}/do/nothing").status_code == 200


@pytest.mark.parametrize("what", ["sleep-30", "hold"])
def test_a_handler_that_takes_too_long_is_stopped(program: Program, what: str) -> None:
    """The template's Timeout also stops a handler that catches every exception; the worker goes on."""
    started = time.monotonic()
    answer = httpx.get(f"{program.url}/do/{what}", timeout=10)
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
    assert 0.9 < time.monotonic() - started < 3
    assert httpx.get(f"{program.url}/do/nothing").status_code == 200


def test_a_body_of_more_than_ten_megabytes_is_refused(program: Program) -> None:
    """This is API Gateway's limit, with a content length and in chunks."""
    most = 10 * 1024 * 1024
    taken = httpx.post(f"{program.url}/echo/1", content=b"x" * most, headers={"content-type": "text/plain"}, timeout=30)
    assert len(taken.json()["event"]["body"]) == most

    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield b"x" * (1024 * 1024)

    for content in (b"x" * (most + 1), chunks()):
        answer = httpx.post(f"{program.url}/echo/1", content=content, timeout=30)
        assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})


def test_a_body_that_will_be_too_long_is_refused_before_it_is_read(program: Program) -> None:
    """Its content length is enough."""
    with socket.create_connection(("127.0.0.1", program.port), timeout=5) as client:
        client.sendall(b"POST /echo/1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 20000000\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_an_incomplete_request_reaches_no_handler(program: Program, data: Path) -> None:
    """The worker goes on."""
    before = logs(data)
    with socket.create_connection(("127.0.0.1", program.port)) as broken:
        broken.sendall(b"POST /echo/half HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nhalf")
        time.sleep(0.2)
    assert httpx.get(f"{program.url}/do/nothing").status_code == 200
    assert logs(data) == before


def test_a_worker_answers_many_clients_one_at_a_time(program: Program) -> None:
    """64 clients send several requests each on one connection; a worker runs one handler at a time."""
    seen: list[dict[str, Any]] = []
    together = threading.Barrier(CLIENTS)

    def client(number: int) -> None:
        with httpx.Client(base_url=program.url, timeout=20) as connection:
            together.wait()
            for turn in range(5):
                answer = connection.get("/do/sleep-0.002", headers={"x-who": f"{number}-{turn}"})
                seen.append(answer.json())
                assert answer.json()["event"]["headers"]["x-who"] == f"{number}-{turn}"

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))

    assert len(seen) == CLIENTS * 5
    assert {one["busy"] for one in seen} == {1}
    assert len({one["pid"] for one in seen}) == WORKERS


def test_requests_are_served_in_the_order_in_which_they_come(tmp_path: Path) -> None:
    """Those of new connections, too: a client that has its response waits for all who came before its next request."""
    served: list[str] = []

    async def client(number: int, url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=20) as connection:
            for turn, sleep_s in enumerate((0.01, 0.01) if number else (0.01, 0.5, 0.01, 0.01)):
                await connection.get(f"/do/sleep-{sleep_s}")
                served.append(f"{number}-{turn}")

    async def clients(url: str) -> None:
        first = asyncio.create_task(client(0, url))
        await asyncio.sleep(0.2)
        await asyncio.gather(first, *(client(number, url) for number in range(1, NEW_CLIENTS + 1)))

    with opened("--template", echo_template(tmp_path), "--memory", "--workers", "1") as program:
        asyncio.run(clients(program.url))
    new = {f"{number}-0" for number in range(1, NEW_CLIENTS + 1)}
    assert served[:2] == ["0-0", "0-1"]
    assert set(served[2 : served.index("0-2")]) >= new, served


def test_no_connection_waits_for_a_worker_that_starts(tmp_path: Path) -> None:
    """The other workers take them all."""
    template = Path(echo_template(tmp_path))
    with opened("--template", str(template), "--memory", "--workers", "2") as program:
        [first, second] = program.pids("local.worker")
        for handler in template.parent.rglob("*.py"):
            handler.write_text("import time; time.sleep(20)\n" + handler.read_text())
        os.kill(first, signal.SIGKILL)
        # Its successor is starting: until then a connection may wait for the one that was killed.
        happens(lambda: len({*program.pids("local.worker")} - {first, second}) == 1)
        answers = [httpx.get(f"{program.url}/do/nothing", timeout=10) for _ in range(6)]
        assert {answer.json()["pid"] for answer in answers} == {second}
