"""Connections go to the workers in turn, and none is lost while one of them is away."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from local.listening import Handout, listen, take

SERVE_S = 0.05


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    """Yield what closes the clients' connections in the end."""
    with ExitStack() as stack:
        yield stack


def connected(clients: ExitStack, handout: Handout, count: int) -> list[int]:
    """Connect so many clients, one after the other; return their ports."""
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
    """In turn, as they come."""
    handout = clients.enter_context(closing(Handout(listen("127.0.0.1", 0), 3)))
    ports = connected(clients, handout, 12)
    handout.serve(SERVE_S, lambda _: True)
    assert [taken(end) for end in handout.ends] == [ports[0::3], ports[1::3], ports[2::3]]


def test_a_worker_that_is_away_gets_none_and_nobody_is_turned_away(clients: ExitStack) -> None:
    """While all are away, who comes waits for the first that is back."""
    handout = clients.enter_context(closing(Handout(listen("127.0.0.1", 0), 2)))
    ports = connected(clients, handout, 4)
    handout.serve(SERVE_S, lambda _: False)
    assert [taken(end) for end in handout.ends] == [[], []]
    handout.serve(SERVE_S, lambda worker: worker == 1)
    assert [taken(end) for end in handout.ends] == [[], ports]


def test_a_worker_that_takes_nothing_does_not_keep_the_others_from_it(clients: ExitStack) -> None:
    """What it has not taken is bounded; the rest goes to who has room."""
    handout = clients.enter_context(closing(Handout(listen("127.0.0.1", 0), 2)))
    with suppress(BlockingIOError):
        while True:
            vars(handout)["_ways"][0].send(b"1")
    ports = connected(clients, handout, 3)
    handout.serve(SERVE_S, lambda _: True)
    assert taken(handout.ends[1]) == ports


def test_too_many_descriptors_under_way_are_no_room(clients: ExitStack) -> None:
    """The kernel bounds them, and says so in words of its own."""

    class Full:
        def close(self) -> None: ...

        @property
        def send_fds(self) -> None:
            raise OSError(errno.ETOOMANYREFS, "too many references")

        sendmsg = send_fds

    handout = clients.enter_context(closing(Handout(listen("127.0.0.1", 0), 2)))
    ways = vars(handout)["_ways"]
    ways[0].close()
    ways[0] = Full()
    ports = connected(clients, handout, 2)
    handout.serve(SERVE_S, lambda _: True)
    assert taken(handout.ends[1]) == ports


def test_a_worker_without_descriptors_says_so(clients: ExitStack) -> None:
    """What it was handed is lost: the kernel has closed it."""
    handout = clients.enter_context(closing(Handout(listen("127.0.0.1", 0), 1)))
    vars(handout)["_ways"][0].send(b"1")
    with pytest.raises(OSError, match="too many open files"):
        take(handout.ends[0])


def test_what_a_worker_did_not_take_waits_for_its_successor(clients: ExitStack) -> None:
    """The way outlives the worker: its end is the supervisor's."""
    handout = clients.enter_context(closing(Handout(listen("127.0.0.1", 0), 1)))
    dead = socket.socket(fileno=handout.ends[0].dup().detach())
    ports = connected(clients, handout, 2)
    handout.serve(SERVE_S, lambda _: True)
    dead.close()
    assert taken(handout.ends[0]) == ports
