"""What the code gets from the process that runs it: environment, clocks, randomness, and memory between requests.

In the layer, only this module reads them. Callers look up `current` at each use, so the proof, the simulation and the
tests replace all of them by replacing one object.
"""

import os
import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from shared.model import as_moment

T = TypeVar("T")


class Runtime:
    """The runtime of a real process."""

    logger: Any = None  # replaces powertools' logger if it is set
    client: Any = None  # for DynamoDB; store/dynamodb.py makes it on first use
    table_names: Mapping[str, str] | None = None  # where they are deployed; store/dynamodb.py reads them on first use

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Start with an empty memory."""
        self.environment = environment
        self.memory: dict[str, dict[str, Any]] = {}  # what a warm function caches, by kind
        # The system's source, because functions that start from one SnapStart snapshot would share a seed.
        self._random = random.SystemRandom()

    @property
    def is_lambda(self) -> bool:
        """Tell whether this process is a Lambda function."""
        return "_HANDLER" in self.environment

    def time_s(self) -> float:
        """Return the wall clock's seconds since 1970. This clock goes on while a function is frozen."""
        return time.time()

    def monotonic_s(self) -> float:
        """Return the seconds of the monotonic clock, which deadlines and ages use."""
        return time.monotonic()

    def now(self) -> str:
        """Return the current moment, e.g. 2026-05-01T18:00:00.123Z."""
        return as_moment(datetime.now(UTC))

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def new_id(self) -> str:
        """Return a random UUID."""
        return str(uuid.uuid4())

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between two bounds."""
        return self._random.uniform(low, high)

    def shuffled(self, some: Sequence[T]) -> list[T]:
        """Return a random permutation."""
        return self._random.sample(some, len(some))


current: Runtime = Runtime()


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment, on the monotonic clock, after which no call begins and no pause lasts.

    So a request ends at most one CALL_TIMEOUT_S (store/aws_client.py) after its deadline; a refused signature adds one.
    """

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that many seconds from now."""
        return cls(current.monotonic_s() + seconds)

    def within(self, seconds: float) -> "Deadline":
        """Return the deadline that many seconds from now, or this one if it is earlier."""
        return min(self, Deadline.after(seconds), key=lambda one: one.at_s)

    @property
    def left_s(self) -> float:
        """Return the time left, 0 when there is none."""
        return max(0.0, self.at_s - current.monotonic_s())

    @property
    def has_passed(self) -> bool:
        """Tell whether the time is up."""
        return current.monotonic_s() >= self.at_s


@contextmanager
def replaced_by(other: Runtime) -> Iterator[None]:
    """Run the block with another runtime."""
    global current  # noqa: PLW0603  # the one place where it changes
    before, current = current, other
    try:
        yield
    finally:
        current = before
