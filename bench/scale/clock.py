"""Virtual time: blocking code that sleeps, and a clock that goes from one waking to the next at once.

A task is ordinary blocking code in a greenlet. It gives way to the others only where it sleeps, so a run is a function
of what was started and of its seed: it repeats exactly.
"""

import heapq
from collections.abc import Callable
from itertools import count

from greenlet import getcurrent, greenlet


class Clock:
    """Runs tasks in the order of their waking; at the same moment, in the order in which they lay down."""

    def __init__(self) -> None:
        """Begin at 0 s, with nothing to do."""
        self.now_s = 0.0
        self._hub = getcurrent()
        self._asleep: list[tuple[float, int, greenlet]] = []
        self._numbers = count()

    def start(self, task: Callable[[], None], after_s: float = 0.0) -> None:
        """Let a task begin in so many seconds."""
        self._wake(greenlet(task, self._hub), after_s)

    def sleep(self, seconds: float) -> None:
        """Let the others go on for so long."""
        self._wake(getcurrent(), seconds)
        self._hub.switch()

    def run(self, until_s: float = float("inf")) -> None:
        """Go on until then, or until nobody is left to wake. What a task raises, this raises."""
        assert getcurrent() is self._hub, "tasks sleep, they do not run the clock"
        while self._asleep and self._asleep[0][0] <= until_s:
            self.now_s, _, task = heapq.heappop(self._asleep)
            task.switch()

    def _wake(self, task: greenlet, after_s: float) -> None:
        heapq.heappush(self._asleep, (self.now_s + after_s, next(self._numbers), task))
