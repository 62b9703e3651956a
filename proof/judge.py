"""The promises as they are checked at every step of every schedule: over the tables, each change, and each answer.

Over the tables it is harness/promises.py that judges. What is added here needs a history: no queue jumping (P4) and
first come, first served (P5) at the moment somebody gets a ticket, one effect for each request and answers that were
true when they were given (P7).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import filterfalse
from typing import Any

from harness import promises
from proof.expressions import Item
from proof.lambdas import Node, Result
from proof.operations import EVENT, AtDoor, Book, Cancel, CancelEvent, Confirm, GiveAway, Operation, Patch
from proof.stand_in import Change, Tables
from shared.model import (
    Availability,
    Booking,
    BookingCancelled,
    BookingChanged,
    BookingNotFound,
    BookingTransferred,
    CheckedIn,
    CheckIn,
    Event,
    EventCancelled,
    EventChanged,
    HoldExpired,
    ImpossibleWindow,
    NotConfirmed,
    NotHeld,
    NotOnSale,
    RecipientHasBooking,
    Standing,
    Status,
    TicketsBooked,
    TooFewTickets,
    TryAgain,
    WaitingListFull,
)
from shared.store import items

# How far a booking has come. It only ever goes up, and CANCELLED, EXPIRED or TRANSFERRED is its end; one that was
# checked in, a step further than CONFIRMED.
_END = 4
_STAGES = {Status.WAITING: 0, Status.HELD: 1, Status.CONFIRMED: 2} | dict.fromkeys(
    (Status.CANCELLED, Status.EXPIRED, Status.TRANSFERRED), _END
)

BY_ITSELF = ("background", "sweep", "expire")  # how operations begin that do what no user asked for
READ_MAX = 10_000  # results of reading the tables that are cached, the most recently used ones

Progress = tuple[int, int, int] | None  # a user's booking number, its stage, and less and less tickets


class Violation(Exception):
    """A promise was broken."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, how far its user's booking had come when it was sent, and which refusals have been true since."""

    operation: Operation
    since: Progress = None
    refusals: frozenset[str] = frozenset()
    has_rivals: bool = False  # other changes of the event want something else: what it was told may be theirs


@dataclass(frozen=True, slots=True)
class Made:
    """What the requests have done so far, for "one effect each": (operation, what it did, bookingId)."""

    effects: frozenset[tuple[str, str, str]] = frozenset()

    def plus(self, operation: str, change: Change) -> "Made":
        """Note a change in Bookings. Raises Violation where an effect comes twice."""
        old, new = change
        assert new is not None, "bookings are never deleted"
        before, after = (items.to_booking(old) if old else None), items.to_booking(new)
        what = _step(before, after)
        effect = (operation, what, after.booking_id)
        if what == "promoted" or operation.startswith(BY_ITSELF):  # of many users; each once, for it ends something
            return self
        if (operation, _REFUSED, "") in self.effects:
            raise Violation(f"P7: {operation} was refused, and then did {what} {after.booking_id}")
        if what == "made" and any(one[1:] == effect[1:] for one in self.effects):
            raise Violation(f"P7: {operation} made the booking {after.booking_id} a second time")
        if any(one[:2] == effect[:2] for one in self.effects):
            raise Violation(f"P7: {operation} had a second effect: {what} {after.booking_id}")
        return Made(self.effects | {effect})

    def plus_change(self, operation: str, change: Change) -> "Made":
        """Note a change of the event: its effect is that of the operation that requested it, whoever finishes it.

        Raises Violation if that operation was refused.
        """
        old, new = change
        if old is None or new is None:
            return self
        before, after = items.to_event(old), items.to_event(new)
        if after.change and before.change is None:
            return Made(self.effects | {(operation, _REQUESTED, str(after.change.number))})
        if after.revision == before.revision:
            return self
        by = operation
        if before.change:
            asked = (_REQUESTED, str(before.change.number))
            by = next((one[0] for one in self.effects if one[1:] == asked), "before")
        if (by, _REFUSED, "") in self.effects:
            raise Violation(f"O2: {by} was refused, and then done: {after.terms}")
        return Made(self.effects | {(by, "changed", str(after.revision))})

    def nothing_by(self, operation: str) -> "Made":
        """Note that an operation was refused: it has had no effect, and will have none. Raises Violation if it had."""
        if done := [one[1:] for one in self.effects if one[0] == operation and one[1] != _REQUESTED]:
            raise Violation(f"P7: {operation} was refused, and had done {done}")
        return Made(self.effects | {(operation, _REFUSED, "")})

    def check_reduced(self, operation: str, told: Booking) -> None:
        """Check that a request reduced the booking that it was told of, and no other. Raises Violation."""
        for name, what, booking_id in self.effects:
            if (name, what) == (operation, "reduced") and booking_id != told.booking_id:
                raise Violation(f"P7: {operation} reduced {booking_id}, and was told {told}")

    def check_created(self, operation: str, told: Standing) -> None:
        """Check that only the request that made a booking is told so. Raises Violation."""
        if told.is_new and (operation, "made", told.booking.booking_id) not in self.effects:
            raise Violation(f"P7: {operation} was told that it made {told.booking.booking_id}, which another made")

    def check_given(self, operation: str, booking: str) -> None:
        """Check that a transfer gave no other booking than this one. Raises Violation."""
        given = {one[2] for one in self.effects if one[:2] == (operation, "transferred")}
        if given - {booking}:
            raise Violation(f"T1: {operation} gave {given}, and was answered about {booking}")

    def check_first(self, operation: str, told: CheckIn) -> None:
        """Check that only the request that checked a booking in is told so. Raises Violation."""
        if not told.again and (operation, "checked in", told.booking.booking_id) not in self.effects:
            raise Violation(f"D1: {operation} was told that it was the first, and it was not")


