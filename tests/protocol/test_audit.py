"""The audit finds forged violations, and never reports mere movement as one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import functions.sweep.app
from harness import promises
from harness.gateway import Context
from harness.office import Event, Office, clock_ahead
from shared.booking import audit, catalog, event_change
from shared.booking.background import CHANGE_S_MAX
from shared.booking.settle import settle
from shared.booking.tally import Count, Finding, broken_promises
from shared.model import TryAgain
from shared.runtime import Deadline
from shared.store import dynamodb, items
from tests.conftest import LogLines
from tests.operations.clock import at
from tests.protocol import filled

HOLD_S = 600


def _audited(event: Event) -> list[Finding] | None:
    deadline = Deadline.after(5)
    return audit.audit(catalog.read_event(event.event_id, deadline), deadline).findings


def _promises(event: Event) -> list[str]:
    return [finding.promise for finding in _audited(event) or []]


@pytest.fixture
def sold_out(office: Office) -> Event:
    """Return an event with 60 tickets on two lanes and 5 waiting users. Its promises are not checked after the test.

    Its list has two stripes, like that of a larger event.
    """
    users = [f"user-{n}" for n in range(65)]
    event = Event(filled.sold_out(office.database, 2, users[:60], users[60:], stripes=2).event_id, office.database)
    event.check(drained=True)
    return event


def _lane(event: Event, change: str, value: int) -> dict[str, Any]:
    return {
        "TableName": items.LANES,
        "Key": items.lane_key(event.event_id, 0),
        "UpdateExpression": change,
        "ExpressionAttributeValues": {":n": items.number(value)},
    }


def test_a_sound_event_has_no_findings(sold_out: Event) -> None:
    """Nothing moves, and everything adds up."""
    assert _audited(sold_out) == []


def test_a_forged_ticket_is_found(office: Office, sold_out: Event) -> None:
    """P1: a lane has one ticket too many. Settling gives it to a user, which does not hide it."""
    office.database.update_item(**_lane(sold_out, "ADD available :n", 1))
    assert _promises(sold_out) == ["P1"]


def test_a_lane_below_zero_is_found(office: Office, sold_out: Event) -> None:
    """P1: a lane must never owe tickets, even if the sum is right."""
    office.database.update_item(**_lane(sold_out, "ADD available :n", -1))
    other = _lane(sold_out, "ADD available :n", 1) | {"Key": items.lane_key(sold_out.event_id, 1)}
    office.database.update_item(**other)
    assert "P1" in _promises(sold_out)


def test_a_missing_lane_is_found(office: Office, sold_out: Event) -> None:
    """P1: even if all booked tickets are on the other lane."""
    lanes = [{"Key": items.lane_key(sold_out.event_id, lane), "TableName": items.LANES} for lane in (0, 1)]
    tickets = int(office.database.get_item(**lanes[1])["Item"]["tickets"]["N"])
    office.database.delete_item(**lanes[1])
    office.database.update_item(**_lane(sold_out, "ADD tickets :n", tickets))
    assert "P1" in _promises(sold_out)


def test_a_second_booking_of_a_user_is_found(office: Office, sold_out: Event) -> None:
    """P2, P1: a booking on a lane that is not the user's home lane, which no condition checks."""
    event = catalog.read_event(sold_out.event_id, Deadline.after(5))
    key = items.booking_key(event, "user-0")
    booking = office.database.get_item(TableName=items.BOOKINGS, Key=key, ConsistentRead=True)["Item"]
    other = items.lane_id(event.event_id, 1 - event.home_lane("user-0"))
    office.database.put_item(TableName=items.BOOKINGS, Item=booking | {"laneId": items.text(other)})
    assert _promises(sold_out) == ["P1", "P2"]


def test_a_lost_entry_is_found(office: Office, sold_out: Event) -> None:
    """P3: a waiting booking without its entry makes two counts wrong."""
    entry = sold_out.check().entries[0]
    office.database.delete_item(TableName=items.WAITING_LIST, Key=promises.entry_key(entry))
    assert _promises(sold_out) == ["P3", "P3"]


def test_an_entry_of_another_user_is_found(office: Office, sold_out: Event) -> None:
    """P3: there are as many entries as waiting bookings, but one has no booking."""
    entry = sold_out.check().entries[0]
    office.database.update_item(
        TableName=items.WAITING_LIST,
        Key=promises.entry_key(entry),
        UpdateExpression="SET userId = :forged",
        ExpressionAttributeValues={":forged": items.text("mallory")},
    )
    assert _promises(sold_out) == ["P3"]


