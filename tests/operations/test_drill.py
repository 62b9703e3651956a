"""Drill the alarms on our own metrics: trouble, a metric that crosses the threshold, the runbook's remedy.

Through the real functions on the real engine. Alarms on AWS's metrics: test_drill_of_aws.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import functions.announce.bus
import functions.book.app
import functions.expire.app
import functions.promote.app
import functions.sweep.app
from harness.gateway import Context, Response
from harness.office import Event, Office, clock_ahead
from shared import runtime
from shared.model import BACKGROUND_RESERVE_S
from shared.store import items
from tests.announce.test_bus import FakeBus, announce, confirmed
from tests.conftest import LogLines
from tests.operations.clock import at
from tests.operations.drilling import Drill, drills
from tests.operations.troubles import throttled
from tests.ops.commands import announced, ops

HOLD_S = 600


@pytest.fixture
def sold_out(office: Office) -> Event:
    """Return an event whose one ticket anna has; ben and cleo wait. The sweep sees no other event."""
    hide_others(office)
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    return event


@drills("PromiseAlarm")
def test_a_forged_ticket_breaks_a_promise_until_it_is_removed(office: Office, sold_out: Event, drill: Drill) -> None:
    """P1: someone adds a ticket to a lane, and the sweep gives it away: one too many is sold."""
    drill.is_silent_when(sweeps)
    lane = {"TableName": items.LANES, "Key": items.lane_key(sold_out.event_id, 0)}
    forged = items.addition_to_lane(sold_out.event_id, 0, {"available": 1})  # as a write of ours that goes wrong
    office.database.update_item(**forged["Update"])
    drill.rings_when(sweeps)
    sold_out.cancels("ben")  # who agrees to return the ticket
    sold_out.cancels("cleo")
    office.database.update_item(
        **lane,
        UpdateExpression="ADD available :less",
        ConditionExpression="available = :seen",
        ExpressionAttributeValues={":less": items.number(-1), ":seen": items.number(1)},
    )
    drill.ends_when(sweeps)
    sold_out.check(drained=True)


@pytest.mark.parametrize(
    "gives", [Event.promotes, Event.follows, lambda _: sweeps()], ids=["promote", "follow", "sweep"]
)
def test_a_forged_ticket_is_given_away_by_each_function_that_the_runbook_stops(
    office: Office, sold_out: Event, gives: Callable[[Event], None]
) -> None:
    """P1: after the next cancellation, two users have the one ticket. Stopped, a function gives away nothing."""
    lane = items.LANES, items.lane_key(sold_out.event_id, 0)
    forge(office, *lane, "ADD available :more", more=items.number(1))
    sold_out.cancels("anna")
    assert [sold_out.status(user).json["booking"]["status"] for user in ("ben", "cleo")] == ["WAITING"] * 2
    gives(sold_out)
    assert [sold_out.status(user).json["booking"]["status"] for user in ("ben", "cleo")] == ["CONFIRMED"] * 2
    for user in ("ben", "cleo"):
        sold_out.cancels(user)
    forge(office, *lane, "ADD available :more", more=items.number(-1))
    sold_out.check(drained=True)


@drills("StrandedAlarm")
def test_a_stopped_promoter_strands_users_until_it_works_again(
    sold_out: Event, drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P6: a ticket is free for ninety seconds and its record does not arrive; the sweep settles the event."""
    with at(monkeypatch, seconds_ago=90):
        sold_out.books("dora")
        sold_out.cancels("anna")
    for user in ("ben", "cleo"):
        sold_out.cancels(user)  # leaving the list releases no ticket
    drill.rings_when(sweeps)
    assert sold_out.check(drained=True).confirmed == {"dora"}
    sold_out.books("eve")
    sold_out.cancels("dora")
    sold_out.promotes()
    drill.ends_when(sweeps)


@drills("OverdueHoldsAlarm")
def test_a_damaged_hold_is_overdue_until_it_is_repaired(office: Office, drill: Drill) -> None:
    """H3: the other holds of its lane end in time."""
    event = office.opens(tickets=2, holdSeconds=HOLD_S)
    for user in ("anna", "ben"):
        event.books(user)
    repair = damage(office, items.BOOKINGS, booking_key(event, "anna"), "bookingId")
    with clock_ahead(HOLD_S + 60):
        expires()
        assert event.check().held == {"anna"}
        drill.is_silent_when(expires)
    with clock_ahead(HOLD_S + 130):
        drill.rings_when(expires)
        repair()
        expires()
        drill.ends_when(expires)
    assert event.check(drained=True).held == set()


