"""Changing an event: every row of the contract of PATCH /events/{eventId}, and what buyers see of it."""

import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import functions.book.app
import functions.change.app
import functions.initialize.app
from harness.gateway import Answer, call, organiser
from harness.meter import metered
from harness.office import Event, Office
from shared import runtime
from shared.booking import catalog, list_limit
from shared.model import as_moment
from shared.store import dynamodb, items
from shared.store.aws_client import NoAnswer, RequestFailed

CHANGE = functions.change.app
ALWAYS = {
    "eventId", "name", "totalTickets", "availableTickets", "bookedTickets", "waitingListCount", "createdAt",
}  # fmt: skip
PROBLEM = {"type", "title", "status", "detail", "instance", "code", "requestId"}


def _in(hours: float) -> str:
    return as_moment(datetime.now(UTC) + timedelta(hours=hours))


def _refused(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """Assert an answer of this code; return what it says besides."""
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json.keys() >= PROBLEM
    return {name: value for name, value in answer.json.items() if name not in PROBLEM}


def _counts(answer: Answer) -> tuple[int, int, int, int]:
    names = ("totalTickets", "availableTickets", "bookedTickets", "waitingListCount")
    total, available, booked, waiting = (answer.json[name] for name in names)
    return total, available, booked, waiting


def test_what_is_named_is_changed_and_the_answer_is_the_event(office: Office) -> None:
    """The rest stays; status shows the same, from a function that knew the event as it was."""
    event = office.opens(tickets=2)
    event.books("anna")
    answer = event.change(name="The encore", totalTickets=5, opensAt=_in(-1), closesAt=_in(1), waitingListLimit=3)
    assert answer.status == 200
    assert answer.json.keys() == ALWAYS | {"opensAt", "closesAt", "waitingListLimit"}
    assert (answer.json["name"], answer.json["waitingListLimit"]) == ("The encore", 3)
    assert _counts(answer) == (5, 4, 1, 0)
    assert event.status().json == answer.json
    fewer = event.change(closesAt=None, opensAt=None, waitingListLimit=None)
    assert fewer.json.keys() == ALWAYS
    assert (fewer.json["name"], fewer.json["totalTickets"]) == ("The encore", 5)
    event.check()


def test_the_same_change_again_changes_nothing_more(office: Office) -> None:
    """P7: a lost answer is asked for again."""
    event = office.opens(tickets=2)
    wanted = {"totalTickets": 60, "closesAt": _in(1)}
    first, again = event.change(**wanted), event.change(**wanted)
    assert (first.status, first.json) == (200, again.json)
    event.check()


def test_a_sold_out_event_says_since_when(office: Office) -> None:
    """In status, and after a change."""
    event = office.opens(tickets=1)
    event.books("anna")
    event.books("ben")
    assert event.status().json["soldOutAt"] == event.change(name="Encore").json["soldOutAt"]


def test_new_tickets_go_to_those_who_wait(office: Office) -> None:
    """P4, P6: who comes between change and promotion stands behind them."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "cleo", "dora"):
        event.books(user)
    assert _counts(event.change(totalTickets=3)) == (3, 2, 1, 3)
    assert event.books("eve") == 202
    event.promotes()
    found = event.check(drained=True)
    assert (found.confirmed, found.waiting) == ({"anna", "ben", "cleo"}, ["dora", "eve"])


def test_new_tickets_are_spread_and_taken_from_where_they_are_free(office: Office) -> None:
    """P1: whatever the lanes have sold."""
    event = office.opens(tickets=150)
    for n in range(70):
        event.books(f"user-{n}")
    event.changes(totalTickets=301)
    assert [lane["tickets"] for lane in event.check().lanes] in ([100, 100, 101], [100, 101, 100], [101, 100, 100])
    assert _counts(event.change(totalTickets=70)) == (70, 0, 70, 0)
    assert {lane["available"] for lane in event.check().lanes} == {0}
    assert event.books("late") == 202


def test_fewer_tickets_than_are_booked_is_409_with_the_numbers_and_changes_nothing(office: Office) -> None:
    """P1: nobody loses a ticket. Only what counts changes moves on, for what may be on its way still (P7)."""
    event = office.opens(tickets=60)
    for n in range(31):
        event.books(f"user-{n}")
    before = event.check()
    told = _refused(event.change(totalTickets=30, name="Smaller", closesAt=_in(1)), 409, "tickets-booked")
    assert told == {"totalTickets": 60, "bookedTickets": 31}
    found = event.check()
    for item in (found.event, *found.lanes):
        item["revision"] -= 1
    for lane in found.lanes:
        lane["changes"] -= 1
    assert (found.event, found.lanes) == (before.event, before.lanes)
    assert _counts(event.change(totalTickets=31)) == (31, 0, 31, 0)


def test_tickets_taken_before_another_booking_came_are_put_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P1: lane by lane, so somebody may book the last ones of a lane that was looked at."""
    event = office.opens(tickets=100)
    commit = dynamodb.commit
    lanes: list[Any] = []

    def and_sell_out_the_rest(transaction: Any, deadline: Any, **more: Any) -> Any:
        refused = commit(transaction, deadline, **more)
        if "tickets" in str(transaction) and not lanes:
            lanes.append(transaction)
            monkeypatch.setattr(dynamodb, "commit", commit)
            for n in range(60):
                event.books(f"user-{n}")
        return refused

    monkeypatch.setattr(dynamodb, "commit", and_sell_out_the_rest)
    told = _refused(event.change(totalTickets=10), 409, "tickets-booked")
    assert told == {"totalTickets": 100, "bookedTickets": 55}
    event.promotes()
    assert _counts(event.status()) == (100, 40, 60, 0)
    event.check(drained=True)


def test_a_change_that_died_half_way_and_is_refused_when_it_is_repeated_is_put_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O2: what the earlier try took is no less lost than what this one takes."""
    event = office.opens(tickets=100)
    commit = dynamodb.commit
    lanes: list[Any] = []

    def dies_at_the_second(transaction: Any, deadline: Any, **more: Any) -> Any:
        lanes.append(transaction)
        assert len(lanes) == 1, "it dies here"
        return commit(transaction, deadline, **more)

    with monkeypatch.context() as dying:
        dying.setattr(dynamodb, "commit", dies_at_the_second)
        assert event.change(totalTickets=10).status == 500
    total, left, *_ = _counts(event.status())
    assert total == left < 100
    for n in range(11):
        event.books(f"user-{n}")
    told = _refused(event.change(totalTickets=10), 409, "tickets-booked")
    assert told == {"totalTickets": 100, "bookedTickets": 11}
    assert _counts(event.status()) == (100, 89, 11, 0)
    event.check(drained=True)


def test_moments_that_another_change_makes_impossible_are_refused_and_put_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O2: the lanes sell by what the event says, and by nothing that was refused."""
    event = office.opens(tickets=100)
    opens_at, commit = _in(2), dynamodb.commit

    def after_another(transaction: Any, deadline: Any, **more: Any) -> Any:
        if transaction[0]["Update"]["TableName"] == items.EVENTS:
            monkeypatch.setattr(dynamodb, "commit", commit)
            event.changes(opensAt=opens_at)
        return commit(transaction, deadline, **more)

    monkeypatch.setattr(dynamodb, "commit", after_another)
    assert event.change(closesAt=_in(1)).status == 422
    found = event.check()
    assert {(lane.get("opensAt"), lane.get("closesAt")) for lane in found.lanes} == {(opens_at, None)}


def test_lanes_that_were_read_at_two_moments_are_read_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket released on a lane after it was read, and another booked on one before: never too few were free."""
    event = office.opens(tickets=100)
    read_lanes, users = catalog.read_lanes, [f"user-{n}" for n in range(300)]
    at_home = [[user for user in users if zlib.crc32(user.encode()) % 2 == lane] for lane in range(2)]
    for user in (*at_home[0][:50], *at_home[1][:49]):
        event.books(user)

    def torn(*arguments: Any) -> Any:
        monkeypatch.setattr(catalog, "read_lanes", read_lanes)
        first, _ = read_lanes(*arguments)
        event.cancels(at_home[0][0])
        assert event.books(at_home[1][49]) == 201
        return [first, read_lanes(*arguments)[1]]

    monkeypatch.setattr(catalog, "read_lanes", torn)
    assert _counts(event.change(totalTickets=99)) == (99, 0, 99, 0)
    event.check()


def test_what_a_change_that_was_given_up_had_on_its_way_does_nothing_after_another(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7, O2: a lane that the other change had nothing to do with is touched nevertheless."""
    event = office.opens(tickets=60)
    send, on_its_way = dynamodb.client().call, []

    def lost(operation: str, request: Any) -> Any:
        if operation == "TransactWriteItems":
            on_its_way.append(request)
            raise NoAnswer(operation, "TimeoutError")
        return send(operation, request)

    with monkeypatch.context() as network:
        network.setattr(dynamodb.client(), "call", lost)
        network.setattr(CHANGE, "REQUEST_BUDGET_S", 0.05)
        _refused(event.change(totalTickets=50), 503, "try-again")
    event.changes(totalTickets=60)
    for request in on_its_way:
        with pytest.raises(RequestFailed) as refused:
            send("TransactWriteItems", request)
        assert [reason["Code"] for reason in refused.value.reasons] == ["ConditionalCheckFailed"]
    event.check()


def test_who_may_have_been_let_in_is_not_told_that_nothing_is_on_sale(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: a try that got no answer may still arrive, if the sale goes on again; so the answer is to try again."""
    event = office.opens(tickets=1)
    send, on_its_way = dynamodb.client().call, []

    def lost(operation: str, request: Any) -> Any:
        if operation == "TransactWriteItems":
            on_its_way.append(request)
            monkeypatch.setattr(dynamodb.client(), "call", send)
            event.changes(opensAt=_in(1))
            raise NoAnswer(operation, "TimeoutError")
        return send(operation, request)

    monkeypatch.setattr(dynamodb.client(), "call", lost)
    _refused(event.book("anna"), 503, "try-again")
    event.changes(opensAt=None)
    send("TransactWriteItems", on_its_way[0])
    assert event.books("anna") == 200
    event.check()


def test_before_it_opens_and_after_it_closes_an_event_is_not_on_sale(office: Office) -> None:
    """409 with the moments; who has an active booking is answered with it, and may cancel."""
    event = office.opens(tickets=3)
    assert event.books("anna") == 201
    opens_at = _in(1)
    event.changes(opensAt=opens_at)
    assert _refused(event.book("ben"), 409, "not-on-sale") == {"opensAt": opens_at}
    assert event.book("anna").json["status"] == "CONFIRMED"
    opens_at, closes_at = _in(-2), _in(-1)
    event.changes(opensAt=opens_at, closesAt=closes_at)
    assert _refused(event.book("ben"), 409, "not-on-sale") == {"opensAt": opens_at, "closesAt": closes_at}
    assert event.books("anna") == 200
    event.cancels("anna")
    _refused(event.book("anna"), 409, "not-on-sale")
    event.changes(closesAt=_in(1))
    assert event.books("ben") == 201
    assert "soldOutAt" not in event.check().event


def test_a_sale_that_was_over_before_the_tickets_were_is_not_sold_out(office: Office) -> None:
    """An event with tickets on other lanes than the buyer's own, none of which sells."""
    event = office.opens(tickets=120)
    event.changes(opensAt=_in(1))
    for n in range(20):
        _refused(event.book(f"user-{n}"), 409, "not-on-sale")
    found = event.check()
    assert "soldOutAt" not in found.event
    assert not [lane for lane in found.lanes if "closedAt" in lane]


def test_after_it_closes_nobody_joins_and_those_waiting_are_promoted(office: Office) -> None:
    """A released ticket goes to the head of the list, whenever."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    closes_at = _in(-1)
    event.changes(closesAt=closes_at)
    assert _refused(event.book("cleo"), 409, "not-on-sale") == {"closesAt": closes_at}
    assert event.books("ben") == 200
    event.cancels("anna")
    event.promotes()
    assert event.check(drained=True).confirmed == {"ben"}


def test_a_full_waiting_list_is_409_with_its_limit(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is answered as before; who finds it full is refused without a number drawn for a second."""
    event = office.opens(tickets=1)
    event.changes(waitingListLimit=1)
    for user, status in (("anna", 201), ("ben", 202)):
        assert event.books(user) == status
    assert _refused(event.book("cleo"), 409, "waiting-list-full") == {"waitingListLimit": 1}
    assert event.books("ben") == 200
    with metered() as meter:
        _refused(event.book("cleo"), 409, "waiting-list-full")
    assert meter.requests == ["GetItem"]
    event.changes(waitingListLimit=2)
    monkeypatch.setattr(list_limit, "COUNT_AGE_MAX_S", 0)
    assert event.books("cleo") == 202
    _refused(event.book("dora"), 409, "waiting-list-full")
    event.cancels("ben")
    assert event.books("dora") == 202
    assert event.check(drained=True).waiting == ["cleo", "dora"]


def test_a_limit_of_nobody_still_sells_what_comes_back(office: Office) -> None:
    """A free ticket is no queue."""
    event = office.opens(tickets=1, waitingListLimit=0)
    event.books("anna")
    _refused(event.book("ben"), 409, "waiting-list-full")
    event.cancels("anna")
    runtime.current.memory.clear()  # a second later
    assert event.books("ben") == 201
    event.check(drained=True)


def test_without_a_limit_nothing_is_counted(office: Office) -> None:
    """Joining costs what it cost; with a limit, one read of the lanes a second."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    join = ["GetItem", "UpdateItem", "TransactWriteItems", "Query"]
    with metered() as meter:
        event.books("cleo")
    assert meter.requests == join
    event.changes(waitingListLimit=9)
    for user, counts in (("dora", ["BatchGetItem"]), ("eve", [])):
        with metered() as meter:
            event.books(user)
        assert meter.requests == [*join[:2], *counts, *join[2:]]


def test_a_function_counts_those_who_joined_through_it(office: Office) -> None:
    """So that one function alone never overruns the limit."""
    event = office.opens(tickets=1, waitingListLimit=5)
    answers = [event.books(f"user-{n}") for n in range(10)]
    assert answers == [201, *[202] * 5, *[409] * 4]


@pytest.mark.parametrize("known", range(3))
def test_a_warm_function_remembers_so_many_lists(office: Office, monkeypatch: pytest.MonkeyPatch, known: int) -> None:
    """The oldest is forgotten when there are too many."""
    monkeypatch.setattr(vars(list_limit)["_queues"], "most", known)
    for _ in range(4):
        event = office.opens(tickets=1, waitingListLimit=0)
        event.books("anna")
        event.books("ben")
    assert len(vars(list_limit)["_queues"].values) == known


def test_an_event_can_be_opened_with_its_moments_and_its_limit(office: Office) -> None:
    """They are part of what an Idempotency-Key stands for; the answer again is as it was."""
    opens_at, closes_at = _in(1), _in(2)
    terms = {
        "name": "The concert",
        "totalTickets": 60,
        "opensAt": opens_at,
        "closesAt": closes_at,
        "waitingListLimit": 9,
    }
    headers = {"idempotency-key": "with moments"}
    first = call(functions.initialize.app, terms, headers=headers)
    assert first.status == 201
    assert {name: first.json[name] for name in terms} == terms
    event = Event(first.json["eventId"], office.database)
    assert _refused(event.book("anna"), 409, "not-on-sale") == {"opensAt": opens_at, "closesAt": closes_at}
    event.changes(totalTickets=70, name="Another", opensAt=None)
    assert call(functions.initialize.app, terms, headers=headers).json == first.json
    for other in ({"opensAt": _in(1.5)}, {"closesAt": None}, {"waitingListLimit": 8}):
        again = call(functions.initialize.app, {**terms, **other}, headers=headers)
        _refused(again, 422, "idempotency-key-reused")
    assert event.books("anna") == 201
    event.check()


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2030-05-01T20:00:00+02:00", "2030-05-01T18:00:00.000Z"),
        ("2030-05-01T18:00:00Z", "2030-05-01T18:00:00.000Z"),
        ("2030-05-01T18:00:00.1239Z", "2030-05-01T18:00:00.123Z"),
        ("2030-12-31T23:30:00-00:45", "2031-01-01T00:15:00.000Z"),
    ],
)
def test_a_moment_is_stored_in_utc(office: Office, given: str, stored: str) -> None:
    """With milliseconds, so that moments compare as text."""
    assert office.opens(tickets=1, closesAt=given).status().json["closesAt"] == stored


@pytest.mark.parametrize(
    "moment",
    [
        "", "tomorrow", "2030-05-01", "2030-05-01T18:00:00", "2030-05-01 18:00:00Z", "2030-02-30T18:00:00Z",
        "2030-05-01T24:30:00Z", "20300501T180000Z", "2030-W18-3T18:00:00Z", "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00", "0999-05-01T18:00:00Z", "2030-12-31T23:59:60Z", "2030-05-01t18:00:00z",
        "2030-05-01T18:00:00+2:00", "٢٠٣٠-05-01T18:00:00Z", 1893456000, True, [], {},
    ],
)  # fmt: skip
def test_what_is_no_moment_is_422_with_its_field(office: Office, moment: Any) -> None:
    """RFC 3339 with an offset, and nothing else."""
    event = office.opens(tickets=1)
    for field in ("opensAt", "closesAt"):
        told = _refused(event.change(**{field: moment}), 422, "invalid-request")
        assert [error["field"] for error in told["errors"]] == [field]


def test_a_sale_ends_after_it_begins(office: Office) -> None:
    """In one request, or with the moment that stands."""
    body = {"name": "x", "totalTickets": 1, "opensAt": _in(1), "closesAt": _in(1)}
    event = office.opens(tickets=1, opensAt=_in(2))
    for answer in (call(functions.initialize.app, body), event.change(closesAt=_in(1))):
        told = _refused(answer, 422, "invalid-request")
        assert [error["field"] for error in told["errors"]] == ["closesAt"]
    same = datetime(2030, 1, 1, tzinfo=UTC)
    elsewhere = same.astimezone(timezone(timedelta(hours=3)))
    told = _refused(event.change(opensAt=same.isoformat(), closesAt=elsewhere.isoformat()), 422, "invalid-request")
    assert told["errors"]
    event.check()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"name": None}, "name"),
        ({"name": " "}, "name"),
        ({"totalTickets": None}, "totalTickets"),
        ({"totalTickets": 0}, "totalTickets"),
        ({"totalTickets": 1_000_001}, "totalTickets"),
        ({"totalTickets": "5"}, "totalTickets"),
        ({"waitingListLimit": -1}, "waitingListLimit"),
        ({"waitingListLimit": 1.5}, "waitingListLimit"),
        ({"waitingListLimit": True}, "waitingListLimit"),
        ({"ticketsPerBooking": 2}, "ticketsPerBooking"),
        ({"soldOutAt": None}, "soldOutAt"),
        ({"eventId": "x"}, "eventId"),
    ],
)
def test_wrong_fields_are_422(office: Office, body: dict[str, Any], field: str) -> None:
    """And what names nothing to change."""
    told = _refused(call(CHANGE, body, event_id=office.opens(tickets=1).event_id), 422, "invalid-request")
    assert [error["field"] for error in told["errors"]] == [field]


def test_an_unknown_event_is_404() -> None:
    """Whatever its id looks like."""
    for event_id in ("no-such-event", "a#0", "é"):
        _refused(call(CHANGE, {"name": "x"}, event_id=event_id), 404, "event-not-found")
    _refused(call(CHANGE, {"name": "x"}, event_id="x" * 129), 422, "invalid-request")


def test_only_organisers_may_change_an_event(office: Office) -> None:
    """Neither a buyer, nor somebody whom nobody knows; they do not learn whether it exists."""
    for event_id in (office.opens(tickets=1).event_id, "no-such-event"):
        _refused(call(CHANGE, {"name": "x"}, event_id=event_id, claims={"sub": "anna"}), 403, "organisers-only")
        _refused(call(CHANGE, {"name": "x"}, event_id=event_id, verified=False), 403, "not-signed-in")
        _refused(call(CHANGE, raw="{", event_id=event_id, claims=organiser("olga")), 400, "malformed-json")


@pytest.mark.parametrize(("tickets", "lanes"), [(10, 1), (1_000_000, 96)])
def test_what_a_change_costs(office: Office, tickets: int, lanes: int) -> None:
    """Of lanes, two units each, and they are looked at before, after, and for the answer; of the event two units."""
    event = office.opens(tickets=tickets)
    with metered() as meter:
        event.changes(closesAt=_in(1), totalTickets=tickets - 1)
    each = ["TransactWriteItems"] * lanes
    assert meter.requests == ["GetItem", "BatchGetItem", *each, "BatchGetItem", "TransactWriteItems", "BatchGetItem"]
    assert (meter.write_units, meter.read_units) == (2 * lanes + 2, 1 + 2 * lanes + 1 + lanes)
    with metered() as meter:
        event.changes(name="Encore", waitingListLimit=1)
    assert meter.requests == ["GetItem", "TransactWriteItems", "BatchGetItem"]