_REFUSED, _REQUESTED = "refused", "requested"
NOTHING_MADE = Made()


def check_tables(tables: Tables, *, drained: bool = False, expired_until: str = "") -> None:
    """Check P1 to P4, O2 and O3; with `drained` also P6, and that no change or cancellation is half done.

    With the moment of a run that expired all due holds, also H3.

    Raises Violation.
    """
    if tables.identity in _checked and not drained and not expired_until:
        return
    if broken := promises.violations(snapshot(tables), drained=drained, expired_until=expired_until):
        raise Violation("; ".join(broken))
    _checked.add(tables.identity)


def check_window(before: Tables, after: Tables, changes: Iterable[Change]) -> None:
    """Check O1: a booking is made on lanes that are on sale at the moment of the booking. Raises Violation."""
    lanes = zip(before.of(items.LANES), after.of(items.LANES), strict=False)
    touched = [lane for lane, now in lanes if lane is not now]
    for old, new in changes:
        assert new is not None, "bookings are never deleted"
        moment = new.get("joinedAt") or new.get("heldAt") or new.get("bookedAt")
        is_new = not old or old["generation"] != new["generation"]
        if (
            is_new
            and moment
            and "transferredFrom" not in new
            and not all(_is_on_sale(lane, moment["S"]) for lane in touched)
        ):
            raise Violation(f"O1: {new['bookingId']['S']} was made at {moment['S']}, on {touched}")


def check_transfer(changes: Iterable[Change]) -> None:
    """Check T1: each booking that is transferred becomes one of the recipient's in the same transaction, and no other.

    Raises Violation.
    """
    given, got = set(), set()
    for old, new in changes:
        assert new is not None, "bookings are never deleted"
        before, after = (items.to_booking(old) if old else None), items.to_booking(new)
        if after.status is Status.TRANSFERRED and before and before.status is not Status.TRANSFERRED:
            given.add((after.user_id, after.transferred_to, before.quantity, before.reference))
        if after.transferred_from and (before is None or before.generation != after.generation):
            got.add((after.transferred_from, after.user_id, after.quantity, after.reference))
    if given != got:
        raise Violation(f"T1: {given} were given away, and {got} were got")


def check_event_change(change: Change, *, cancelled: bool) -> None:
    """Check what happens to the event: O3, nothing after its cancellation, which the organiser was told, O2 and P7.

    O2: terms and revision change together, so every change that is done is announced once, and no other. P7: so is
    each sale, whoever puts the event back on sale at once.

    Raises Violation.
    """
    old, new = change
    if old is None or new is None:
        return
    before, after = items.to_event(old), items.to_event(new)
    if cancelled and (after.steps, after.sale) != (before.steps, before.sale):
        raise Violation("O3: the event was changed after it was cancelled")
    is_back = before.sold_out_at is not None and after.sold_out_at is None
    if after.sale != before.sale + is_back:
        raise Violation(f"P7: sale {before.sale} ended at {before.sold_out_at}, then {after.sale}: it is not announced")
    if after.revision != before.revision + (after.terms != before.terms):
        raise Violation(f"O2: revision {before.revision} of {before.terms}, then {after.revision} of {after.terms}")


