"""The functions of an office that is drilled: the project's own, each invocation noted in the log of its process.

Between two tries of a request no time is slept; it counts as if it had been, so that a function which tries until its
time is up is done in moments. A file in the folder DRILL_FOLDER with the name of a function is a bad deployment of it;
with the name SLOW_BUS or REFUSING_BUS, an event bus that is slow, or takes nothing.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import functions.announce.app
import functions.book.app
import functions.bookings.app
import functions.cancel.app
import functions.cancel_event.app
import functions.change.app
import functions.describe.app
import functions.event_bookings.app
import functions.events.app
import functions.follow.app
import functions.initialize.app
import functions.promote.app
import functions.status.app
import functions.sweep.app
import functions.waiting_list.app
from functions.announce import announcing, bus
from local import runtime
from shared.store import dynamodb
from tests.operations.troubles import REFUSING_BUS, SLOW_BUS

FOLDER = Path(os.environ["DRILL_FOLDER"])
SLOW_S = 1.9  # below the time-out of its client

Handler = Callable[[Any, Any], Any]


class Clock:
    """The clock of shared/store/dynamodb.py, which skips what would be slept."""

    def __init__(self) -> None:
        self._skipped_s = 0.0

    def monotonic(self) -> float:
        """Return the time that has passed, or would have."""
        return time.monotonic() + self._skipped_s

    def sleep(self, seconds: float) -> None:
        """Skip so much time."""
        self._skipped_s += seconds


clock = Clock()
vars(dynamodb)["time"] = vars(bus)["time"] = vars(announcing)["time"] = clock


class TroubledBus:
    """The client of the bus, in trouble while it is told to be."""

    def call(self, operation: str, request: Mapping[str, Any]) -> Any:
        """Put entries, or refuse them, or put them after nearly as long as the client waits."""
        if (FOLDER / REFUSING_BUS).exists():
            entries = request["Entries"]
            return {"FailedEntryCount": len(entries), "Entries": [{"ErrorCode": "InternalFailure"} for _ in entries]}
        if (FOLDER / SLOW_BUS).exists():
            clock.sleep(SLOW_S)
        return _client().call(operation, request)


_client = vars(bus)["_client"]
vars(bus)["_client"] = TroubledBus


def _noted(function: str, handler: Handler) -> Handler:
    def invoke(event: Any, context: Any) -> Any:
        asked_s, begun_s, is_error = time.monotonic(), clock.monotonic(), True
        try:
            if (FOLDER / function).exists():
                raise ModuleNotFoundError("the layer was built without its libraries")
            answer = handler(event, context)
            is_error = False
            return answer
        finally:
            duration_ms = 1000 * (clock.monotonic() - begun_s)
            runtime.log("invoked", invoked=function, is_error=is_error, asked_s=asked_s, duration_ms=duration_ms)

    return invoke


cancel_event = _noted("CancelEventFunction", functions.cancel_event.app.handler)
follow = _noted("FollowFunction", functions.follow.app.handler)
initialize = _noted("InitializeFunction", functions.initialize.app.handler)
book = _noted("BookFunction", functions.book.app.handler)
cancel = _noted("CancelFunction", functions.cancel.app.handler)
change = _noted("ChangeFunction", functions.change.app.handler)
status = _noted("StatusFunction", functions.status.app.handler)
bookings = _noted("BookingsFunction", functions.bookings.app.handler)
events = _noted("EventsFunction", functions.events.app.handler)
event_bookings = _noted("EventBookingsFunction", functions.event_bookings.app.handler)
waiting_list = _noted("WaitingListFunction", functions.waiting_list.app.handler)
announce = _noted("AnnounceFunction", functions.announce.app.handler)
describe = _noted("DescribeFunction", functions.describe.app.handler)
promote = _noted("PromoteFunction", functions.promote.app.handler)
sweep = _noted("SweepFunction", functions.sweep.app.handler)
