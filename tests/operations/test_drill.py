"""The failure drill: for each alarm of ours what it is there for happens, it notices, and the runbook mends it.

Through the real functions on the real engine. What an alarm sees is what CloudWatch would make of the lines, with the
alarm's own name of the metric, dimension, statistic and threshold.
"""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

import functions.book.app
import functions.promote.app
import functions.sweep.app
from shared import events, items
from shared.promotion import RESERVE_S
from tests.conftest import LogLines
from tests.crowd import open_event
from tests.gateway import Context
from tests.office import Event, Office
from tests.operations.clock import at
from tests.operations.throttling import throttled
from tests.operations.watching import Line, own_alarms
from tests.running import running

STALLED_S = 5.5  # over the threshold of PromotionLatencyAlarm
HAPPEN_S_MAX = 20.0


class Watch:
    """Looks at an alarm: at what was written since the last look."""

    def __init__(self, alarm: str, read: Callable[[], Sequence[Line]]) -> None:
        self._alarm = own_alarms()[alarm]
        self._read = read
        self._seen = len(read())

    def rings(self) -> bool:
        """Tell whether the alarm's metric crossed its line since the last look."""
        lines = self._read()
        new, self._seen = lines[self._seen :], len(lines)
        return self._alarm.is_crossed_by(new)


@pytest.fixture
def sold_out(office: Office) -> Event:
    """Return an event with one ticket, which anna has, and for which ben and cleo wait; the sweep sees no other."""
    for item in office.database.scan(TableName=items.EVENTS, IndexName=items.SOLD_OUT_INDEX)["Items"]:
        key = {"eventId": item["eventId"]}
        office.database.update_item(TableName=items.EVENTS, Key=key, UpdateExpression="REMOVE soldOutAt")
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    return event


def test_a_forged_ticket_is_a_broken_promise_until_it_is_taken_back(
    office: Office, sold_out: Event, log_lines: LogLines
) -> None:
    """P1: somebody writes a ticket into a lane. The sweep hands it out, so that one is sold too many."""
    watch = Watch("PromiseAlarm", log_lines)
    _sweeps()
    assert not watch.rings()
    lane = {"TableName": items.LANES, "Key": items.lane_key(sold_out.event_id, 0)}
    one_more = {"UpdateExpression": "ADD available :one", "ExpressionAttributeValues": {":one": items.number(1)}}
    office.database.update_item(**lane, **one_more)
    _sweeps()
    assert watch.rings()
    sold_out.cancels("ben")  # they agree that the ticket is taken back
    sold_out.cancels("cleo")
    office.database.update_item(
        **lane,
        UpdateExpression="ADD available :less",
        ConditionExpression="available = :seen",
        ExpressionAttributeValues={":less": items.number(-1), ":seen": items.number(1)},
    )
    _sweeps()
    assert not watch.rings()
    sold_out.check(drained=True)