@lru_cache(maxsize=READ_MAX)
def true_refusals(operation: Operation, tables: Tables) -> frozenset[str]:
    """Return the names of the errors that would be true answers at this moment."""
    lanes = tables.of(items.LANES)
    free = sum(int(lane["available"]["N"]) for lane in lanes)
    found = set()
    if isinstance(operation, Book):
        booking, event = current(tables, operation.user), event_of(tables)
        limit, is_single = event.terms.waiting_list_limit, event.rules.tickets_per_booking == 1
        if booking is None or not booking.is_active:
            if event.cancelled_at:
                found.add(EventCancelled.__name__)
            if not all(_is_on_sale(lane, operation.at) for lane in lanes):
                found.add(NotOnSale.__name__)
            if limit is not None and len(in_list(tables)) - free * is_single >= limit:
                found.add(WaitingListFull.__name__)
            if event.sold_out_at is None and 0 < free < (operation.at_least or operation.quantity):
                found.add(TooFewTickets.__name__)
    if isinstance(operation, (AtDoor, GiveAway)) and event_of(tables).cancelled_at:
        found.add(EventCancelled.__name__)
    if isinstance(operation, GiveAway) and (recipients := current(tables, operation.to)) and recipients.is_active:
        found.add(RecipientHasBooking.__name__)
    if isinstance(operation, Patch):
        found |= _true_refusals_of_change(operation, tables)
    return frozenset(found)


def _true_refusals_of_change(operation: Patch, tables: Tables) -> set[str]:
    event, wanted = event_of(tables), dict(operation.wanted)
    bookings = map(items.to_booking, filterfalse(items.is_note, tables.of(items.BOOKINGS)))
    booked = sum(booking.quantity for booking in bookings if booking.owns_tickets)
    opens_at, closes_at = wanted.get("opens_at", event.terms.opens_at), wanted.get("closes_at", event.terms.closes_at)
    refusals = {
        TicketsBooked: booked > wanted.get("total_tickets", booked),
        EventCancelled: event.cancelled_at is not None,
        EventChanged: operation.revision not in {None, event.revision},
        ImpossibleWindow: bool(opens_at and closes_at and closes_at <= opens_at),
    }
    return {error.__name__ for error, is_true in refusals.items() if is_true}


def _is_on_sale(lane: Item, moment: str) -> bool:
    has_opened = "opensAt" not in lane or bool(lane["opensAt"]["S"] <= moment)
    return has_opened and ("closesAt" not in lane or bool(moment < lane["closesAt"]["S"]))


def snapshot(tables: Tables) -> promises.Snapshot:
    """Return the tables as harness/promises.py reads them."""
    kinds = (items.EVENTS, items.LANES, items.BOOKINGS, items.WAITING_LIST)
    found = [[promises.plain(dict(item)) for item in tables.of(kind)] for kind in kinds]
    return promises.Snapshot.of(found[0][0], *found[1:])


@lru_cache(maxsize=READ_MAX)
def in_list(tables: Tables) -> set[str]:
    """Return the bookings that have an entry in the waiting list."""
    return {one["bookingId"]["S"] for one in tables.of(items.WAITING_LIST) if "bookingId" in one}


