"""The checks on small histories, written by hand: odd but correct ones pass, wrong ones are violations."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from checker import rounds
from checker.checks import judge
from checker.checks.story import Story
from checker.history import Exchange, History
from checker.program import Program

E = "e1"
OPENED = {"eventId": E, "name": "n", "totalTickets": 1, "ticketsPerBooking": 1}
HELD_S = 10  # of the events with holds; each hold in a history begins with its request


def _opened(**terms: Any) -> Exchange:
    facts = OPENED | terms
    return Exchange("initialize", 0, 0.5, 201, facts, body={"name": "n", "totalTickets": 1} | terms)


def _book(  # noqa: PLR0917 - as short as a line of a history
    user: str, begin: float, end: float, status: int, booking: str = "", shown: str = "CONFIRMED", **row: Any
) -> Exchange:
    if not status:
        return Exchange("book", begin, event=E, user=user)
    response = {"status": shown, "bookingId": booking, "eventId": E, "userId": user} | row
    return Exchange("book", begin, end, status, response, event=E, user=user)


def _cancel(user: str, begin: float, end: float, booking: str, was: str = "CONFIRMED", *, named: str = "") -> Exchange:
    response = {"status": "CANCELLED", "bookingId": booking, "eventId": E, "userId": user, "was": was}
    body = {"bookingId": named} if named else {}
    return Exchange("cancel", begin, end, 200, response, event=E, user=user, body=body)


def _look(user: str, begin: float, end: float, status: str, booking: str, **more: Any) -> Exchange:
    row = {"status": status, "bookingId": booking, "eventId": E, "userId": user} | more
    return Exchange("bookings", begin, end, 200, {"bookings": [row], "nextCursor": None}, event=E, user=user)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _times(held_at: float) -> dict[str, str]:
    return {"heldAt": _moment(held_at), "expiresAt": _moment(held_at + HELD_S)}


def _hold(user: str, begin: float, end: float, booking: str) -> Exchange:
    return _book(user, begin, end, 201, booking, "HELD", **_times(begin))


def _confirm(user: str, begin: float, end: float, booking: str, code: str = "", **body: str) -> Exchange:
    body = {"bookingId": booking} | body
    whose = {"bookingId": booking, "eventId": E, "userId": user}
    response: dict[str, Any] = {"code": code} if code else {"status": "CONFIRMED"} | whose | body
    return Exchange("confirm", begin, end, 409 if code else 200, response, event=E, user=user, body=body)


def _change(begin: float, end: float, status: int, total: int, **response: Any) -> Exchange:
    shown = response or (OPENED | {"totalTickets": total})
    if not status:
        return Exchange("change", begin, event=E, body={"totalTickets": total})
    return Exchange("change", begin, end, status, shown, event=E, body={"totalTickets": total})


TAKEN = ("taker", 0.51, 0.52, 201, "taken")
LEFT = Exchange("cancel", 0.53, event=E, user="taker")  # has no response: from now on the ticket is free, or is not


def _found(*exchanges: Exchange) -> set[str]:
    """Judge a history of an event whose ticket another user may have: one may be told to wait, or not."""
    return {one.check for one in judge(History([_opened(), _book(*TAKEN), LEFT, *exchanges]))}


def _found_with_holds(*exchanges: Exchange) -> set[str]:
    """Judge a history of an event with holds, whose wall clock shows the history's times."""
    opened = _opened(holdSeconds=HELD_S, offerSeconds=HELD_S, confirmedBy="shop")
    history = [Exchange("clock", 0, response=0), opened, _hold(*TAKEN[:3], TAKEN[-1]), LEFT, *exchanges]
    return {one.check for one in judge(History(history))}


