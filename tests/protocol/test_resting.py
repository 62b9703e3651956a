"""The sweep lets an event rest after a clean audit, and every change wakes it, with or without a stream record."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import functions.sweep.app
from harness.gateway import Context
from harness.meter import metered
from harness.office import Event, Office, clock_ahead
from shared.booking import catalog, resting
from shared.booking.audit import IDLE_S
from shared.booking.sweep import EMPTIED_AUDIT_S, SWEEP_SEGMENTS
from shared.store import dynamodb, items
from tests.operations.test_drill import hide_others

HOLD_S = 600
TICKETS = 4
PAST_EVENTS = 20


@pytest.fixture(autouse=True)
def alone(office: Office) -> None:
    """Hide the events of other tests."""
    hide_others(office)


@pytest.fixture
def sold_out(office: Office, monkeypatch: pytest.MonkeyPatch) -> Event:
    """Return an event on two lanes. anna has two tickets, ben and cleo one each; dora waits for two."""
    monkeypatch.setattr(catalog, "lanes_for", lambda _: 2)
    event = office.opens(tickets=TICKETS, ticketsPerBooking=2)
    for user, quantity in (("anna", 2), ("ben", 1), ("cleo", 1), ("dora", 2)):
        event.books(user, quantity=quantity)
    return event


def _sweeps() -> int:
    return int(functions.sweep.app.handler({}, Context(120))["swept"])


def _booking_id(event: Event, user: str) -> str:
    return str(event.status(user).json["booking"]["bookingId"])


def _is_awake(office: Office, event: Event) -> bool:
    page = office.database.scan(TableName=items.LANES, IndexName=items.TO_SWEEP_INDEX)
    return event.event_id in {item["sweepId"]["S"] for item in page["Items"]}


def test_an_event_is_audited_once_after_it_changed(office: Office, sold_out: Event) -> None:
    """However many of its lanes changed. Then the sweep reads its empty indexes only."""
    assert _sweeps() == 1
    assert not _is_awake(office, sold_out)
    with metered() as meter:
        assert _sweeps() == 0
    assert meter.requests == ["Scan"] * (SWEEP_SEGMENTS + 2)


CHANGES: dict[str, Callable[[Event], Any]] = {
    "a cancellation": lambda event: event.cancels("ben"),
    "some tickets returned": lambda event: event.cancel("anna", keep=1),
    "a join": lambda event: event.books("emma"),
    "a user who leaves": lambda event: event.cancels("dora"),
    "a user who wants fewer": lambda event: event.cancel("dora", keep=1),
    "a transfer": lambda event: event.transfer("ben", _booking_id(event, "ben"), "finn"),
    "a check-in": lambda event: event.check_in("ben", _booking_id(event, "ben")),
    "more tickets": lambda event: event.change(totalTickets=TICKETS + 1),
    "another sale window": lambda event: event.change(closesAt="2099-01-01T00:00:00.000Z"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_wakes_a_resting_event(office: Office, sold_out: Event, change: Callable[[Event], Any]) -> None:
    """No stream record is delivered here: the next sweep comes because of the change itself."""
    _sweeps()
    change(sold_out)
    assert _is_awake(office, sold_out)
    assert _sweeps() == 1


def test_a_ticket_taken_in_line_and_a_promotion_wake_an_event(office: Office, sold_out: Event) -> None:
    """Of a free ticket beside nobody, and of one that the promoter gives away."""
    sold_out.cancels("dora")
    sold_out.cancels("ben")
    sold_out.promotes()
    _sweeps()
    assert sold_out.book("emma").json["status"] == "CONFIRMED"
    assert _is_awake(office, sold_out)
    sold_out.books("finn")
    sold_out.cancels("emma")
    resting = {"TableName": items.LANES, "UpdateExpression": "REMOVE sweepId"}
    for lane in (0, 1):
        office.database.update_item(**resting, Key=items.lane_key(sold_out.event_id, lane))
    sold_out.promotes()
    assert sold_out.check(drained=True).waiting == []
    assert _is_awake(office, sold_out)


def test_a_lost_record_after_a_rest_strands_nobody(sold_out: Event) -> None:
    """P6: nobody but the sweep learns of the release."""
    _sweeps()
    sold_out.cancels("anna")
    assert sold_out.check().waiting == ["dora"]
    _sweeps()
    assert sold_out.check(drained=True).waiting == []


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_after_the_count_keeps_an_event_awake(
    office: Office, sold_out: Event, monkeypatch: pytest.MonkeyPatch, change: Callable[[Event], Any]
) -> None:
    """P6: it happens between the audit and the write that lets the event rest, and counts on its lane."""
    begin = resting.begin

    def after_a_change(*arguments: Any) -> None:
        change(sold_out)
        begin(*arguments)

    monkeypatch.setattr(resting, "begin", after_a_change)
    _sweeps()
    monkeypatch.undo()
    assert _is_awake(office, sold_out)
    _sweeps()
    sold_out.check(drained=True)


def test_an_event_that_never_pauses_does_not_rest(
    office: Office, sold_out: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inconclusive audit proves nothing."""
    all_items = dynamodb.all_items

    def and_act(*arguments: Any, **request: Any) -> Iterator[Any]:
        found = list(all_items(*arguments, **request))
        if request["TableName"] == items.WAITING_LIST:
            sold_out.books("emma")
            sold_out.cancels("emma")
        yield from found

    monkeypatch.setattr(dynamodb, "all_items", and_act)
    _sweeps()
    monkeypatch.undo()
    assert _is_awake(office, sold_out)