def check_change(
    before: Tables,
    change: Change,
    owed: Mapping[str, frozenset[str]],
    together: frozenset[str] = frozenset(),
    *,
    cancelled: bool = False,
) -> None:
    """Check P4 and P5 where a user gets a ticket, O3 where one gets a ticket or a place, and H1 where a hold expires.

    `owed` says, by bookingId, who had been told to wait before it was asked for; `together`, who gets a ticket in the
    same transaction, which is at the same moment; `cancelled`, that the organiser was told that the event is
    cancelled. Raises Violation.
    """
    old, new = change
    assert new is not None, "bookings are never deleted"
    got, had = items.to_booking(new), items.to_booking(old) if old else None
    owned = had is not None and had.owns_tickets and had.booking_id == got.booking_id  # a hold may be confirmed
    waited = had is not None and had.status is got.status and had.booking_id == got.booking_id  # and asks for fewer
    if cancelled and got.is_active and not owned and not waited:
        raise Violation(f"O3: {got.booking_id} is {got.status} after the event was cancelled")
    if cancelled and got.checked_in_at and (had is None or had.checked_in_at is None):
        raise Violation(f"O3: {got.booking_id} was checked in after the event was cancelled")
    if had and got.status is Status.EXPIRED and not str(had.expires_at) <= str(got.expired_at):
        raise Violation(f"H1: {got.booking_id} expired at {got.expired_at}, and was held until {had.expires_at}")
    if not got.owns_tickets or owned or got.transferred_from:
        return
    waiting = in_list(before)
    if waiting and got.sequence is None:
        raise Violation(f"P4: {got.booking_id} got a ticket directly while {sorted(waiting)} wait")
    if overtaken := (waiting - together) & owed.get(got.booking_id, frozenset()):
        raise Violation(f"P5: {got.booking_id} got a ticket before {sorted(overtaken)}, who had been told to wait")


def standing(tables: Tables, user: str | None) -> Progress:
    """Return how far a user's bookings have come."""
    booking = current(tables, user)
    return _progress(booking) if booking else None


def _progress(booking: Booking) -> tuple[int, int, int]:
    was_used = booking.status is Status.CONFIRMED and booking.checked_in_at is not None
    return booking.generation, _STAGES[booking.status] + was_used, -booking.quantity


@lru_cache(maxsize=READ_MAX)
def current(tables: Tables, user: str | None) -> Booking | None:
    """Return a user's booking."""
    found = [item for item in tables.of(items.BOOKINGS) if item["userId"]["S"] == user]
    return items.to_booking(found[0]) if found else None


def check_answer(asked: Asked, result: Result, tables: Tables, *, faults: bool) -> None:
    """Check that an answer was true at some moment since the request was sent. Raises Violation."""
    operation, since = asked.operation, asked.since
    if result.alarms:
        raise Violation(f"false alarm: {operation.name}: {', '.join(result.alarms)}")
    if result.failures and not faults:
        raise Violation(f"{operation.name} failed: {', '.join(result.failures)}")
    if (faults and isinstance(result.error, TryAgain)) or type(result.error).__name__ in asked.refusals:
        return
    if isinstance(operation, Patch):
        _check_change(asked, result)
    elif isinstance(operation, CancelEvent):
        _check_cancelled(operation, result, tables)
    elif operation.user is not None:
        _check_booking(operation, result, since, tables)


def _check_booking(operation: Operation, result: Result, since: Progress, tables: Tables) -> None:
    """Check what a user was told of their booking. Raises Violation."""
    now = current(tables, operation.user)
    if result.error:
        _check_refusal(operation, result.error, since, now)
        return
    told = _told(result.value)
    stage = _progress(told)
    if now is None or stage > _progress(now) or (since and stage < since):
        raise Violation(f"P7: {operation.name} was told {told}, which was never true while it asked")
    if stage == _progress(now) and told != now:
        raise Violation(f"P7: {operation.name} was told {told}, and it is {now}")
    if isinstance(operation, Cancel) and told.is_active and told.quantity > (operation.keep or 0):
        raise Violation(f"P7: {operation.name} was told {told}")
    if isinstance(operation, Confirm) and (told.status, told.booking_id) != (Status.CONFIRMED, operation.booking):
        raise Violation(f"H2: {operation.name} was told {told}")
    if isinstance(operation, Book) and not told.is_active and told.booking_id != operation.name_of_effect:
        raise Violation(f"P7: {operation.name} was told {told}, which had ended and was not its own")
    if isinstance(operation, Book) and result.value.is_new:
        _check_quantity(operation, told)
    is_given = told.status is Status.TRANSFERRED and told.booking_id == getattr(operation, "booking", "")
    if isinstance(operation, GiveAway) and not (is_given and told.transferred_to == operation.to):
        raise Violation(f"T1: {operation.name} was told {told}")
    if isinstance(operation, AtDoor) and (told.checked_in_at is None or told.booking_id != operation.booking):
        raise Violation(f"D1: {operation.name} was told {told}")


