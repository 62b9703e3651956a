"""The checks of the promises are themselves checked: each forged violation is noticed, and a sound event is not."""

import copy
import zlib
from collections.abc import Callable

import pytest

from harness.promises import Request, Snapshot, order_violations, queue_jumps, violations


def _user_of(lane: int) -> str:
    return next(user for user in (f"user-{n}" for n in range(100)) if zlib.crc32(user.encode()) % 2 == lane)


ANNA, BEN = _user_of(0), _user_of(1)


def _sound() -> Snapshot:
    """Return an event of one ticket and two lanes: Anna has the ticket, Ben waits."""
    closed = {"closedAt": "t", "changes": 1}
    booking = {"eventId": "e", "bookingId": "b", "generation": 1}
    return Snapshot(
        event={"eventId": "e", "totalTickets": 1, "lanes": 2, "stripes": 2, "soldOutAt": "t"},
        lanes=[
            {"laneId": "e#0", "tickets": 1, "available": 0, "waiting": 0, **closed},
            {"laneId": "e#1", "tickets": 0, "available": 0, "waiting": 1, **closed},
        ],
        bookings=[
            {"laneId": "e#0", "userId": ANNA, "status": "CONFIRMED", "bookedAt": "t", **booking},
            {"laneId": "e#1", "userId": BEN, "status": "WAITING", "sequence": 1, "joinedAt": "t", **booking},
        ],
        entries=[{"stripeId": "e#1", "sequence": 1, "userId": BEN, "bookingId": "b", "joinedAt": "t"}],
        tail={"stripeId": "e#tail", "sequence": 0, "lastSequence": 1},
    )


FORGERIES: dict[str, tuple[str, Callable[[Snapshot], object]]] = {
    "a ticket too many": ("P1", lambda found: found.lanes[0].update(available=1)),
    "a lane that owes": (
        "P1",
        lambda found: [lane.update(available=n) for lane, n in zip(found.lanes, (-1, 1), strict=True)],
    ),
    "a lane that is lost": ("P1", lambda found: found.lanes.pop(0)),
    "two bookings of one user": ("P2", lambda found: found.bookings.append({**found.bookings[1]})),
    "a booking on a strange lane": ("P2", lambda found: found.bookings[0].update(laneId="e#1")),
    "a ticket without its moment": ("P2", lambda found: found.bookings[0].pop("bookedAt")),
    "a booking without a number": ("P2", lambda found: found.bookings[0].update(generation=0)),
    "an entry that is lost": ("P3", lambda found: found.entries.clear()),
    "an entry of somebody else": ("P3", lambda found: found.entries[0].update(userId="mallory")),
    "an entry in another place": ("P3", lambda found: found.entries[0].update(sequence=2)),
    "an entry in a strange stripe": ("P3", lambda found: found.entries[0].update(stripeId="e#0")),
    "a count that is out": ("P3", lambda found: found.lanes[0].update(waiting=1)),
    "a number nobody drew": ("P3", lambda found: found.tail.update(lastSequence=0)),
    "another limit for those who join": ("O2", lambda found: found.tail.update(waitingListLimit=1)),
    "an open lane beside a list": ("P4", lambda found: found.lanes[0].pop("closedAt")),
    "a list that no sweep finds": ("P4", lambda found: found.event.pop("soldOutAt")),
    "a change that is half done": ("O2", lambda found: found.event.update(totalTickets=2)),
    "a lane that sells for longer": ("O2", lambda found: found.event.update(closesAt="t")),
    "a lane that sells later": ("O2", lambda found: found.lanes[1].update(opensAt="t")),
    "a booking on a cancelled event": ("O3", lambda found: found.event.update(cancelledAt="t")),
    "a booking on an emptied event": ("O3", lambda found: found.event.update(cancelledAt="t", emptiedAt="t")),
    "a lane that is cancelled by itself": ("O3", lambda found: found.lanes[0].update(cancelledAt="t")),
    "a cancelled event that nobody empties": ("O3", lambda found: found.event.update(cancelledAt="t")),
    "an emptied event with a lane that is not cancelled": (
        "O3",
        lambda found: found.event.update(emptiedAt="t"),
    ),
    "somebody who is stranded": ("P6", lambda found: (found.lanes[0].update(available=1), found.bookings.pop(0))),
}


def test_a_sound_event_breaks_nothing() -> None:
    """No check cries wolf."""
    assert violations(_sound(), drained=True) == []


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_violation_is_noticed(forgery: str) -> None:
    """Every check can fail, and says which promise it is."""
    promise, forge = FORGERIES[forgery]
    found = copy.deepcopy(_sound())
    forge(found)
    assert promise in {line.partition(":")[0] for line in violations(found, drained=True)}


def test_nobody_is_stranded_by_a_cancelled_event() -> None:
    """P6: there is nothing to wait for; and O3 holds when the stream is drained."""
    found = _sound()
    found.event.update(cancelledAt="t")
    found.lanes[0].update(available=1)
    found.bookings.pop(0)
    assert {line.partition(":")[0] for line in violations(found, drained=True)} == {"O3"}
    assert violations(found, drained=False) == []


def test_a_free_ticket_beside_the_list_is_no_violation_before_the_stream_is_drained() -> None:
    """P6 holds once the promoter is done."""
    found = _sound()
    found.lanes[0].update(available=1)
    found.bookings.pop(0)
    assert violations(found, drained=False) == []


def test_who_asked_later_and_was_served_before_is_noticed() -> None:
    """P5: the check looks at who was told to wait before another asked."""
    told, later = Request("anna", 0.0, 1.0, "WAITING"), Request("ben", 2.0, 3.0, "WAITING")
    at_once = Request("ben", 0.5, 3.0, "WAITING")
    assert order_violations([told, later], {"anna": 1, "ben": 2}) == []
    assert len(order_violations([told, later], {"anna": 2, "ben": 1})) == 1
    assert len(order_violations([told, later], {"ben": 1})) == 1
    assert order_violations([told, at_once], {"ben": 1}) == []


def test_a_ticket_that_does_not_come_from_the_list_is_noticed() -> None:
    """P4: by the order of the database."""
    sold, joins = {"userId": "anna", "status": "CONFIRMED"}, {"userId": "ben", "status": "WAITING"}
    promoted = {"userId": "ben", "status": "CONFIRMED", "promotedAt": "t"}
    assert queue_jumps([sold, joins, promoted]) == []
    assert len(queue_jumps([joins, sold, promoted])) == 1
