"""The failure drill: for each alarm on our own metrics what it is there for happens, it rings, the runbook mends it.

Through the real functions on the real engine. What an alarm sees is what CloudWatch would make of the lines that they
write, over as many periods as the alarm asks for. The alarms on AWS's metrics: test_drill_of_aws.py.
"""

from pathlib import Path

import pytest

import functions.announce.bus
import functions.book.app
import functions.promote.app
import functions.sweep.app
from harness.gateway import Answer, Context
from harness.office import Event, Office
from shared import runtime
from shared.booking import event_change
from shared.booking.background import RESERVE_S
from shared.store import items
from tests.announce.test_bus import FakeBus, announce, confirmed
from tests.conftest import LogLines
from tests.operations.clock import at
from tests.operations.cloudwatch import Alarm, State, of_lines
from tests.operations.drilling import Drill, drills
from tests.operations.throttling import throttled
from tests.ops.commands import announced, ops


@pytest.fixture
def sold_out(office: Office) -> Event:
    """Return an event with one ticket, which anna has, and for which ben and cleo wait; the sweep sees no other."""
    hide_others(office)
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    return event


@drills("PromiseAlarm")
def test_a_forged_ticket_is_a_broken_promise_until_it_is_taken_back(
    office: Office, sold_out: Event, drill: Drill
) -> None:
    """P1: somebody writes a ticket into a lane. The sweep hands it out, so that one is sold too many."""
    assert drill.passes(sweeps) is State.OK
    lane = {"TableName": items.LANES, "Key": items.lane_key(sold_out.event_id, 0)}
    one_more = {"UpdateExpression": "ADD available :one", "ExpressionAttributeValues": {":one": items.number(1)}}
    office.database.update_item(**lane, **one_more)
    drill.rings_when(sweeps)
    sold_out.cancels("ben")  # they agree that the ticket is taken back
    sold_out.cancels("cleo")
    office.database.update_item(
        **lane,
        UpdateExpression="ADD available :less",
        ConditionExpression="available = :seen",
        ExpressionAttributeValues={":less": items.number(-1), ":seen": items.number(1)},
    )
    drill.ends_when(sweeps)
    sold_out.check(drained=True)