def _check_quantity(operation: Book, told: Booking) -> None:
    """Check that a booking has as many tickets as were wanted, or takes, unless some were returned since."""
    least = told.at_least or 1 if told.status is Status.WAITING else told.quantity
    wanted = operation.at_least or operation.quantity
    if told.quantity > operation.quantity or (told.reduced_at is None and least < wanted):
        raise Violation(f"P7: {operation.name} wants {wanted} to {operation.quantity}, and was told {told}")


def _told(value: Any) -> Booking:
    """Return the booking that an answer shows."""
    booking: Booking = value.booking if isinstance(value, (Standing, CheckIn)) else value
    return booking


def check_repetition(operation: Operation, result: Result, again: Result, tables: Tables) -> None:
    """Check that the same request, sent again when all is quiet, gets the same answer as far as it still holds."""
    if isinstance(operation, CancelEvent) and not result.error:
        _check_cancelled(operation, again, tables, result.value.event.cancelled_at)
    now = current(tables, operation.user)
    if now is None or result.error or not isinstance(operation, (Book, Cancel, Confirm, AtDoor, GiveAway)):
        return
    told = _told(result.value)
    if told.booking_id != now.booking_id or (isinstance(operation, (Book, Confirm, AtDoor)) and not now.is_active):
        return  # the world has moved on
    if again.error:
        raise Violation(f"P7: {operation.name} repeated was answered {again.error!r}")
    is_first = again.value.is_new if isinstance(again.value, Standing) else not getattr(again.value, "again", True)
    if _told(again.value) != now or is_first:
        raise Violation(f"P7: {operation.name} repeated was told {again.value}, and it is {now}")


def check_repeated_change(operation: Patch, result: Result, again: Result) -> None:
    """Check that the same change, sent again when all is quiet, is answered as it was. Raises Violation."""
    told, repeated = result.value, again.value
    if isinstance(again.error, EventCancelled):
        return  # the world has moved on
    if isinstance(told, Availability) and (again.error or told.event.terms != repeated.event.terms):
        raise Violation(f"P7: {operation.name} repeated was told {again}, and before it {told}")


def check_revisions(nodes: Iterable[Node]) -> None:
    """Check that of several changes of the same revision one was done at most. Raises Violation."""
    changed: set[int] = set()
    for node in nodes:
        operation, result = node.operation, node.following
        if not isinstance(operation, Patch) or operation.revision is None:
            continue
        if isinstance(result, Result) and isinstance(result.value, Availability):
            if operation.revision in changed:
                raise Violation(f"O2: two changes of revision {operation.revision} were done")
            changed.add(operation.revision)


def told_to_wait(result: Result) -> Iterable[str]:
    """Return the bookingId of a user who was told to wait, if that was the answer."""
    if isinstance(result.value, Standing) and result.value.booking.status is Status.WAITING:
        yield result.value.booking.booking_id


@lru_cache(maxsize=READ_MAX)
def event_of(tables: Tables) -> Event:
    """Return the event."""
    return items.to_event(next(item for item in tables.of(items.EVENTS) if item["eventId"]["S"] == EVENT))


_STEPS = {
    (Status.WAITING, Status.HELD): "promoted",
    (Status.WAITING, Status.CONFIRMED): "promoted",
    (Status.HELD, Status.CONFIRMED): "confirmed",
    (Status.HELD, Status.EXPIRED): "expired",
    (Status.CONFIRMED, Status.TRANSFERRED): "transferred",
    **{(status, Status.CANCELLED): "cancelled" for status in (Status.WAITING, Status.HELD, Status.CONFIRMED)},
}


def _step(before: Booking | None, after: Booking) -> str:
    """Name what happened to a user's booking. Raises Violation where it is no step of a booking's life."""
    if before is None or before.generation != after.generation:
        fresh = after.generation == (before.generation + 1 if before else 1) and (
            before is None or not before.is_active
        )
        if fresh and after.is_active and (before is None or before.booking_id != after.booking_id):
            return "received" if after.transferred_from else "made"
    elif (
        before.booking_id == after.booking_id
        and before.sequence == after.sequence
        and before.checked_in_at == after.checked_in_at
        and (step := _step_of_booking(before, after))
    ):
        return step
    elif replace(before, checked_in_at=after.checked_in_at, checked_in_by=after.checked_in_by) == after:
        if before.status is Status.CONFIRMED and before.checked_in_at is None:
            return "checked in"
        raise Violation(f"D1: a booking became {after} from {before}")
    was_held = before is not None and before.held_at is not None and before.booking_id == after.booking_id
    if was_held and after.status in {Status.CONFIRMED, Status.EXPIRED}:
        raise Violation(f"H2: a booking became {after} from {before}")
    promise = "P2" if before and before.is_active and before.booking_id != after.booking_id else "P7"
    raise Violation(f"{promise}: a booking became {after} from {before}")


