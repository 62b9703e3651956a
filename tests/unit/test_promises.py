"""Tests of the promise checks: they find each forged violation, and none in a sound event."""

import copy
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from harness.promises import Request, Snapshot, order_violations, queue_jumps, violations


def _user_of(lane: int) -> str:
    return next(user for user in (f"user-{n}" for n in range(100)) if zlib.crc32(user.encode()) % 2 == lane)


ANNA, BEN = _user_of(0), _user_of(1)
EXPIRED_UNTIL = "t"  # a hold that expires at "s" is overdue, one that expires at "u" is not


def _sound() -> Snapshot:
    """Return an event with one ticket and two lanes: Anna has the ticket, Ben waits."""
    closed = {"closedAt": "t", "changes": 1, "sale": 1}
    booking = {"eventId": "e", "bookingId": "b", "generation": 1, "quantity": 1}
    return Snapshot(
        event={
            "eventId": "e",
            "totalTickets": 1,
            "ticketsInLanes": 1,
            "lanes": 2,
            "stripes": 2,
            "soldOutAt": "t",
            "sale": 1,
            "ticketsPerBooking": 3,
        },
        lanes=[
            {"laneId": "e#0", "tickets": 1, "available": 0, "waiting": 0, **closed},
            {"laneId": "e#1", "tickets": 0, "available": 0, "waiting": 1, **closed},
        ],
        bookings=[
            {"laneId": "e#0", "userId": ANNA, "status": "CONFIRMED", "bookedAt": "t", **booking},
            {"laneId": "e#1", "userId": BEN, "status": "WAITING", "sequence": 1, "joinedAt": "t", **booking},
        ],
        entries=[{"stripeId": "e#1", "sequence": 1, "userId": BEN, "bookingId": "b", "joinedAt": "t", "quantity": 1}],
        tail={"stripeId": "e#tail", "sequence": 0, "lastSequence": 1},
        note={"laneId": "e#note", "userId": "note"},
    )


def _raised(found: Snapshot, to: int, **more: str) -> Snapshot:
    """Let a change be under way."""
    found.event.update(requestedAt="t", change={"number": 1, "name": "x", "totalTickets": to, **more})
    return found


TRANSFERRED = {"status": "TRANSFERRED", "transferredAt": "t", "transferredTo": "zoe", "transferredBy": "buyer"}


def _check_in(found: Snapshot, counted: int = 1) -> dict[str, Any]:
    found.lanes[0].update(checkedIn=counted)
    found.bookings[0].update(checkedInAt="t", checkedInBy="door")
    return found.bookings[0]


def _hold(found: Snapshot) -> dict[str, Any]:
    """Let Anna hold the ticket instead; return her booking."""
    anna = found.bookings[0]
    anna.pop("bookedAt", None)
    anna.update(status="HELD", heldAt="s", expiresAt="u", holdShard=1)
    return anna


def _expire(found: Snapshot) -> dict[str, Any]:
    """Let Anna's hold have expired, and its ticket be free; return her booking."""
    anna = _hold(found)
    del anna["expiresAt"], anna["holdShard"]
    anna.update(status="EXPIRED", expiredAt="t")
    _free(found, 1)
    return anna


def _wants(found: Snapshot, quantity: int, at_least: int | None = None) -> Snapshot:
    """Let Ben wait for several tickets, and take no fewer than some."""
    for one in (found.bookings[1], found.entries[0]):
        one.update(quantity=quantity, **({} if at_least is None else {"atLeast": at_least}))
    return found


def _free(found: Snapshot, tickets: int) -> Snapshot:
    found.lanes[0].update(available=tickets)
    return found


