"""What the tests of the tools share: an event that is sold out, and commands on it.

Read before the environment is set, so the office's own code is imported where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from functions.announce import bus
from tests.ops.commands import Commands, announced

if TYPE_CHECKING:
    from harness.office import Event, Office


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Give back the environment, which a command sets for its place."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """Yield the data folder of an office that runs on the engine of the tests."""
    with announced(tmp_path / "data"):
        yield tmp_path / "data"


@pytest.fixture
def local(data: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    """Return the commands on that office."""
    return Commands(("--local", "--data", str(data)), capsys)


@pytest.fixture
def sold_out(office: Office) -> Event:
    """Return an event of 60 tickets on two lanes with 5 people waiting."""
    event = office.opens(tickets=60)
    for n in range(65):
        event.books(f"user-{n}")
    event.check(drained=True)
    return event


@pytest.fixture
def damaged(office: Office, sold_out: Event) -> Iterator[Event]:
    """Yield such an event; what a test forges in it is not checked again."""
    yield sold_out
    office.events.clear()


@pytest.fixture
def new_client() -> Iterator[None]:
    """Let the bus's client be made anew, where the command says that the bus is; and the next one's, too."""
    bus._client.cache_clear()  # noqa: SLF001
    yield
    bus._client().connection.close()  # noqa: SLF001
    bus._client.cache_clear()  # noqa: SLF001