def _step_of_booking(before: Booking, after: Booking) -> str | None:
    """Name a step of one booking; None if it is none, or changes how many tickets it has as it must not (P1, P7)."""
    if before.status is after.status:
        is_reduced = after.is_active and before.quantity > after.quantity >= (after.at_least or 1)
        return "reduced" if is_reduced else None
    step = _STEPS.get((before.status, after.status))
    if step == "promoted":
        return step if (before.at_least or 1) <= after.quantity <= before.quantity else None
    return step if before.quantity == after.quantity else None


def _check_change(asked: Asked, result: Result) -> None:
    assert isinstance(asked.operation, Patch)
    if asked.has_rivals and (result.error is None or isinstance(result.error, TryAgain)):
        return  # they may fight to the end
    told: Availability | None = result.value
    wanted = dict(asked.operation.wanted)
    if told is None or any(getattr(told.event.terms, name) != value for name, value in wanted.items()):
        raise Violation(f"O2: {asked.operation.name} was answered {result.error or told!r}")
    if told.total_tickets != told.event.terms.total_tickets:
        raise Violation(f"O2: {asked.operation.name} was told {told}")


def _check_cancelled(operation: Operation, result: Result, tables: Tables, cancelled_at: str | None = None) -> None:
    """Check that the organiser is told what is true, and the same each time."""
    stored = event_of(tables).cancelled_at
    told = None if result.error else result.value.event.cancelled_at
    if told is None or told != stored or told != (cancelled_at or told):
        raise Violation(f"O3: {operation.name} was told {result}, and the event was cancelled at {stored}")


def _check_refusal(operation: Operation, error: Exception, since: Progress, now: Booking | None) -> None:
    if isinstance(operation, Cancel) and isinstance(error, BookingNotFound) and since is None:
        return
    if isinstance(operation, Cancel) and isinstance(error, BookingChanged) and now is not None:
        came_back = now.generation > (since[0] if since else 1)  # the first booking may have been made and ended since
        if came_back or operation.booking not in {None, now.booking_id}:
            return
    if isinstance(operation, Cancel) and isinstance(error, CheckedIn):
        is_meant = now is not None and operation.booking in {None, now.booking_id}
        if is_meant and now is not None and now.checked_in_at == error.checked_in_at:
            return
    if isinstance(operation, (Confirm, AtDoor, GiveAway)) and _is_true_refusal(operation, error, since, now):
        return
    raise Violation(f"P7: {operation.name} was answered {error!r}")


def _is_true_refusal(  # noqa: PLR0911  # one for each error
    operation: Confirm | AtDoor | GiveAway, error: Exception, since: Progress, now: Booking | None
) -> bool:
    """Tell whether the booking was at some moment since then as the refusal says (H2, D1, T1)."""
    if now is None:
        return isinstance(error, BookingNotFound)
    came_back = since is not None and now.generation > since[0]
    is_current = now.booking_id == operation.booking
    if isinstance(error, BookingChanged):
        return came_back or not is_current
    if isinstance(error, NotHeld | NotConfirmed):  # it was when the request was sent, or a booking of theirs was
        last = Status.WAITING if isinstance(error, NotHeld) else Status.HELD
        return came_back or (is_current and (since is None or since[1] <= _STAGES[last]))
    if isinstance(error, BookingTransferred):
        is_same = isinstance(operation, GiveAway) and now.transferred_to == operation.to
        return not is_current or (now.status is Status.TRANSFERRED and not is_same)
    if isinstance(error, CheckedIn):
        return is_current and now.checked_in_at is not None
    if isinstance(error, HoldExpired):
        return not is_current or now.status is Status.EXPIRED
    if isinstance(error, BookingCancelled):
        return not is_current or now.status is Status.CANCELLED
    return isinstance(error, BookingNotFound) and since is None


_checked: set[frozenset[Any]] = set()