RIGHT = {
    "a lost response is found later": [
        _book("a", 1, 0, 0),
        _look("a", 5, 6, "CONFIRMED", "b1"),
    ],
    "a request without a response takes effect late": [
        _book("a", 1, 0, 0),
        Exchange("cancel", 2, 3, 404, {"code": "booking-not-found"}, event=E, user="a"),
        _look("a", 5, 6, "CONFIRMED", "b1"),
    ],
    "a waiting booking is promoted by itself": [
        _book("a", 1, 2, 202, "b1", "WAITING"),
        _look("a", 3, 4, "CONFIRMED", "b1"),
    ],
    "a booking is seen waiting and answered as promoted": [
        _book("a", 1, 4, 200, "b1"),
        _look("a", 2, 3, "WAITING", "b1"),
    ],
    "a booking is cancelled before it is answered": [
        _book("a", 1, 5, 200, "b1", "CANCELLED", was="WAITING"),
        _cancel("a", 2, 3, "b1", "WAITING"),
    ],
    "requests that overlap take effect in any order": [
        _cancel("a", 2, 6, "b1"),
        _book("a", 1, 1.5, 201, "b1"),
        _book("a", 3, 5, 201, "b2"),
        _look("a", 7, 8, "CONFIRMED", "b2"),
    ],
    "a user who asks while another is told to wait may be first": [
        _book("a", 1, 4, 202, "b1", "WAITING"),
        _book("b", 3, 5, 201, "b2"),
        _look("a", 8, 9, "WAITING", "b1"),
    ],
    "the total is between the old and the new": [
        _change(1, 5, 200, 9),
        Exchange("status", 2, 3, 200, OPENED | {"totalTickets": 5}, event=E),
    ],
    "a change without a response comes after a later one": [
        _change(1, 0, 0, 9),
        _change(2, 3, 200, 5),
        Exchange("status", 6, 7, 200, OPENED | {"totalTickets": 9}, event=E),
    ],
    "a position grows by a user who asked at the same time": [  # and got an earlier place, but joined the list later
        _book("a", 1, 2, 202, "b1", "WAITING", position=1),
        _book("b", 1.5, 4, 202, "b2", "WAITING", position=1),
        _look("a", 5, 6, "WAITING", "b1", position=2),
    ],
}

WRONG = {
    "bookings: a booking that waited is called new": [
        _book("a", 1, 4, 201, "b1"),
        _look("a", 2, 3, "WAITING", "b1"),
    ],
    "bookings: an acknowledged booking is gone": [
        _book("a", 1, 2, 201, "b1"),
        Exchange("cancel", 3, 4, 404, {"code": "booking-not-found"}, event=E, user="a"),
    ],
    "bookings: two requests made one booking": [
        _book("a", 1, 5, 201, "b1"),
        _book("a", 2, 6, 202, "b1", "WAITING"),
        _cancel("a", 3, 4, "b1"),
    ],
    "bookings: a late cancellation takes the new booking": [
        _book("a", 1, 2, 201, "b1"),
        _cancel("a", 3, 4, "b1"),
        _book("a", 5, 6, 201, "b2"),
        _cancel("a", 7, 8, "b2", named="b1"),
    ],
    "bookings: a ticket becomes a place in the list": [
        _book("a", 1, 2, 201, "b1"),
        _look("a", 3, 4, "WAITING", "b1"),
    ],
    "tickets: two hold the only ticket": [
        _book("a", 1, 2, 201, "b1"),
        _book("b", 3, 4, 201, "b2"),
        _look("a", 5, 6, "CONFIRMED", "b1"),
    ],
    "order: a newcomer passes one who was told to wait": [
        _book("a", 1, 2, 202, "b1", "WAITING"),
        _book("b", 3, 4, 201, "b2"),
        _look("a", 5, 6, "WAITING", "b1"),
    ],
    "changes: a raise is refused": [
        _change(1, 2, 409, 9, code="tickets-booked", totalTickets=1, bookedTickets=10),
    ],
    "changes: the total is neither the old nor the new": [
        _change(1, 5, 200, 9),
        Exchange("status", 6, 7, 200, OPENED | {"totalTickets": 10}, event=E),
    ],
    "cancelled: a ticket is sold after the end": [
        Exchange("cancel-event", 1, 2, 202, OPENED, event=E),
        _book("a", 3, 4, 201, "b1"),
    ],
    "cancelled: one who waits is promoted after the end": [
        _book("a", 0.6, 0.7, 202, "b1", "WAITING"),
        Exchange("cancel-event", 1, 2, 202, OPENED, event=E),
        _look("a", 3, 4, "WAITING", "b1"),
        _look("a", 5, 6, "CONFIRMED", "b1"),
    ],
}


