"""Changing an event: every row of the contract of PATCH /events/{eventId}, and its effects for buyers."""

import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import functions.book.app
import functions.change.app
import functions.initialize.app
from harness.gateway import Response, call, organiser
from harness.meter import metered
from harness.office import Event, Office
from shared import runtime
from shared.booking import catalog, event_change, list_limit
from shared.model import as_moment
from shared.store import dynamodb
from shared.store.aws_client import NoResponse, RequestFailed

CHANGE = functions.change.app
ALWAYS = {
    "eventId", "name", "totalTickets", "availableTickets", "bookedTickets", "waitingListCount", "createdAt",
    "ticketsPerBooking",
}  # fmt: skip
PROBLEM = {"type", "title", "status", "detail", "instance", "code", "requestId"}


def _in(hours: float) -> str:
    return as_moment(datetime.now(UTC) + timedelta(hours=hours))


def _refused(answer: Response, status: int, code: str) -> dict[str, Any]:
    """Assert a problem with this code; return its other members."""
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json.keys() >= PROBLEM
    return {name: value for name, value in answer.json.items() if name not in PROBLEM}


def _counts(answer: Response) -> tuple[int, int, int, int]:
    names = ("totalTickets", "availableTickets", "bookedTickets", "waitingListCount")
    total, available, booked, waiting = (answer.json[name] for name in names)
    return total, available, booked, waiting


def test_the_named_fields_change_and_the_response_is_the_event(office: Office) -> None:
    """Other fields stay. Status shows the same, even from a function that had cached the event."""
    event = office.opens(tickets=2)
    event.books("anna")
    answer = event.change(name="The encore", totalTickets=5, opensAt=_in(-1), closesAt=_in(1), waitingListLimit=3)
    assert answer.status == 200
    assert answer.json.keys() == ALWAYS | {"opensAt", "closesAt", "waitingListLimit"}
    assert (answer.json["name"], answer.json["waitingListLimit"]) == ("The encore", 3)
    assert _counts(answer) == (5, 4, 1, 0)
    shown = event.status().json
    assert shown == answer.json | {"asOf": shown["asOf"]}
    fewer = event.change(closesAt=None, opensAt=None, waitingListLimit=None)
    assert fewer.json.keys() == ALWAYS
    assert (fewer.json["name"], fewer.json["totalTickets"]) == ("The encore", 5)
    event.check()


def test_repeating_a_change_changes_nothing_more(office: Office) -> None:
    """P7: the client retries after a lost response."""
    event = office.opens(tickets=2)
    wanted: dict[str, Any] = {"totalTickets": 60, "closesAt": _in(1)}
    first, again = event.change(**wanted), event.change(**wanted)
    assert (first.status, first.json) == (200, again.json)
    event.check()


def test_a_sold_out_event_says_since_when(office: Office) -> None:
    """In status, and after a change."""
    event = office.opens(tickets=1)
    event.books("anna")
    event.books("ben")
    assert event.status().json["soldOutAt"] == event.change(name="Encore").json["soldOutAt"]


def test_new_tickets_go_to_waiting_users(office: Office) -> None:
    """P4, P6: a user who comes between the change and the promotion stands behind them."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "cleo", "dora"):
        event.books(user)
    assert _counts(event.change(totalTickets=3)) == (3, 2, 1, 3)
    assert event.books("eve") == 202
    event.promotes()
    found = event.check(drained=True)
    assert (found.confirmed, found.waiting) == ({"anna", "ben", "cleo"}, ["dora", "eve"])


def test_new_tickets_are_spread_and_taken_from_where_they_are_free(office: Office) -> None:
    """P1: no matter which lanes have sold."""
    event = office.opens(tickets=150)
    for n in range(70):
        event.books(f"user-{n}")
    event.changes(totalTickets=301)
    assert [lane["tickets"] for lane in event.check().lanes] in ([100, 100, 101], [100, 101, 100], [101, 100, 100])
    assert _counts(event.change(totalTickets=70)) == (70, 0, 70, 0)
    assert {lane["available"] for lane in event.check().lanes} == {0}
    assert event.books("late") == 202


def test_fewer_tickets_than_are_booked_is_409_with_the_numbers_and_changes_nothing(office: Office) -> None:
    """P1: no user loses a ticket. The terms, their revision and the lanes stay as they were."""
    event = office.opens(tickets=60)
    for n in range(31):
        event.books(f"user-{n}")
    before = event.check()
    told = _refused(event.change(totalTickets=30, name="Smaller", closesAt=_in(1)), 409, "tickets-booked")
    assert told == {"totalTickets": 60, "bookedTickets": 31}
    found = event.check(drained=True)
    for name in ("steps", "change", "refusals"):
        found.event.pop(name)
    del before.event["steps"]
    assert (found.event, found.lanes) == (before.event, before.lanes)
    assert _counts(event.change(totalTickets=31)) == (31, 0, 31, 0)


def test_lanes_read_at_different_moments_are_read_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket is released on a lane after its read, and one booked on a lane before its read: enough are free."""
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


