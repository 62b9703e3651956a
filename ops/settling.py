"""settle EVENT: hand free tickets to the head of the waiting list, as the promoter and the sweep do."""

import sys

from ops import rows
from shared.dynamodb import Deadline
from shared.model import Event
from shared.settle import settle

PROMOTIONS_MAX = 1_000  # in one go, with a deadline of its own
_GO_S_MAX = 120.0


def run(event_id: str, *, dry_run: bool) -> int:
    """Settle an event, or tell what that would do; give the exit code."""
    event = rows.event(event_id)
    done = f"would promote {promotable(event)}" if dry_run else f"promoted {settle_all(event)}"
    sys.stdout.write(f"{done}; {_left(event)}\n")
    return 0


def settle_all(event: Event) -> int:
    """Settle until there is nothing more to hand out; return how many were promoted. Raises TryAgain; Stuck."""
    promoted = 0
    while True:
        now = settle(event, Deadline.after(_GO_S_MAX), promotions_max=PROMOTIONS_MAX)
        promoted += now
        if now < PROMOTIONS_MAX:
            return promoted


def promotable(event: Event) -> int:
    """Count whom settling would promote now. Raises TryAgain."""
    available, waiting = _free_and_waiting(event)
    return max(0, min(available, waiting))


def _left(event: Event) -> str:
    available, waiting = _free_and_waiting(event)
    return f"now {available} tickets free, {waiting} waiting"


def _free_and_waiting(event: Event) -> tuple[int, int]:
    lanes = rows.lanes(event)
    return sum(lane.available for lane in lanes), sum(lane.waiting for lane in lanes)