FORGERIES: dict[str, tuple[str, Callable[[Snapshot], object]]] = {
    "one ticket too many": ("P1", lambda found: found.lanes[0].update(available=1)),
    "a lane below zero": (
        "P1",
        lambda found: [lane.update(available=n) for lane, n in zip(found.lanes, (-1, 1), strict=True)],
    ),
    "a missing lane": ("P1", lambda found: found.lanes.pop(0)),
    "two bookings of one user": ("P2", lambda found: found.bookings.append({**found.bookings[1]})),
    "a booking on a lane that is not the user's home": ("P2", lambda found: found.bookings[0].update(laneId="e#1")),
    "a ticket without its moment": ("P2", lambda found: found.bookings[0].pop("bookedAt")),
    "a confirmed booking that still expires": ("P2", lambda found: found.bookings[0].update(expiresAt="t")),
    "a confirmed booking that has expired": ("P2", lambda found: found.bookings[0].update(expiredAt="t")),
    "a confirmed booking in the index of holds": ("P2", lambda found: found.bookings[0].update(holdShard=1)),
    "a hold without an end": ("P2", lambda found: _hold(found).pop("expiresAt")),
    "a hold that no run finds": ("P2", lambda found: _hold(found).pop("holdShard")),
    "a hold that was confirmed": ("P2", lambda found: _hold(found).update(bookedAt="t")),
    "an expired booking that was confirmed": ("P2", lambda found: _expire(found).update(bookedAt="t")),
    "an expired booking that will expire": ("P2", lambda found: _expire(found).update(expiresAt="t")),
    "an expired hold that keeps its ticket": ("P1", lambda found: (_expire(found), _free(found, 0))),
    "a hold whose ticket is free": ("P1", lambda found: (_hold(found), _free(found, 1))),
    "two tickets for one": ("P1", lambda found: found.bookings[0].update(quantity=2)),
    "tickets checked in and not counted": ("D1", lambda found: _check_in(found, counted=0)),
    "more tickets counted than checked in": ("D1", lambda found: _check_in(found, counted=2)),
    "a transferred booking that was checked in": (
        "P2",
        lambda found: (_check_in(found), found.bookings[0].update(TRANSFERRED)),
    ),
    "a transferred booking that nobody got": ("P1", lambda found: found.bookings[0].update(TRANSFERRED)),
    "a booking that was used and cancelled": (
        "D1",
        lambda found: (_check_in(found), found.bookings[0].update(status="CANCELLED", cancelledAt="t")),
    ),
    "a booking that nobody checked in": ("D1", lambda found: (_check_in(found), found.bookings[0].pop("checkedInBy"))),
    "a hold that nobody ends": ("H3", lambda found: _hold(found).update(expiresAt="s")),
    "a stranded user beside an expired hold": ("P6", _expire),
    "a hold of an emptied event": (
        "O3",
        lambda found: (_hold(found), found.event.update(cancelledAt="t", emptiedAt="t")),
    ),
    "a booking without a generation": ("P2", lambda found: found.bookings[0].update(generation=0)),
    "a missing entry": ("P3", lambda found: found.entries.clear()),
    "an entry of another user": ("P3", lambda found: found.entries[0].update(userId="mallory")),
    "an entry in another place": ("P3", lambda found: found.entries[0].update(sequence=2)),
    "an entry in another stripe": ("P3", lambda found: found.entries[0].update(stripeId="e#0")),
    "a wrong count": ("P3", lambda found: found.lanes[0].update(waiting=1)),
    "a number that was not drawn": ("P3", lambda found: found.tail.update(lastSequence=0)),
    "another limit in the tail": ("O2", lambda found: found.tail.update(waitingListLimit=1)),
    "an entry that wants more": ("P3", lambda found: found.entries[0].update(quantity=2)),
    "an entry that insists": ("P3", lambda found: found.entries[0].update(atLeast=2)),
    "more tickets than a booking may have": ("P2", lambda found: _wants(found, 4)),
    "more at least than at most": ("P2", lambda found: _wants(found, 2, at_least=3)),
    "a booking with tickets that still insists": ("P2", lambda found: found.bookings[0].update(quantity=2, atLeast=2)),
    "a stranded group": ("P6", lambda found: (_wants(found, 3, at_least=1), _expire(found))),
    "a lane of another sale": ("P4", lambda found: found.lanes[0].update(sale=2)),
    "an open lane of a sold-out event": (
        "P4",
        lambda found: (found.entries.pop(), found.bookings.pop(), found.lanes[0].pop("closedAt")),
    ),
    "an open lane while users wait": ("P4", lambda found: found.lanes[0].pop("closedAt")),
    "a list that no sweep finds": ("P4", lambda found: found.event.pop("soldOutAt")),
    "a change that is half done": ("O2", lambda found: found.event.update(totalTickets=2)),
    "tickets that the event does not count": ("O2", lambda found: found.event.update(ticketsInLanes=0)),
    "a lane that has more than a change wants": (
        "O2",
        lambda found: (
            _raised(found, to=2),
            found.lanes[1].update(tickets=2, available=2),
            found.event.update(ticketsInLanes=3),
        ),
    ),
    "a change that nobody finishes": ("O2", lambda found: _raised(found, to=2)),
    "a window that comes before its tickets": (
        "O2",
        lambda found: (_raised(found, to=2, closesAt="t"), found.lanes[0].update(closesAt="t")),
    ),
    "a lane that sells for longer": ("O2", lambda found: found.event.update(closesAt="t")),
    "a lane that sells later": ("O2", lambda found: found.lanes[1].update(opensAt="t")),
    "a booking of a cancelled event": ("O3", lambda found: found.event.update(cancelledAt="t")),
    "a booking of an emptied event": ("O3", lambda found: found.event.update(cancelledAt="t", emptiedAt="t")),
    "a cancelled lane of an event on sale": ("O3", lambda found: found.lanes[0].update(cancelledAt="t")),
    "a cancelled event that is not emptied": ("O3", lambda found: found.event.update(cancelledAt="t")),
    "an emptied event with a lane that is not cancelled": (
        "O3",
        lambda found: found.event.update(emptiedAt="t"),
    ),
    "a note that nobody read": ("P6", lambda found: found.note.update(askedAt="t")),
    "a stranded user": ("P6", lambda found: (found.lanes[0].update(available=1), found.bookings.pop(0))),
}


