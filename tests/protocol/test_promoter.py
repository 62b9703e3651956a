"""The promoter and the sweep: batches, failures, and how they handle records."""

from typing import Any

import pytest

import functions.promote.app
import functions.sweep.app
from harness.gateway import Context
from harness.meter import metered
from harness.office import Event, Office
from shared.booking import note
from shared.store import items

NO_TIME_S = 5.0  # shared.booking.background's reserve: no time is left for work


def _released(office: Office) -> Event:
    """Return an event whose only ticket is free again, and for which ben waits."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    event.cancels("anna")
    return event


def _record(lane_id: str | None, sequence_number: str) -> dict[str, Any]:
    keys = {} if lane_id is None else {"laneId": {"S": lane_id}, "userId": {"S": "x"}}
    return {"eventID": sequence_number, "dynamodb": {"Keys": keys, "SequenceNumber": sequence_number}}


def _promote(*records: dict[str, Any], time_left_s: float = 30) -> list[str]:
    response = functions.promote.app.handler({"Records": list(records)}, Context(time_left_s))
    return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]


def test_each_event_is_settled_once_per_batch(office: Office) -> None:
    """A hundred records of two events settle twice."""
    first, second = _released(office), _released(office)
    records = [_record(f"{event.event_id}#0", str(n)) for n, event in enumerate([first, second] * 50)]
    with metered() as meter:
        assert _promote(*records) == []
    read = ["BatchGetItem"] * 2  # the event with the end of its list, then the lanes
    assert meter.requests == [*read, "Query", "TransactWriteItems", *read] * 2
    for event in (first, second):
        assert event.check(drained=True).confirmed == {"ben"}


def test_a_record_of_the_event_settles_it_like_a_record_of_a_booking(office: Office) -> None:
    """A record of either stream is read for the event's id only."""
    event = _released(office)
    changed = {"dynamodb": {"Keys": {"eventId": {"S": event.event_id}}, "SequenceNumber": "1"}}
    assert _promote(changed) == []
    assert event.check(drained=True).confirmed == {"ben"}


def test_an_event_that_runs_out_of_time_fails_its_records(office: Office) -> None:
    """P6: Lambda repeats the failed records, so no work is lost."""
    event = _released(office)
    records = [_record(f"{event.event_id}#0", "7"), _record(f"{event.event_id}#0", "8")]
    assert _promote(*records, time_left_s=NO_TIME_S) == ["7", "8"]
    assert event.check().waiting == ["ben"]
    assert _promote(*records) == []
    assert event.check(drained=True).confirmed == {"ben"}


def test_a_record_that_cannot_be_read_fails_alone(office: Office) -> None:
    """Lambda sends it to the failure destination; the other records are done."""
    event = _released(office)
    assert _promote(_record(None, "1"), _record(f"{event.event_id}#0", "2")) == ["1"]
    assert event.check(drained=True).confirmed == {"ben"}


def test_a_record_of_an_event_that_does_not_exist_is_done() -> None:
    """No user can wait for that event."""
    assert _promote(_record("no-such-event#0", "1")) == []


def test_the_content_of_a_record_is_not_trusted(office: Office) -> None:
    """A record that claims a release makes no ticket."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    record = _record(f"{event.event_id}#0", "1")
    record["dynamodb"]["NewImage"] = {"status": {"S": "CANCELLED"}, "userId": {"S": "anna"}}
    record["dynamodb"]["OldImage"] = {"status": {"S": "CONFIRMED"}, "userId": {"S": "anna"}}
    assert _promote(record) == []
    found = event.check(drained=True)
    assert (found.confirmed, found.waiting) == ({"anna"}, ["ben"])


def test_the_index_that_the_sweep_reads_has_only_sold_out_events(office: Office) -> None:
    """So a sweep costs nothing for events on sale."""
    on_sale, sold_out = office.opens(tickets=1), office.opens(tickets=1)
    sold_out.books("anna")
    sold_out.books("ben")
    assert _swept(office) >= {sold_out.event_id}
    assert on_sale.event_id not in _swept(office)


def test_a_sweep_out_of_time_stops_and_reports_how_many_events_it_swept(office: Office) -> None:
    """The time of the invocation bounds it, however many events there are."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    assert functions.sweep.app.handler({}, Context(NO_TIME_S)) == {"swept": 0}


def test_an_event_that_cannot_be_settled_does_not_stop_the_sweep(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep settles the other events, and this one once its item is readable again."""
    broken, sound = _released(office), _released(office)
    cleared = note.read_and_clear

    def refuse(event_id: str, deadline: Any) -> Any:
        if event_id == broken.event_id:
            raise KeyError("lanes")
        return cleared(event_id, deadline)

    monkeypatch.setattr(note, "read_and_clear", refuse)
    functions.sweep.app.handler({}, Context())
    assert sound.check(drained=True).confirmed == {"ben"}
    assert broken.check().waiting == ["ben"]
    monkeypatch.undo()
    functions.sweep.app.handler({}, Context())
    broken.check(drained=True)


def _swept(office: Office) -> set[str]:
    page = office.database.scan(TableName=items.LANES, IndexName=items.TO_SWEEP_INDEX)
    return {item["sweepId"]["S"] for item in page["Items"]}
