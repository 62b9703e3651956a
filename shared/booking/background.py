"""Work after stream records: settling and emptying events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared import telemetry
from shared.booking import catalog, event_cancellation, event_change, note
from shared.booking.settle import settle
from shared.model import BACKGROUND_RESERVE_S, Event, EventCancelled, EventNotFound, Status, TryAgain
from shared.runtime import Deadline
from shared.store import items
from shared.telemetry import Metric

RecordsByEvent = dict[str, list[dict[str, Any]]]  # event id -> what its records have under "dynamodb"
Work = Callable[[str, Deadline], bool]  # does the work for an event, and tells whether it is done


def settle_batch(records: Sequence[dict[str, Any]], time_left_s: float) -> list[str]:
    """Settle each event that the stream records name, once; return the sequence numbers of records that failed.

    For an event with several lanes other records only leave a note, and the note's record settles it (note.py).

    A failed record comes again: one whose event could not be settled in time, or one that cannot be read.
    """
    by_event, unreadable = _by_event(records)

    def settle_event(event_id: str, deadline: Deadline) -> bool:
        return _settle_event(event_id, by_event[event_id], deadline)

    return _each_event(by_event, unreadable, time_left_s, settle_event)


def follow_batch(records: Sequence[dict[str, Any]], time_left_s: float) -> list[str]:
    """Finish an organiser's request for each event that the records name, once; return as `settle_batch`.

    All bookings of a cancelled event are cancelled. A change of any other event is finished, if its requester has not
    done so; then the event is settled, because it may have more tickets. So is one that has just sold out, because
    tickets may have come back while its lanes were closed.
    """
    by_event, unreadable = _by_event(records)
    return _each_event(by_event, unreadable, time_left_s, follow_event)


def _by_event(records: Sequence[dict[str, Any]]) -> tuple[RecordsByEvent, list[str]]:
    """Return the records by event, and the sequence numbers of those that cannot be read."""
    by_event: RecordsByEvent = {}
    unreadable: list[str] = []
    for one in records:
        record = one["dynamodb"]
        try:
            event_id = items.event_of_key(record["Keys"])
        except (AttributeError, KeyError, TypeError):
            telemetry.failure("unreadable record")
            unreadable.append(record["SequenceNumber"])
        else:
            by_event.setdefault(event_id, []).append(record)
    return by_event, unreadable


def _each_event(by_event: RecordsByEvent, unreadable: list[str], time_left_s: float, work: Work) -> list[str]:
    """Do the work for each event; return the sequence numbers of the records that failed."""
    deadline = Deadline.after(time_left_s - BACKGROUND_RESERVE_S)
    failed = [*unreadable]
    for event_id, records in by_event.items():
        if not work(event_id, deadline):
            failed += [record["SequenceNumber"] for record in records]
    if failed:
        telemetry.outcome(Metric.RECORDS_FAILED, len(failed))
    return failed


def _released_at(record: Mapping[str, Any]) -> str | None:
    """Return when the record says that tickets were released; None if it released none."""
    item, before = record.get("NewImage", {}), record.get("OldImage", {})
    if before.get("status") == items.text(Status.WAITING):
        return None  # a waiting user has no tickets to release
    if item.get("reducedAt") == before.get("reducedAt"):
        item = {name: value for name, value in item.items() if name != "reducedAt"}  # that was earlier
    names = ("cancelledAt", "expiredAt", "reducedAt", "releasedAt")  # the last one is a note's
    return next((str(item[name]["S"]) for name in names if name in item), None)  # None if a user joined


def _settle_event(event_id: str, records: Sequence[Mapping[str, Any]], deadline: Deadline) -> bool:
    """Settle an event, or leave a note; return whether it is done. A failure is logged and does not stop the others."""
    released_at = [moment for record in records if (moment := _released_at(record))]
    with telemetry.about(event_id):
        try:
            event = catalog.read_event(event_id, deadline)
            if any(items.is_note(record["Keys"]) for record in records):
                note.clear(event, deadline)
                settle(event, deadline, released_at=released_at)
            else:
                _settle_or_ask(event, deadline, released_at)
        except EventNotFound:
            telemetry.warning("record of an unknown event")  # no user can wait for it
        except Exception:  # noqa: BLE001  # no fault of one event may keep the others waiting
            telemetry.failure("not settled")
            return False
    return True


def _settle_or_ask(event: Event, deadline: Deadline, released_at: Sequence[str] = ()) -> None:
    """Settle an event with one lane: its records come one batch after the other. For any other, leave a note."""
    if event.lanes > 1:
        note.leave(event, deadline, released_at)
    else:
        settle(event, deadline, released_at=released_at)


def follow_event(event_id: str, deadline: Deadline) -> bool:
    """Empty an event that was cancelled; finish the change of any other and settle it. Return whether it is done."""
    with telemetry.about(event_id):
        try:
            _follow(event_id, deadline)
        except EventNotFound:
            telemetry.warning("record of an unknown event")
        except TryAgain:
            telemetry.warning("not done yet")  # the next call continues
            return False
        except Exception:  # noqa: BLE001  # as for settling
            telemetry.failure("not done")
            return False
    return True


def _follow(event_id: str, deadline: Deadline) -> None:
    try:
        event = event_change.finish(event_id, deadline)
    except EventCancelled:
        event_cancellation.empty(event_id, deadline)
    else:
        _settle_or_ask(event, deadline)