@drills("ExpireSilentAlarm")
def test_an_expire_function_that_does_not_run_is_noticed(office: Office, drill: Drill) -> None:
    """Silence raises the alarm, and one run ends it, even if no hold is due."""
    event = office.opens(tickets=1)
    drill.is_silent_when(expires)
    drill.rings_when(event.status)
    drill.ends_when(expires)


@drills("SweepSilentAlarm")
def test_a_sweep_that_does_not_run_is_noticed(office: Office, sold_out: Event, drill: Drill) -> None:
    """Silence raises the alarm, and one sweep ends it, even if there are no sold-out events."""
    drill.is_silent_when(sweeps)
    drill.rings_when(sold_out.status)
    forge(office, items.EVENTS, items.event_key(sold_out.event_id), "REMOVE soldOutAt")
    office.events.clear()
    drill.ends_when(sweeps)


@drills("SweepUnfinishedAlarm")
def test_the_sweep_leaves_a_damaged_event_out_until_it_is_repaired(
    office: Office, sold_out: Event, drill: Drill
) -> None:
    """An event that cannot be read is neither settled nor audited."""
    set_lanes(office, sold_out, "many")
    drill.rings_when(sweeps)
    set_lanes(office, sold_out, "1")
    drill.ends_when(sweeps)


@drills("SweepUnfinishedAlarm")
def test_a_sweep_without_enough_time_reports_that_it_left_events_out(sold_out: Event, drill: Drill) -> None:
    """A longer time-out ends the same alarm."""
    drill.rings_when(lambda: functions.sweep.app.handler({}, Context(BACKGROUND_RESERVE_S)))
    drill.ends_when(lambda: functions.sweep.app.handler({}, Context(BACKGROUND_RESERVE_S + 10)))
    sold_out.check(drained=True)


