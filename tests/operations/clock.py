"""The clock of those who book and cancel, set back: what they did happened some time ago."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from shared import runtime


@contextmanager
def at(monkeypatch: pytest.MonkeyPatch, seconds_ago: float) -> Iterator[None]:
    """Let bookings and cancellations in the block bear a time that is past."""
    moment = (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds")
    with monkeypatch.context() as earlier:
        earlier.setattr(runtime.current, "now", lambda: moment.replace("+00:00", "Z"))
        yield