def test_a_late_write_of_an_abandoned_change_has_no_effect_after_another_change(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7, O2: even on a lane that the other change does not need to change."""
    event = office.opens(tickets=60)
    send, on_its_way = dynamodb.client().call, []

    def lost(operation: str, request: Any) -> Any:
        if operation == "TransactWriteItems":
            on_its_way.append(request)
            raise NoResponse(operation, "TimeoutError")
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


def test_a_user_whose_booking_may_still_arrive_is_not_refused(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """P7: an attempt without a response may still arrive if the sale opens again, so the response is 503."""
    event = office.opens(tickets=1)
    send, on_its_way = dynamodb.client().call, []

    def lost(operation: str, request: Any) -> Any:
        if operation == "TransactWriteItems":
            on_its_way.append(request)
            monkeypatch.setattr(dynamodb.client(), "call", send)
            event.changes(opensAt=_in(1))
            raise NoResponse(operation, "TimeoutError")
        return send(operation, request)

    monkeypatch.setattr(dynamodb.client(), "call", lost)
    _refused(event.book("anna"), 503, "try-again")
    event.changes(opensAt=None)
    send("TransactWriteItems", on_its_way[0])
    assert event.books("anna") == 200
    event.check()


def test_before_it_opens_and_after_it_closes_an_event_is_not_on_sale(office: Office) -> None:
    """409 with the times. A user with an active booking gets it, and may cancel."""
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


def test_a_closed_sale_with_free_tickets_is_not_sold_out(office: Office) -> None:
    """The event has tickets on lanes other than the buyer's home lane, and none of them sells."""
    event = office.opens(tickets=120)
    event.changes(opensAt=_in(1))
    for n in range(20):
        _refused(event.book(f"user-{n}"), 409, "not-on-sale")
    found = event.check()
    assert "soldOutAt" not in found.event
    assert not [lane for lane in found.lanes if "closedAt" in lane]


def test_after_it_closes_no_user_joins_and_waiting_users_are_promoted(office: Office) -> None:
    """A released ticket goes to the head of the list at any time."""
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
    """A waiting user gets their booking as before. For a second, new users are refused without drawing a number."""
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
    monkeypatch.setattr(list_limit, "COUNT_AGE_S_MAX", 0)
    assert event.books("cleo") == 202
    _refused(event.book("dora"), 409, "waiting-list-full")
    event.cancels("ben")
    assert event.books("dora") == 202
    assert event.check(drained=True).waiting == ["cleo", "dora"]


def test_with_a_limit_of_zero_a_released_ticket_is_still_sold(office: Office) -> None:
    """A free ticket needs no waiting list."""
    event = office.opens(tickets=1, waitingListLimit=0)
    event.books("anna")
    _refused(event.book("ben"), 409, "waiting-list-full")
    event.cancels("anna")
    runtime.current.memory.clear()  # a second later
    assert event.books("ben") == 201
    event.check(drained=True)


def test_without_a_limit_nothing_is_counted(office: Office) -> None:
    """A join costs nothing extra; with a limit, it costs one read of the lanes a second."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    join = ["UpdateItem", "Query", "TransactWriteItems"]
    with metered() as meter:
        event.books("cleo")
    assert meter.requests == join
    event.changes(waitingListLimit=9)
    for user, counts in (("dora", ["BatchGetItem"]), ("eve", [])):
        with metered() as meter:
            event.books(user)
        assert meter.requests == [*join[:2], *counts, *join[2:]]


def test_a_function_counts_the_users_who_joined_through_it(office: Office) -> None:
    """So one function alone never exceeds the limit."""
    event = office.opens(tickets=1, waitingListLimit=5)
    answers = [event.books(f"user-{n}") for n in range(10)]
    assert answers == [201, *[202] * 5, *[409] * 4]


@pytest.mark.parametrize("known", range(3))
def test_a_warm_function_caches_a_bounded_number_of_counts(
    office: Office, monkeypatch: pytest.MonkeyPatch, known: int
) -> None:
    """It drops the oldest."""
    monkeypatch.setattr(vars(list_limit)["_counts"], "maxsize", known)
    for _ in range(4):
        event = office.opens(tickets=1, waitingListLimit=0)
        event.books("anna")
        event.books("ben")
    assert len(vars(list_limit)["_counts"].values) == known


def test_an_event_can_be_opened_with_times_and_a_limit(office: Office) -> None:
    """They belong to the request of an Idempotency-Key, and a repetition gets the same response."""
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
def test_a_time_is_stored_in_utc(office: Office, given: str, stored: str) -> None:
    """With milliseconds, so that times compare as text."""
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
def test_a_malformed_time_is_422_with_its_field(office: Office, moment: Any) -> None:
    """Only RFC 3339 with an offset is accepted."""
    event = office.opens(tickets=1)
    for field in ("opensAt", "closesAt"):
        told = _refused(event.change(**{field: moment}), 422, "invalid-request")
        assert [error["field"] for error in told["errors"]] == [field]


def test_a_sale_must_end_after_it_begins(office: Office) -> None:
    """Within one request, or together with the stored time."""
    moment = _in(1)
    body = {"name": "x", "totalTickets": 1, "opensAt": moment, "closesAt": moment}
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
        ({}, ""), ({"name": None}, "name"), ({"name": " "}, "name"), ({"totalTickets": None}, "totalTickets"),
        ({"totalTickets": 0}, "totalTickets"), ({"totalTickets": 1_000_001}, "totalTickets"),
        ({"totalTickets": "5"}, "totalTickets"), ({"waitingListLimit": -1}, "waitingListLimit"),
        ({"waitingListLimit": 1.5}, "waitingListLimit"), ({"waitingListLimit": True}, "waitingListLimit"),
        ({"ticketsPerBooking": 2}, "ticketsPerBooking"), ({"holdSeconds": 10}, "holdSeconds"),
        ({"soldOutAt": None}, "soldOutAt"), ({"eventId": "x"}, "eventId"),
    ],
)  # fmt: skip
def test_wrong_fields_are_422(office: Office, body: dict[str, Any], field: str) -> None:
    """So is a request that changes no field."""
    told = _refused(call(CHANGE, body, event_id=office.opens(tickets=1).event_id), 422, "invalid-request")
    assert [error["field"] for error in told["errors"]] == [field]


def test_a_malformed_change_is_400(office: Office) -> None:
    """Whether the event exists or not."""
    for event_id in (office.opens(tickets=1).event_id, "no-such-event"):
        _refused(call(CHANGE, raw="{", event_id=event_id, claims=organiser("olga")), 400, "malformed-json")


@pytest.mark.parametrize(("tickets", "lanes"), [(10, 1), (1_000_000, 96)])
def test_the_cost_of_a_change(office: Office, tickets: int, lanes: int) -> None:
    """Two write units for each lane and each write of the event, two for the index. Lanes are read twice."""
    event = office.opens(tickets=tickets)
    steps = -(-lanes // event_change.LANES_PER_STEP)
    with metered() as meter:
        event.changes(totalTickets=tickets * 2 if lanes == 1 else tickets - lanes)
    writes = ["TransactWriteItems"] * (1 + steps + 1)
    assert meter.requests == ["GetItem", writes[0], "BatchGetItem", *writes[1:], "BatchGetItem"]
    assert (meter.write_units, meter.read_units) == (2 * lanes + 2 * len(writes) + 2, 1 + lanes + 1 + lanes)
    with metered() as meter:
        event.changes(closesAt=_in(1))
    writes = ["TransactWriteItems"] * (1 + lanes + 1)
    assert meter.requests == ["GetItem", writes[0], "BatchGetItem", *writes[1:], "BatchGetItem"]
    with metered() as meter:
        event.changes(name="Encore", waitingListLimit=1)
    assert meter.requests == ["GetItem", "TransactWriteItems", "BatchGetItem"]


def test_a_raise_by_tens_of_thousands_takes_a_step_for_every_few_lanes(office: Office) -> None:
    """The lanes stay balanced."""
    event = office.opens(tickets=5_000)
    event.changes(totalTickets=50_000)
    found = event.check(drained=True)
    assert found.event["steps"] == 1 + 96 / event_change.LANES_PER_STEP + 1
    assert {lane["tickets"] for lane in found.lanes} <= {520, 521, 522}


def test_a_change_applies_only_to_the_revision_that_was_read(office: Office) -> None:
    """A later revision gets 412 and stays. Bookings and refused changes do not change the revision."""
    event = office.opens(tickets=2)
    event.books("anna")
    event.books("ben")
    assert _refused(event.change(totalTickets=1), 409, "tickets-booked")
    revision = event.status().headers["etag"]
    assert revision.startswith('"0.')  # and when its counts began
    first = event.change(if_match=revision, name="The encore")
    assert (first.status, first.headers["etag"]) == (200, '"1"')
    assert _refused(event.change(if_match=revision, totalTickets=5), 412, "event-changed") == {}
    assert _counts(event.status()) == (2, 0, 2, 0)
    for tags in ('"0", "1"', "*", '"1"'):
        assert event.change(if_match=tags, totalTickets=5).status == 200
    assert event.status("anna").headers["etag"] == '"2"'
    for tags in ("2", 'W/"2"', "", '"x"', '"2."', '"2.5"', '"x.20300501180000000"'):
        _refused(event.change(if_match=tags, totalTickets=6), 412, "event-changed")


def test_a_repeated_change_succeeds_with_the_old_revision(office: Office) -> None:
    """P7: after a lost response, the repeated request finds the event as requested."""
    event = office.opens(tickets=2)
    for _ in range(2):
        answer = event.change(if_match='"0"', totalTickets=5)
        assert (answer.status, answer.headers["etag"]) == (200, '"1"')


def test_a_new_event_has_a_revision(office: Office) -> None:
    """A repeated Idempotency-Key gets the first one, even after later changes."""
    terms, headers = {"name": "The concert", "totalTickets": 1}, {"idempotency-key": "with a revision"}
    first = call(functions.initialize.app, terms, headers=headers)
    Event(first.json["eventId"], office.database).changes(name="Another")
    assert [first.headers["etag"], call(functions.initialize.app, terms, headers=headers).headers["etag"]] == [
        '"0"'
    ] * 2


def test_a_venue_is_returned_wherever_the_name_is(office: Office) -> None:
    """In the event, in both lists, and after a change; null removes it, and an empty one stays empty."""
    event = office.opens(tickets=2, venue="Town hall")
    event.books("anna")
    assert event.status().json["venue"] == "Town hall"
    [listed] = [one for one in office.lists_events().json["events"] if one["eventId"] == event.event_id]
    assert listed["venue"] == "Town hall"
    for venue in ("Bühne 2", "", "x" * 200):
        assert event.change(venue=venue).json["venue"] == venue
        assert office.bookings_of("anna", eventId=event.event_id).json["bookings"][0]["eventVenue"] == venue
    assert "venue" not in event.change(venue=None).json
    assert "eventVenue" not in office.bookings_of("anna", eventId=event.event_id).json["bookings"][0]
    for refused in ("x" * 201, "a\u0007b", 7):
        assert (event.change(venue=refused).status, event.status().json.get("venue")) == (422, None)