def test_a_second_entry_of_a_user_is_found_and_holds_no_user_up(office: Office, sold_out: Event) -> None:
    """P3: a booking has two places in the list, and there is a free ticket for each waiting user."""
    twice = sold_out.check().entries[1]
    forged = {name: items.text(str(twice[name])) for name in ("userId", "bookingId", "joinedAt")}
    place = {"stripeId": items.text(items.stripe_id(sold_out.event_id, 1)), "sequence": items.number(99)}
    office.database.put_item(TableName=items.WAITING_LIST, Item={**place, **forged})
    for n in range(5):
        sold_out.cancels(f"user-{n}")
    assert set(_promises(sold_out)) == {"P3"}
    assert len(promises.read(office.database, sold_out.event_id).confirmed) == 60


def test_a_user_who_cannot_be_promoted_is_found(office: Office, sold_out: Event) -> None:
    """P6, P3: a ticket is free, but the booking at the head of the list has another place."""
    head = sold_out.check().waiting[0]
    event = catalog.read_event(sold_out.event_id, Deadline.after(5))
    office.database.update_item(
        TableName=items.BOOKINGS,
        Key=items.booking_key(event, head),
        UpdateExpression="SET #sequence = :forged",
        ExpressionAttributeNames={"#sequence": "sequence"},
        ExpressionAttributeValues={":forged": items.number(999)},
    )
    assert _promises(sold_out) == ["P3"]
    sold_out.cancels("user-0")
    assert _promises(sold_out) == ["P3", "P6"]


def test_held_tickets_are_counted(office: Office) -> None:
    """P1: a hold owns its ticket, and so does an offer; an expired hold does not."""
    event = office.opens(tickets=2, holdSeconds=HOLD_S)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    assert _audited(event) == []
    event.cancels("anna")
    event.promotes()  # an offer for cleo
    with clock_ahead(HOLD_S + 5):
        assert event.expires() == {"ben", "cleo"}
        assert _audited(event) == []


def test_tickets_that_were_checked_in_are_counted(sold_out: Event, office: Office) -> None:
    """D1: the lanes' count and the bookings agree, or the audit finds it."""
    booking_id = sold_out.status("user-0").json["booking"]["bookingId"]
    assert sold_out.check_in("user-0", booking_id).status == 200
    assert _audited(sold_out) == []
    office.database.update_item(**_lane(sold_out, "ADD checkedIn :n", 1))
    assert _promises(sold_out) == ["D1"]


@pytest.mark.parametrize(("late_s", "found"), [(100, []), (140, ["H3"])])
def test_a_hold_that_does_not_end_is_found(office: Office, late_s: int, found: list[str]) -> None:
    """H3: two minutes after its expiry; settling does not end it."""
    event = office.opens(tickets=1, holdSeconds=HOLD_S)
    for user in ("anna", "ben"):
        event.books(user)
    with clock_ahead(HOLD_S + late_s):
        assert _promises(event) == found


def test_a_release_before_the_audit_is_no_violation(sold_out: Event) -> None:
    """The stream record is still on its way. The audit settles, so no user is stranded."""
    sold_out.cancels("user-0")
    assert _audited(sold_out) == []
    assert len(sold_out.check(drained=True).waiting) == 4


