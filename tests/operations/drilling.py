"""Drill an alarm: the trouble makes its metric cross the threshold, and the remedy brings it back.

A period is as long as what happens in it, so no test waits for minutes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.operations.cloudwatch import Alarm, Datum

PERIODS_MAX = 5  # until work that began earlier is done


class Drill:
    """The drill of one alarm."""

    def __init__(self, alarm: str, look: Callable[[], Sequence[Datum]]) -> None:
        """Watch an alarm; `look` returns what was measured since the last call."""
        self.alarm = Alarm(alarm)
        self.rang = self.ended = False
        self._look = look
        look()

    def is_silent_when(self, happens: Callable[[], object]) -> None:
        """Assert that this does not count towards the alarm."""
        assert not self._is_breaching(happens)

    def rings_when(self, happens: Callable[[], object]) -> None:
        """Assert that the trouble soon counts towards the alarm."""
        self.rang = any(self._is_breaching(happens) for _ in range(PERIODS_MAX))
        assert self.rang, f"{self.alarm.name} does not ring"

    def ends_when(self, happens: Callable[[], object] = lambda: None) -> None:
        """Assert that after the remedy, this soon stops counting towards the alarm."""
        self.ended = any(not self._is_breaching(happens) for _ in range(PERIODS_MAX))
        assert self.ended, f"{self.alarm.name} does not end"

    def _is_breaching(self, happens: Callable[[], object]) -> bool:
        happens()
        return self.alarm.is_breaching(self._look())


@contextmanager
def drilled(alarm: str, look: Callable[[], Sequence[Datum]]) -> Iterator[Drill]:
    """Yield the drill of an alarm, which must ring and then end."""
    drill = Drill(alarm, look)
    yield drill
    assert drill.rang
    assert drill.ended


def drills(*alarms: str) -> pytest.MarkDecorator:
    """Mark a test that gets each of these alarms, one after another, as its `drill`."""
    return pytest.mark.parametrize("drill", alarms, indirect=True)
