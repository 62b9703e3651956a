"""Drill the alarms on AWS's own metrics: trouble in a local run, what AWS would measure of it, and the remedy.

The whole office runs, as processes over HTTP. The trouble comes from a proxy in front of its database, from bad
deployments, and from stopped processes.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness import promises
from harness.running import PROJECT
from harness.watching import alarms
from shared.store import items
from tests.local.programs import happens
from tests.operations import proxy
from tests.operations.cloudwatch import Datum
from tests.operations.drilling import Drill, drilled, drills
from tests.operations.stage import Stage, staged
from tests.operations.troubles import REFUSING_BUS, SLOW_BUS

STALLED_S = 5.5  # over the threshold of PromotionLatencyAlarm
TRIES_S_MAX = 120.0  # for all tries of 15 minutes, without the pauses between them
HANGS_S = 1.6  # each request to DynamoDB; four exceed the thresholds of Buyers- and OrganisersDurationAlarm
SLOW_S = 0.8  # four exceed that of ApiLatencyAlarm
CROWD = 30  # times the conflicts of eight bookings at once, which are 250 or more until they are answered with 503
QUIET_S = 0.5  # for several reads of the stream
BOOKERS = 110  # more than can be announced on a slow bus in time
ONLY_ON_AWS = {
    alarm: Datum("AWS/Lambda", metric, {"FunctionName": function}, value)
    for alarm, metric, function, value in (
        ("BuyersThrottlesAlarm", "Throttles", "StatusFunction", 1),
        ("OrganisersThrottlesAlarm", "Throttles", "WaitingListFunction", 1),
        ("BackgroundThrottlesAlarm", "Throttles", "PromoteFunction", 1),
        ("IteratorAgeAlarm", "IteratorAge", "PromoteFunction", 90_000),
        ("AnnounceIteratorAgeAlarm", "IteratorAge", "AnnounceFunction", 90_000),
    )
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Yield the office that all drills share; each leaves it in order."""
    folder = tmp_path_factory.mktemp("stage")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DRILL_FOLDER", str(folder))
        with staged(folder) as stage:
            yield stage


@pytest.fixture
def drill(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Drill]:
    """Yield the drill of an alarm that sees what AWS would measure of the stage."""
    with drilled(request.param, stage.look) as drill:
        yield drill


# ---------------------------------------------------------------- functions


@drills("BuyersErrorsAlarm", "OrganisersErrorsAlarm", "ApiFaultsAlarm")
def test_a_function_that_does_not_start_fails_until_it_is_rolled_back(stage: Stage, drill: Drill) -> None:
    """API Gateway answers 500 for it and Lambda counts an error; the other functions go on."""
    event_id = stage.sold_out("ben")
    function, fields = "book", {"userId": "ben", "eventId": event_id}
    if drill.alarm.name == "OrganisersErrorsAlarm":
        function, fields = "change", {"name": "Encore"}

    def visit() -> int:
        assert stage.asks("status", event_id).status_code == 200
        return stage.asks(function, event_id, **fields).status_code

    with stage.bad(f"{function.capitalize()}Function"):
        drill.rings_when(visit)
        assert visit() == 500
    assert visit() in {200, 202}
    drill.ends_when(visit)
    promises.check(stage.database, event_id)


@drills("BackgroundErrorsAlarm")
@pytest.mark.parametrize("function", ["PromoteFunction", "AnnounceFunction", "FollowFunction"])
def test_a_stream_reader_that_does_not_start_fails_until_it_is_rolled_back(
    stage: Stage, drill: Drill, function: str
) -> None:
    """P6, O3: its records are tried again, then given up. The next version or the redrive does the rest."""
    _empty(stage)
    sold_out, cancelled, users = stage.sold_out(), stage.sold_out("ben"), iter(range(100))

    def a_record_is_written() -> None:
        before = stage.invoked(function)
        if function == "FollowFunction":
            assert stage.asks("cancel_event", stage.sold_out("dora")).status_code == 202
        else:
            stage.books(sold_out, f"user-{next(users)}")
        happens(lambda: stage.invoked(function) > before)

    with stage.bad(function):
        drill.rings_when(a_record_is_written)
        stage.cancels(sold_out, "anna")
        assert stage.asks("cancel_event", cancelled).status_code == 202
        assert stage.books(cancelled, "cleo") == 409
    drill.ends_when(a_record_is_written)

    def is_emptied() -> bool:
        _redrives(stage)
        return "emptiedAt" in promises.read(stage.database, cancelled).event

    happens(is_emptied)
    if function == "PromoteFunction":
        happens(lambda: stage.status_of(sold_out, "user-0") == "CONFIRMED")
    [anna] = [one for one in promises.read(stage.database, sold_out).bookings if one["userId"] == "anna"]
    happens(lambda: f"booking.cancelled:{anna['bookingId']}" in stage.announced())
    for event_id in (sold_out, cancelled):
        promises.check(stage.database, event_id, drained=True)


