"""The system that a template describes: what one machine needs to know of it.

The processes of the office get it from the supervisor, so that none of them reads YAML.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function; `handler` is the dotted path of a Python function."""

    name: str
    handler: str
    timeout_s: int
    memory_mb: int
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the HTTP API, `path` as in the template: /status/{eventId}."""

    method: str
    path: str
    function: str
    takes_token: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table, named by its logical id, with the arguments for create_table."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stream:
    """An event source mapping from a table's stream to a function; -1 means "without limit", as on AWS."""

    name: str  # the mapping's logical id: SAM joins those of function and event
    table: str
    function: str
    patterns: tuple[Mapping[str, Any], ...]
    batch_size: int
    window_s: int  # how long a batch that is not full waits for more records
    retries: int
    max_age_s: int
    bisect: bool
    reports_failures: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """A function to call every `every_s` seconds."""

    function: str
    every_s: int


@dataclass(frozen=True, slots=True)
class Cors:
    """Which origins may call, with which methods and headers; browsers cache the answer for `max_age_s`."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    max_age_s: int


@dataclass(frozen=True, slots=True)
class System:
    """Everything that one machine needs from the template."""

    functions: Mapping[str, Function]
    routes: tuple[Route, ...]
    tables: tuple[Table, ...]
    streams: tuple[Stream, ...]
    schedules: tuple[Schedule, ...]
    cors: Cors | None
    path: Path  # of the template; its handlers are next to it
    has_bus: bool = False  # functions put events on an event bus

    def stream(self, name: str) -> Stream:
        """Return the event source mapping with this logical id. Raises: StopIteration."""
        return next(stream for stream in self.streams if stream.name == name)
