"""Notes: they let one settler at a time work on an event with several lanes.

Each shard of the Bookings stream has a promoter of its own. If each settled, they would meet at the same head of the
list and refuse each other. So a promoter leaves a note and returns. An event has one note, and all its records come
from one shard, so one promoter at a time reads them and settles:

    any promoter                         the promoter that gets the note's record
    1. reads the event and the note      1. clears the note
    2. writes it, if there is none       2. settles, and reads everything afresh

A promoter that finds a note does so before that note is cleared, and so before its settler reads (P6). A settler that
dies gets the record again. Clearing may remove a newer note. That is harmless: the newer note has a record too. So is
writing two. docs/decisions/0025 says why this is no lease.
"""

from collections.abc import Sequence

from shared import runtime
from shared.booking import catalog
from shared.model import Event, EventNotFound, seconds_between
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.items import Item

STALE_S = 10.0  # after which a note is written anew, because its record may have been lost; no promise depends on it


def leave(event: Event, deadline: Deadline, released_at: Sequence[str] = ()) -> None:
    """Ask for a settler, unless a note already does. An event on sale needs none, because no user waits.

    The note takes along the oldest moment of a release, to measure how long promotions take. Raises TryAgain.
    """
    event, asked_at = _read(event.event_id, deadline)
    now = runtime.current.now()
    if event.sold_out_at is None or event.cancelled_at:
        return
    if asked_at and seconds_between(asked_at, now) < STALE_S:
        return
    # No condition: a second note beside this one only costs a settler that finds nothing to do (docs/decisions/0025).
    released = items.text(min(released_at)) if released_at else None
    assign, names, values = items.assignment({"askedAt": items.text(now), "releasedAt": released})
    dynamodb.update(
        deadline,
        TableName=items.BOOKINGS,
        Key=items.note_key(event.event_id),
        UpdateExpression=assign,
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=values,
    )


def clear(event: Event, deadline: Deadline) -> None:
    """Take the note away. To be done before settling. Raises TryAgain."""
    key = items.note_key(event.event_id)
    dynamodb.update(deadline, TableName=items.BOOKINGS, Key=key, UpdateExpression="REMOVE askedAt, releasedAt")


def read_and_clear(event_id: str, deadline: Deadline) -> Event:
    """Clear the note, if any (its record may be lost), and return the event. Raises EventNotFound; TryAgain."""
    event, asked_at = _read(event_id, deadline)
    if asked_at:
        clear(event, deadline)
    return event


def _read(event_id: str, deadline: Deadline) -> tuple[Event, str | None]:
    """Read the event and when its note was written, None without one. Raises EventNotFound; TryAgain."""
    keys = {items.EVENTS: [items.event_key(event_id)], items.BOOKINGS: [items.note_key(event_id)]}
    found = dynamodb.get_all(deadline, keys)
    if not found[items.EVENTS]:
        raise EventNotFound(event_id)
    return catalog.remember(items.to_event(found[items.EVENTS][0])), next(map(_asked_at, found[items.BOOKINGS]), None)


def _asked_at(item: Item) -> str | None:
    """Return when the note was written; None if it was cleared."""
    return str(item["askedAt"]["S"]) if "askedAt" in item else None
