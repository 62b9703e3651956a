"""The history of a round: every request with its response, every fault, in the order in which they were recorded.

Times are seconds of the checker's monotonic clock. The checks read nothing else: a saved history can be judged again.
"""

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

NO_RESPONSE = 0  # the status of a request whose response never came


@dataclass(frozen=True)
class Exchange:
    """One request and its response; or a fault (`op` "fault"), the program's unexpected exit, or a look at the clock.

    A look ("clock") has the time of the wall clock as its response.
    """

    op: str
    begin: float
    end: float = math.inf  # when the response was there; infinite without one
    status: int = NO_RESPONSE
    response: Any = None
    event: str = ""  # the event that the request names
    user: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    key: str = ""  # Idempotency-Key
    query: dict[str, str] = field(default_factory=dict)
    at_rest: bool = False  # sent when everything had come to rest, to judge the end of the round

    @property
    def is_open(self) -> bool:
        """Tell whether the request may have had an effect or not, at any moment since it began."""
        return self.status == NO_RESPONSE or self.status >= 500

    @property
    def is_done(self) -> bool:
        """Tell whether the office acknowledged the request."""
        return 200 <= self.status < 300

    @property
    def is_refused(self) -> bool:
        """Tell whether the office refused the request and so changed nothing."""
        return 400 <= self.status < 500

    @property
    def last(self) -> float:
        """Return the last moment at which the request may have had its effect."""
        return math.inf if self.is_open else self.end


class History:
    """Exchanges in memory, safe to add to from several threads."""

    def __init__(self, exchanges: list[Exchange] | None = None) -> None:
        self._exchanges = exchanges or []
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Exchange]:
        with self._lock:
            return iter(list(self._exchanges))

    def __len__(self) -> int:
        return len(self._exchanges)

    def add(self, exchange: Exchange) -> None:
        """Record one more."""
        with self._lock:
            self._exchanges.append(exchange)

    def move_on(self) -> None:
        """Count the requests at rest as ordinary requests: the round has not come to rest yet."""
        with self._lock:
            self._exchanges = [replace(one, at_rest=False) for one in self._exchanges]

    def save(self, path: Path) -> None:
        """Write one JSON object per line; infinite times become null."""
        with self._lock, path.open("w", encoding="utf-8") as file:
            for one in self._exchanges:
                line = {name: value for name, value in asdict(one).items() if value or name in ("begin", "response")}
                file.write(json.dumps(line | {"end": None if one.end == math.inf else one.end}) + "\n")

    @staticmethod
    def load(path: Path) -> "History":
        """Read what `save` wrote."""
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return History([Exchange(**line | {"end": math.inf if line["end"] is None else line["end"]}) for line in lines])
