"""The workers over real HTTP, with a handler that shows what it is given."""

import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.local.programs import Program, echo_template, happens, opened

WORKERS = 2
CLIENTS = 64


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a data folder."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def program(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Start the program with the echo handler."""
    template = echo_template(tmp_path_factory.mktemp("echo"))
    with opened(
        "--template", template, "--data", str(data), "--workers", str(WORKERS), AWS_PROFILE="nobody"
    ) as program:
        yield program


def logs(data: Path) -> str:
    """Give what the workers have logged."""
    return "".join(path.read_text() for path in data.glob("logs/worker-*.log"))


def test_a_handler_gets_what_it_would_get_on_lambda(program: Program) -> None:
    """Payload, context and environment, the path and the query decoded."""
    url = f"{program.url}/echo/a%20b%2Fc?x=1&x=2"
    answer = httpx.post(url, json={"a": "é"}, headers={"X-Some": "Thing", "cookie": "a=1; b=2"})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    seen = answer.json()
    event = seen["event"]
    assert event["routeKey"] == "POST /echo/{id}"
    assert event["rawPath"] == "/echo/a b/c"
    assert event["rawQueryString"] == "x=1&x=2"
    assert event["queryStringParameters"] == {"x": "1,2"}
    assert event["pathParameters"] == {"id": "a b/c"}
    assert event["headers"]["x-some"] == "Thing"
    assert event["cookies"] == ["a=1", "b=2"]
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


def test_an_unknown_route_is_not_found(program: Program) -> None:
    """With API Gateway's words."""
    answer = httpx.get(f"{program.url}/nowhere")
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})
    assert httpx.delete(f"{program.url}/echo/1").status_code == 404


def test_a_handler_that_raises_answers_500_and_tells_only_the_log(program: Program, data: Path) -> None:
    """No detail leaks; the next request is answered."""
    for what in ("raise", "nonsense"):
        answer = httpx.get(f"{program.url}/do/{what}")
        assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
        assert answer.headers["apigw-requestid"] in logs(data)
    assert "ValueError: as the test wants it" in logs(data)
    assert httpx.get(f"{program.url}/do/nothing").status_code == 200


@pytest.mark.parametrize("what", ["sleep-30", "hold"])
def test_a_handler_that_takes_too_long_is_stopped(program: Program, what: str) -> None:
    """After the template's Timeout, also one that catches every exception; the worker goes on."""
    started = time.monotonic()
    answer = httpx.get(f"{program.url}/do/{what}", timeout=10)
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
    assert 0.9 < time.monotonic() - started < 3
    assert httpx.get(f"{program.url}/do/nothing").status_code == 200


def test_a_body_of_ten_megabytes_is_taken_and_a_longer_one_refused(program: Program) -> None:
    """With a length or in chunks; API Gateway's limit."""
    most = 10 * 1024 * 1024
    taken = httpx.post(f"{program.url}/echo/1", content=b"x" * most, headers={"content-type": "text/plain"}, timeout=30)
    assert len(taken.json()["event"]["body"]) == most

    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield b"x" * (1024 * 1024)

    for content in (b"x" * (most + 1), chunks()):
        answer = httpx.post(f"{program.url}/echo/1", content=content, timeout=30)
        assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})


def test_a_body_that_says_it_is_too_long_is_refused_before_it_comes(program: Program) -> None:
    """Nobody waits for the rest of it."""
    with socket.create_connection(("127.0.0.1", program.port), timeout=5) as client:
        client.sendall(b"POST /echo/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 20000000\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_request_that_breaks_off_reaches_no_handler(program: Program, data: Path) -> None:
    """Half a body is not a request; the worker goes on."""
    before = logs(data)
    with socket.create_connection(("127.0.0.1", program.port)) as broken:
        broken.sendall(b"POST /echo/half HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
        time.sleep(0.2)
    assert httpx.get(f"{program.url}/do/nothing").status_code == 200
    assert logs(data) == before


def test_many_clients_that_stay_connected_are_all_answered_one_at_a_time_per_worker(program: Program) -> None:
    """64 of them, several requests each on the same connection; no handler runs beside another in its process."""
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


def test_clients_are_shared_out_evenly(program: Program) -> None:
    """Each keeps its connection, and so its worker."""
    with ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=program.url)) for _ in range(4 * WORKERS)]
        workers = Counter(client.get("/do/nothing").json()["pid"] for client in clients)
    assert list(workers.values()) == [4] * WORKERS


def test_a_worker_that_dies_is_replaced_and_nobody_waits_for_ever(program: Program) -> None:
    """Others take the connections that come meanwhile."""
    before = set(program.pids("local.worker"))
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{program.url}/do/die")
    for _ in range(10):
        assert httpx.get(f"{program.url}/do/nothing", timeout=20).status_code == 200
    after = set(program.pids("local.worker"))
    assert len(after) == WORKERS
    assert len(before & after) == WORKERS - 1


def test_while_a_worker_is_away_the_others_take_the_connections(tmp_path: Path) -> None:
    """Nobody waits for one that needs seconds to come back."""
    template = Path(echo_template(tmp_path))
    with opened("--template", str(template), "--memory", "--workers", "2") as program:
        [first, second] = program.pids("local.worker")
        for handler in template.parent.rglob("*.py"):
            handler.write_text("import time; time.sleep(20)\n" + handler.read_text())
        os.kill(first, signal.SIGKILL)
        happens(lambda: program.pids("local.worker") != [first, second])  # its successor is importing
        answers = [httpx.get(f"{program.url}/do/nothing", timeout=10) for _ in range(6)]
        assert {answer.json()["pid"] for answer in answers} == {second}


def test_the_engine_is_not_asked_as_the_users_profile(program: Program) -> None:
    """Whatever AWS configuration the user has: the program was started with a profile that does not exist."""
    [worker, *_] = program.pids("local.worker")
    variables = Path(f"/proc/{worker}/environ").read_text().split("\0")
    environment = dict(variable.split("=", 1) for variable in variables if variable)
    assert "AWS_PROFILE" not in environment
    assert environment["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
