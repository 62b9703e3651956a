"""The failure drill of the alarms on AWS's own metrics: trouble in a local run, what AWS would measure, the remedy.

The whole office runs, as processes over HTTP; the trouble is made by a proxy before its database, by bad deployments,
and by stopping its parts.
"""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import promises
from harness.running import PROJECT
from harness.watching import alarms
from shared.store import items
from tests.operations import proxy
from tests.operations.cloudwatch import State
from tests.operations.drilling import Drill, drilled, drills
from tests.operations.stage import Stage, happens, staged
from tests.operations.troubles import REFUSING_BUS, SLOW_BUS
from tests.template.stack import room_of

STALLED_S = 5.5  # over the threshold of PromotionLatencyAlarm
BEHIND_S = 90.0  # over that of IteratorAgeAlarm
TRIES_S_MAX = 120.0  # as many tries as fit into 15 minutes, with no pauses between them
HANGS_S = 1.6  # each request to DynamoDB: four of them are over the thresholds of Buyers- and OrganisersDurationAlarm
SLOW_S = 0.8  # four of them are over that of ApiLatencyAlarm
CONFLICTS = 6_000  # the threshold of ConflictsAlarm
HOLDS_S = 0.1  # how long a transaction takes, for others to meet it
TURNS_MAX = 100
QUIET_S = 0.5  # several looks at the stream
BOOKERS = 110  # more than are announced before a slow bus has used up the time


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Yield the office that all drills are held in; each leaves it well."""
    folder = tmp_path_factory.mktemp("stage")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DRILL_FOLDER", str(folder))
        with staged(folder, workers=2) as stage:
            yield stage


@pytest.fixture
def drill(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Drill]:
    """Yield the drill of an alarm: it sees what AWS would measure of the stage."""
    with drilled(request.param, stage.look) as drill:
        yield drill


@drills(
    "InitializeErrorsAlarm",
    "BookErrorsAlarm",
    "CancelErrorsAlarm",
    "StatusErrorsAlarm",
    "BookingsErrorsAlarm",
    "EventsErrorsAlarm",
    "EventBookingsErrorsAlarm",
    "WaitingListErrorsAlarm",
    "DescribeErrorsAlarm",
    "ChangeErrorsAlarm",
    "CancelEventErrorsAlarm",
)
def test_a_function_that_does_not_start_fails_until_it_is_rolled_back(stage: Stage, drill: Drill) -> None:
    """What it raises before our code can make an answer of it is API Gateway's 500, and Lambda's error."""
    name = drill.alarm.name.removesuffix("ErrorsAlarm")
    event_id = stage.sold_out("ben")
    asked: dict[str, Any] = {"userId": "ben", "eventId": event_id}
    if name == "Initialize":
        asked = {"name": "Another", "totalTickets": 1}
    elif name == "Change":
        asked = {"name": "Encore"}
    elif name not in {"Book", "Cancel", "Bookings"}:
        asked = {}  # the path says all

    def visit() -> int:
        return stage.asks(room_of(name), event_id, **asked).status_code

    with stage.bad(f"{name}Function"):
        drill.rings_when(visit)
        assert visit() == 500
    assert visit() in {200, 201, 202}
    drill.ends_when(visit)
    promises.check(stage.database, event_id)


@drills("ApiFaultsAlarm")
def test_the_api_answers_5xx_while_a_function_does_not_start(stage: Stage, drill: Drill) -> None:
    """One function of five is enough; the others go on."""
    event_id = stage.opens(tickets=1)

    def visit() -> None:
        stage.books(event_id, "anna")
        assert stage.asks("status", event_id).status_code == 200

    with stage.bad("BookFunction"):
        drill.rings_when(visit)
    drill.ends_when(visit)
    promises.check(stage.database, event_id)


@drills("PromoteErrorsAlarm")
def test_a_promoter_that_does_not_start_fails_until_it_is_rolled_back(stage: Stage, drill: Drill) -> None:
    """P6: its records are tried again, given up at last, and settled by the next."""
    event_id = stage.sold_out()
    users = iter(range(100))

    def somebody_joins() -> None:
        before = stage.invoked()
        stage.books(event_id, f"user-{next(users)}")
        happens(lambda: stage.invoked() > before)

    with stage.bad("PromoteFunction"):
        drill.rings_when(somebody_joins)
        stage.cancels(event_id, "anna")
    drill.ends_when(somebody_joins)
    happens(lambda: stage.status_of(event_id, "user-0") == "CONFIRMED")
    promises.check(stage.database, event_id, drained=True)


@drills("AnnounceErrorsAlarm")
def test_announcing_that_does_not_start_fails_until_it_is_rolled_back(stage: Stage, drill: Drill) -> None:
    """What happened meanwhile is announced by the next version, or, where it was given up, by the redrive."""
    _empty(stage)
    event_id, users = stage.opens(tickets=100), iter(range(100))
    _all_announced(stage, event_id)

    def somebody_books() -> None:
        before = stage.invoked("AnnounceFunction")
        stage.books(event_id, f"user-{next(users)}")
        happens(lambda: stage.invoked("AnnounceFunction") > before)

    with stage.bad("AnnounceFunction"):
        drill.rings_when(somebody_books)
    drill.ends_when(somebody_books)
    _redrives(stage)
    _all_announced(stage, event_id)


@drills("AnnounceDurationAlarm")
def test_announcing_on_a_slow_bus_runs_nearly_into_its_time_out(stage: Stage, drill: Drill) -> None:
    """It stops in time, and what it has not done comes again; nobody who books waits for it."""
    event_id = stage.opens(tickets=BOOKERS + 10)

    def many_book_on_a_slow_bus() -> None:
        with stage.bad(SLOW_BUS):
            with stage.stopped("AnnounceFunction"):
                stage.at_once(BOOKERS, lambda number: stage.books(event_id, f"booker-{number}"))
            _all_announced(stage, event_id)

    drill.rings_when_this_goes_on(many_book_on_a_slow_bus)
    drill.ends_when(lambda: stage.books(event_id, "dora"))
    _all_announced(stage, event_id)


def _all_announced(stage: Stage, event_id: str) -> None:
    """Wait until an event and each of its bookings were announced."""
    bookings = {f"booking.confirmed:{one['bookingId']}" for one in promises.read(stage.database, event_id).bookings}
    happens(lambda: set(stage.announced()) >= bookings | {f"event.opened:{event_id}"})


@drills("AnnounceIteratorAgeAlarm")
def test_announcements_are_late_until_what_was_left_is_done(stage: Stage, drill: Drill) -> None:
    """The function stood still, and what it then reads was written a minute and a half ago."""
    event_id, users = stage.opens(tickets=100), iter(range(100))
    _all_announced(stage, event_id)

    def somebody_books() -> None:
        stage.books(event_id, f"user-{next(users)}")
        _all_announced(stage, event_id)

    def is_late() -> None:
        stage.proxy.records_older_s = BEHIND_S
        somebody_books()
        stage.proxy.heal()

    drill.rings_when(is_late)
    drill.ends_when(somebody_books)


@drills("AnnouncementsGivenUpAlarm")
def test_what_is_not_announced_is_given_up_and_redriven(stage: Stage, drill: Drill) -> None:
    """The bus takes nothing: nobody's ticket depends on it, and what was not told is told later."""
    event_id, users = stage.opens(tickets=9), iter(range(100))
    happens(lambda: f"event.opened:{event_id}" in stage.announced())
    _empty(stage)

    def gives_up() -> None:
        kept = len(list(stage.failed_records.glob("*.json")))
        assert stage.books(event_id, f"user-{next(users)}") == 201
        happens(lambda: len(list(stage.failed_records.glob("*.json"))) > kept)

    with stage.bad(REFUSING_BUS):
        drill.rings_when(gives_up)
    drill.ends_when()
    before = set(stage.announced())
    _redrives(stage)
    [told] = set(stage.announced()) - before
    assert told.startswith("booking.confirmed:")