JUMP = Exchange("fault", 2, 3, response="the clock was off by 30 s for a while", body={"kind": "clock"})

RIGHT_WITH_HOLDS = {
    "a hold is confirmed late": [
        _hold("a", 1, 2, "b1"),
        _confirm("a", 15, 16, "b1", reference="r1"),
        _confirm("a", 17, 18, "b1", reference="r1"),
    ],
    "a hold expires when it is due, and the next user holds the ticket": [
        _hold("a", 1, 2, "b1"),
        _confirm("a", 11.5, 12.5, "b1", "hold-expired"),
        _hold("b", 12, 13, "b2"),
        _look("b", 14, 15, "HELD", "b2", **_times(12)),
    ],
    "a confirmation without a response is done when the next one says so": [
        _hold("a", 1, 2, "b1"),
        Exchange("confirm", 3, event=E, user="a", body={"bookingId": "b1", "reference": "r1"}),
        Exchange(
            "confirm", 4, 5, 200, {"status": "CONFIRMED", "bookingId": "b1", "eventId": E, "userId": "a",
            "reference": "r1"}, event=E, user="a", body={"bookingId": "b1", "reference": "r2"},
        ),
    ],
    "a hold expires while the clock is wrong": [
        _hold("a", 1, 2, "b1"),
        JUMP,
        _look("a", 4, 5, "EXPIRED", "b1"),
    ],
    "a promotion is an offer": [
        _book("a", 1, 2, 202, "b1", "WAITING"),
        _confirm("a", 3, 4, "b1", "not-held"),
        _look("a", 5, 6, "HELD", "b1", **_times(4), promotedAt=_moment(4)),
    ],
}  # fmt: skip

WRONG_WITH_HOLDS = {
    "bookings: a hold expires before it is due": [
        _hold("a", 1, 2, "b1"),
        _look("a", 4, 5, "EXPIRED", "b1"),
    ],
    "holds: a hold is shorter than the event's": [
        _book("a", 1, 2, 201, "b1", "HELD", heldAt=_moment(1), expiresAt=_moment(6)),
    ],
    "holds: a hold is left": [
        _hold("a", 1, 2, "b1"),
        Exchange(
            "event-bookings", 60, 61, 200, {"nextCursor": None, "bookings": [
            {"status": "HELD", "bookingId": "b1", "userId": "a", "heldAt": _moment(1), "expiresAt": _moment(11)}]},
            event=E, at_rest=True,
        ),
    ],
    "bookings: what is confirmed expires": [
        _hold("a", 1, 2, "b1"),
        _confirm("a", 3, 4, "b1"),
        _look("a", 20, 21, "EXPIRED", "b1"),
    ],
    "bookings: what has expired is confirmed": [
        _hold("a", 1, 2, "b1"),
        _look("a", 20, 21, "EXPIRED", "b1"),
        _confirm("a", 22, 23, "b1"),
    ],
    "bookings: another user's booking is confirmed": [
        _hold("a", 1, 2, "b1"),
        Exchange(
            "confirm", 3, 4, 200, {"status": "CONFIRMED", "bookingId": "b1", "eventId": E, "userId": "a"},
            event=E, user="a", body={"bookingId": "b2"},
        ),
    ],
    "facts: a second reference replaces the first": [
        _hold("a", 1, 2, "b1"),
        _confirm("a", 3, 4, "b1", reference="r1"),
        _confirm("a", 5, 6, "b1", reference="r2"),
    ],
    "bookings: a held booking is refused as expired before it is due": [
        _hold("a", 1, 2, "b1"),
        _confirm("a", 3, 4, "b1", "hold-expired"),
    ],
    "bookings: a promotion is final where offers are made": [
        _book("a", 1, 2, 202, "b1", "WAITING"),
        _look("a", 5, 6, "CONFIRMED", "b1"),
    ],
    "tickets: a held ticket is sold": [
        _hold("a", 1, 2, "b1"),
        _hold("b", 3, 4, "b2"),
    ],
    "order: an offer passes a user who was told to wait": [
        _book("a", 1, 2, 202, "b1", "WAITING"),
        _book("b", 3, 4, 202, "b2", "WAITING"),
        _look("b", 5, 6, "HELD", "b2", **_times(4), promotedAt=_moment(4)),
        _look("a", 7, 8, "WAITING", "b1"),
    ],
    "positions: a position grows by one who asked later": [
        _book("a", 1, 2, 202, "b1", "WAITING", position=1),
        _book("b", 3, 4, 202, "b2", "WAITING", position=2),
        _look("a", 5, 6, "WAITING", "b1", position=2),
    ],
}  # fmt: skip


