"""Lambda, simulated: environments that serve one request at a time, each with a memory of its own.

A request goes to an environment that is idle, the last used first; else to a new one, after its cold start, as fast as
Lambda adds them; else it is refused, which a client sees as 503.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

from bench.scale.capacity import Bucket
from bench.scale.clock import Clock
from bench.scale.limits import CONCURRENCY_QUOTA, ENVIRONMENTS_BURST, ENVIRONMENTS_S

T = TypeVar("T")

COLD_START_S = 0.5  # a median: what is measured of the artifact here, and Lambda's own part
COLD_START_SPREAD = 0.2
HANDLER_S = 0.002  # of a warm invocation, without the database


class ThrottledError(Exception):
    """Lambda takes no more: too many at once, or more than it adds environments for."""


@dataclass(eq=False, slots=True)
class Environment:
    """One execution environment, and what its warm function remembers, under the name it has in its module."""

    memory: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))


@dataclass
class Account:
    """What all functions share: how many may be at work at once."""

    quota: int = CONCURRENCY_QUOTA
    at_work: int = 0
    at_work_max: int = 0
    environments: dict[greenlet, Environment] = field(default_factory=dict)  # of the tasks at work

    @property
    def environment(self) -> Environment | None:
        """Return the environment in which the present task is at work."""
        return self.environments.get(getcurrent())


class Function:
    """One Lambda function."""

    def __init__(self, clock: Clock, chance: Random, account: Account) -> None:
        """Begin with no environment."""
        self._clock, self._chance, self._account = clock, chance, account
        self._idle: list[Environment] = []
        self._growth = Bucket(ENVIRONMENTS_S, ENVIRONMENTS_BURST / ENVIRONMENTS_S)
        self.cold_starts = 0

    def warm(self, count: int) -> None:
        """Have so many environments ready, as after a minute of traffic."""
        self._idle += [Environment() for _ in range(count)]

    def invoke(self, work: Callable[[], T]) -> T:
        """Do the work in an environment. Raises ThrottledError, and what the work raises."""
        if self._account.at_work >= self._account.quota:
            raise ThrottledError
        is_cold = not self._idle
        if is_cold:
            if not self._growth.has_any(self._clock.now_s):
                raise ThrottledError
            self._growth.take(1)
        environment = Environment() if is_cold else self._idle.pop()
        self._account.at_work += 1
        self._account.at_work_max = max(self._account.at_work, self._account.at_work_max)
        self._account.environments[getcurrent()] = environment
        if is_cold:
            self.cold_starts += 1
            self._clock.sleep(COLD_START_S * self._chance.lognormvariate(0, COLD_START_SPREAD))
        try:
            self._clock.sleep(HANDLER_S)
            return work()
        finally:
            del self._account.environments[getcurrent()]
            self._account.at_work -= 1
            self._idle.append(environment)
