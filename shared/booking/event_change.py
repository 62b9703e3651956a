"""Changing an event: its name and limit stand in its own item; tickets and window in its lanes, which sell by them.

    organiser         event            lanes
      │── read ────────▶ │               │
      │── read ─────────────────────────▶│
      │── change each, if it is as seen ▶│     (and again from "read", until all are as they are to be)
      └─ revision + 1, if it is as seen ▶│     (or all again: another change came between)

A new limit is written with the last step to the tail of the waiting list, too, where who joins meets it.

Each lane is changed by itself, for one transaction over all of them would never get through on a busy event. So while
a change is under way, the lanes together have a total between the old and the new, which is a total like any other; and
one that was given up half-way is finished by the same request again.

Every lane is touched, if only to count its `revision`: so whatever a change that was given up has on its way to the
database finds the lane not as it was seen (P7). A change whose last step succeeds has read all lanes as they are to be;
another that touched one of them since is refused at its own last step, and takes all of them again. So what was
acknowledged holds until a later change. The same goes for one that has to be taken back: docs/decisions/0009.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from shared import telemetry
from shared.booking import catalog, sale_window
from shared.model import (
    Availability,
    Event,
    EventCancelled,
    EventNotFound,
    ImpossibleWindow,
    Lane,
    TicketOfficeError,
    TicketsBooked,
    TryAgain,
)
from shared.store import dynamodb, items
from shared.store.dynamodb import Deadline, TransactItem

ROUNDS_MAX = 8  # tries of one request, and looks at the lanes in each
_HELD_BY_LANES = {"total_tickets", "opens_at", "closes_at"}


def change(event_id: str, wanted: Mapping[str, Any], deadline: Deadline) -> Availability:
    """Set fields of an event: name, total_tickets, opens_at, closes_at, waiting_list_limit; repeating it is harmless.

    New tickets of a sold-out event go to those who wait, by the hint of the event's own stream. Tickets are taken away
    only where they are free; if there are too few of them, nothing is changed.

    Raises EventNotFound; EventCancelled; ImpossibleWindow; TicketsBooked; TryAgain, after which a part of it may be
    done: the same request again does the rest.
    """
    for _ in range(ROUNDS_MAX):
        event = _read(event_id, deadline)
        if event.cancelled_at:
            raise EventCancelled(event_id, event.cancelled_at)
        changed = replace(event, **wanted, revision=event.revision + 1)
        refusal: TicketOfficeError | None = None
        if wanted.keys() & _HELD_BY_LANES:
            tickets = changed.total_tickets if "total_tickets" in wanted else None
            refusal = _bring_or_put_back(event, changed, tickets, deadline)
        if refusal:
            changed = replace(event, revision=event.revision + 1)
        written = [_write(changed)]
        if changed.waiting_list_limit != event.waiting_list_limit:
            written.append(_write_limit(changed))
        if dynamodb.commit(written, deadline) is None:
            break
    else:
        raise TryAgain("change")
    if refusal:
        raise refusal
    telemetry.outcome(telemetry.Metric.EVENT_CHANGED, event_id=event_id)
    return catalog.availability(*catalog.read_with_lanes(changed, deadline))


def _read(event_id: str, deadline: Deadline) -> Event:
    item = dynamodb.get(deadline, items.EVENTS, items.event_key(event_id))
    if item is None:
        raise EventNotFound(event_id)
    return items.to_event(item)


def _bring_or_put_back(
    event: Event, wanted: Event, tickets: int | None, deadline: Deadline
) -> TicketOfficeError | None:
    """Bring the lanes to what is wanted; or, where that cannot be, back to what the event has, and return why.

    That is TicketsBooked or ImpossibleWindow. Back also where this request has changed none: an earlier try of it may
    have, or may yet, and its refusal ends both.

    Raises TryAgain.
    """
    refusal: TicketOfficeError
    try:
        sale_window.check(wanted.opens_at, wanted.closes_at)
        _bring(wanted, tickets, deadline)
    except TicketsBooked as refused:
        refusal = TicketsBooked(event.event_id, event.total_tickets, refused.booked)
    except ImpossibleWindow as refused:
        refusal = refused
    else:
        return None
    with suppress(TicketsBooked):  # another change is at work or was given up: what it did is not ours to mend
        _bring(event, None if tickets is None else event.total_tickets, deadline)
    return refusal


def _bring(wanted: Event, tickets: int | None, deadline: Deadline) -> None:
    """Change the lanes until all have the window of the event that is wanted, and together so many tickets.

    With None they keep the tickets they have. Raises TicketsBooked; TryAgain.
    """
    touched: set[int] = set()
    seen: list[Lane] = []
    for turn in range(ROUNDS_MAX):
        if turn > 1:  # somebody else is at work on the same lanes
            dynamodb.pause(turn, dynamodb.BACKOFF_CONFLICT_S, deadline)
        before, seen = seen, catalog.read_lanes(wanted, deadline)
        total, free = sum(lane.tickets for lane in seen), sum(lane.available for lane in seen)
        more = 0 if tickets is None else tickets - total
        if more + free < 0:
            # Lanes that were read one after the other are one moment only if none moved between two looks.
            if _marks(before) == _marks(seen) or turn == ROUNDS_MAX - 1:
                raise TicketsBooked(wanted.event_id, total, total - free)
            continue
        shares = _shares(seen, more)
        due = [lane for lane in seen if shares[lane.number] or lane.number not in touched or not lane.is_as(wanted)]
        if not due:
            return
        for lane in due:
            if dynamodb.commit([_change(lane, wanted, shares[lane.number])], deadline) is None:
                touched.add(lane.number)
    raise TryAgain("change")


def _marks(lanes: list[Lane]) -> list[tuple[int, int]]:
    return [(lane.changes, lane.revision) for lane in lanes]


def _shares(lanes: list[Lane], more: int) -> dict[int, int]:
    """Say how many tickets each lane gets, as even as can be; with less than 0, how many it loses of those it has free.

    The lanes with the fewest come first: what they cannot give is left to the others.
    """
    shares = {}
    for place, lane in enumerate(sorted(lanes, key=lambda lane: lane.available)):
        shares[lane.number] = max(more // (len(lanes) - place), -lane.available)
        more -= shares[lane.number]
    return shares


def _change(lane: Lane, wanted: Event, more: int) -> TransactItem:
    """Change a lane that is still as it was seen. For the audit it is movement, too."""
    as_seen = "revision = :seen"  # P7: a late try meets a later revision
    are_free = " AND available >= :taken" * (more < 0)  # P1: nobody's ticket is taken away
    assign, names, values = items.assignment(items.window(wanted))
    return {
        "Update": {
            "TableName": items.LANES,
            "Key": items.lane_key(lane.event_id, lane.number),
            "UpdateExpression": f"{assign} ADD tickets :more, available :more, changes :one, revision :one",
            "ConditionExpression": f"{as_seen}{are_free}",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {
                **values,
                ":seen": items.number(lane.revision),
                ":more": items.number(more),
                ":one": items.number(1),
                **({":taken": items.number(-more)} if more < 0 else {}),
            },
        }
    }


def _write(changed: Event) -> TransactItem:
    """Write what an event has become, if nobody has changed it since it was read."""
    as_seen = "revision = :seen"  # P7: a late try, or another change, meets a later revision
    takes_place = "attribute_not_exists(cancelledAt)"  # O3: a cancelled event stays as it was
    assign, names, values = items.assignment(items.changeable(changed))
    return {
        "Update": {
            "TableName": items.EVENTS,
            "Key": items.event_key(changed.event_id),
            "UpdateExpression": assign,
            "ConditionExpression": f"{as_seen} AND {takes_place}",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {**values, ":seen": items.number(changed.revision - 1)},
        }
    }


def _write_limit(changed: Event) -> TransactItem:
    """Write how many may wait where who joins meets it. The event's condition speaks for it."""
    assign, names, values = items.assignment(items.waiting_list_limit(changed))
    return {
        "Update": {
            "TableName": items.WAITING_LIST,
            "Key": items.tail_key(changed),
            "UpdateExpression": assign,
            "ExpressionAttributeNames": names,
            **({"ExpressionAttributeValues": values} if values else {}),
        }
    }
