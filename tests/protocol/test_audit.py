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
from shared.booking.settle import settle
from shared.booking.sweep import CHANGE_S_MAX
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


def _add(event: Event, number: int, *counts: str, lane: int = 0) -> None:
    """Add a number to some counts of a lane."""
    event.database.update_item(
        TableName=items.LANES,
        Key=items.lane_key(event.event_id, lane),
        UpdateExpression=f"ADD {', '.join(f'{name} :n' for name in counts)}",
        ExpressionAttributeValues={":n": items.number(number)},
    )


def _set(event: Event, table: str, key: items.Item, name: str, value: dict[str, str]) -> None:
    """Set one attribute of an item."""
    event.database.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


def _owe_a_ticket(event: Event) -> None:
    _add(event, -1, "available", lane=0)
    _add(event, 1, "available", lane=1)


def _lose_a_lane(event: Event) -> None:
    """Delete a lane, and let the other have its tickets."""
    lane = {"TableName": items.LANES, "Key": items.lane_key(event.event_id, 1)}
    tickets = int(event.database.get_item(**lane)["Item"]["tickets"]["N"])
    event.database.delete_item(**lane)
    _add(event, tickets, "tickets")


def _book_again(event: Event) -> None:
    """Write a second booking of a user, on a lane that is not the home lane: no condition checks that."""
    facts = catalog.read_event(event.event_id, Deadline.after(5))
    key = items.booking_key(facts, "user-0")
    booking = event.database.get_item(TableName=items.BOOKINGS, Key=key, ConsistentRead=True)["Item"]
    other = items.lane_id(event.event_id, 1 - facts.home_lane("user-0"))
    event.database.put_item(TableName=items.BOOKINGS, Item=booking | {"laneId": items.text(other)})


def _entry(event: Event) -> items.Item:
    """Return the key of the first entry."""
    return promises.entry_key(event.check().entries[0])


FORGERIES: dict[str, tuple[Callable[[Event], object], list[Finding]]] = {
    "nothing": (lambda event: None, []),
    "a ticket, which is given to a user": (lambda event: _add(event, 1, "available"), [Finding("P1", 1)]),
    "a lane that owes a ticket, although the sum is right": (_owe_a_ticket, [Finding("P1", 1)]),
    "a missing lane": (_lose_a_lane, [Finding("P1", 1), Finding("P3", 4)]),
    "a second booking": (_book_again, [Finding("P1", 1), Finding("P2", 1)]),
    "a lost entry": (
        lambda event: event.database.delete_item(TableName=items.WAITING_LIST, Key=_entry(event)),
        [Finding("P3", 1)] * 2,  # it makes two counts wrong
    ),
    "an entry of another user": (
        lambda event: _set(event, items.WAITING_LIST, _entry(event), "userId", items.text("mallory")),
        [Finding("P3", 1)],
    ),
    "a wrong count of waiting users": (lambda event: _add(event, 2, "waiting"), [Finding("P3", 2)]),
    "a wrong count of tickets that were checked in": (lambda event: _add(event, 1, "checkedIn"), [Finding("D1", 1)]),
    "tickets that the event does not know of": (  # as a repeated change could cause; a user gets one (P7)
        lambda event: _add(event, 1, "tickets", "available", "changes"),
        [Finding("O2", 1)],
    ),
    "a change that the event forgot": (
        lambda event: _set(event, items.EVENTS, items.event_key(event.event_id), "totalTickets", items.number(57)),
        [Finding("O2", 3)],
    ),
    "a lane with another sale window": (
        lambda event: _set(
            event, items.LANES, items.lane_key(event.event_id, 0), "closesAt", items.text("2030-05-01T18:00:00.000Z")
        ),
        [Finding("O2", 1)],
    ),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_what_is_wrong_is_found(sold_out: Event, what: str) -> None:
    """Each broken promise, with the difference; settling hides none."""
    forge, findings = FORGERIES[what]
    forge(sold_out)
    assert _audited(sold_out) == findings


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


def test_a_user_who_cannot_be_promoted_is_found(sold_out: Event) -> None:
    """P6, P3: a ticket is free, but the booking at the head of the list has another place."""
    head = sold_out.check().waiting[0]
    event = catalog.read_event(sold_out.event_id, Deadline.after(5))
    _set(sold_out, items.BOOKINGS, items.booking_key(event, head), "sequence", items.number(999))
    assert _promises(sold_out) == ["P3"]
    sold_out.cancels("user-0")
    assert _promises(sold_out) == ["P3", "P6"]


def test_held_tickets_are_counted(office: Office) -> None:
    """P1: a hold owns its ticket, and so does an offer; an expired hold does not. D1: so are used tickets."""
    event = office.opens(tickets=3, holdSeconds=HOLD_S)
    ids = {user: event.book(user).json.get("bookingId") for user in ("anna", "ben", "dora", "cleo")}
    assert _audited(event) == []
    event.cancels("anna")
    event.promotes()  # an offer for cleo
    event.confirm("dora", ids["dora"])
    event.check_in("dora", ids["dora"])
    with clock_ahead(HOLD_S + 5):
        assert event.expires() == {"ben", "cleo"}
        assert _audited(event) == []


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


def test_a_violation_larger_than_the_movement_is_found(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy event, too, the audit reports what the changes during the count cannot explain."""
    _add(sold_out, 10, "available")
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


def test_the_sweep_reports_what_it_finds(sold_out: Event, log_lines: LogLines) -> None:
    """Each finding counts in the metric. Its line names the promise and the difference."""
    _add(sold_out, 3, "waiting")
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