def test_a_sound_event_breaks_nothing() -> None:
    """No check reports a false violation."""
    assert violations(_sound(), drained=True, expired_until=EXPIRED_UNTIL) == []


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_violation_is_found(forgery: str) -> None:
    """Every check can fail, and names the right promise."""
    promise, forge = FORGERIES[forgery]
    found = copy.deepcopy(_sound())
    forge(found)
    broken = violations(found, drained=True, expired_until=EXPIRED_UNTIL)
    assert promise in {line.partition(":")[0] for line in broken}


def test_holds_break_nothing_before_and_after_they_expire() -> None:
    """The ticket is held, then offered to the next in line."""
    found = _sound()
    _hold(found)
    assert violations(found, drained=True, expired_until=EXPIRED_UNTIL) == []
    _expire(found)
    assert violations(found, drained=False, expired_until=EXPIRED_UNTIL) == []
    ben = found.bookings[1]
    ben.update(status="HELD", heldAt="t", promotedAt="t", expiresAt="u", holdShard=2)
    found.entries.clear()
    found.lanes[1].update(waiting=0)
    _free(found, 0)
    assert violations(found, drained=True, expired_until=EXPIRED_UNTIL) == []


def test_a_booking_of_several_tickets_counts_as_many() -> None:
    """P1 is about tickets, not bookings."""
    found = _sound()
    found.event.update(totalTickets=3, ticketsInLanes=3)
    found.lanes[0].update(tickets=3)
    found.bookings[0].update(quantity=3)
    assert violations(found, drained=True) == []
    assert (found.tickets_owned, found.tickets_left) == (3, 0)


def test_a_group_at_the_head_may_wait_beside_free_tickets() -> None:
    """P6: nobody behind it gets them, and it takes no fewer than two."""
    found = _sound()
    _wants(found, 2, at_least=2)
    _expire(found)
    assert violations(found, drained=True) == []


@pytest.mark.parametrize("tickets", [1, 2, 3])
def test_a_change_under_way_breaks_nothing(tickets: int) -> None:
    """O2: the lanes have the old total, the new one, or one between, and then a lane may have the new window."""
    found = _sound()
    _raised(found, to=3, closesAt="t")
    found.lanes[1].update(tickets=tickets - 1, available=tickets - 1)
    found.event.update(ticketsInLanes=tickets)
    if tickets == 3:
        found.lanes[0].update(closesAt="t")
    assert violations(found, drained=False) == []


def test_a_cancelled_event_strands_no_user() -> None:
    """P6 no longer applies. O3 must hold once the stream is drained."""
    found = _sound()
    found.event.update(cancelledAt="t")
    found.lanes[0].update(available=1)
    found.bookings.pop(0)
    assert {line.partition(":")[0] for line in violations(found, drained=True)} == {"O3"}
    assert violations(found, drained=False) == []


def test_a_free_ticket_while_users_wait_is_no_violation_before_the_stream_is_drained() -> None:
    """P6 must hold once the promoter is done."""
    found = _sound()
    found.lanes[0].update(available=1)
    found.bookings.pop(0)
    assert violations(found, drained=False) == []


def test_a_later_user_who_gets_a_ticket_first_is_found() -> None:
    """P5 compares users of whom one was told to wait before the other's request began."""
    told, later = Request("anna", 0.0, 1.0, "WAITING"), Request("ben", 2.0, 3.0, "WAITING")
    at_once = Request("ben", 0.5, 3.0, "WAITING")
    assert order_violations([told, later], {"anna": 1, "ben": 2}) == []
    assert len(order_violations([told, later], {"anna": 2, "ben": 1})) == 1
    assert len(order_violations([told, later], {"ben": 1})) == 1
    assert order_violations([told, at_once], {"ben": 1}) == []


def test_a_ticket_sold_past_the_waiting_list_is_found() -> None:
    """P4, in the order of the database."""
    sold = {"bookingId": "a", "userId": "anna", "status": "CONFIRMED"}
    joins = {"bookingId": "b", "userId": "ben", "status": "WAITING", "sequence": 1}
    promoted = joins | {"status": "HELD"}
    at_the_head = {"bookingId": "c", "userId": "cleo", "status": "HELD", "sequence": 2}
    assert queue_jumps([sold, joins, promoted, at_the_head]) == []
    assert len(queue_jumps([joins, sold, promoted])) == 1


def test_a_hold_that_is_confirmed_after_a_user_has_joined_jumps_no_queue() -> None:
    """P4: the ticket was the buyer's before."""
    held = {"bookingId": "a", "userId": "anna", "status": "HELD"}
    joins = {"bookingId": "b", "userId": "ben", "status": "WAITING", "sequence": 1}
    assert queue_jumps([held, joins, held | {"status": "CONFIRMED"}]) == []
    assert len(queue_jumps([joins, held, held | {"status": "CONFIRMED"}])) == 1
