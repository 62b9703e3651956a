"""A drill: an alarm, and its periods one after another, each as long as what happens in it.

So five minutes of trouble take as long as five times the trouble, and nobody sleeps for minutes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.operations.cloudwatch import OLDER_PERIODS, Alarm, Datum, State


class Drill:
    """One alarm, from the first trouble until it is over."""

    def __init__(self, alarm: str, look: Callable[[], Sequence[Datum]]) -> None:
        """Watch an alarm; `look` returns what was measured since it was last called."""
        self.alarm = Alarm(alarm)
        self.states = [State.OK]
        self._look = look
        self._history: list[Sequence[Datum]] = []
        look()

    def passes(self, happens: Callable[[], object] | None = None) -> State:
        """Let one period pass, in which this happens; return the alarm's state at its end."""
        if happens:
            happens()
        return self._ends(self._look())

    def rings_when(self, happens: Callable[[], object]) -> None:
        """Assert that the alarm rings when this has happened in as many periods as it asks for, and no sooner."""
        states = [self.passes(happens) for _ in range(self.alarm.datapoints)]
        self._assert_rings_last(states)

    def rings_when_this_goes_on(self, happens: Callable[[], object]) -> None:
        """Assert the same; this takes long, so it happens once, and what was measured is taken for each period."""
        states = [self.passes(happens)]
        states += [self._ends(self._history[-1]) for _ in range(self.alarm.datapoints - 1)]
        self._assert_rings_last(states)

    def ends_when(self, happens: Callable[[], object] | None = None) -> None:
        """Assert that the alarm ends when this happens instead, before the trouble is out of its sight."""
        for _ in range(self.alarm.periods + OLDER_PERIODS):
            if self.passes(happens) is State.OK:
                return
        raise AssertionError(f"{self.alarm.name} does not end: {self.alarm.values(self._history)}")

    def _ends(self, measured: Sequence[Datum]) -> State:
        self._history.append(measured)
        self.states.append(self.alarm.state(self._history, self.states[-1]))
        return self.states[-1]

    def _assert_rings_last(self, states: Sequence[State]) -> None:
        expected = [State.OK] * (len(states) - 1) + [State.ALARM]
        assert states == expected, f"{self.alarm.name}: {self.alarm.values(self._history)}"


@contextmanager
def drilled(alarm: str, look: Callable[[], Sequence[Datum]]) -> Iterator[Drill]:
    """Yield the drill of an alarm, which must ring and then end: a test that only says so drills nothing."""
    drill = Drill(alarm, look)
    yield drill
    assert State.ALARM in drill.states
    assert drill.states[-1] is State.OK


def drills(*alarms: str) -> pytest.MarkDecorator:
    """Mark a test that gets each of these alarms, one after another, as its `drill`."""
    return pytest.mark.parametrize("drill", alarms, indirect=True)
