"""Fixtures of the tools' tests: a sold-out event, and commands on it.

This file is imported before the environment is set, so the office's code is imported where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functions.announce import bus
from local import template
from tests.ops.aws import stack
from tests.ops.commands import Commands, announced

if TYPE_CHECKING:
    from harness.office import Event, Office

read_template = cache(template.load)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore the environment, which commands change. Read the template once: that takes longer than a command.

    Audits in this process do not wait for a promoter.
    """
    monkeypatch.setattr(template, "load", read_template)
    monkeypatch.setattr("ops.audit.PATIENCE_S", 0.0)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """Yield the data folder of a running office with the engine of the tests."""
    with announced(tmp_path / "data"):
        yield tmp_path / "data"


@pytest.fixture
def local(data: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    """Return commands on that office."""
    return Commands(("--local", "--data", str(data)), capsys)


@pytest.fixture
def sold_out(office: Office) -> Event:
    """Return an event with 60 tickets on two lanes and 5 waiting users."""
    event = office.opens(tickets=60)
    for n in range(65):
        event.books(f"user-{n}")
    event.check(drained=True)
    return event


@pytest.fixture
def strands(office: Office) -> Callable[[], Event]:
    """Return a function that opens an event with a free ticket beside bob, who waits, because the promoter gave up."""

    def strand() -> Event:
        event = office.opens(tickets=1)
        for user in ("ada", "bob"):
            event.books(user)
        event.cancels("ada")
        return event

    return strand


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """Yield an S3 client of a stack that the tests of a file share."""
    with stack() as s3:
        yield s3


@pytest.fixture
def damaged(office: Office, sold_out: Event) -> Iterator[Event]:
    """Yield such an event, which a test may damage: it is not checked afterwards."""
    yield sold_out
    office.events.clear()


@pytest.fixture
def new_client() -> Iterator[None]:
    """Create the bus's client anew for this test and for the next."""
    bus._client.cache_clear()  # noqa: SLF001
    yield
    bus._client().connection.close()  # noqa: SLF001
    bus._client.cache_clear()  # noqa: SLF001
