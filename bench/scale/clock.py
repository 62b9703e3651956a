"""Virtual time for blocking code: the clock jumps from one wake-up to the next.

A task is ordinary blocking code in a greenlet. Other tasks run only while it sleeps, so a run depends on its tasks and
its seed alone and repeats exactly.
"""

import heapq
from collections.abc import Callable
from itertools import count

from greenlet import getcurrent, greenlet


class Clock:
    """Runs tasks in the order of their wake-up times; at the same time, in the order in which they went to sleep."""

    def __init__(self) -> None:
        """Begin at 0 s, without tasks."""
        self.now_s = 0.0
        self._hub = getcurrent()
        self._asleep: list[tuple[float, int, greenlet]] = []
        self._numbers = count()

    def start(self, task: Callable[[], None], after_s: float = 0.0) -> None:
        """Start a task in so many seconds."""
        self._wake(greenlet(task, self._hub), after_s)

    def sleep(self, seconds: float) -> None:
        """Run other tasks for so long."""
        self._wake(getcurrent(), seconds)
        self._hub.switch()

    def run(self, until_s: float = float("inf")) -> None:
        """Run until then, or until no task is left. Raises what a task raises."""
        assert getcurrent() is self._hub, "tasks sleep, they do not run the clock"
        while self._asleep and self._asleep[0][0] <= until_s:
            self.now_s, _, task = heapq.heappop(self._asleep)
            task.switch()

    def _wake(self, task: greenlet, after_s: float) -> None:
        heapq.heappush(self._asleep, (self.now_s + after_s, next(self._numbers), task))
