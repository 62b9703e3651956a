"""Settling several at once: how many, and what one that cannot be promoted does to the others."""

import pytest

from shared import events, items
from shared.dynamodb import Deadline
from shared.model import Event as Facts
from shared.model import Stuck
from shared.settle import settle
from tests.meter import metered
from tests.office import Event, Office


def _facts(event: Event) -> Facts:
    return events.read_event(event.event_id, Deadline.after(5))


def _released(office: Office, tickets: int, waiting: int) -> Event:
    """Return an event whose tickets are all free again, with so many waiting for them: user-N and so on."""
    event = office.opens(tickets=tickets)
    for n in range(tickets + waiting):
        event.books(f"user-{n}")
    for n in range(tickets):
        event.cancels(f"user-{n}")
    return event


def _moves(office: Office, event: Event, user: str, sequence: int) -> None:
    """Forge the place that a booking says it has."""
    office.database.update_item(
        TableName=items.BOOKINGS,
        Key=items.booking_key(_facts(event), user),
        UpdateExpression="SET #sequence = :forged",
        ExpressionAttributeNames={"#sequence": "sequence"},
        ExpressionAttributeValues={":forged": items.number(sequence)},
    )


def test_no_more_are_promoted_than_was_asked_for(office: Office) -> None:
    """A user who books settles for one ticket, not for everybody."""
    event = _released(office, tickets=3, waiting=5)
    assert settle(_facts(event), Deadline.after(5), promotions_max=1) == 1
    assert event.check().confirmed == {"user-3"}


def test_those_before_one_who_cannot_be_promoted_are_promoted(office: Office) -> None:
    """A damaged place in the list keeps nobody waiting who stands before it, and nobody overtakes it (P5)."""
    event = _released(office, tickets=4, waiting=4)
    _moves(office, event, "user-6", 999)
    with metered() as meter, pytest.raises(Stuck):
        settle(_facts(event), Deadline.after(5))
    first_look = meter.requests[: meter.requests.index("TransactWriteItems") + 2]
    assert first_look[-2:] == ["TransactWriteItems"] * 2  # all four are refused, then the first two are not
    _moves(office, event, "user-6", 3)
    assert event.check().confirmed == {"user-4", "user-5"}
    assert settle(_facts(event), Deadline.after(5)) == 2
    event.check(drained=True)


def test_tickets_are_taken_from_as_few_lanes_as_can_be(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lane is one more item that may be busy."""
    monkeypatch.setattr(events, "lanes_for", lambda _: 3)
    event = _released(office, tickets=30, waiting=6)
    free = sorted((lane["available"] for lane in event.check().lanes), reverse=True)
    assert free[0] > 6
    with metered() as meter:
        assert settle(_facts(event), Deadline.after(5)) == 6
    assert meter.write_units == 6 * 4 + 2