def test_a_promoter_that_stands_still_strands_people_until_it_works_again(
    sold_out: Event, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P6: a ticket is free for ninety seconds and its record reaches nobody; the sweep finds it."""
    watch = Watch("StrandedAlarm", log_lines)
    with at(monkeypatch, seconds_ago=90):
        sold_out.books("dora")
        sold_out.cancels("anna")
    for user in ("ben", "cleo"):
        sold_out.cancels(user)  # to leave the list releases no ticket
    _sweeps()
    assert watch.rings()
    assert sold_out.check(drained=True).confirmed == {"dora"}
    sold_out.books("eve")
    sold_out.cancels("dora")
    sold_out.promotes()
    _sweeps()
    assert not watch.rings()


def test_a_sweep_that_does_not_run_is_noticed_by_its_silence(sold_out: Event, log_lines: LogLines) -> None:
    """Who watches the watchman: nothing is written, and that is the alarm; one sweep by hand ends it."""
    watch = Watch("SweepSilentAlarm", log_lines)
    sold_out.status()
    assert watch.rings()
    _sweeps()
    assert not watch.rings()


def test_a_sweep_with_nothing_to_do_is_not_silent(office: Office, sold_out: Event, log_lines: LogLines) -> None:
    """A stack without a sold-out event is as well as any."""
    office.database.update_item(
        TableName=items.EVENTS, Key=items.event_key(sold_out.event_id), UpdateExpression="REMOVE soldOutAt"
    )
    office.events.clear()
    watch = Watch("SweepSilentAlarm", log_lines)
    _sweeps()
    assert not watch.rings()


def test_a_damaged_event_is_left_out_of_the_sweep_until_it_is_mended(
    office: Office, sold_out: Event, log_lines: LogLines
) -> None:
    """An event that cannot be read is settled and audited by nobody."""
    watch = Watch("SweepUnfinishedAlarm", log_lines)
    _set_lanes(office, sold_out, "many")
    _sweeps()
    assert watch.rings()
    _set_lanes(office, sold_out, "1")
    _sweeps()
    assert not watch.rings()


def test_a_sweep_without_time_says_that_it_left_events_out(sold_out: Event, log_lines: LogLines) -> None:
    """More events than there is time for: the same alarm, and a longer time-out ends it."""
    watch = Watch("SweepUnfinishedAlarm", log_lines)
    functions.sweep.app.handler({}, Context(RESERVE_S))
    assert watch.rings()
    functions.sweep.app.handler({}, Context(RESERVE_S + 10))
    assert not watch.rings()
    sold_out.check(drained=True)


def test_a_poison_record_fails_until_its_event_is_mended(office: Office, sold_out: Event, log_lines: LogLines) -> None:
    """P6: the promoter gives back what it cannot do; when the event is mended, the same record is done."""
    watch = Watch("RecordsFailedAlarm", log_lines)
    sold_out.cancels("anna")
    record = {"dynamodb": {"Keys": {"laneId": {"S": f"{sold_out.event_id}#0"}}, "SequenceNumber": "7"}}
    _set_lanes(office, sold_out, "many")
    assert functions.promote.app.handler({"Records": [record]}, Context())["batchItemFailures"]
    assert watch.rings()
    _set_lanes(office, sold_out, "1")
    assert not functions.promote.app.handler({"Records": [record]}, Context())["batchItemFailures"]
    assert not watch.rings()
    assert sold_out.check(drained=True).confirmed == {"ben"}


def test_users_are_told_to_try_again_while_dynamodb_throttles(
    sold_out: Event, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: each request is retried, then answered with 503; when it is over the same requests go through."""
    monkeypatch.setattr(functions.book.app, "REQUEST_BUDGET_S", 0.05)
    watch = Watch("TryAgainAlarm", log_lines)
    users = [f"user-{n}" for n in range(12)]
    with throttled():
        assert [sold_out.books(user) for user in users] == [503] * 12
    causes = {line["cause"] for line in log_lines() if "Contention" in line}
    assert causes == {"ProvisionedThroughputExceededException"}
    assert watch.rings()
    monkeypatch.undo()
    assert [sold_out.books(user) for user in users] == [202] * 12
    assert not watch.rings()


def test_a_stalled_promoter_makes_promotions_slow_until_it_goes_on(tmp_path: Path) -> None:
    """P6, on time: the office as its user runs it, and a feeder that stands still for some seconds."""

    def lines() -> list[Line]:
        written = (tmp_path / "logs" / "feeder.log").read_text().splitlines()
        return [json.loads(line) for line in written if line.startswith("{")]

    with running(tmp_path, workers=1) as office:
        event_id = open_event(office.url, tickets=1)
        for user in ("anna", "ben", "cleo"):
            _post(office.url, "book", event_id, user)
        watch = Watch("PromotionLatencyAlarm", lines)
        [feeder] = office.pids("local.feeder")
        os.kill(feeder, signal.SIGSTOP)
        _post(office.url, "cancel", event_id, "anna")
        time.sleep(STALLED_S)
        os.kill(feeder, signal.SIGCONT)
        _wait_for(lambda: _promoted(lines()) == ["ben"])
        assert watch.rings()
        _post(office.url, "cancel", event_id, "ben")
        _wait_for(lambda: _promoted(lines()) == ["ben", "cleo"])
        assert not watch.rings()
        assert office.check_drained(event_id, HAPPEN_S_MAX).confirmed == {"cleo"}


def test_every_alarm_of_ours_was_drilled() -> None:
    """No alarm is trusted that has never rung: the alarms that the tests above watch are all there are."""
    drilled = set(re.findall(r'Watch\("(\w+)"', Path(__file__).read_text()))
    assert drilled == own_alarms().keys()


def _sweeps() -> None:
    functions.sweep.app.handler({}, Context())


def _set_lanes(office: Office, event: Event, lanes: str) -> None:
    """Write the number of an event's lanes, as a number where it is one; the functions start anew."""
    value = {"N": lanes} if lanes.isdigit() else {"S": lanes}
    office.database.update_item(
        TableName=items.EVENTS,
        Key=items.event_key(event.event_id),
        UpdateExpression="SET #lanes = :lanes",
        ExpressionAttributeNames={"#lanes": "lanes"},
        ExpressionAttributeValues={":lanes": value},
    )
    vars(events)["_known"].clear()


def _promoted(lines: Sequence[Line]) -> list[str]:
    """Return the users whose promotion was measured, in their order."""
    return [line["user_id"] for line in lines if "PromotionLatency" in line]


def _wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + HAPPEN_S_MAX
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)


def _post(url: str, path: str, event_id: str, user: str) -> None:
    httpx.post(f"{url}/{path}", json={"userId": user, "eventId": event_id}).raise_for_status()
