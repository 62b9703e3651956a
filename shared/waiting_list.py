"""The waiting list: joining it, the place in it, and its head.

A place is a sequence number that the event hands out in order. It is handed out before the entry is written, so
entries may appear a little out of order; but whoever has been told "waiting" is in the list before anybody who
asks afterwards gets a number, and that is P5.
"""

from shared import dynamodb, items
from shared.claims import NewClaim, read_booking
from shared.dynamodb import Deadline, TransactItem
from shared.model import POSITION_EXACT_MAX, Booking, Entry, Position


def join(claim: NewClaim, deadline: Deadline) -> Booking:
    """Put the claim at the end of the list, or return the claim the user has already. Raises TryAgain.

    Only for an event that is known to be sold out, which means that all its lanes are closed (P4). The booking
    is read first, so that people who ask again cost the event's one counter nothing.
    """
    if standing := claim.met(read_booking(claim.event, claim.user_id, deadline)):
        return standing
    while True:
        booking = claim.waiting(_next_sequence(claim.event.event_id, deadline))
        refused = dynamodb.commit(_join(claim, booking), deadline)
        if refused is None:
            return booking
        if standing := claim.refused_by(refused, position=0):
            return standing


def position_of(booking: Booking, deadline: Deadline) -> Position:
    """Count who is ahead of a waiting booking. Raises TryAgain.

    Exact up to POSITION_EXACT_MAX ahead. Beyond that it is the distance between the numbers, which is an upper
    bound: numbers of those who left, or never arrived, are counted too.
    """
    sequence = _sequence(booking)
    ahead = dynamodb.query(
        deadline,
        TableName=items.WAITING_LIST,
        KeyConditionExpression="eventId = :event AND #sequence < :mine",
        ExpressionAttributeNames={"#sequence": "sequence"},
        ExpressionAttributeValues={":event": items.text(booking.event_id), ":mine": items.number(sequence)},
        Select="COUNT",
        Limit=POSITION_EXACT_MAX + 1,
        ConsistentRead=True,
    )["Count"]
    if ahead <= POSITION_EXACT_MAX:
        return Position(ahead + 1)
    first = head(booking.event_id, 1, deadline)
    return Position(sequence - first[0].sequence + 1 if first else 1, is_estimate=True)


def head(event_id: str, length: int, deadline: Deadline) -> list[Entry]:
    """Read the first entries of the list, strongly consistent, in their order. Raises TryAgain.

    Nobody who is told "waiting" before another of them asked can be missing before that one (P5). A query is not a
    snapshot: what is committed while it runs may show in its later part and not in its earlier. So the last number
    that was drawn is read first, and nobody who drew theirs later is on the page.
    """
    event_item = dynamodb.get(deadline, items.EVENTS, items.event_key(event_id)) or {}
    last = items.to_last_sequence(event_item)
    if last == 0:
        return []
    page = dynamodb.query(
        deadline,
        TableName=items.WAITING_LIST,
        KeyConditionExpression="eventId = :event AND #sequence <= :last",
        ExpressionAttributeNames={"#sequence": "sequence"},
        ExpressionAttributeValues={
            ":event": items.text(event_id),
            ":last": items.number(last),
        },
        Limit=length,
        ConsistentRead=True,
    )
    return [items.to_entry(item) for item in page["Items"]]


def entry_removal(event_id: str, sequence: int) -> TransactItem:
    """Return the item that takes an entry out of the list. It needs no condition: its booking's speaks for it (P3)."""
    return {"Delete": {"TableName": items.WAITING_LIST, "Key": items.entry_key(event_id, sequence)}}


def _next_sequence(event_id: str, deadline: Deadline) -> int:
    """Draw the next number. A draw that got no answer leaves a gap, which harms nothing."""
    drawn = dynamodb.update(
        deadline,
        TableName=items.EVENTS,
        Key=items.event_key(event_id),
        UpdateExpression="ADD lastSequence :one",
        ExpressionAttributeValues={":one": items.number(1)},
        ReturnValues="UPDATED_NEW",
    )
    return int(drawn["lastSequence"]["N"])


def _join(claim: NewClaim, booking: Booking) -> list[TransactItem]:
    """Write booking, entry and count together (P3). The booking's condition speaks for all three."""
    entry = Entry(
        booking.event_id, _sequence(booking), booking.user_id, booking.booking_id, joined_at=booking.joined_at or ""
    )
    return [
        claim.put(booking),
        {"Put": {"TableName": items.WAITING_LIST, "Item": items.entry_item(entry)}},
        {
            "Update": {
                "TableName": items.LANES,
                "Key": items.lane_key(booking.event_id, claim.home_lane),
                "UpdateExpression": "ADD waiting :one, changes :one",
                "ExpressionAttributeValues": {":one": items.number(1)},
            }
        },
    ]


def _sequence(booking: Booking) -> int:
    assert booking.sequence is not None, "a claim that waits has a place"
    return booking.sequence
