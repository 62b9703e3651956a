"""What a browser on this machine can do to an office that requires no token."""

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from harness.running import PROJECT
from local import browsers, listeners
from local.database import Database
from tests.local.programs import Program, opened, sold_out
from tests.local.test_announcements import signed

PAGE = "https://tickets.example"
OPENS = b'{"name": "Concert", "totalTickets": 1}'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the office."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def program(data: Path) -> Iterator[Program]:
    """Start the office without --auth, for the pages of one origin."""
    with opened("--data", str(data), "--workers", "1", "--parameter", f"CorsOrigins={PAGE}") as program:
        yield program


@pytest.fixture(scope="module")
def client(program: Program) -> Iterator[httpx.Client]:
    """Yield a client of the office, of which each test says what a browser would send."""
    with httpx.Client(base_url=program.url) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebind.evil"}, {"Host": "rebind.evil:3000"}, {"Host": "localhost.rebind.evil"},
        {"Host": "127.0.0.1.rebind.evil"}, {"Host": "192.168.0.1"}, {"Host": ""},
        {"Host": "rebind.evil", "Origin": "http://rebind.evil"}, {"Origin": "https://evil.example"},
        {"Origin": "null"}, {"Origin": "http://localhost:5173"}, {"Origin": "file://"},
        {"Origin": f"{PAGE}.evil.example"}, {"Origin": PAGE.upper()}, {"Origin": ""},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json"])
def test_another_page_cannot_ask(client: httpx.Client, headers: dict[str, str], kind: str) -> None:
    """Neither in a simple request nor after DNS rebinding."""
    answer = client.post("/initialize", content=OPENS, headers={"Content-Type": kind} | headers)
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert "access-control-allow-origin" not in answer.headers


def test_another_page_can_neither_listen_nor_ask_beforehand(client: httpx.Client) -> None:
    """The announcements and preflight requests are behind the same check."""
    evil = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert client.get(listeners.PATH, headers=evil).status_code == 403
    assert client.options("/book", headers=evil).status_code == 403
    assert client.get("/nowhere", headers=evil).status_code == 403


def test_the_offices_own_page_and_allowed_pages_can_ask(program: Program, client: httpx.Client) -> None:
    """By each name of this machine."""
    for host in ("127.0.0.1", "127.9.9.9", "localhost", "LocalHost", "[::1]"):
        name = f"{host}:{program.port}"
        for origin in ({}, {"Origin": f"http://{name}"}, {"Origin": PAGE}):
            answer = client.post("/initialize", content=OPENS, headers={"Host": name} | origin)
            assert answer.status_code == 201, (host, origin)
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    assert client.options("/book", headers=asked).headers["access-control-allow-origin"] == PAGE


def test_the_printed_address_leads_to_the_page(program: Program, client: httpx.Client) -> None:
    """On IPv6 too."""
    for host in ("127.0.0.1", "[::1]", "localhost"):
        answer = httpx.get(f"http://{host}:{program.port}/")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert client.post("/").status_code == 404


@pytest.mark.parametrize(
    ("line", "status"),
    [("POST /nowhere", 404), ("DELETE /book", 404), ("GET /status/E", 404), ("GET /openapi.json", 200)],
)
def test_a_body_that_a_route_does_not_take_is_not_waited_for(program: Program, line: str, status: int) -> None:
    """The answer comes before the body."""
    with socket.create_connection(("127.0.0.1", program.port), timeout=10) as client:
        client.sendall(f"{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000\r\n\r\n".encode())
        assert client.recv(1000).startswith(f"HTTP/1.1 {status} ".encode())


def test_only_the_owner_can_read_what_the_office_keeps(client: httpx.Client, data: Path) -> None:
    """Data and logs name users. The folder itself belongs to the user."""
    assert client.post("/initialize", content=OPENS).status_code == 201
    kept = [path for path in data.rglob("*") if not path.is_socket()]
    assert {"lock", "tickets.db", "engine.log"} <= {path.name for path in kept}
    assert {str(path): stat.filemode(path.stat().st_mode) for path in kept if path.stat().st_mode & 0o077} == {}


def test_an_export_is_readable_by_its_owner_only(program: Program, data: Path, tmp_path: Path) -> None:
    """It names users. The command reads the tables through the gate of the running office."""
    event_id = sold_out(program)
    export = tmp_path / "export.csv"
    arguments = ["export", event_id, "--local", "--data", str(data), "--output", str(export)]
    subprocess.run([sys.executable, "-m", "ops", *arguments], cwd=PROJECT, check=True, capture_output=True, timeout=60)
    assert "ada" in export.read_text()
    assert stat.filemode(export.stat().st_mode) == "-rw-------"


def test_the_bus_takes_only_the_secret_of_the_run(program: Program, data: Path) -> None:
    """It is in the lock, which is private, and on no command line."""
    _, database, url = (data / "lock").read_text().splitlines()
    secret = Database.announced(database).secret
    body = json.dumps({"Entries": []}).encode()
    for key, status in ((secret, 400), ("local", 403), ("", 403)):
        assert httpx.post(url, content=body, headers=signed(url, body, key)).status_code == status
    for pid in (program.process.pid, *program.pids()):
        assert secret not in Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.parametrize("host", ["10.0.0.1", "dynamodb.lan", "[fe80::1]", "localhost.example", "127.0.0.1.nip.io"])
def test_another_machines_database_needs_tokens(refusal: Callable[..., str], host: str) -> None:
    """Otherwise anyone on this machine could change it."""
    line = refusal("--endpoint", f"https://{host}:8000", "--memory", "--port", "0")
    assert line.startswith(f"https://{host}:8000 is not on this machine: add --auth")


@pytest.mark.parametrize(
    "host", [b"", b"localhost:", b"localhost:x", b"127.0.0", b"127.0.0.1:3000:1", b"::1", b"[::2]", b"localhost\n"]
)
def test_a_malformed_host_is_not_this_machine(host: bytes) -> None:
    """Nor is one that only begins like it."""
    assert not browsers.may_ask([(b"host", host)], ())


def test_a_request_without_a_host_comes_from_no_browser() -> None:
    """HTTP/1.0 has none; two are an attack."""
    assert browsers.may_ask([], ())
    assert not browsers.may_ask([(b"host", b"localhost"), (b"host", b"localhost")], ())
    assert not browsers.may_ask([(b"origin", b"http://localhost")], ())
    assert not browsers.may_ask([(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"origin", b"x")], ())