@drills("SweepErrorsAlarm")
def test_a_sweep_fails_until_its_privileges_are_restored(stage: Stage, drill: Drill) -> None:
    """Someone changed the role: DynamoDB denies access."""
    stage.proxy.refuse = proxy.denied
    drill.rings_when(stage.sweeps)
    stage.proxy.heal()
    drill.ends_when(stage.sweeps)


@drills(*ONLY_ON_AWS)
def test_what_only_aws_can_measure_is_stated(stage: Stage, drill: Drill) -> None:
    """Here requests wait for a worker instead of being throttled, and no record is a minute old."""
    seen = ONLY_ON_AWS[drill.alarm.name]
    drill.rings_when(lambda: stage.stated.append(seen))
    drill.ends_when(lambda: stage.stated.append(replace(seen, value=seen.value // 100)))


# ---------------------------------------------------------------- time


@drills("BuyersDurationAlarm", "ApiLatencyAlarm")
def test_a_booking_is_slow_while_dynamodb_hangs(stage: Stage, drill: Drill) -> None:
    """No request reaches the client's time-out, and the last one begins just before our own 5 seconds are over."""
    event_id = stage.sold_out("ben")

    def hangs() -> None:
        stage.proxy.delay_s = HANGS_S if drill.alarm.name == "BuyersDurationAlarm" else SLOW_S
        assert stage.books(event_id, "cleo") in {202, 503}  # 503 if one more request was needed
        stage.proxy.heal()

    drill.rings_when(hangs)
    drill.ends_when(lambda: stage.books(event_id, "anna"))
    promises.check(stage.database, event_id)


@drills("OrganisersDurationAlarm")
def test_a_change_that_was_too_slow_is_completed_when_it_is_sent_again(stage: Stage, drill: Drill) -> None:
    """O2: it changed a lane and then ran out of time; the repetition finds that lane changed."""
    event_id = stage.opens(tickets=1)

    def asks() -> int:
        return stage.asks("change", event_id, totalTickets=2).status_code

    def hangs() -> None:
        stage.proxy.delay_s = HANGS_S
        assert asks() == 503
        stage.proxy.heal()

    drill.rings_when(hangs)
    assert asks() == 200
    drill.ends_when(asks)
    promises.check(stage.database, event_id)


@drills("PromoteDurationAlarm")
def test_a_throttled_promoter_runs_nearly_into_its_time_out(stage: Stage, drill: Drill) -> None:
    """P6: it stops in time and returns its records, which come again."""
    event_id = stage.sold_out()
    drill.rings_when(lambda: _in_vain(stage, "PromoteFunction", lambda: stage.books(event_id, "user-0")))
    stage.cancels(event_id, "anna")
    happens(lambda: stage.status_of(event_id, "user-0") == "CONFIRMED")
    drill.ends_when()
    promises.check(stage.database, event_id, drained=True)


@drills("FollowDurationAlarm")
def test_a_throttled_follower_runs_nearly_into_its_time_out(stage: Stage, drill: Drill) -> None:
    """O3: it stops in time, its record comes again, and the next try empties the event."""
    events: list[str] = []

    def an_event_is_cancelled() -> None:
        events.append(stage.sold_out("ben"))
        _in_vain(stage, "FollowFunction", lambda: stage.asks("cancel_event", events[-1]))

    drill.rings_when(an_event_is_cancelled)
    drill.ends_when()
    for event_id in events:
        promises.check(stage.database, event_id, drained=True)


@drills("AnnounceDurationAlarm")
def test_an_announcer_on_a_slow_bus_runs_nearly_into_its_time_out(stage: Stage, drill: Drill) -> None:
    """It stops in time and the rest of its records come again; bookings do not wait for it."""
    event_id = stage.opens(tickets=BOOKERS + 10)

    def many_book_on_a_slow_bus() -> None:
        with stage.bad(SLOW_BUS):
            with stage.stopped("AnnounceFunction"):
                stage.at_once(BOOKERS, lambda number: stage.books(event_id, f"booker-{number}"))
            _all_announced(stage, event_id)

    drill.rings_when(many_book_on_a_slow_bus)
    drill.ends_when(lambda: stage.books(event_id, "dora"))
    _all_announced(stage, event_id)


@drills("SweepDurationAlarm", "ExpireDurationAlarm")
def test_a_throttled_scheduled_function_runs_nearly_into_its_time_out(stage: Stage, drill: Drill) -> None:
    """It stops in time, too."""
    invoke = stage.sweeps if drill.alarm.name == "SweepDurationAlarm" else stage.expires
    stage.proxy.refuse = proxy.throttling
    drill.rings_when(invoke)
    stage.proxy.heal()
    drill.ends_when(invoke)


# ---------------------------------------------------------------- DynamoDB


@drills("DatabaseThrottlesAlarm", "IndexThrottlesAlarm", "HoldIndexThrottlesAlarm", "DatabaseFaultsAlarm")
def test_retries_hide_throttling_and_faults_from_users(stage: Stage, drill: Drill) -> None:
    """P7: each request is answered as usual. More than ten throttled requests ring; a single fault does."""
    refusal, times = {
        "DatabaseThrottlesAlarm": (proxy.throttling, 11),
        "IndexThrottlesAlarm": (proxy.index_throttling, 11),
        "HoldIndexThrottlesAlarm": (proxy.hold_index_throttling, 11),
        "DatabaseFaultsAlarm": (proxy.fault, 1),
    }[drill.alarm.name]
    event_id, users = stage.opens(tickets=100), iter(range(100))

    def a_user_books() -> None:
        assert stage.books(event_id, f"user-{next(users)}") == 201

    stage.proxy.refuses(refusal, times=times)
    drill.rings_when(a_user_books)
    stage.proxy.heal()
    drill.ends_when(a_user_books)
    promises.check(stage.database, event_id)


@drills("ConflictsAlarm")
def test_transactions_conflict_until_a_client_without_pauses_is_blocked(stage: Stage, drill: Drill) -> None:
    """P7: all transactions of one user conflict, and are tried again and again. Others are served meanwhile."""
    event_id, users = stage.opens(tickets=20), iter(range(19))

    def both() -> None:
        stage.at_once(8, lambda _: stage.books(event_id, "anna"))
        assert stage.books(event_id, f"user-{next(users)}") == 201

    stage.proxy.refuse, stage.crowd = proxy.conflict, CROWD
    drill.rings_when(both)
    stage.blocked.add("anna")
    drill.ends_when(both)
    stage.blocked.clear()
    stage.crowd = 1
    stage.proxy.heal()
    promises.check(stage.database, event_id)


# ---------------------------------------------------------------- streams


@drills("PromotionLatencyAlarm")
def test_promotions_are_slow_while_the_promoter_stands_still(stage: Stage, drill: Drill) -> None:
    """P6, on time: it stands still for some seconds."""
    events: list[str] = []

    def sells_out() -> None:
        events.append(stage.sold_out("ben"))
        time.sleep(QUIET_S)  # until FollowFunction has seen that, which settles as well, and measures nothing

    def is_promoted() -> bool:
        return stage.status_of(events[-1], "ben") == "CONFIRMED"

    def stalls() -> None:
        sells_out()
        with stage.stopped():
            stage.cancels(events[-1], "anna")
            time.sleep(STALLED_S)
        happens(is_promoted)

    def goes_on() -> None:
        sells_out()
        stage.cancels(events[-1], "anna")
        happens(is_promoted)

    drill.rings_when(stalls)
    drill.ends_when(goes_on)
    for event_id in events:
        promises.check(stage.database, event_id, drained=True)


@drills("FailedRecordsAlarm", "FailedRecordsKeptAlarm")
def test_a_bad_record_is_given_up_and_kept_until_it_is_redriven(stage: Stage, drill: Drill) -> None:
    """P6: one alarm rings once, the other until the redrive, even after the event was repaired."""
    event_id = stage.sold_out("ben")
    _empty(stage)
    is_kept = drill.alarm.name == "FailedRecordsKeptAlarm"

    def gives_up() -> None:
        stage.cancels(event_id, "anna")
        happens(lambda: any(stage.failed_records.glob("*.json")))
        if is_kept:
            stage.sweeps()

    with _damaged(stage, event_id):
        drill.rings_when(gives_up)
        assert stage.status_of(event_id, "ben") == "WAITING"
        if not is_kept:
            drill.ends_when()
    if is_kept:
        drill.rings_when(stage.sweeps)
    _redrives(stage)
    if is_kept:
        drill.ends_when(stage.sweeps)
    assert stage.status_of(event_id, "ben") == "CONFIRMED"
    promises.check(stage.database, event_id, drained=True)


@drills("AnnouncementsGivenUpAlarm")
def test_an_announcement_is_given_up_and_redriven(stage: Stage, drill: Drill) -> None:
    """The bus refuses everything. Tickets do not depend on it, and the announcement is made later."""
    event_id = stage.opens(tickets=9)
    happens(lambda: f"event.opened:{event_id}" in stage.announced())
    _empty(stage)

    def gives_up() -> None:
        assert stage.books(event_id, "anna") == 201
        happens(lambda: any(stage.failed_records.glob("*.json")))

    with stage.bad(REFUSING_BUS):
        drill.rings_when(gives_up)
    drill.ends_when()
    before = set(stage.announced())
    _redrives(stage)
    [announced] = set(stage.announced()) - before
    assert announced.startswith("booking.confirmed:")


def _in_vain(stage: Stage, reader: str, act: Callable[[], object]) -> None:
    """Write a record, let its reader be throttled until its time is up, and wait until the record has come again."""
    before = stage.invoked(reader)
    with stage.stopped(reader):
        act()
        stage.proxy.refuse = proxy.throttling
    happens(lambda: stage.invoked(reader) > before, TRIES_S_MAX)
    stage.proxy.heal()
    happens(lambda: stage.invoked(reader) > before + 1)


def _all_announced(stage: Stage, event_id: str) -> None:
    """Wait until an event and all of its bookings have been announced."""
    bookings = {f"booking.confirmed:{one['bookingId']}" for one in promises.read(stage.database, event_id).bookings}
    happens(lambda: set(stage.announced()) >= bookings | {f"event.opened:{event_id}"})


def _empty(stage: Stage) -> None:
    """Remove the failed records of other drills."""
    for left in stage.failed_records.glob("*.json"):
        left.unlink()


@contextmanager
def _damaged(stage: Stage, event_id: str) -> Iterator[None]:
    """Let an event's waiting list begin with an entry that belongs to no booking."""
    key = {"stripeId": items.text(items.stripe_id(event_id, 0)), "sequence": items.number(0)}
    stage.database.put_item(TableName="WaitingListTable", Item=key | {"bookingId": items.text("none")})
    yield
    stage.database.delete_item(TableName="WaitingListTable", Key=key)


def _redrives(stage: Stage) -> None:
    command = [sys.executable, "-m", "ops", "redrive", "--local", "--data", str(stage.data)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    assert not any(stage.failed_records.glob("*.json"))


def test_every_alarm_is_drilled() -> None:
    """No alarm is trusted that has never rung, and the drills name no alarm that the template lacks."""
    marks = [
        mark
        for path in Path(__file__).parent.glob("test_*.py")
        for mark in re.findall(r"^@drills\((.*?)\)", path.read_text(), re.DOTALL | re.MULTILINE)
    ]
    drilled_here = " ".join(marks).replace("*ONLY_ON_AWS", json.dumps([*ONLY_ON_AWS]))
    assert set(re.findall(r'"(\w+)"', drilled_here)) == alarms().keys()
