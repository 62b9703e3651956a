"""The engine's port is closed to other users and to web pages, and the office's own processes are let in."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.running import client_of
from local import engine, gate
from local.database import Database
from local.template import load
from tests.local.programs import happens

SILENT_S = 0.5


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a private engine."""
    with engine.running(tmp_path_factory.mktemp("data")) as endpoint:
        yield endpoint


def outsider(endpoint: str, source: tuple[str, int] | None = None) -> str:
    """Send a request to the engine without the gate; return the first line of the answer, or "" for none."""
    request = "GET / HTTP/1.1\r\nhost: x\r\norigin: https://evil.example\r\n\r\n"
    program = f"""if True:
        import socket
        try:
            with socket.create_connection(("127.0.0.1", {endpoint.rpartition(":")[2]}), {SILENT_S}, {source}) as sent:
                sent.sendall({request.encode()!r})
                print(sent.recv(12))
        except TimeoutError:
            pass
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout


def test_the_engine_does_not_answer_outsiders(endpoint: str) -> None:
    """Neither from any port, nor from that of a connection that was let in, at another address."""
    client = client_of(endpoint)
    assert "BookingsTable" in client.list_tables()["TableNames"]
    with socket.socket() as let_in:
        let_in.connect(("127.0.0.1", int(endpoint.rpartition(":")[2])))
        port = let_in.getsockname()[1]
        for source in (None, ("127.0.0.1", 0), ("127.0.0.2", 0), ("127.0.0.2", port)):
            assert outsider(endpoint, source) == ""
    assert "BookingsTable" in client.list_tables()["TableNames"]


def test_an_engine_without_a_gate_answers_everyone() -> None:
    """The control: the gate makes the difference."""
    with engine.running(None) as endpoint:
        assert "200" in outsider(endpoint)


def test_a_connection_keeps_its_timeout_and_serves_many_requests(endpoint: str) -> None:
    """The socket is replaced under whoever made it."""
    with socket.socket() as made:
        made.settimeout(3.0)
        made.connect(("127.0.0.1", int(endpoint.rpartition(":")[2])))
        assert made.gettimeout() == 3.0
        assert not os.get_blocking(made.fileno())
        assert not os.get_inheritable(made.fileno())
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for _ in range(3):
            made.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"200 OK" in made.recv(65_536)


def test_a_new_engine_process_is_closed_too(tmp_path: Path) -> None:
    """After a kill the port is the same; while the engine is away, connections are refused."""
    one = engine.Engine(tmp_path / "tickets.db", tmp_path / "engine.log")
    gate.use(one.endpoint)
    address = ("127.0.0.1", int(one.endpoint.rpartition(":")[2]))
    with socket.socket() as early, pytest.raises(ConnectionRefusedError):
        early.connect(address)
    try:
        for _ in range(2):
            one.start()
            happens(one.is_ready)
            assert outsider(one.endpoint) == ""
            engine.create_tables(Database.embedded(one.endpoint), load())
            process = vars(one)["_process"]
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            with socket.socket() as late, pytest.raises(ConnectionRefusedError):
                late.connect(address)
    finally:
        one.stop()


def test_an_engine_that_someone_reached_while_it_started_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is started again, and whoever came early has lost the connection."""
    one = engine.Engine(tmp_path / "tickets.db", tmp_path / "engine.log")
    monkeypatch.setattr(gate, "_LOOK_S", 1.0)
    with socket.socket() as early:
        one.start()
        port = int(one.endpoint.rpartition(":")[2])

        def comes() -> bool:
            return early.connect_ex(("127.0.0.1", port)) == 0

        try:
            happens(comes)
            happens(lambda: one.death() == "signal 9")
            assert not one.is_ready()
        finally:
            one.stop()


def test_another_user_gets_no_connection(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells the gate who asks, and the asker whose gate it is."""
    port = int(endpoint.rpartition(":")[2])
    gate.use(endpoint)
    monkeypatch.setattr(gate, "_user_of", lambda _: os.geteuid() + 1)
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(vars(gate)["_name"](port))
        assert socket.recv_fds(asking, 1, 1)[:2] == (b"", [])
    with pytest.raises(ConnectionRefusedError, match="another user's"):
        socket.create_connection(("127.0.0.1", port), 2)


def test_a_system_that_forbids_the_filter_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The office works, and its owner is told that the port is open."""

    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(gate, "_listening", forbidden)
    one = engine.Engine(tmp_path / "tickets.db", tmp_path / "engine.log")
    one.start()
    try:
        happens(one.is_ready)
        assert one.exposure == "Operation not permitted"
        engine.create_tables(Database.embedded(one.endpoint), load())
    finally:
        one.stop()
