"""The functions of an office that is drilled: the project's own, each invocation noted in the log of its process.

Between two tries of a request no time is slept; it counts as if it had been, so that a function which tries until its
time is up is done in moments. A file in the folder DRILL_FOLDER with the name of a function is a bad deployment of it.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import functions.abandon.app
import functions.book.app
import functions.cancel.app
import functions.change.app
import functions.follow.app
import functions.initialize.app
import functions.promote.app
import functions.status.app
import functions.sweep.app
from local import runtime
from shared import dynamodb

FOLDER = Path(os.environ["DRILL_FOLDER"])

Handler = Callable[[Any, Any], Any]


class Clock:
    """The clock of shared/dynamodb.py, which skips what would be slept."""

    def __init__(self) -> None:
        self._skipped_s = 0.0

    def monotonic(self) -> float:
        """Return the time that has passed, or would have."""
        return time.monotonic() + self._skipped_s

    def sleep(self, seconds: float) -> None:
        """Skip so much time."""
        self._skipped_s += seconds


clock = Clock()
vars(dynamodb)["time"] = clock


def _noted(function: str, handler: Handler) -> Handler:
    def invoke(event: Any, context: Any) -> Any:
        begun_s, is_error = clock.monotonic(), True
        try:
            if (FOLDER / function).exists():
                raise ModuleNotFoundError("the layer was built without its libraries")
            answer = handler(event, context)
            is_error = False
            return answer
        finally:
            duration_ms = 1000 * (clock.monotonic() - begun_s)
            runtime.log("invoked", invoked=function, is_error=is_error, duration_ms=duration_ms)

    return invoke


abandon = _noted("AbandonFunction", functions.abandon.app.handler)
follow = _noted("FollowFunction", functions.follow.app.handler)
initialize = _noted("InitializeFunction", functions.initialize.app.handler)
book = _noted("BookFunction", functions.book.app.handler)
cancel = _noted("CancelFunction", functions.cancel.app.handler)
change = _noted("ChangeFunction", functions.change.app.handler)
status = _noted("StatusFunction", functions.status.app.handler)
promote = _noted("PromoteFunction", functions.promote.app.handler)
sweep = _noted("SweepFunction", functions.sweep.app.handler)
