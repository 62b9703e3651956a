"""Changing an event: its terms, such as its name, its tickets and its sale window.

    organiser                 event                                      lanes
      │── read ────────────▶ │
      │── request ─────────▶ │  the terms wanted, beside those in force
      │── read ───────────────────────────────────────────────────────▶ │
      │── steps ───────────▶ │  ticketsInLanes + k                  ──▶ │  tickets + k, a few lanes each
      │── sale window ────────────────────────────────────────────────▶ │  one lane after the other
      │── done ────────────▶ │  the terms wanted are in force; revision + 1

One change at a time: a request that finds another one under way finishes that first. Every write of the event is
conditional on the number of `steps` before it, and every change of a lane's tickets is in one transaction with such a
write. So `ticketsInLanes` is the exact sum over the lanes, and lies between the old and the new total at every moment,
however requests repeat, help each other, crash or arrive late.

If too few tickets are free, the change is refused: the lanes step back to the total in force. Nothing else has been
touched, because the sale window reaches the lanes only after their tickets are right. Stepping back adds tickets,
which always succeeds.

A change that is cut short is finished in the background: docs/decisions/0015.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from shared import runtime, telemetry
from shared.booking import catalog, sale, sale_window
from shared.booking.current import certain_or_try_again
from shared.model import (
    REFUSALS_KEPT,
    Availability,
    Change,
    Event,
    EventCancelled,
    EventChanged,
    Lane,
    Refusal,
    Terms,
    TicketsBooked,
    TryAgain,
)
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Name, TransactItem

REQUESTS_MAX = 8  # how often one request tries to be the next change
ROUNDS_MAX = 64  # rounds of finishing one change; another helper's step can refuse ours, and a change has up to 24
LOOKS_MAX = 8  # reads in a row that find too few free tickets while bookings move
LANES_PER_STEP = 4  # more lanes in a transaction make fewer steps, and more conflicts with bookings


def change(
    event_id: str, wanted: Mapping[str, Any], deadline: Deadline, revisions: Collection[int] | None = None
) -> Availability:
    """Set terms of an event, any field of Terms. Repeating it is harmless.

    With `revisions`, only an event at one of them is changed. An event that already has the wanted terms is left as it
    is, at any revision: an earlier try of this request may have set them.

    New tickets of a sold-out event go to the waiting users, after the event's stream record; if none waits, the event
    is back on sale. Tickets are taken away only where they are free; if there are too few of them, nothing is changed.

    Raises EventNotFound; EventCancelled; EventChanged; ImpossibleWindow; TicketsBooked; TryAgain, after which the
    change may be done, or the background finishes or refuses it.
    """
    uncertain = False  # whether an earlier try may have been the next change
    for _ in range(REQUESTS_MAX):
        try:
            event = finish(event_id, deadline)
        except EventCancelled as error:
            raise certain_or_try_again(error, uncertain=uncertain) from None
        terms = replace(event.terms, **wanted)
        if terms != event.terms:
            if uncertain:
                raise TryAgain("uncertain")  # it may have been done, and changed again since
            if revisions is not None and event.revision not in revisions:
                raise EventChanged(event_id, event.revision)
            sale_window.check(terms.opens_at, terms.closes_at)
        requested, transaction = _request(event, terms)
        refused = dynamodb.commit(transaction, deadline)
        if refused is None:
            break
        uncertain = uncertain or refused.uncertain
    else:
        raise TryAgain("change")
    if requested.change:
        requested = _outcome(requested.change, finish(event_id, deadline, requested))
    elif requested.revision != event.revision:
        telemetry.outcome(telemetry.Metric.EVENT_CHANGED, event_id=event_id)
    event, lanes = catalog.read_with_lanes(requested, deadline)
    return catalog.availability(sale.reopen(event, lanes, deadline) or event, lanes)


def finish(event_id: str, deadline: Deadline, known: Event | None = None) -> Event:
    """Finish the change that is under way, even another request's, and return the event without one.

    `known` is the event, if its change was just requested. Safe to repeat, to stop anywhere, and while others do it.

    Raises EventNotFound; EventCancelled, which leaves the change where it is; TryAgain.
    """
    requested = known.change if known else None
    looked: list[Lane] = []  # the lanes of the last read, if it found too few free tickets
    looks = 0
    for turn in range(ROUNDS_MAX):
        event = known or catalog.read_anew(event_id, deadline)
        if event.cancelled_at:
            if requested and not (event.change and event.change.number == requested.number):
                return event  # others ended the change before the event was cancelled
            raise EventCancelled(event_id, event.cancelled_at)
        if event.change is None:
            return event
        lanes = catalog.read_lanes(event, deadline)
        if event.tickets_to_add + sum(lane.available for lane in lanes) >= 0:
            looked, looks = [], 0
            known = _advance(event, lanes, deadline)
        elif looks < LOOKS_MAX and _changes(looked) != _changes(lanes):
            looked, looks, known = lanes, looks + 1, None
        else:
            known = _refuse(event, lanes, deadline)
        if known is None:  # others write the same event or lanes
            dynamodb.pause(turn, dynamodb.BACKOFF_CONFLICT_S, deadline)
    raise TryAgain("change")


def _outcome(requested: Change, event: Event) -> Event:
    """Return the event if this change was done, even if it changed again since. Raises TicketsBooked; TryAgain."""
    if told := event.refusal_of(requested):
        raise TicketsBooked(event.event_id, event.terms.total_tickets, told.booked)
    if len(event.refusals) == REFUSALS_KEPT and requested.number < event.refusals[0].number:
        raise TryAgain("uncertain")  # it may have been refused before those that the event remembers
    return event


def _request(event: Event, terms: Terms) -> tuple[Event, dict[Name, TransactItem]]:
    """Return the event with these terms, or with a change to them, and the transaction that makes it so.

    Terms that no lane has are changed at once. A request that changes nothing also adds a step, so that late writes of
    earlier requests are refused (P7).
    """
    if terms == event.terms:
        return _stepped(event), {"event": _write(event)}
    if _known_to_lanes(terms) == _known_to_lanes(event.terms):
        return _done(event, terms)
    change = Change(event.steps, runtime.current.now(), terms)
    return replace(_stepped(event), change=change), {"event": _write(event, items.request(change))}


def _known_to_lanes(terms: Terms) -> tuple[int, str | None, str | None]:
    return terms.total_tickets, terms.opens_at, terms.closes_at


def _changes(lanes: list[Lane]) -> list[int]:
    """Return what differs between two reads if any lane changed in between. If equal, both show one moment."""
    return [lane.changes for lane in lanes]


def _advance(event: Event, lanes: list[Lane], deadline: Deadline) -> Event | None:
    """Take all steps that are left, and end the change; return the event, None if others were faster."""
    change = event.change
    assert change is not None, "there is a change to finish"
    shares = list(_shares(lanes, event.tickets_to_add))
    for first in range(0, len(shares), LANES_PER_STEP):
        some = shares[first : first + LANES_PER_STEP]
        more = sum(share for _, share in some)
        transaction: dict[Name, TransactItem] = {"event": _write(event, more=more)}
        transaction |= {("lane", lane.number): _add(lane, share) for lane, share in some}
        if dynamodb.commit(transaction, deadline) is not None:
            return None
        event = replace(_stepped(event), tickets_in_lanes=event.tickets_in_lanes + more)
    if event.tickets_to_add:
        return None  # lanes are missing, which is damage
    if event.is_stepping_back:
        ended, transaction = replace(_stepped(event), change=None), {"event": _write(event, {"requestedAt": None})}
    else:
        _set_window(event, lanes, deadline)
        ended, transaction = _done(event, change.terms)
    if dynamodb.commit(transaction, deadline) is not None:
        return None
    if ended.revision != event.revision:
        telemetry.outcome(telemetry.Metric.EVENT_CHANGED, event_id=event.event_id)
    return ended


def _shares(lanes: list[Lane], more: int) -> Iterator[tuple[Lane, int]]:
    """Yield how many tickets each lane gets, as evenly as possible; a negative number takes free ones away.

    The lanes with the fewest free tickets come first: the others give what these cannot.
    """
    for place, lane in enumerate(sorted(lanes, key=lambda lane: lane.available)):
        share = max(more // (len(lanes) - place), -lane.available)
        more -= share
        if share:
            yield lane, share


def _refuse(event: Event, lanes: list[Lane], deadline: Deadline) -> Event | None:
    """Note that too few tickets are free, so that the lanes step back; return the event, None if others were faster."""
    assert event.change is not None, "there is a change to refuse"
    latest = Refusal(event.change.number, booked=sum(lane.tickets - lane.available for lane in lanes))
    refusals = (*event.refusals, latest)[-REFUSALS_KEPT:]
    if dynamodb.commit({"event": _write(event, items.refusals(refusals))}, deadline) is not None:
        return None
    return replace(_stepped(event), refusals=refusals)


def _set_window(event: Event, lanes: list[Lane], deadline: Deadline) -> None:
    """Give every lane the sale window of the change, unless it has the window of this revision or a later one."""
    assert event.change is not None, "there is a change to finish"
    if items.window(event.terms) == items.window(event.change.terms):
        return
    revision = event.revision + 1
    window = items.window(event.change.terms) | {"revision": items.number(revision)}
    assign, names, values = items.assignment({"sweepId": items.text(event.event_id), **window})
    values |= {":one": items.number(1)}
    is_older = "(attribute_not_exists(revision) OR revision < :revision)"  # O2, P7: never replace a newer window
    for lane in lanes:
        update = {
            "TableName": items.LANES,
            "Key": items.lane_key(event.event_id, lane.number),
            "UpdateExpression": f"{assign} ADD changes :one",  # so an audit that came before does not let it rest
            "ConditionExpression": is_older,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        if lane.revision < revision:
            dynamodb.commit({"lane": {"Update": update}}, deadline)  # refused: the lane has this window or a later one


def _done(event: Event, terms: Terms) -> tuple[Event, dict[Name, TransactItem]]:
    """Return the event with these terms in force, and the transaction that makes it so."""
    done = replace(_stepped(event), terms=terms, revision=event.revision + 1, change=None)
    is_over = {"requestedAt": None} if event.change else {}
    new_terms = {**items.terms(terms), "revision": items.number(done.revision), **is_over}
    transaction: dict[Name, TransactItem] = {"event": _write(event, new_terms)}
    if terms.waiting_list_limit != event.terms.waiting_list_limit:
        transaction["tail"] = _write_limit(done)
    return done, transaction


def _stepped(event: Event) -> Event:
    return replace(event, steps=event.steps + 1)


def _write(event: Event, attributes: Mapping[str, Any] | None = None, more: int = 0) -> TransactItem:
    """Write attributes of an event, and `more` tickets in its lanes, if no change has written it since it was read."""
    as_read = "steps = :steps"  # P1, O2, P7: two steps never count as one, and a late one finds another number
    not_cancelled = "attribute_not_exists(cancelledAt)"  # O3: a cancelled event stays as it was
    assign, names, values = items.assignment(attributes or {})
    tickets = ", ticketsInLanes :more" * bool(more)
    return {
        "Update": {
            "TableName": items.EVENTS,
            "Key": items.event_key(event.event_id),
            "UpdateExpression": f"{assign} ADD steps :one{tickets}".lstrip(),
            "ConditionExpression": f"{as_read} AND {not_cancelled}",
            **({"ExpressionAttributeNames": names} if names else {}),
            "ExpressionAttributeValues": {
                **values,
                ":steps": items.number(event.steps),
                ":one": items.number(1),
                **({":more": items.number(more)} if more else {}),
            },
        }
    }


def _add(lane: Lane, more: int) -> TransactItem:
    """Add tickets to a lane, or take away free ones. Counts in `changes`, so the audit sees it."""
    counts = {"tickets": more, "available": more, "changes": 1}
    if more >= 0:
        return items.addition_to_lane(lane.event_id, lane.number, counts)
    are_free = "available >= :taken"  # P1: booked tickets stay
    return items.addition_to_lane(lane.event_id, lane.number, counts, are_free, taken=items.number(-more))


def _write_limit(changed: Event) -> TransactItem:
    """Write the waiting list's limit where a joining user reads it.

    It has no condition of its own; the event's write is in the same transaction.
    """
    assign, names, values = items.assignment(items.waiting_list_limit(changed.terms))
    return {
        "Update": {
            "TableName": items.WAITING_LIST,
            "Key": items.tail_key(changed),
            "UpdateExpression": assign,
            "ExpressionAttributeNames": names,
            **({"ExpressionAttributeValues": values} if values else {}),
        }
    }
