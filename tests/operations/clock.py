"""Set the clock of bookings and cancellations back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from shared import runtime


@contextmanager
def at(monkeypatch: pytest.MonkeyPatch, seconds_ago: float) -> Iterator[None]:
    """Date bookings and cancellations in the block back by so many seconds."""
    moment = (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds")
    with monkeypatch.context() as earlier:
        earlier.setattr(runtime.current, "now", lambda: moment.replace("+00:00", "Z"))
        yield