@drills("StrandedAlarm")
def test_a_promoter_that_stands_still_strands_people_until_it_works_again(
    sold_out: Event, drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P6: a ticket is free for ninety seconds and its record reaches nobody; the sweep finds it."""
    with at(monkeypatch, seconds_ago=90):
        sold_out.books("dora")
        sold_out.cancels("anna")
    for user in ("ben", "cleo"):
        sold_out.cancels(user)  # to leave the list releases no ticket
    drill.rings_when(sweeps)
    assert sold_out.check(drained=True).confirmed == {"dora"}
    sold_out.books("eve")
    sold_out.cancels("dora")
    sold_out.promotes()
    drill.ends_when(sweeps)


@drills("SweepSilentAlarm")
def test_a_sweep_that_does_not_run_is_noticed_by_its_silence(sold_out: Event, drill: Drill) -> None:
    """Who watches the watchman: nothing is written, and that is the alarm; one sweep by hand ends it."""
    assert drill.passes(sweeps) is State.OK
    drill.rings_when(sold_out.status)
    drill.ends_when(sweeps)


def test_a_sweep_with_nothing_to_do_is_not_silent(office: Office, sold_out: Event, log_lines: LogLines) -> None:
    """A stack without a sold-out event is as well as any."""
    office.database.update_item(
        TableName=items.EVENTS, Key=items.event_key(sold_out.event_id), UpdateExpression="REMOVE soldOutAt"
    )
    office.events.clear()
    sweeps()
    assert Alarm("SweepSilentAlarm").values([of_lines(log_lines())]) == [1]


@drills("SweepUnfinishedAlarm")
def test_a_damaged_event_is_left_out_of_the_sweep_until_it_is_mended(
    office: Office, sold_out: Event, drill: Drill
) -> None:
    """An event that cannot be read is settled and audited by nobody."""
    set_lanes(office, sold_out, "many")
    drill.rings_when(sweeps)
    set_lanes(office, sold_out, "1")
    drill.ends_when(sweeps)


@drills("SweepUnfinishedAlarm")
def test_a_sweep_without_time_says_that_it_left_events_out(sold_out: Event, drill: Drill) -> None:
    """More events than there is time for: the same alarm, and a longer time-out ends it."""
    drill.rings_when(lambda: functions.sweep.app.handler({}, Context(RESERVE_S)))
    drill.ends_when(lambda: functions.sweep.app.handler({}, Context(RESERVE_S + 10)))
    sold_out.check(drained=True)


@drills("ChangeUnfinishedAlarm")
def test_a_change_that_nobody_finished_is_told_until_it_is_sent_again(
    sold_out: Event, drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O2: the lanes have their tickets, and then the function dies; those who wait are promoted all the same."""
    with monkeypatch.context() as dying:
        dying.setattr(event_change, "_write", lambda _: 1 / 0)
        assert sold_out.change(totalTickets=2).status == 500
    drill.rings_when(sweeps)
    assert sold_out.check(drained=True, changed=False).confirmed == {"anna", "ben"}
    assert sold_out.change(totalTickets=2).status == 200
    drill.ends_when(sweeps)
    sold_out.check(drained=True)


@drills("EmptyingAlarm")
def test_a_cancelled_event_with_a_damaged_booking_is_not_emptied_until_it_is_mended(
    office: Office, sold_out: Event, drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O3: two hours ago; each sweep tries, and says since when. All but that booking are cancelled."""
    [booking] = [one for one in sold_out.check().bookings if one["userId"] == "anna"]
    table, key = items.BOOKINGS, {name: items.text(booking[name]) for name in ("laneId", "userId")}
    office.database.update_item(TableName=table, Key=key, UpdateExpression="REMOVE bookingId")
    with at(monkeypatch, seconds_ago=7200):
        sold_out.cancels_event()
    drill.rings_when(sweeps)
    office.database.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET bookingId = :seen",
        ExpressionAttributeValues={":seen": items.text(booking["bookingId"])},
    )
    drill.ends_when(sweeps)
    sold_out.check(drained=True)


@drills("RecordsFailedAlarm")
def test_a_poison_record_fails_until_its_event_is_mended(office: Office, sold_out: Event, drill: Drill) -> None:
    """P6: the promoter gives back what it cannot do; when the event is mended, the same record is done."""
    record = {"dynamodb": {"Keys": {"laneId": {"S": f"{sold_out.event_id}#0"}}, "SequenceNumber": "7"}}

    def comes() -> list[dict[str, str]]:
        return functions.promote.app.handler({"Records": [record]}, Context())["batchItemFailures"]

    sold_out.cancels("anna")
    set_lanes(office, sold_out, "many")
    drill.rings_when(comes)
    set_lanes(office, sold_out, "1")
    assert not comes()
    drill.ends_when()
    assert sold_out.check(drained=True).confirmed == {"ben"}


@drills("AnnouncementsFailedAlarm")
def test_a_bus_that_takes_nothing_is_told_of_until_it_does(drill: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records come again and again, and are announced as soon as they can be."""
    bus = FakeBus()
    bus.refuse = lambda _: "InternalFailure"
    monkeypatch.setattr(functions.announce.bus, "_client", lambda: bus)
    monkeypatch.setattr(functions.announce.bus, "PAUSE_S_MAX", 0.0)
    drill.rings_when(lambda: announce(confirmed(3)))
    bus.refuse = lambda _: None
    assert announce(confirmed(3)) == []
    drill.ends_when()


@drills("TryAgainAlarm")
def test_users_are_told_to_try_again_while_dynamodb_throttles(
    sold_out: Event, drill: Drill, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: each request is retried, then answered with 503; when it is over the same requests go through."""
    users = [f"user-{n}" for n in range(12)]
    with monkeypatch.context() as hurried, throttled():
        hurried.setattr(functions.book.app, "REQUEST_BUDGET_S", 0.05)
        drill.rings_when(lambda: [sold_out.books(user) for user in users])
    causes = {line["cause"] for line in log_lines() if "Contention" in line}
    assert causes == {"ProvisionedThroughputExceededException"}
    assert [sold_out.books(user) for user in users] == [202] * 12
    drill.ends_when(lambda: [sold_out.books(user) for user in users])


@drills("InternalErrorAlarm")
def test_requests_that_meet_a_damaged_event_end_in_an_internal_error_until_it_is_mended(
    office: Office, sold_out: Event, drill: Drill, log_lines: LogLines, tmp_path: Path
) -> None:
    """The first one rings, says what it met, and shows nothing of it to the user; the audit says what to mend."""
    set_lanes(office, sold_out, "many")
    answers: list[Answer] = []
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
    """Take the events of other tests out of what the sweep sees."""
    for index in (items.SOLD_OUT_INDEX, items.CANCELLED_INDEX):
        for item in office.database.scan(TableName=items.EVENTS, IndexName=index)["Items"]:
            key = {"eventId": item["eventId"]}
            office.database.update_item(
                TableName=items.EVENTS, Key=key, UpdateExpression="REMOVE soldOutAt, cancelledAt"
            )


def sweeps() -> None:
    """Sweep with time enough."""
    functions.sweep.app.handler({}, Context())


def set_lanes(office: Office, event: Event, lanes: str) -> None:
    """Write the number of an event's lanes, as a number where it is one; the functions start anew."""
    value = {"N": lanes} if lanes.isdigit() else {"S": lanes}
    office.database.update_item(
        TableName=items.EVENTS,
        Key=items.event_key(event.event_id),
        UpdateExpression="SET #lanes = :lanes",
        ExpressionAttributeNames={"#lanes": "lanes"},
        ExpressionAttributeValues={":lanes": value},
    )
    runtime.current.memory.clear()