def test_a_release_after_its_settling_is_no_violation(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket that is released between settling and counting is movement."""
    users = iter(range(60))

    def and_release(event: Any, deadline: Deadline, **more: Any) -> int:
        promoted = settle(event, deadline, **more)
        sold_out.cancels(f"user-{next(users)}")
        return promoted

    monkeypatch.setattr("shared.booking.audit.settle", and_release)
    assert _audited(sold_out) is None


def test_a_change_of_the_tickets_after_its_settling_is_no_violation(
    sold_out: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tickets that are added between settling and each count are movement, too."""
    totals = iter(range(61, 70))

    def and_raise(event: Any, deadline: Deadline, **more: Any) -> int:
        promoted = settle(event, deadline, **more)
        sold_out.changes(totalTickets=next(totals))
        return promoted

    def and_promote(counted: Count) -> list[Finding]:
        found = broken_promises(counted)
        sold_out.promotes()
        return found

    monkeypatch.setattr(audit, "settle", and_raise)
    monkeypatch.setattr(audit, "broken_promises", and_promote)
    assert _audited(sold_out) is None
    monkeypatch.undo()
    assert _audited(sold_out) == []


def test_tickets_that_no_change_has_added_are_found(office: Office, sold_out: Event) -> None:
    """O2, P7: the oversell that a repeated change could cause: bookings and lanes agree, the event knows of fewer."""
    more = {":n": items.number(1), ":one": items.number(1)}
    change = "ADD tickets :n, available :n, changes :one"
    office.database.update_item(**_lane(sold_out, change, 1) | {"ExpressionAttributeValues": more})
    assert _audited(sold_out) == [Finding("O2", 1)]
    assert len(promises.read(office.database, sold_out.event_id).confirmed) == 61


def test_an_event_that_forgot_a_change_is_found(office: Office, sold_out: Event) -> None:
    """O2: the lanes have the tickets that it counts, but neither its terms nor a change under way ask for them."""
    office.database.update_item(
        TableName=items.EVENTS,
        Key=items.event_key(sold_out.event_id),
        UpdateExpression="SET totalTickets = :n",
        ExpressionAttributeValues={":n": items.number(57)},
    )
    assert _audited(sold_out) == [Finding("O2", 3)]


def test_a_lane_with_another_sale_window_is_found(office: Office, sold_out: Event) -> None:
    """O2: it lets users join when the event does not."""
    office.database.update_item(
        TableName=items.LANES,
        Key=items.lane_key(sold_out.event_id, 0),
        UpdateExpression="SET closesAt = :m",
        ExpressionAttributeValues={":m": items.text("2030-05-01T18:00:00.000Z")},
    )
    assert _audited(sold_out) == [Finding("O2", 1)]


@pytest.mark.parametrize("age_s", [5, 120])
def test_a_change_that_cannot_be_finished_is_told_once_it_is_old(
    sold_out: Event, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch, age_s: int
) -> None:
    """O2: the sweep finishes what it finds; what it cannot finish for longer than a change takes, it reports."""

    def not_now(*_: object) -> None:
        raise TryAgain("busy")

    with monkeypatch.context() as busy:
        busy.setattr(event_change, "_advance", not_now)
        with at(monkeypatch, seconds_ago=age_s):
            assert sold_out.change(totalTickets=62).status == 503
        functions.sweep.app.handler({}, Context())
    told = [line["message"] for line in log_lines() if line.get("event_id") == sold_out.event_id]
    assert ("ChangeUnfinished" in told) == (age_s > CHANGE_S_MAX)
    functions.sweep.app.handler({}, Context())
    assert len(sold_out.check(drained=True).confirmed) == 62


def test_a_wrong_count_of_waiting_users_is_found(office: Office, sold_out: Event) -> None:
    """P3: the lanes' counts must add up to the length of the list."""
    office.database.update_item(**_lane(sold_out, "ADD waiting :n", 2))
    assert _audited(sold_out) == [Finding("P3", 2)]


@contextmanager
def _during_each_count(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> Iterator[None]:
    """Call `act` between the two reads of the lanes, when half of an event is counted."""
    all_items = dynamodb.all_items

    def and_act(*arguments: Any, **request: Any) -> Iterator[Any]:
        found = list(all_items(*arguments, **request))
        if request["TableName"] == items.WAITING_LIST:
            act()
        yield from found

    monkeypatch.setattr(dynamodb, "all_items", and_act)
    yield
    monkeypatch.undo()


def test_movement_is_no_violation(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases during the count make it wrong, and the audit does not report that."""
    users = iter(range(60))
    with _during_each_count(monkeypatch, lambda: sold_out.cancels(f"user-{next(users)}")):
        assert _audited(sold_out) is None
    sold_out.promotes()
    assert _audited(sold_out) == []


def test_a_violation_larger_than_the_movement_is_found(
    office: Office, sold_out: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy event, too, the audit reports what the changes during the count cannot explain."""
    office.database.update_item(**_lane(sold_out, "ADD available :n", 10))
    users = iter(range(60))
    with _during_each_count(monkeypatch, lambda: sold_out.cancels(f"user-{next(users)}")):
        assert [finding.promise for finding in _audited(sold_out) or []] == ["P1"]


def test_movement_that_undoes_itself_is_seen(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release and a promotion leave the lanes' tickets as they were, but not their number of changes."""
    users = iter(range(60))

    def release_and_promote() -> None:
        sold_out.cancels(f"user-{next(users)}")
        sold_out.promotes()

    with _during_each_count(monkeypatch, release_and_promote):
        assert _audited(sold_out) is None


def test_the_sweep_reports_what_it_finds(office: Office, sold_out: Event, log_lines: LogLines) -> None:
    """Each finding counts in the metric. Its line names the promise and the difference."""
    office.database.update_item(**_lane(sold_out, "ADD waiting :n", 3))
    functions.sweep.app.handler({}, Context())
    [alarm] = [line for line in log_lines() if line.get("event_id") == sold_out.event_id and line["level"] == "ERROR"]
    assert (alarm["PromiseViolations"], alarm["promise"], alarm["difference"]) == (1, "P3", 3)
    metrics = alarm["_aws"]["CloudWatchMetrics"][0]
    assert (metrics["Namespace"], metrics["Metrics"][0]["Name"]) == ("TicketOffice", "PromiseViolations")


def test_a_finding_of_only_one_count_is_not_reported(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a query does not show a booking yet, the audit counts again."""
    all_items = dynamodb.all_items
    hidden: list[Any] = []

    def but_one(*arguments: Any, **request: Any) -> Iterator[Any]:
        found = list(all_items(*arguments, **request))
        if not hidden and request["TableName"] == items.BOOKINGS:
            hidden.append(found.pop())
        yield from found

    monkeypatch.setattr(dynamodb, "all_items", but_one)
    assert _audited(sold_out) == []
    assert hidden