@drills("FollowErrorsAlarm")
def test_what_follows_a_cancellation_fails_until_it_is_rolled_back(stage: Stage, drill: Drill) -> None:
    """O3: its records are tried again; nobody gets a ticket of the event meanwhile, and the next try empties it."""
    cancelled: list[str] = []

    def an_event_is_cancelled() -> None:
        before = stage.invoked("FollowFunction")
        cancelled.append(stage.sold_out("ben"))
        assert stage.asks("cancel_event", cancelled[-1]).status_code == 202
        happens(lambda: stage.invoked("FollowFunction") > before)

    with stage.bad("FollowFunction"):
        drill.rings_when(an_event_is_cancelled)
        assert stage.books(cancelled[-1], "cleo") == 409
    drill.ends_when(an_event_is_cancelled)
    happens(lambda: stage.status_of(cancelled[-1], "ben") == "CANCELLED")
    happens(lambda: "emptiedAt" in promises.read(stage.database, cancelled[-1]).event)
    promises.check(stage.database, cancelled[-1], drained=True)


@drills("FollowDurationAlarm")
def test_an_emptying_that_is_throttled_tries_for_nearly_as_long_as_it_may(stage: Stage, drill: Drill) -> None:
    """O3: it stops in time, its record comes again, and the next empties the event."""
    cancelled: list[str] = []

    def an_event_is_cancelled_in_vain() -> None:
        before = stage.invoked("FollowFunction")
        with stage.stopped("FollowFunction"):
            cancelled.append(stage.sold_out("ben"))
            assert stage.asks("cancel_event", cancelled[-1]).status_code == 202
            stage.proxy.refuse = proxy.throttling
        happens(lambda: stage.invoked("FollowFunction") > before, TRIES_S_MAX)
        stage.proxy.heal()
        happens(lambda: stage.invoked("FollowFunction") > before + 1)

    drill.rings_when_this_goes_on(an_event_is_cancelled_in_vain)
    drill.ends_when()
    for event_id in cancelled:
        promises.check(stage.database, event_id, drained=True)


