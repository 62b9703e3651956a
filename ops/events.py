"""events: list the latest events, to find the id that other commands need."""

import sys

from ops import rows
from shared.booking import listing
from shared.booking.listing import ByTime
from shared.model import Event

_AT_ONCE = 50


def run(most: int) -> int:
    """Print up to `most` events, newest first; return the exit code. Raises TryAgain."""
    after: ByTime | None = None
    for left in range(most, 0, -_AT_ONCE):
        page = listing.events_opened(min(left, _AT_ONCE), after, rows.deadline())
        for event in page.rows:
            tickets = f"{event.terms.total_tickets:>9,} tickets"
            sys.stdout.write(
                f"{event.event_id}  {event.created_at}  {tickets}  {_state(event):<9}  {event.terms.name}\n"
            )
        after = page.next
        if after is None:
            break
    return 0


def _state(event: Event) -> str:
    if event.cancelled_at:
        return "cancelled"
    return "sold out" if event.sold_out_at else "open"
