"""Set the clock of bookings and cancellations back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest


@contextmanager
def at(monkeypatch: pytest.MonkeyPatch, seconds_ago: float) -> Iterator[None]:
    """Date bookings and cancellations in the block back by so many seconds."""
    moment = (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds")
    with monkeypatch.context() as earlier:
        for module in ("event_cancellation", "attempt", "cancellation", "sale", "settle"):
            earlier.setattr(f"shared.booking.{module}.now", lambda: moment.replace("+00:00", "Z"))
        yield