def _group(  # noqa: PLR0917 - as short as a line of a history
    user: str, begin: float, end: float, status: int, booking: str, wanted: tuple[int, int], given: int = 0
) -> Exchange:
    """Book for a group that wants a quantity, and at least so many; `given` is what it got, if it got tickets."""
    body = {"quantity": wanted[0], "atLeast": wanted[1]}
    shown = {"quantity": given or wanted[0]} | ({} if given else {"atLeast": wanted[1]})
    response = {"status": "CONFIRMED" if given else "WAITING", "bookingId": booking, "eventId": E, "userId": user}
    return Exchange("book", begin, end, status, response | shown, event=E, user=user, body=body)


def _too_few(user: str, begin: float, end: float, wanted: tuple[int, int], left: int) -> Exchange:
    body = {"quantity": wanted[0], "atLeast": wanted[1]}
    response = {"code": "too-few-tickets", "availableTickets": left}
    return Exchange("book", begin, end, 409, response, event=E, user=user, body=body)


def _keep(  # noqa: PLR0917 - as short as a line of a history
    user: str, begin: float, end: float, booking: str, keep: int, left: int, **row: Any
) -> Exchange:
    """Keep some tickets; the response shows `left`. It has no response if `end` is 0."""
    if not end:
        return Exchange("cancel", begin, event=E, user=user, body={"keep": keep})
    response = {"status": "CONFIRMED", "bookingId": booking, "eventId": E, "userId": user, "quantity": left} | row
    return Exchange("cancel", begin, end, 200, response, event=E, user=user, body={"keep": keep})


def _refused_to_keep(user: str, begin: float, end: float, keep: int) -> Exchange:
    return Exchange("cancel", begin, end, 409, {"code": "checked-in"}, event=E, user=user, body={"keep": keep})


def _transfer(  # noqa: PLR0917 - as short as a line of a history
    user: str, begin: float, end: float, booking: str, to: str, quantity: int
) -> Exchange:
    """Transfer a booking. It has no response if `end` is 0."""
    body = {"bookingId": booking, "toUserId": to}
    if not end:
        return Exchange("transfer", begin, event=E, user=user, body=body)
    whose = {"bookingId": booking, "eventId": E, "userId": user}
    response = {"status": "TRANSFERRED", "quantity": quantity, "transferredTo": to} | whose
    return Exchange("transfer", begin, end, 200, response, event=E, user=user, body=body)


