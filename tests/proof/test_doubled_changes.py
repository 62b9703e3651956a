"""Changes that are each sent twice at once, while buyers leave and come back and the promoter sells what there is."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest

from harness.office import Event, Office
from shared import runtime
from shared.store.aws_client import Client

CHANGES = int(os.environ.get("PROOF_CHANGES", "50"))  # `make proof` sends 1,000
PAUSE_S = 0.01  # of those who work beside the organisers, so that these get on
LEAST, MOST = 195, 215
WAITERS = 20


class _ClientOfThread:
    """A client for each thread, as each function has its own."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[Client] = []

    def call(self, operation: str, request: Any) -> Any:
        """Send a request on the thread's own connection."""
        if not hasattr(self._own, "client"):
            self._own.client = Client.of_environment()
            self._all.append(self._own.client)
        return self._own.client.call(operation, request)

    def close(self) -> None:
        """Close all connections."""
        for client in self._all:
            client.connection.close()


@contextmanager
def _until_done(*work: Callable[[], object]) -> Iterator[None]:
    """Repeat each piece of work in a thread of its own, until the block ends."""
    is_over = threading.Event()

    def repeat(piece: Callable[[], object]) -> None:
        while not is_over.is_set():
            piece()
            time.sleep(PAUSE_S)

    with ThreadPoolExecutor(len(work)) as threads:
        pieces = [threads.submit(repeat, piece) for piece in work]
        try:
            yield
        finally:
            is_over.set()
        for piece in pieces:
            piece.result()


@pytest.fixture
def threads_may_call(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let functions run in several threads at once."""
    clients = _ClientOfThread()
    with closing(clients), monkeypatch.context() as threaded:
        threaded.setattr(runtime.current, "client", clients)
        yield


@pytest.mark.usefixtures("threads_may_call")
def test_changes_that_are_sent_twice_oversell_nothing(office: Office) -> None:
    """O2, P7: where both are acknowledged, the tickets are as they say; and no more are sold than there are."""
    event = office.opens(tickets=200)
    chance = random.Random(12)  # a choice of totals
    for n in range(200 + WAITERS):
        event.books(f"user-{n}")
    with ThreadPoolExecutor(2) as organisers, _until_done(event.promotes, lambda: _comes_and_goes(event)):
        for _ in range(CHANGES):
            total = chance.randint(LEAST, MOST)
            answers = list(organisers.map(lambda total: event.change(totalTickets=total), [total, total]))
            told = {answer.status for answer in answers}
            assert told <= {200, 409}
            if told == {200}:
                assert event.status().json["totalTickets"] == total
    event.follows()
    event.promotes()
    found = event.check(drained=True)
    assert len(found.confirmed) <= found.event["totalTickets"]


def _comes_and_goes(event: Event) -> None:
    for n in range(200, 200 + WAITERS):
        event.cancel(f"user-{n}")
        event.book(f"user-{n}")
