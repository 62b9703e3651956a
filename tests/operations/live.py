"""The functions of a drilled office: the project's own, with a log line for each invocation.

Pauses between retries are not slept but counted, so a function that retries until its time is up takes a moment. A file
in the folder DRILL_FOLDER with the name of a function is a bad deployment of it; files named SLOW_BUS and REFUSING_BUS
make the event bus slow or unavailable.
"""

import os
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import shared.runtime
from functions.announce import bus
from local import runtime
from tests.operations.troubles import REFUSING_BUS, SLOW_BUS

FOLDER = Path(os.environ["DRILL_FOLDER"])
SLOW_S = 1.9  # below its client's time-out

Handler = Callable[[Any, Any], Any]


class SkippingSleeps(shared.runtime.Runtime):
    """A process whose clock goes forward instead of waiting."""

    skipped_s = 0.0

    def monotonic_s(self) -> float:
        """Return the time, including what was skipped."""
        return time.monotonic() + self.skipped_s

    def sleep(self, seconds: float) -> None:
        """Skip this time."""
        self.skipped_s += seconds


clock = shared.runtime.current = SkippingSleeps()


class TroubledBus:
    """A client of the event bus whose troubles can be switched on."""

    def call(self, operation: str, request: Mapping[str, Any]) -> Any:
        """Put entries, refuse them, or put them just before the client's time-out."""
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
        begun_s, is_error = clock.monotonic_s(), True
        try:
            if (FOLDER / function).exists():
                raise ModuleNotFoundError("the layer was built without its libraries")
            answer = handler(event, context)
            is_error = False
            return answer
        finally:
            duration_ms = 1000 * (clock.monotonic_s() - begun_s)
            runtime.log("invoked", invoked=function, is_error=is_error, duration_ms=duration_ms)

    return invoke


def __getattr__(folder: str) -> Handler:
    """Return the handler of functions/<folder>, which the stage's template names as an attribute of this module."""
    if folder.startswith("_"):
        raise AttributeError(folder)
    function = "".join(word.capitalize() for word in folder.split("_")) + "Function"
    return _noted(function, import_module(f"functions.{folder}.app").handler)