@drills("ChangeUnfinishedAlarm")
def test_a_change_of_an_event_with_a_damaged_lane_is_reported_until_the_lane_is_repaired(
    office: Office, sold_out: Event, drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O2: requested two hours ago; each sweep tries to finish it."""
    repair = damage(office, items.LANES, items.lane_key(sold_out.event_id, 0), "waiting")
    with at(monkeypatch, seconds_ago=7200):
        assert sold_out.change(totalTickets=2).status == 500
    drill.rings_when(sweeps)
    repair()
    drill.ends_when(sweeps)
    assert sold_out.check(drained=True).confirmed == {"anna", "ben"}


@drills("EmptyingAlarm")
def test_a_damaged_booking_keeps_a_cancelled_event_from_being_emptied_until_it_is_repaired(
    office: Office, sold_out: Event, drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O3: cancelled two hours ago; each sweep tries, and reports the age. All other bookings are cancelled."""
    repair = damage(office, items.BOOKINGS, booking_key(sold_out, "anna"), "bookingId")
    with at(monkeypatch, seconds_ago=7200):
        sold_out.cancels_event()
    drill.rings_when(sweeps)
    repair()
    drill.ends_when(sweeps)
    sold_out.check(drained=True)


@drills("RecordsFailedAlarm")
def test_a_record_fails_until_its_event_is_repaired(office: Office, sold_out: Event, drill: Drill) -> None:
    """P6: the promoter returns what it cannot do; after the repair it processes the same record."""
    record = {"dynamodb": {"Keys": {"laneId": {"S": f"{sold_out.event_id}#0"}}, "SequenceNumber": "7"}}

    def arrives() -> list[dict[str, str]]:
        return functions.promote.app.handler({"Records": [record]}, Context())["batchItemFailures"]

    sold_out.cancels("anna")
    set_lanes(office, sold_out, "many")
    drill.rings_when(arrives)
    set_lanes(office, sold_out, "1")
    drill.ends_when(arrives)
    assert sold_out.check(drained=True).confirmed == {"ben"}


@drills("AnnouncementsFailedAlarm")
def test_announcements_fail_while_the_bus_refuses_them(drill: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records come again, and are announced as soon as possible."""
    bus = FakeBus()
    bus.refuse = lambda _: "InternalFailure"
    monkeypatch.setattr(functions.announce.bus, "_client", lambda: bus)
    monkeypatch.setattr(functions.announce.bus, "PAUSE_S_MAX", 0.0)
    drill.rings_when(lambda: announce(confirmed(3)))
    bus.refuse = lambda _: None
    drill.ends_when(lambda: announce(confirmed(3)))
    assert announce(confirmed(3)) == []


@drills("TryAgainAlarm")
def test_users_are_told_to_try_again_while_dynamodb_throttles(
    sold_out: Event, drill: Drill, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: each request is retried, then answered with 503; later the same requests succeed."""
    users = [f"user-{n}" for n in range(12)]
    with monkeypatch.context() as hurried, throttled():
        hurried.setattr(functions.book.app, "REQUEST_BUDGET_S", 0.05)
        drill.rings_when(lambda: [sold_out.books(user) for user in users])
    causes = {line["cause"] for line in log_lines() if "Contention" in line}
    assert causes == {"ProvisionedThroughputExceededException"}
    assert [sold_out.books(user) for user in users] == [202] * 12
    drill.ends_when(lambda: [sold_out.books(user) for user in users])


@drills("InternalErrorAlarm")
def test_a_damaged_event_causes_internal_errors_until_it_is_repaired(
    office: Office, sold_out: Event, drill: Drill, log_lines: LogLines, tmp_path: Path
) -> None:
    """The response says nothing about the cause, the log line does, and the audit names what to repair."""
    set_lanes(office, sold_out, "many")
    answers: list[Response] = []
    drill.rings_when(lambda: answers.append(sold_out.book("dora")))
    [answer] = answers
    assert (answer.status, answer.json["code"]) == (500, "internal-error")
    line = log_lines()[-1]
    assert (line["correlation_id"], line["event_id"]) == (answer.json["requestId"], sold_out.event_id)
    assert "items.py" in line["exception"]
    with announced(tmp_path / "data"):
        audited = ops("audit", line["event_id"], "--local", "--data", str(tmp_path / "data"))
    expected = f"the event {sold_out.event_id} is damaged: its lanes cannot be read\n"
    assert (audited.code, audited.out, audited.err) == (2, "", expected)
    set_lanes(office, sold_out, "1")
    drill.ends_when(lambda: sold_out.books("dora"))


def hide_others(office: Office) -> None:
    """Hide the events of other tests from the sweep."""
    for table, index, key in (
        (items.LANES, items.TO_SWEEP_INDEX, "laneId"),
        (items.EVENTS, items.CANCELLED_INDEX, "eventId"),
        (items.EVENTS, items.CHANGING_INDEX, "eventId"),
    ):
        for item in office.database.scan(TableName=table, IndexName=index)["Items"]:
            forge(office, table, {key: item[key]}, "REMOVE sweepId, requestedAt")


def forge(office: Office, table: str, key: Any, expression: str, **values: Any) -> None:
    """Change an item behind the office's back; the keywords are the values of the expression."""
    named = {"ExpressionAttributeValues": {f":{name}": value for name, value in values.items()}} if values else {}
    office.database.update_item(TableName=table, Key=key, UpdateExpression=expression, **named)


def damage(office: Office, table: str, key: Any, attribute: str) -> Callable[[], None]:
    """Remove an attribute of an item; return what puts it back."""
    value = office.database.get_item(TableName=table, Key=key)["Item"][attribute]
    forge(office, table, key, f"REMOVE {attribute}")
    return lambda: forge(office, table, key, f"SET {attribute} = :value", value=value)


def booking_key(event: Event, user: str) -> Any:
    """Return the key of a user's booking."""
    [booking] = [one for one in event.check().bookings if one["userId"] == user]
    return {name: items.text(booking[name]) for name in ("laneId", "userId")}


def expires() -> None:
    """Expire holds with enough time."""
    functions.expire.app.handler({}, Context())


def sweeps() -> None:
    """Sweep with enough time."""
    functions.sweep.app.handler({}, Context())


def set_lanes(office: Office, event: Event, lanes: str) -> None:
    """Write the number of an event's lanes, as text if it is no number; the functions forget the event."""
    value = {"N": lanes} if lanes.isdigit() else {"S": lanes}
    office.database.update_item(
        TableName=items.EVENTS,
        Key=items.event_key(event.event_id),
        UpdateExpression="SET #lanes = :lanes",
        ExpressionAttributeNames={"#lanes": "lanes"},
        ExpressionAttributeValues={":lanes": value},
    )
    runtime.current.memory.clear()