@drills("SweepErrorsAlarm")
def test_a_sweep_without_its_privileges_fails_until_it_has_them_again(stage: Stage, drill: Drill) -> None:
    """Somebody changed the role: DynamoDB denies it access."""
    stage.proxy.refuse = proxy.denied
    drill.rings_when(stage.sweeps)
    stage.proxy.heal()
    drill.ends_when(stage.sweeps)


@drills("BuyersDurationAlarm")
def test_requests_whose_every_look_at_dynamodb_hangs_run_nearly_into_their_time_out(stage: Stage, drill: Drill) -> None:
    """No time-out of the client's is over, and the last begins just before our own 5 seconds are."""
    event_id = stage.sold_out("ben")

    def hangs() -> None:
        stage.proxy.delay_s = HANGS_S
        assert stage.books(event_id, "cleo") in {202, 503}  # 503 if another request had to follow
        stage.proxy.heal()

    drill.rings_when_this_goes_on(hangs)
    drill.ends_when(lambda: stage.books(event_id, "anna"))
    promises.check(stage.database, event_id)


@drills("OrganisersDurationAlarm")
def test_a_change_whose_every_look_at_dynamodb_hangs_is_late_and_done_when_it_is_sent_again(
    stage: Stage, drill: Drill
) -> None:
    """O2: it reads, changes a lane, reads again; the last step is for the next try, which finds the lane changed."""
    event_id = stage.opens(tickets=1)

    def asks() -> int:
        return stage.asks("change", event_id, totalTickets=2).status_code

    def hangs() -> None:
        stage.proxy.delay_s = HANGS_S
        assert asks() == 503
        stage.proxy.heal()

    drill.rings_when_this_goes_on(hangs)
    drill.ends_when(lambda: asks() == 200)
    promises.check(stage.database, event_id)


@drills("PromoteDurationAlarm")
def test_a_promoter_that_is_throttled_tries_for_nearly_as_long_as_it_may(stage: Stage, drill: Drill) -> None:
    """P6: it stops in time and gives back what it has not done."""
    event_id = stage.sold_out()
    users = iter(range(100))

    def somebody_joins_in_vain() -> None:
        before = stage.invoked()
        with stage.stopped():
            stage.books(event_id, f"user-{next(users)}")
            stage.proxy.refuse = proxy.throttling
        happens(lambda: stage.invoked() > before)
        stage.proxy.heal()
        happens(lambda: stage.invoked() > before + 1)  # the records were given back, and came again

    drill.rings_when(somebody_joins_in_vain)
    stage.cancels(event_id, "anna")
    happens(lambda: stage.status_of(event_id, "user-0") == "CONFIRMED")
    drill.ends_when()
    promises.check(stage.database, event_id, drained=True)


@drills("SweepDurationAlarm")
def test_a_sweep_that_is_throttled_tries_for_nearly_as_long_as_it_may(stage: Stage, drill: Drill) -> None:
    """It stops in time, too; when DynamoDB is well again it is done at once."""
    stage.proxy.refuse = proxy.throttling
    drill.rings_when(stage.sweeps)
    stage.proxy.heal()
    drill.ends_when(stage.sweeps)


@drills("ApiLatencyAlarm")
def test_the_api_is_slow_while_dynamodb_is(stage: Stage, drill: Drill) -> None:
    """All is answered as it must be, only late."""
    event_id = stage.sold_out("ben")

    def slowly() -> None:
        stage.proxy.delay_s = SLOW_S
        assert stage.books(event_id, "cleo") == 202
        stage.proxy.heal()

    drill.rings_when_this_goes_on(slowly)
    drill.ends_when(lambda: stage.books(event_id, "anna"))
    promises.check(stage.database, event_id)


