"""Settling promotes several users at once: how many, and what happens if one of them cannot be promoted."""

import pytest

from harness.meter import metered
from harness.network import Reply, Sent, error, network
from harness.office import Event, Office
from shared import runtime
from shared.booking import catalog
from shared.booking.settle import settle
from shared.model import Event as Facts
from shared.model import Stuck
from shared.runtime import Deadline
from shared.store import items


def _facts(event: Event) -> Facts:
    return catalog.read_event(event.event_id, Deadline.after(5))


def _released(office: Office, tickets: int, waiting: int) -> Event:
    """Return an event whose tickets are all free again, and for which so many users wait."""
    event = office.opens(tickets=tickets)
    for n in range(tickets + waiting):
        event.books(f"user-{n}")
    for n in range(tickets):
        event.cancels(f"user-{n}")
    return event


def _moves(office: Office, event: Event, user: str, sequence: int) -> None:
    """Forge the place in a booking."""
    office.database.update_item(
        TableName=items.BOOKINGS,
        Key=items.booking_key(_facts(event), user),
        UpdateExpression="SET #sequence = :forged",
        ExpressionAttributeNames={"#sequence": "sequence"},
        ExpressionAttributeValues={":forged": items.number(sequence)},
    )


def test_settling_promotes_no_more_users_than_requested(office: Office) -> None:
    """A buyer's request settles for one ticket only."""
    event = _released(office, tickets=3, waiting=5)
    assert settle(_facts(event), Deadline.after(5), promotions_max=1) == 1
    assert event.check().confirmed == {"user-3"}


def test_users_ahead_of_one_who_cannot_be_promoted_are_promoted(office: Office) -> None:
    """A damaged place does not hold up the users ahead of it, and no user behind it overtakes it (P5)."""
    event = _released(office, tickets=4, waiting=4)
    _moves(office, event, "user-6", 999)
    with metered() as meter, pytest.raises(Stuck):
        settle(_facts(event), Deadline.after(5), fruitless_max=1)
    first_round = meter.requests[: meter.requests.index("TransactWriteItems") + 2]
    assert first_round[-2:] == ["TransactWriteItems"] * 2  # refused for all four, then done for the first two
    _moves(office, event, "user-6", 3)
    assert event.check().confirmed == {"user-4", "user-5"}
    assert settle(_facts(event), Deadline.after(5)) == 2
    event.check(drained=True)


def test_tickets_are_taken_from_as_few_lanes_as_possible(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lane is one more item that may have a conflict."""
    monkeypatch.setattr(catalog, "lanes_for", lambda _: 3)
    event = _released(office, tickets=30, waiting=6)
    free = sorted((lane["available"] for lane in event.check().lanes), reverse=True)
    assert free[0] > 6
    with metered() as meter:
        assert settle(_facts(event), Deadline.after(5), promotions_max=5) == 5
    assert meter.write_units == 5 * 4 + 2


def test_a_settler_pauses_after_a_conflict(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it reads everything again, because another settler may have done its work. Each pause may be longer."""
    event = _released(office, tickets=1, waiting=1)
    drawn: list[float] = []

    def uniform(_low: float, high: float) -> float:
        drawn.append(high)
        return 0.0

    monkeypatch.setattr(runtime.current, "uniform", uniform)

    def intercept(sent: Sent) -> Reply | None:
        conflicts = [{"Code": "TransactionConflict"}, {"Code": "None"}, {"Code": "None"}]
        if sent.operation == "TransactWriteItems" and len(drawn) < 7:
            return error(400, "TransactionCanceledException", CancellationReasons=conflicts)
        return None

    with network() as between:
        between.intercept = intercept
        assert settle(_facts(event), Deadline.after(5)) == 1
    assert drawn == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    rounds = [operation for operation in between.sent if operation in {"Query", "TransactWriteItems"}]
    assert rounds == ["Query", "TransactWriteItems"] * 8
