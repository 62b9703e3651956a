"""Mutants of the code: each rule that is not a condition but an order of requests, or a thing to remember."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from proof import group_scenarios as groups
from proof import hold_scenarios as holds
from proof import scenarios as basic
from proof.explore import Scenario
from proof.scenarios import BOTH, CALM, CRASH, FAULT
from proof.transfer_scenarios import CANCEL_EVENT_AT_THE_DOOR, SWEEP_AND_TRANSFERS, TRANSFERRED_OR_CANCELLED
from proof.world import FILTERS, Filters
from shared.booking import (
    audit,
    background,
    cancellation,
    catalog,
    check_ins,
    confirmation,
    current,
    event_cancellation,
    event_change,
    expiry,
    list_limit,
    note,
    office,
    sale,
    sale_window,
    settle,
    sweep,
    transfers,
    waiting_list,
)
from shared.booking.attempt import BookingAttempt, read_booking
from shared.model import (
    Actor,
    Availability,
    Booking,
    Change,
    Entry,
    Event,
    Lane,
    Position,
    Standing,
    Status,
    TicketOfficeError,
)
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Name, Refused, TransactItem


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule, by what is done without it: a name in shared/ and what takes its place, or a filter of the stream."""

    text: str
    file: str
    shown_by: Scenario  # where the search sees what the rule is for
    owner: Any = None
    name: str = ""
    mutant: Any = None
    filters: Filters = FILTERS
    is_slow: bool = False  # takes longer than `make test` has

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Run without the rule."""
        if self.owner is None:
            yield
            return
        with patch.object(self.owner, self.name, self.mutant):
            yield


_close, _answer_from, _put = sale.close, BookingAttempt.answer_from, BookingAttempt.put


def _close_only_in_name(event: Event, _lanes: list[Lane], deadline: Deadline) -> Event:
    return _close(event, [], deadline)


def _close_home_only(event: Event, lanes: list[Lane], deadline: Deadline) -> Event:
    return _close(event, lanes[:1], deadline)


def _close_last(event: Event, lanes: list[Lane], deadline: Deadline) -> Event:
    sold_out = _close(event, [], deadline)
    _close(event, lanes, deadline)
    return sold_out


def _put_under_new_id(attempt: BookingAttempt, booking: Booking) -> TransactItem:
    put = _put(attempt, booking)["Put"]
    attempt.booking_id += "'"
    item = {**put["Item"], "bookingId": items.text(attempt.booking_id)}
    return {"Put": {**put, "Item": item}}


def _answer_in_no_doubt(attempt: BookingAttempt, current: Booking | None) -> Booking | None:
    attempt.uncertain = False
    return _answer_from(attempt, current)


def _answer_what_was_before(attempt: BookingAttempt, current: Booking | None) -> Booking | None:
    answer = _answer_from(attempt, current)
    if current and answer is None:
        attempt.uncertain = False
    return answer


def _answer_as_a_stranger(attempt: BookingAttempt, current: Booking | None) -> Booking | None:
    if current and not current.is_active:
        attempt.generation = current.generation + 1
        return None
    return current


def _read_active_or_not(attempt: BookingAttempt, deadline: Deadline) -> Booking | None:
    return read_booking(attempt.event, attempt.user_id, deadline)


def _always_mine(_attempt: BookingAttempt, _booking: Booking) -> bool:
    return True


_promote_in_order = settle._promote_in_order  # noqa: SLF001  # mutants are made inside
_head = waiting_list.head


def _promote_after_refusals(event: Event, promotions: list[Any], deadline: Deadline) -> int:
    return sum(_promote_in_order(event, [one], deadline) for one in promotions)


def _tail(event: Event, length: int, last: int, deadline: Deadline) -> list[Entry]:
    return _head(event, length + _LIST_MAX, last, deadline)[-length:]


def _stripe_after_stripe(event: Event, length: int, last: int, deadline: Deadline) -> list[Entry]:
    whole = _head(event, _LIST_MAX, last, deadline)
    return sorted(whole, key=lambda entry: (entry.sequence % event.stripes, entry.sequence))[:length]


def _head_of_any_length(event: Event, length: int, _last: int, deadline: Deadline) -> list[Entry]:
    return _head(event, length, _NO_NUMBER, deadline)


_LIST_MAX = 10  # more than wait in any scenario
_NO_NUMBER = 10**6  # that anybody draws


def _last_drawn_after_the_page(event: Event, length: int, _last: int, deadline: Deadline) -> list[Entry]:
    page = _head(event, length, _NO_NUMBER, deadline)
    _, last = waiting_list.read_with_end(event, deadline)
    return [entry for entry in page if entry.sequence <= last]


def _settle_batch_without_report(records: Sequence[dict[str, Any]], time_left_s: float) -> list[str]:
    _settle_batch(records, time_left_s)
    return []


_settle_batch = background.settle_batch


def _settle_before_clearing(event_id: str, records: Sequence[Mapping[str, Any]], deadline: Deadline) -> bool:
    asked: list[Event] = []
    with patch.object(note, "clear", lambda event, _: asked.append(event)):
        is_settled = _settle_event(event_id, records, deadline)
    for event in asked:
        _clear(event, deadline)
    return is_settled


def _do_nothing(*_: Any, **__: Any) -> None:
    pass


_settle_event, _clear = background._settle_event, note.clear  # noqa: SLF001  # mutants stand in for any name


def _settle_nothing(*_: Any, **__: Any) -> int:
    return 0


def _audit_after_settling(event: Event, deadline: Deadline) -> Any:
    settle.settle(event, deadline)
    with patch.object(audit, "settle", _settle_nothing):
        return _audit(event, deadline)


_audit = audit.audit


def _commit_without_doubt(transaction: Mapping[Name, TransactItem], deadline: Deadline, **more: bool) -> Refused | None:
    refused = _commit(transaction, deadline, **more)
    return Refused(refused.reasons) if refused else None


_commit = dynamodb.commit


def _read_with_its_change(event_id: str, deadline: Deadline, known: Event | None = None) -> Event:
    return replace(known or catalog.read_anew(event_id, deadline), change=None)


def _finish_as_a_stranger(event_id: str, deadline: Deadline, _known: Event | None = None) -> Event:
    return _finish(event_id, deadline)


_finish = event_change.finish


def _give_up_where_it_is(event: Event, _lanes: list[Lane], deadline: Deadline) -> Event | None:
    refused = _refuse(event, [], deadline)
    if refused is None or dynamodb.commit({"event": _write(refused, {"requestedAt": None})}, deadline):
        return None
    return replace(refused, change=None, steps=refused.steps + 1)


def _window_first(event: Event, lanes: list[Lane], deadline: Deadline) -> Event | None:
    event_change._set_window(event, lanes, deadline)  # noqa: SLF001
    return _advance(event, lanes, deadline)


def _one_look(_lanes: list[Lane]) -> list[int]:
    return []


def _always_done(_requested: Change, event: Event) -> Event:
    return event


def _change_whatever_is_there(
    event_id: str, wanted: Mapping[str, Any], deadline: Deadline, _revisions: Any = None
) -> Availability:
    return _change(event_id, wanted, deadline)


def _settle_only(event_id: str, deadline: Deadline) -> None:
    settle.settle(catalog.read_anew(event_id, deadline), deadline)


_change, _advance = event_change.change, event_change._advance  # noqa: SLF001  # as above
_refuse, _write = event_change._refuse, event_change._write  # noqa: SLF001


def _nothing_stored(_attempt: BookingAttempt, _deadline: Deadline) -> None:
    return None


def _not_on_sale_is_empty(*_: Any) -> None:
    return None


def _filters_of_events_without(attribute: str) -> Filters:
    """Return the filters without that of the events that get this attribute."""
    patterns = (one for one in FILTERS.events if attribute not in one["dynamodb"]["NewImage"])
    return FILTERS._replace(events=tuple(patterns))


def _filters_of_bookings_without(attribute: str) -> Filters:
    """Return the filters without those that look at this attribute of a booking."""
    patterns = (one for one in FILTERS.bookings if not any(attribute in image for image in one["dynamodb"].values()))
    return FILTERS._replace(bookings=tuple(patterns))


def _mark_home_only(event: Event, lanes: list[Lane], deadline: Deadline) -> None:
    _mark(event, lanes[:1], deadline)


def _cancel_event_before_its_lanes(event_id: str, deadline: Deadline) -> Availability:
    with patch.object(event_cancellation, "_mark", _do_nothing):
        return _cancel_event(event_id, deadline)


def _cancel_lanes_first(event_id: str, deadline: Deadline) -> Availability:
    event, lanes = catalog.read_with_lanes(catalog.read_event(event_id, deadline), deadline)
    _mark(replace(event, cancelled_at="then"), lanes, deadline)
    return _cancel_event(event_id, deadline)


def _empty_before_marking(event_id: str, deadline: Deadline) -> None:
    event, lanes = catalog.read_with_lanes(catalog.read_event(event_id, deadline), deadline)
    if event.emptied_at is None:
        event_cancellation._cancel_bookings(event, deadline)  # noqa: SLF001
        _mark(event, lanes, deadline)
        event_cancellation._mark_emptied(event, deadline)  # noqa: SLF001


def _empty_without_marking(event_id: str, deadline: Deadline) -> None:
    with patch.object(event_cancellation, "_mark", _do_nothing):
        _empty(event_id, deadline)


def _cancel_first(event: Event, bookings: Sequence[Booking], deadline: Deadline) -> int:
    return _cancel_all(event, bookings[:1], deadline)


def _cancel_all_at_first_try(event: Event, bookings: Sequence[Booking], deadline: Deadline) -> int:
    dynamodb.commit(cancellation._end(event, bookings, Status.CANCELLED, "", Actor.EVENT), deadline)  # noqa: SLF001
    return len(bookings)


def _follow_batch_without_report(records: Sequence[dict[str, Any]], time_left_s: float) -> list[str]:
    _follow_batch(records, time_left_s)
    return []


def _no_cancelled_events(_deadline: Deadline) -> Iterator[items.Item]:
    return iter(())


def _audit_without_the_event(event: Event, deadline: Deadline) -> Any:
    with patch.object(catalog, "read_anew", lambda *_: event):
        return _audit(event, deadline)


def _stored_in_no_doubt(attempt: BookingAttempt, deadline: Deadline) -> Booking | None:
    return attempt.read(deadline)


def _refused_at_once(attempt: BookingAttempt, deadline: Deadline) -> Standing:
    try:
        return office._ticket_or_place(attempt, deadline)  # noqa: SLF001
    except TicketOfficeError:
        if own := office._own(attempt, deadline):  # noqa: SLF001
            return own
        raise


def _refused_for_certain(error: TicketOfficeError, *, uncertain: bool) -> TicketOfficeError:
    return error


def _meant_for_certain(booking: Booking, booking_id: str, *, uncertain: bool) -> None:
    current.must_be_meant(booking, booking_id)


def _read_for_certain(
    event: Event,
    user_id: str,
    booking_id: str,
    deadline: Deadline,
    *,
    uncertain: bool,
) -> Booking:
    return current.read_meant(event, user_id, booking_id, deadline)


_mark, _cancel_event, _empty = event_cancellation._mark, event_cancellation.cancel_event, event_cancellation.empty  # noqa: SLF001
_cancel_all, _follow_batch = cancellation.cancel_all, background.follow_batch


def _filters_without(status: str) -> Filters:
    """Return the filters without this status, before and after; a filter that wants no other status matches nothing."""

    def less(image: Mapping[str, Any]) -> Mapping[str, Any]:
        if "status" not in image:
            return image
        return {**image, "status": {"S": [one for one in image["status"]["S"] if one != status]}}

    patterns = (
        {"dynamodb": {name: less(image) for name, image in one["dynamodb"].items()}} for one in FILTERS.bookings
    )
    return FILTERS._replace(bookings=tuple(patterns))


def _due_at_any_time(shard: int, _due: str) -> dict[str, Any]:
    return _due_holds(shard, "9")


def _due_at_no_time(shard: int, _due: str) -> dict[str, Any]:
    return _due_holds(shard, "0")


def _always_first(_event: Event, _sequence: int, _deadline: Deadline) -> Position:
    return Position(1)


_due_holds = expiry._due_holds  # noqa: SLF001  # as above


def _count_no_ticket(event: Event, got: Booking) -> TransactItem:
    return _count_transfer(event, replace(got, quantity=0))


_count_transfer = transfers._count  # noqa: SLF001  # as above


def _bounded(scenario: Scenario, bounds: tuple[int, int] = CALM) -> Scenario:
    return replace(scenario, crashes=bounds[0], faults=bounds[1])


RULES = (
    Rule(
        "lanes are closed before anybody joins", "shared/booking/sale.py",
        basic.LAST_TICKET, sale, "close", _close_only_in_name,
    ),
    Rule("every lane is closed", "shared/booking/sale.py", basic.CROWDED_LANES, sale, "close", _close_home_only),
    Rule(
        "lanes are closed before the event is called sold out", "shared/booking/sale.py",
        _bounded(basic.LAST_TICKET, CRASH), sale, "close", _close_last,
    ),
    Rule(
        "one bookingId over all tries", "shared/booking/attempt.py",
        basic.LAST_TICKET, BookingAttempt, "put", _put_under_new_id,
    ),
    Rule(
        "a request knows its own booking when it meets it", "shared/booking/attempt.py",
        _bounded(basic.CANCELS_TWICE, FAULT), BookingAttempt, "answer_from", _answer_as_a_stranger,
    ),
    Rule(
        "a booking that is read first answers only while it is active", "shared/booking/attempt.py",
        basic.HEIR_COMES_BACK_KNOWN, BookingAttempt, "read", _read_active_or_not,
    ),
    Rule(
        "only the request that made a booking says so", "shared/booking/office.py",
        basic.BOOKS_TWICE_AT_HEAD, BookingAttempt, "made", _always_mine,
    ),
    Rule(
        "no second booking while a first may have been made", "shared/booking/attempt.py",
        _bounded(basic.COMES_AND_GOES, FAULT), BookingAttempt, "answer_from", _answer_in_no_doubt,
    ),
    Rule(
        "a try without an answer is remembered", "shared/store/dynamodb.py",
        _bounded(basic.COMES_AND_GOES, FAULT), dynamodb, "commit", _commit_without_doubt,
    ),
    Rule(
        "settle promotes in the order of the list", "shared/booking/settle.py",
        basic.RELEASE_TO_FIRST, settle, "head", _tail,
    ),
    Rule(
        "the head of the list is that of all its stripes", "shared/booking/waiting_list.py",
        basic.RELEASE_TO_FIRST_OF_STRIPES, settle, "head", _stripe_after_stripe,
    ),
    Rule(
        "settle ends a page at the first refusal", "shared/booking/settle.py",
        basic.LOWERED_BESIDE_TWO, settle, "_promote_in_order", _promote_after_refusals,
    ),
    Rule(
        "a page ends at the last number drawn before it was read", "shared/booking/waiting_list.py",
        basic.GROWING_PAGE, settle, "head", _head_of_any_length, is_slow=True,
    ),
    Rule(
        "the last number is read before the page, not after it", "shared/booking/settle.py",
        basic.GROWING_PAGE, settle, "head", _last_drawn_after_the_page, is_slow=True,
    ),
    Rule(
        "cancel stays with the booking that it saw first", "shared/booking/cancellation.py",
        _bounded(basic.CANCELS_TWICE, FAULT), cancellation, "must_be_meant", _do_nothing,
    ),
    Rule("a release reaches the promoter", "template.yaml", basic.RELEASE, filters=_filters_without("CANCELLED")),
    Rule("an expiry reaches the promoter", "template.yaml", holds.EXPIRED_TO_NEXT, filters=_filters_without("EXPIRED")),
    Rule(
        "the cancellation of a hold reaches the promoter", "template.yaml",
        holds.HOLD_CANCELLED, filters=_filters_without("HELD"),
    ),
    Rule(
        "a hold expires only when it is due", "shared/booking/expiry.py",
        holds.EXPIRED_EARLY, expiry, "_due_holds", _due_at_any_time,
    ),
    Rule(
        "holds that are due expire", "shared/booking/expiry.py",
        holds.EXPIRED_TO_NEXT, expiry, "_due_holds", _due_at_no_time,
    ),
    Rule(
        "only the first in line takes a ticket that came back", "shared/booking/waiting_list.py",
        basic.RELEASE_AND_JOIN, waiting_list, "_position", _always_first,
    ),
    Rule(
        "a join reaches the promoter", "template.yaml",
        basic.RELEASE_BESIDE_JOIN, filters=_filters_without("WAITING"),
    ),
    Rule(
        "a return of some tickets reaches the promoter", "template.yaml",
        groups.GROUP_WAITS, filters=_filters_of_bookings_without("reducedAt"),
    ),
    Rule(
        "a group that leaves reaches the promoter", "template.yaml",
        groups.GROUP_LEAVES_ALONE, filters=_filters_of_bookings_without("atLeast"),
    ),
    Rule(
        "an event that has sold out reaches the background", "template.yaml",
        groups.GROUP_RELEASED_WHILE_CLOSED, filters=_filters_of_events_without("soldOutAt"),
    ),
    Rule(
        "a batch that could not be settled comes again", "shared/booking/background.py",
        _bounded(basic.RELEASE, FAULT), background, "settle_batch", _settle_batch_without_report,
    ),
    Rule(
        "the note is cleared before settling, not after it", "shared/booking/background.py",
        basic.TWO_RELEASES, background, "_settle_event", _settle_before_clearing,
    ),
    Rule(
        "a promoter that finds no note leaves one", "shared/booking/note.py",
        basic.TWO_RELEASES, note, "leave", _do_nothing,
    ),
    Rule(
        "a note that was read is cleared", "shared/booking/note.py",
        basic.RELEASE_BESIDE_JOIN, note, "clear", _do_nothing,
    ),
    Rule(
        "a note reaches the promoter", "template.yaml",
        basic.TWO_RELEASES, filters=_filters_of_bookings_without("askedAt"),
    ),
    Rule(
        "the sweep clears a note whose record was lost", "shared/booking/note.py",
        _bounded(basic.TWO_RELEASES, FAULT), note, "read_and_clear", catalog.read_anew,
    ),
    Rule(
        "a request for a change reaches the background", "template.yaml",
        basic.RAISED_ON_LANES, filters=_filters_of_events_without("requestedAt"),
    ),
    Rule(
        "the background finishes a change", "shared/booking/background.py",
        _bounded(basic.CUT_SHORT, CRASH), background, "_follow", _settle_only,
    ),
    Rule(
        "the sweep finishes changes", "shared/booking/sweep.py",
        _bounded(basic.CUT_SHORT, BOTH), sweep, "_finish_changes", _do_nothing,
    ),
    Rule(
        "one change at a time", "shared/booking/event_change.py",
        basic.CHANGED_TWICE, event_change, "finish", _read_with_its_change,
    ),
    Rule(
        "lanes step back when a change is refused", "shared/booking/event_change.py",
        basic.LOWERED_AND_PUT_BACK, event_change, "_refuse", _give_up_where_it_is,
    ),
    Rule(
        "the sale window reaches the lanes when their tickets are right", "shared/booking/event_change.py",
        basic.LOWERED_THEN_CLOSED, event_change, "_advance", _window_first,
    ),
    Rule(
        "a change is refused only after two looks that found the same", "shared/booking/event_change.py",
        basic.LOWERED_ON_LANES, event_change, "_changes", _one_look, is_slow=True,
    ),
    Rule(
        "a refused change is told so", "shared/booking/event_change.py",
        basic.LOWERED_AND_PUT_BACK, event_change, "_outcome", _always_done,
    ),
    Rule(
        "a change of another revision than the one that was read is refused", "shared/booking/event_change.py",
        basic.SAME_REVISION, event_change, "change", _change_whatever_is_there,
    ),
    Rule(
        "who is refused may have a booking by now", "shared/booking/attempt.py",
        _bounded(basic.LIMITED, CRASH), BookingAttempt, "read_before_refusing", _nothing_stored,
    ),
    Rule(
        "what is not on sale is not sold out", "shared/booking/sale_window.py",
        basic.POSTPONED, sale_window, "reason_to_refuse", _not_on_sale_is_empty,
    ),
    Rule(
        "the sweep settles", "shared/booking/audit.py",
        _bounded(basic.RELEASE, FAULT), audit, "settle", _settle_nothing,
    ),
    Rule(
        "the audit reads the lanes before it settles", "shared/booking/audit.py",
        basic.SWEEP_AND_RELEASE, audit, "audit", _audit_after_settling,
    ),
    Rule(
        "an event is marked as cancelled before its lanes", "shared/booking/event_cancellation.py",
        basic.CANCEL_EVENT_AND_BOOK, event_cancellation, "cancel_event", _cancel_lanes_first,
    ),
    Rule(
        "the organiser is told when the lanes are marked", "shared/booking/event_cancellation.py",
        basic.CANCEL_EVENT_AND_BOOK, event_cancellation, "cancel_event", _cancel_event_before_its_lanes,
    ),
    Rule(
        "every lane is marked", "shared/booking/event_cancellation.py",
        basic.CANCEL_EVENT_LANES, event_cancellation, "_mark", _mark_home_only,
    ),
    Rule(
        "the background marks the lanes that are not", "shared/booking/event_cancellation.py",
        _bounded(basic.CANCEL_EVENT_AND_BOOK, CRASH), event_cancellation, "empty", _empty_without_marking,
    ),
    Rule(
        "the background marks the lanes before it reads a booking", "shared/booking/event_cancellation.py",
        basic.CANCEL_EVENT_AND_BOOK, event_cancellation, "empty", _empty_before_marking,
    ),
    Rule(
        "an event is emptied when all its bookings are cancelled", "shared/booking/event_cancellation.py",
        basic.CANCEL_EVENT_SOLD_OUT, event_cancellation, "cancel_all", _cancel_first,
    ),
    Rule(
        "bookings that a refusal leaves are tried again", "shared/booking/cancellation.py",
        basic.CANCEL_EVENT_AND_RELEASE, event_cancellation, "cancel_all", _cancel_all_at_first_try,
    ),
    Rule(
        "the cancellation of an event reaches the background", "template.yaml",
        basic.CANCEL_EVENT_SOLD_OUT, filters=_filters_of_events_without("cancelledAt"),
    ),
    Rule(
        "an event that could not be emptied comes again", "shared/booking/background.py",
        _bounded(basic.CANCEL_EVENT_SOLD_OUT, FAULT), background, "follow_batch", _follow_batch_without_report,
    ),
    Rule(
        "the sweep empties cancelled events", "shared/booking/sweep.py",
        _bounded(basic.CANCEL_EVENT_SOLD_OUT, FAULT), sweep, "_cancelled_events", _no_cancelled_events,
    ),
    Rule(
        "the audit reads anew whether the event was cancelled", "shared/booking/audit.py",
        basic.CANCEL_EVENT_AND_SWEEP, audit, "audit", _audit_without_the_event,
        is_slow=True,
    ),
    Rule(
        "a transfer counts as a change of a lane", "shared/booking/transfers.py",
        SWEEP_AND_TRANSFERS, transfers, "_count", _count_no_ticket,
    ),
    Rule(
        "nobody is refused whose booking may be on its way", "shared/booking/attempt.py",
        _bounded(basic.CANCEL_EVENT_AND_LATE_TAKE, FAULT),
        BookingAttempt, "read_before_refusing", _stored_in_no_doubt, is_slow=True,
    ),
    Rule(
        "no refusal is due to tickets that the user's own booking held and has released", "shared/booking/office.py",
        groups.GROUP_OF_TWO_TABS, office, "_own_or_new", _refused_at_once,
    ),
    Rule(
        "no refusal is due to a place in the list that the user has just left", "shared/booking/office.py",
        basic.LIMITED_FOR_TWO_TABS, list_limit, "forget", _do_nothing,
    ),
    Rule(
        "no cancellation is refused that may have happened", "shared/booking/cancellation.py",
        _bounded(basic.CANCELS_TWICE, FAULT), cancellation, "must_be_meant", _meant_for_certain,
    ),
    Rule(
        "no booking is refused that may be made in the place of an earlier one", "shared/booking/attempt.py",
        _bounded(groups.GROUP_COMES_BACK_LATE, FAULT), BookingAttempt, "answer_from", _answer_what_was_before,
    ),
    Rule(
        "no change of an event is refused that may have happened", "shared/booking/event_change.py",
        _bounded(basic.CANCEL_EVENT_AND_RENAME, FAULT), event_change, "certain_or_try_again", _refused_for_certain,
    ),
    Rule(
        "a change that others ended is told as they ended it", "shared/booking/event_change.py",
        basic.CANCEL_EVENT_AND_ADD, event_change, "finish", _finish_as_a_stranger,
    ),
    Rule(
        "no confirmation is refused that may have happened", "shared/booking/confirmation.py",
        _bounded(holds.CONFIRMED_OR_CANCELLED, FAULT), confirmation, "certain_or_try_again", _refused_for_certain,
    ),
    Rule(
        "no confirmation that is on its way is told that there is no booking", "shared/booking/confirmation.py",
        _bounded(holds.HELD_LAST_TICKET, FAULT), confirmation, "read_meant", _read_for_certain,
    ),
    Rule(
        "no check-in is refused that may have happened", "shared/booking/check_ins.py",
        _bounded(CANCEL_EVENT_AT_THE_DOOR, FAULT), check_ins, "certain_or_try_again", _refused_for_certain,
    ),
    Rule(
        "no transfer is refused that may have happened", "shared/booking/transfers.py",
        _bounded(TRANSFERRED_OR_CANCELLED, FAULT), transfers, "read_meant", _read_for_certain,
    ),
)  # fmt: skip