def test_an_event_with_a_broken_promise_does_not_rest(office: Office, sold_out: Event) -> None:
    """The alarm goes on until the event is repaired."""
    forged = {"TableName": items.LANES, "Key": items.lane_key(sold_out.event_id, 0)}
    for value, awake in ((3, True), (-3, False)):
        office.database.update_item(
            **forged, UpdateExpression="ADD waiting :n", ExpressionAttributeValues={":n": items.number(value)}
        )
        _sweeps()
        assert _is_awake(office, sold_out) is awake


def test_an_event_with_holds_does_not_rest(office: Office) -> None:
    """H3: the audit tells of holds that are overdue, and a hold becomes that without a change."""
    event = office.opens(tickets=1, holdSeconds=HOLD_S)
    booking_id = event.book("anna").json["bookingId"]
    event.books("ben")
    _sweeps()
    assert _is_awake(office, event)
    event.confirm("anna", booking_id)
    _sweeps()
    assert not _is_awake(office, event)


def test_an_event_with_idle_tickets_rests_after_a_week(office: Office, sold_out: Event) -> None:
    """Until then each sweep counts them in `IdleTickets`."""
    sold_out.cancels("ben")
    for ahead_s, awake in ((0, True), (IDLE_S - 60, True), (IDLE_S + 60, False)):
        with clock_ahead(ahead_s):
            assert _sweeps() == 1
        assert _is_awake(office, sold_out) is awake


def test_a_cancelled_event_leaves_the_index_an_hour_after_it_was_emptied(office: Office) -> None:
    """It never sold out, so it is not in the other index."""
    event = office.opens(tickets=1)
    event.books("anna")
    event.cancels_event()
    assert _sweeps() == 1  # empties it
    for ahead_s, swept, left in ((EMPTIED_AUDIT_S - 60, 1, 1), (EMPTIED_AUDIT_S + 60, 0, 0), (0, 0, 0)):
        with clock_ahead(ahead_s):
            assert _sweeps() == swept
        assert office.database.scan(TableName=items.EVENTS, IndexName=items.CANCELLED_INDEX)["Count"] == left


def test_past_events_cost_a_sweep_nothing(office: Office) -> None:
    """A sweep reads as much after many events, sold out or cancelled, as after none."""
    units = []
    for events in (0, PAST_EVENTS):
        for number in range(events):
            event = office.opens(tickets=1)
            event.books("anna")
            event.books("ben")
            if number % 2:
                event.cancels_event()
        _sweeps()
        with clock_ahead(EMPTIED_AUDIT_S + 60):
            _sweeps()
        with metered() as meter:
            assert _sweeps() == 0
        units.append((meter.read_units, meter.write_units))
    assert units[0] == units[1]