@drills("BuyersThrottlesAlarm", "OrganisersThrottlesAlarm")
def test_a_crowd_finds_no_environment_until_the_limit_is_raised(stage: Stage, drill: Drill) -> None:
    """Two at once may be answered, four come; when four may, none is refused."""
    stage.start(workers=2)
    event_id = stage.sold_out()
    room = {"BuyersThrottlesAlarm": "status", "OrganisersThrottlesAlarm": "waiting_list"}[drill.alarm.name]
    stage.proxy.delay_s = 0.1

    def crowd() -> None:
        stage.at_once(4, lambda _: stage.asks(room, event_id))

    drill.rings_when(crowd)
    stage.start(workers=4)
    drill.ends_when(crowd)
    stage.proxy.heal()
    promises.check(stage.database, event_id)


@drills("BackgroundThrottlesAlarm")
def test_the_promoter_finds_no_environment_beside_a_crowd_until_the_limit_is_raised(stage: Stage, drill: Drill) -> None:
    """Three ask all the time while the promoter is to run: two at once may, and then five."""
    stage.start(workers=2)
    event_id, users = stage.sold_out(), iter(range(100))
    stage.proxy.delay_s = 0.1

    def crowd() -> None:
        over = threading.Event()

        def asks(number: int) -> None:
            if number:
                while not over.is_set():
                    stage.asks("status", event_id)
                return
            try:
                before = stage.invoked()
                stage.books(event_id, f"user-{next(users)}")
                happens(lambda: stage.invoked() > before)
            finally:
                over.set()

        stage.at_once(4, asks)

    drill.rings_when(crowd)
    stage.start(workers=5)
    drill.ends_when(crowd)
    stage.proxy.heal()
    stage.cancels(event_id, "anna")
    happens(lambda: stage.status_of(event_id, "user-0") == "CONFIRMED")
    promises.check(stage.database, event_id, drained=True)


@drills("DatabaseThrottlesAlarm", "IndexThrottlesAlarm")
def test_dynamodb_throttles_and_retries_carry_the_requests(stage: Stage, drill: Drill) -> None:
    """P7: each request is answered as if nothing had been."""
    refusal = proxy.index_throttling if drill.alarm.name == "IndexThrottlesAlarm" else proxy.throttling
    event_id = stage.opens(tickets=100)
    users = iter(range(100))

    def throttled() -> None:
        stage.proxy.refuses(refusal, times=11)
        assert stage.books(event_id, f"user-{next(users)}") == 201

    drill.rings_when(throttled)
    stage.proxy.heal()
    drill.ends_when(lambda: stage.books(event_id, f"user-{next(users)}"))
    promises.check(stage.database, event_id)


@drills("DatabaseFaultsAlarm")
def test_dynamodb_has_faults_and_retries_carry_the_requests(stage: Stage, drill: Drill) -> None:
    """P7: one a minute is enough to be told of."""
    event_id = stage.opens(tickets=100)
    users = iter(range(100))

    def faulty() -> None:
        stage.proxy.refuses(proxy.fault, times=1)
        assert stage.books(event_id, f"user-{next(users)}") == 201

    drill.rings_when(faulty)
    stage.proxy.heal()
    drill.ends_when(lambda: stage.books(event_id, f"user-{next(users)}"))
    promises.check(stage.database, event_id)


@drills("ConflictsAlarm")
def test_transactions_conflict_until_the_client_without_pauses_is_blocked(stage: Stage, drill: Drill) -> None:
    """P7: one user, all at once, on one lane; others are served as soon as it is blocked, and only then it ends."""
    event_id = stage.opens(tickets=20)
    users = iter(range(19))

    def client() -> None:
        before = stage.proxy.conflicts
        for _ in range(TURNS_MAX):
            stage.at_once(8, lambda _: stage.books(event_id, "anna"))
            if stage.proxy.conflicts - before > CONFLICTS or "anna" in stage.blocked:
                return

    def both() -> None:
        client()
        assert stage.books(event_id, f"user-{next(users)}") == 201

    stage.proxy.holds_s = HOLDS_S
    drill.rings_when_this_goes_on(client)
    stage.blocked.add("anna")
    drill.ends_when(both)
    stage.blocked.clear()
    stage.proxy.heal()
    promises.check(stage.database, event_id)