def _check_in(user: str, begin: float, end: float, booking: str, quantity: int) -> Exchange:
    whose = {"bookingId": booking, "eventId": E, "userId": user, "quantity": quantity}
    response = {"status": "CONFIRMED", "checkedInAt": _moment(begin), "again": False} | whose
    return Exchange("check-in", begin, end, 200, response, event=E, user=user, body={"bookingId": booking})


def _found_with_groups(*exchanges: Exchange) -> set[str]:
    """Judge a history of an event with 10 tickets, at most 4 in one booking."""
    return {one.check for one in judge(History([_opened(totalTickets=10, ticketsPerBooking=4), *exchanges]))}


def _sold(*users: str) -> list[Exchange]:
    """Sell four tickets to each user."""
    return [_group(user, 1, 2, 201, f"of {user}", (4, 4), 4) for user in users]


RIGHT_WITH_GROUPS = {
    "the last tickets go to a group that takes fewer": [*_sold("a", "b"), _group("c", 3, 4, 201, "b1", (4, 1), 2)],
    "too few are left for a group": [*_sold("a", "b"), _too_few("c", 3, 4, (4, 3), 2)],
    "too few are left while another may be buying": [
        *_sold("a"), _too_few("c", 3, 6, (4, 4), 2), _group("b", 5, 7, 201, "b2", (4, 4), 4),
    ],
    "a group keeps some, by two requests that overlap": [
        *_sold("a"), _keep("a", 3, 6, "of a", 2, 2), _keep("a", 4, 5, "of a", 3, 3),
    ],
    "a request to keep more than there are changes nothing": [*_sold("a"), _keep("a", 3, 4, "of a", 9, 4)],
    "a request to keep some without a response comes late": [
        *_sold("a"), _keep("a", 3, 0, "of a", 1, 0), _look("a", 5, 6, "CONFIRMED", "of a", quantity=4),
        _look("a", 8, 9, "CONFIRMED", "of a", quantity=1),
    ],
    "a group that asked for fewer while it waited gets them": [
        *_sold("a", "b"), _group("c", 1, 2, 201, "b1", (2, 2), 2), _group("d", 3, 4, 202, "b2", (4, 3)),
        _keep("d", 5, 6, "b2", 2, 2, status="WAITING", atLeast=2),
        _keep("a", 6, 7, "of a", 2, 2),
        _look("d", 8, 9, "CONFIRMED", "b2", quantity=2),
    ],
    "a single buys what a group returned, which nobody waited for": [
        *_sold("a", "b"), _group("c", 1, 2, 201, "b1", (2, 2), 2), _keep("c", 3, 4, "b1", 1, 1),
        _group("d", 5, 6, 201, "b2", (1, 1), 1),
    ],
    "a group gives its tickets to a user who keeps some": [
        *_sold("a"), _transfer("a", 3, 4, "of a", "b", 4), _keep("b", 5, 6, "b1", 2, 2),
        _look("b", 7, 8, "CONFIRMED", "b1", quantity=2),
    ],
    "a status from before a group was told to wait shows it on sale": [
        *_sold("a", "b"), _group("c", 1, 2, 201, "b1", (2, 2), 2), _group("d", 3, 4, 202, "b2", (4, 4)),
        Exchange("status", 4.5, 5, 200, OPENED | {"totalTickets": 10, "ticketsPerBooking": 4}, event=E),
        _look("d", 9, 10, "WAITING", "b2", quantity=4, atLeast=4),
    ],
    "a group gives its tickets without a response": [
        *_sold("a"), _transfer("a", 3, 0, "of a", "b", 0), _look("b", 5, 6, "CONFIRMED", "b1", quantity=4),
    ],
    "too few are left beside those that a group gave away": [
        *_sold("a", "b"), _transfer("a", 3, 4, "of a", "d", 4), _too_few("c", 5, 6, (4, 4), 2),
        _look("d", 7, 8, "CONFIRMED", "b1", quantity=4),
    ],
    "too few are left beside those that a group gave to a user who may have returned them": [
        *_sold("a", "b"), _transfer("a", 3, 4, "of a", "d", 4), _too_few("c", 5, 6, (4, 4), 2),
        Exchange("cancel", 7, event=E, user="d"),
    ],
    "a user who waits is not passed by one who is given tickets": [
        *_sold("a", "b"), _group("c", 1, 2, 201, "b1", (2, 2), 2), _group("d", 3, 4, 202, "b2", (4, 4)),
        _transfer("a", 5, 6, "of a", "e", 4), _look("e", 7, 8, "CONFIRMED", "b3", quantity=4),
        _look("d", 9, 10, "WAITING", "b2", quantity=4, atLeast=4),
    ],
    "a group that was checked in keeps as many tickets as it has": [
        *_sold("a"), _check_in("a", 3, 4, "of a", 4), _keep("a", 5, 6, "of a", 4, 4, checkedInAt=_moment(3)),
    ],
    "a group that was checked in may return nothing": [
        *_sold("a"), _check_in("a", 3, 4, "of a", 4), _refused_to_keep("a", 5, 6, 2),
    ],
}  # fmt: skip
WRONG_WITH_GROUPS = {
    "tickets: groups have more tickets than there are": _sold("a", "b", "c"),
    "bookings: a group has more tickets than it wants": [_group("a", 1, 2, 201, "b1", (2, 2), 3)],
    "bookings: a group has fewer tickets than it takes": [
        *_sold("a", "b"), _group("c", 3, 4, 201, "b1", (4, 3), 2),
    ],
    "bookings: the number of tickets grows": [
        *_sold("a"), _keep("a", 3, 4, "of a", 2, 2), _look("a", 5, 6, "CONFIRMED", "of a", quantity=3),
    ],
    "bookings: the number of tickets falls by itself": [
        *_sold("a"), _look("a", 5, 6, "CONFIRMED", "of a", quantity=3),
    ],
    "bookings: a group that asked for fewer gets more": [
        *_sold("a", "b"), _group("c", 1, 2, 201, "b1", (2, 2), 2), _group("d", 3, 4, 202, "b2", (4, 3)),
        _keep("d", 5, 6, "b2", 2, 2, status="WAITING", atLeast=2),
        _look("d", 8, 9, "CONFIRMED", "b2", quantity=3),
    ],
    "bookings: a promoted group gets fewer than it takes": [
        *_sold("a", "b"), _group("c", 1, 2, 201, "b1", (2, 2), 2), _group("d", 3, 4, 202, "b2", (4, 3)),
        _look("d", 8, 9, "CONFIRMED", "b2", quantity=2),
    ],
    "bookings: a user is given fewer tickets than the group had": [
        *_sold("a"), _transfer("a", 3, 4, "of a", "b", 4), _look("b", 5, 6, "CONFIRMED", "b1", quantity=3),
    ],
    "bookings: a user is given tickets that the group had returned": [
        *_sold("a"), _keep("a", 3, 4, "of a", 2, 2), _transfer("a", 5, 6, "of a", "b", 2),
        _look("b", 7, 8, "CONFIRMED", "b1", quantity=4),
    ],
    "bookings: a group gives more tickets than it has": [*_sold("a"), _transfer("a", 3, 4, "of a", "b", 5)],
    "bookings: a group returns tickets after it was checked in": [
        *_sold("a"), _check_in("a", 3, 4, "of a", 4), _keep("a", 5, 6, "of a", 2, 2, checkedInAt=_moment(3)),
    ],
    "bookings: a group that was checked in may not keep what it has": [
        *_sold("a"), _check_in("a", 3, 4, "of a", 4), _refused_to_keep("a", 5, 6, 4),
    ],
    "order: a single passes a group": [
        *_sold("a", "b"), _group("c", 1, 2, 201, "b1", (2, 2), 2), _group("d", 3, 4, 202, "b2", (4, 4)),
        _keep("c", 5, 6, "b1", 1, 1), _group("e", 7, 8, 201, "b3", (1, 1), 1),
        _look("d", 9, 10, "WAITING", "b2", quantity=4, atLeast=4),
    ],
    "sales: too few are left, and there are enough": [*_sold("a"), _too_few("c", 3, 4, (4, 4), 3)],
    "sales: too few are left, and as many as it takes": [*_sold("a", "b"), _too_few("c", 3, 4, (4, 2), 2)],
    "sales: a group is told to wait where some are left": [*_sold("a", "b"), _group("c", 3, 4, 202, "b1", (4, 4))],
    "sales: a group gets fewer than there are": [*_sold("a"), _group("c", 3, 4, 201, "b1", (4, 1), 2)],
    "sales: a group gets more than a booking may have": [_group("a", 1, 2, 201, "b1", (5, 5), 5)],
    "sales: it is on sale while a group waits": [
        *_sold("a", "b"), _group("c", 1, 2, 201, "b1", (2, 2), 2), _group("d", 3, 4, 202, "b2", (4, 4)),
        Exchange("status", 6, 7, 200, OPENED, event=E), _look("d", 9, 10, "WAITING", "b2", quantity=4, atLeast=4),
    ],
}  # fmt: skip


