"""Notes: they bring one settler at a time to an event with several lanes.

Each shard of the Bookings stream has a promoter of its own. If each settled, they would meet at the same head of the
list and refuse each other. So a promoter leaves a note and returns. An event has one note, and all its records come
from one shard, so one promoter at a time reads them and settles:

    any promoter                         the promoter that gets the note's record
    1. reads the note                    1. clears the note
    2. writes it, if there is none       2. settles, and reads everything afresh

A promoter that finds a note, or is refused because another has just written one, does so before that note is cleared,
and so before its settler reads (P6). A settler that dies gets the record again. Clearing a later note than one's own is
harmless: the later one has a record, too. docs/decisions/0025 says why it is no lease.
"""

from collections.abc import Sequence

from shared import runtime
from shared.model import Event, seconds_between
from shared.runtime import Deadline
from shared.store import dynamodb, items

STALE_S = 10.0  # after which a note is written anew, because its record may have been lost; no promise depends on it


def leave(event: Event, deadline: Deadline, released_at: Sequence[str] = ()) -> None:
    """Have the event settled soon, unless a note already says so.

    The note takes along the oldest moment of a release, to measure how long promotions take. Raises TryAgain.
    """
    key = items.note_key(event.event_id)
    found = (dynamodb.get(deadline, items.BOOKINGS, key) or {}).get("askedAt")
    now = runtime.current.now()
    if found and seconds_between(found["S"], now) < STALE_S:
        return
    assign, names, values = items.assignment(
        {"askedAt": items.text(now), "releasedAt": items.text(min(released_at)) if released_at else None}
    )
    is_as_read = "#askedAt = :read" if found else "attribute_not_exists(#askedAt)"  # P6: each note has a record
    dynamodb.update_if(
        deadline,
        TableName=items.BOOKINGS,
        Key=key,
        UpdateExpression=assign,
        ConditionExpression=is_as_read,
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=values | ({":read": found} if found else {}),
    )


def clear(event: Event, deadline: Deadline) -> None:
    """Take the note away, before settling. Raises TryAgain."""
    key = items.note_key(event.event_id)
    dynamodb.update(deadline, TableName=items.BOOKINGS, Key=key, UpdateExpression="REMOVE askedAt, releasedAt")
