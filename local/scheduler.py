"""A scheduler: a process that calls one function at its rate, as EventBridge Scheduler does.

python -m local.scheduler ARGUMENTS (JSON, from the supervisor)

Each function with a schedule has a process of its own, so that a long sweep does not delay the expiry of holds. A late
schedule (the machine slept, a call took long) runs once; the next call follows one interval later.
"""

import os
import time
import traceback
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from local import runtime
from local.child import child
from local.folder import with_failed_records
from local.runtime import Runtime
from local.system import Schedule


class Scheduler:
    """Schedules, and the functions they call."""

    def __init__(self, schedules: Sequence[Schedule], functions: dict[str, Runtime]) -> None:
        """Begin now; the first call follows one interval later."""
        self._functions = functions
        self._due_s = {schedule: time.monotonic() + schedule.every_s for schedule in schedules}

    def turn(self) -> float:
        """Call the functions that are due; return the seconds until the next call."""
        for schedule, due_s in self._due_s.items():
            if due_s <= time.monotonic():
                self._call(self._functions[schedule.function])
                self._due_s[schedule] = time.monotonic() + schedule.every_s
        return max(0.0, min(self._due_s.values()) - time.monotonic())

    def _call(self, function: Runtime) -> None:
        try:
            function.invoke(_payload(), str(uuid.uuid4()))
        except (Exception, runtime.TimedOut):  # noqa: BLE001 - the next call is due all the same
            name = function.function.name
            runtime.log("the function failed", function_name=name, exception=traceback.format_exc())


def _payload() -> dict[str, Any]:
    """Return the event that EventBridge Scheduler sends by default."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "000000000000",
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": os.environ.get("AWS_REGION", "us-east-1"),
        "resources": [],
        "detail": "{}",
    }


def main() -> None:
    """Call until the supervisor says stop."""
    with child() as (arguments, lifeline, system):
        function = with_failed_records(system.functions[arguments["function"]], arguments["failed_records"])
        schedules = [schedule for schedule in system.schedules if schedule.function == function.name]
        scheduler = Scheduler(schedules, runtime.load([function]))
        lifeline.ready()
        while not lifeline.stop.wait(scheduler.turn()):
            pass


if __name__ == "__main__":
    main()