@drills("IteratorAgeAlarm")
def test_a_stopped_promoter_is_behind_until_it_has_caught_up(stage: Stage, drill: Drill) -> None:
    """P6, late: it stands still, and what it then reads was written a minute and a half ago."""
    event_id = stage.sold_out("ben", "cleo")
    users = iter(range(100))

    def somebody_joins() -> None:
        before = stage.invoked()
        stage.books(event_id, f"user-{next(users)}")
        happens(lambda: stage.invoked() > before)

    def comes_late() -> None:
        before = stage.invoked()
        with stage.stopped():
            stage.books(event_id, f"user-{next(users)}")
            stage.proxy.records_older_s = BEHIND_S
        happens(lambda: stage.invoked() > before)
        stage.proxy.heal()

    time.sleep(QUIET_S)  # the promoter has had the records of those who wait: the next are the late ones
    drill.rings_when(comes_late)
    drill.ends_when(somebody_joins)
    stage.cancels(event_id, "anna")
    happens(lambda: stage.status_of(event_id, "ben") == "CONFIRMED")
    promises.check(stage.database, event_id, drained=True)


@drills("PromotionLatencyAlarm")
def test_a_stalled_promoter_makes_promotions_slow_until_it_goes_on(stage: Stage, drill: Drill) -> None:
    """P6, on time: it stands still for some seconds."""
    event_id = stage.sold_out("ben", "cleo")

    def stalls() -> None:
        with stage.stopped():
            stage.cancels(event_id, "anna")
            time.sleep(STALLED_S)
        happens(lambda: stage.status_of(event_id, "ben") == "CONFIRMED")

    def goes_on() -> None:
        stage.cancels(event_id, "ben")
        happens(lambda: stage.status_of(event_id, "cleo") == "CONFIRMED")

    drill.rings_when(stalls)
    drill.ends_when(goes_on)
    promises.check(stage.database, event_id, drained=True)


@drills("FailedRecordsAlarm")
def test_a_poison_record_is_given_up_and_told_of_at_once(stage: Stage, drill: Drill) -> None:
    """P6: it lies in the failure destination, and nothing is lost. The alarm ends by itself; the next one does not."""
    event_id = stage.sold_out("ben")
    _empty(stage)
    with _damaged(stage, event_id):
        drill.rings_when(lambda: _gives_up(stage, event_id))
        assert stage.status_of(event_id, "ben") == "WAITING"
        drill.ends_when()
    _redrives(stage)
    assert stage.status_of(event_id, "ben") == "CONFIRMED"
    promises.check(stage.database, event_id, drained=True)


@drills("FailedRecordsKeptAlarm")
def test_failed_records_are_told_of_until_they_are_redriven(stage: Stage, drill: Drill) -> None:
    """P6: neither time nor the mended event ends it, only the redrive, as the next sweep sees."""
    event_id = stage.sold_out("ben")
    _empty(stage)
    with _damaged(stage, event_id):
        _gives_up(stage, event_id)
        drill.rings_when(stage.sweeps)
        assert [drill.passes(stage.sweeps) for _ in range(3)] == [State.ALARM] * 3
    assert drill.passes(stage.sweeps) is State.ALARM
    _redrives(stage)
    drill.ends_when(stage.sweeps)
    assert stage.status_of(event_id, "ben") == "CONFIRMED"
    promises.check(stage.database, event_id, drained=True)


def _empty(stage: Stage) -> None:
    """Remove what the drills of a promoter that failed have left."""
    for left in stage.failed_records.glob("*.json"):
        left.unlink()


@contextmanager
def _damaged(stage: Stage, event_id: str) -> Iterator[None]:
    """Let the list of an event begin with a place that is nobody's."""
    key = {"stripeId": items.text(items.stripe_id(event_id, 0)), "sequence": items.number(0)}
    stage.database.put_item(TableName="WaitingListTable", Item=key | {"bookingId": items.text("nobody's")})
    yield
    stage.database.delete_item(TableName="WaitingListTable", Key=key)


def _gives_up(stage: Stage, event_id: str) -> None:
    """Cancel, until the promoter has given the record up."""
    stage.cancels(event_id, "anna")
    happens(lambda: any(stage.failed_records.glob("*.json")))


def _redrives(stage: Stage) -> None:
    command = [sys.executable, "-m", "ops", "redrive", "--local", "--data", str(stage.data)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    assert not any(stage.failed_records.glob("*.json"))


def test_every_alarm_was_drilled() -> None:
    """No alarm is trusted that has never rung, and none is drilled that the template does not have."""
    marks = [
        mark
        for path in Path(__file__).parent.glob("test_*.py")
        for mark in re.findall(r"^@drills\((.*?)\)", path.read_text(), re.DOTALL | re.MULTILINE)
    ]
    assert set(re.findall(r'"(\w+)"', " ".join(marks))) == alarms().keys()
