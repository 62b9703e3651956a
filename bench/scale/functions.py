"""Simulates Lambda: environments that serve one request at a time, each with its own memory.

A request goes to an idle environment, the last used first, or else to a new one, after its cold start and as fast as
Lambda adds them. Otherwise it is refused, which a client sees as 503.
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

COLD_START_S = 0.5  # a median: the artifact's start, as measured, and Lambda's own part
COLD_START_SPREAD = 0.2
HANDLER_S = 0.002  # of a warm invocation, without the database


class ThrottledError(Exception):
    """Lambda refuses a request: too many at once, or more than it adds environments for."""


@dataclass(eq=False, slots=True)
class Environment:
    """One execution environment, and the memory of its warm function."""

    memory: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))


@dataclass
class Account:
    """The quota that all functions share: how many may run at once."""

    quota: int = CONCURRENCY_QUOTA
    at_work: int = 0
    at_work_max: int = 0
    environments: dict[greenlet, Environment] = field(default_factory=dict)  # of the tasks at work

    @property
    def environment(self) -> Environment | None:
        """Return the environment in which the current task runs."""
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
        """Add so many idle environments, as after a minute of traffic."""
        self._idle += [Environment() for _ in range(count)]

    def invoke(self, work: Callable[[], T]) -> T:
        """Do the work in an environment. Raises ThrottledError and any exception of the work."""
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