KINDS = (
    (_found, RIGHT, WRONG),
    (_found_with_holds, RIGHT_WITH_HOLDS, WRONG_WITH_HOLDS),
    (_found_with_groups, RIGHT_WITH_GROUPS, WRONG_WITH_GROUPS),
)


@pytest.mark.parametrize(
    ("found", "history"), [pytest.param(found, right[name], id=name) for found, right, _ in KINDS for name in right]
)
def test_a_correct_history_is_no_violation(found: Callable[..., set[str]], history: list[Exchange]) -> None:
    """No false alarms, however odd the order of events."""
    assert found(*history) == set()


@pytest.mark.parametrize(
    ("found", "name", "history"),
    [pytest.param(found, name, wrong[name], id=name) for found, _, wrong in KINDS for name in wrong],
)
def test_a_wrong_history_is_a_violation(found: Callable[..., set[str]], name: str, history: list[Exchange]) -> None:
    """The check before the colon reports it."""
    assert name.partition(":")[0] in found(*history)


@pytest.mark.parametrize("last", ["CONFIRMED", "WAITING"])
def test_many_requests_without_a_response_do_not_hide_a_violation(
    last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The history is judged, whether it is right or wrong: a ticket does not become a place in the list."""
    exchanges = [_book("a", 1, 0, 0) for _ in range(8)]
    exchanges += [Exchange("cancel", 1, event=E, user="a") for _ in range(8)]
    exchanges += [_look("a", 10 + turn, 10.5 + turn, "CONFIRMED", f"b{turn}") for turn in range(8)]
    exchanges += [_look("a", 20, 21, last, "b7")]
    assert _found(*exchanges) == ({"bookings"} if last == "WAITING" else set())
    assert not capsys.readouterr().err, "some user is not judged"


def test_a_program_that_exits_by_itself_is_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is started again, so that the round goes on."""
    program, history = Program(tmp_path, tmp_path / "log"), History()
    started: list[bool] = []
    monkeypatch.setattr(program, "exit_code", lambda: 1)
    monkeypatch.setattr(program, "start", lambda: started.append(True))
    assert rounds.watch(program, history)
    assert [one.check for one in judge(history)] == ["program"]
    assert started == [True]


def test_a_saved_history_is_judged_as_it_was(tmp_path: Path) -> None:
    """Requests without a response stay so."""
    history = History([_opened(), _book("a", 1, 0, 0), *WRONG["order: a newcomer passes one who was told to wait"]])
    history.save(tmp_path / "history.jsonl")
    assert list(History.load(tmp_path / "history.jsonl")) == list(history)
    assert Story(history).opened.keys() == {E}
