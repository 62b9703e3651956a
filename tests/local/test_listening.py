"""Connections go to the workers in turn, and none is lost while a worker is away."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from local import listening
from local.errors import StartError
from local.listening import Handout, listen, listen_on_loopback, take

SERVE_S = 0.05


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    """Yield a stack that closes the clients' connections at the end."""
    with ExitStack() as stack:
        yield stack


def connected(clients: ExitStack, handout: Handout, count: int) -> list[int]:
    """Connect so many clients one after the other; return their ports."""
    made = [clients.enter_context(socket.create_connection(("127.0.0.1", handout.port))) for _ in range(count)]
    return [one.getsockname()[1] for one in made]


def taken(end: socket.socket) -> list[int]:
    """Take all connections at a worker's end; return the ports of their clients."""
    ports = []
    while connection := take(end):
        with connection:
            ports.append(connection.getpeername()[1])
    return ports


def test_each_worker_gets_as_many_connections(clients: ExitStack) -> None:
    """They take turns."""
    handout = clients.enter_context(closing(Handout([listen("127.0.0.1", 0)], 3)))
    ports = connected(clients, handout, 12)
    handout.serve(SERVE_S, lambda _: True)
    assert [taken(end) for end in handout.ends] == [ports[0::3], ports[1::3], ports[2::3]]


def test_a_worker_that_is_away_gets_no_connection(clients: ExitStack) -> None:
    """While all are away, connections wait for the first that is back."""
    handout = clients.enter_context(closing(Handout([listen("127.0.0.1", 0)], 2)))
    ports = connected(clients, handout, 4)
    handout.serve(SERVE_S, lambda _: False)
    assert [taken(end) for end in handout.ends] == [[], []]
    handout.serve(SERVE_S, lambda worker: worker == 1)
    assert [taken(end) for end in handout.ends] == [[], ports]


def test_a_worker_that_takes_no_connections_does_not_block_the_others(clients: ExitStack) -> None:
    """Its backlog is bounded; the other workers get the rest."""
    handout = clients.enter_context(closing(Handout([listen("127.0.0.1", 0)], 2)))
    with suppress(BlockingIOError):
        while True:
            vars(handout)["_ways"][0].send(b"1")
    ports = connected(clients, handout, 3)
    handout.serve(SERVE_S, lambda _: True)
    assert taken(handout.ends[1]) == ports


def test_a_worker_that_is_out_of_descriptors_raises(clients: ExitStack) -> None:
    """The kernel has closed the connection."""
    handout = clients.enter_context(closing(Handout([listen("127.0.0.1", 0)], 1)))
    vars(handout)["_ways"][0].send(b"1")
    with pytest.raises(OSError, match="too many open files"):
        take(handout.ends[0])


def test_connections_wait_for_the_successor_of_a_dead_worker(clients: ExitStack) -> None:
    """The supervisor keeps both ends of the socket pair."""
    handout = clients.enter_context(closing(Handout([listen("127.0.0.1", 0)], 1)))
    dead = socket.socket(fileno=handout.ends[0].dup().detach())
    ports = connected(clients, handout, 2)
    handout.serve(SERVE_S, lambda _: True)
    dead.close()
    assert taken(handout.ends[0]) == ports


def test_a_port_that_is_taken_on_one_address_is_refused(clients: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise some clients would reach another program as `localhost`."""
    monkeypatch.setattr(listening, "_TRY_S_MAX", 0.0)
    for host in ("127.0.0.1", "::1"):
        other = clients.enter_context(listen(host, 0))
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} is in use"):
            listen_on_loopback(port)


def test_a_machine_without_ipv6_has_one_address(clients: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it lacks the protocol or only the address."""
    plain = vars(listening)["_listening"]
    for number in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):

        def lacking(host: str, port: int, number: int = number) -> socket.socket:
            if host == "::1":
                raise OSError(number, "no IPv6")
            made: socket.socket = plain(host, port)
            return made

        monkeypatch.setattr(listening, "_listening", lacking)
        [only] = listen_on_loopback(0)
        assert clients.enter_context(only).family == socket.AF_INET
