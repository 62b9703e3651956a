"""A cancelled event: what organiser and users get, what happens in the background, and how many requests it takes."""

import tracemalloc
from typing import Any

import pytest

import functions.follow.app
import functions.sweep.app
from bench import filling
from harness import promises
from harness.gateway import Context
from harness.meter import Meter, metered
from harness.office import Event, Office
from shared import model, runtime
from shared.booking import cancellation, catalog, event_cancellation
from shared.runtime import Deadline
from shared.store import items
from tests.conftest import LogLines
from tests.operations.clock import at
from tests.protocol import filled

NO_TIME_S = 5.0  # shared.booking.background's reserve: no time is left for work


@pytest.fixture
def sold_out(office: Office) -> Event:
    """Return an event with one ticket: anna has it, ben and cleo wait."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    return event


def test_a_cancelled_event_is_emptied_in_the_background(sold_out: Event) -> None:
    """O3: all tickets and places are given up, as if each user had cancelled."""
    response = sold_out.cancel_event()
    assert (response.status, "emptiedAt" in response.json) == (202, False)
    assert sold_out.check().confirmed == {"anna"}
    sold_out.follows()
    assert {one["status"] for one in sold_out.check(drained=True).bookings} == {"CANCELLED"}
    assert sold_out.status("anna").json["booking"]["was"] == "CONFIRMED"
    assert sold_out.status("ben").json["booking"]["was"] == "WAITING"
    shown = sold_out.status().json
    assert (shown["availableTickets"], shown["bookedTickets"], shown["waitingListCount"]) == (1, 0, 0)
    assert response.json["cancelledAt"] == shown["cancelledAt"] < shown["emptiedAt"]


def test_repeating_a_cancellation_returns_the_same_moment(sold_out: Event) -> None:
    """P7: 202 until all bookings are cancelled, then 200."""
    first, again = sold_out.cancel_event(), sold_out.cancel_event()
    assert (again.status, again.json) == (202, first.json)
    sold_out.follows()
    done = sold_out.cancel_event()
    assert (done.status, done.json["cancelledAt"]) == (200, first.json["cancelledAt"])
    sold_out.follows()
    sold_out.check(drained=True)


def test_a_cancelled_event_gives_no_ticket_and_no_place(office: Office) -> None:
    """O3: neither on sale nor sold out; neither through a warm function nor through a cold one."""
    on_sale, waited_for = office.opens(tickets=2), office.opens(tickets=1)
    for event in (on_sale, waited_for):
        event.books("anna")
        event.books("ben" if event is waited_for else "anna")
        event.cancels_event()
        for memory in (True, False, True):
            if not memory:
                runtime.current.memory.clear()
            response = event.book("dora")
            assert (response.status, response.json["code"]) == (409, "event-cancelled")
            assert response.json["cancelledAt"] == event.status().json["cancelledAt"]
    assert "soldOutAt" not in on_sale.status().json
    assert on_sale.check().confirmed == {"anna"}
    assert waited_for.check().waiting == ["ben"]


def test_booking_again_returns_the_booking_until_it_is_cancelled(sold_out: Event) -> None:
    """200 while the user has a booking, 409 after that."""
    sold_out.cancels_event()
    assert [(sold_out.book(user).status, sold_out.book(user).json["status"]) for user in ("anna", "ben")] == [
        (200, "CONFIRMED"),
        (200, "WAITING"),
    ]
    sold_out.follows()
    assert [sold_out.book(user).json["code"] for user in ("anna", "ben")] == ["event-cancelled"] * 2


def test_users_may_cancel_themselves_and_no_user_is_promoted(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """O3: a ticket that comes back to a cancelled event stays free; P6 no longer applies."""
    sold_out.cancels_event()
    sold_out.cancels("anna")
    sold_out.promotes()
    with monkeypatch.context() as hurried:
        hurried.setattr("shared.booking.sweep.UNFINISHED_S_MAX", 0)
        functions.sweep.app.handler({}, Context())
    assert sold_out.check().waiting == ["ben", "cleo"]
    sold_out.cancels("ben")
    sold_out.follows()
    assert sold_out.check(drained=True).tickets_left == 1


def test_a_cancelled_event_cannot_be_changed(sold_out: Event) -> None:
    """PATCH returns 409 and changes nothing."""
    sold_out.cancels_event()
    response = sold_out.change(totalTickets=5, name="Another")
    assert (response.status, response.json["code"]) == (409, "event-cancelled")
    shown = sold_out.status().json
    assert (shown["totalTickets"], shown["name"]) == (1, "The concert")


def test_cancelling_an_unknown_event_returns_404(office: Office) -> None:
    """It does not make the event either."""
    nowhere = Event("nowhere", office.database)
    assert (nowhere.cancel_event().status, nowhere.cancel_event().json["code"]) == (404, "event-not-found")
    assert "Item" not in office.database.get_item(TableName=items.EVENTS, Key=items.event_key("nowhere"))


def test_an_event_that_is_not_emptied_in_time_fails_its_record(sold_out: Event) -> None:
    """Lambda repeats the record, and the next invocation goes on."""
    sold_out.cancels_event()
    record = {"dynamodb": {"Keys": {"eventId": {"S": sold_out.event_id}}, "SequenceNumber": "7"}}
    failed = functions.follow.app.handler({"Records": [record]}, Context(NO_TIME_S))
    assert failed == {"batchItemFailures": [{"itemIdentifier": "7"}]}
    assert sold_out.check().confirmed == {"anna"}
    sold_out.follows()
    sold_out.check(drained=True)


def test_emptying_goes_on_where_it_stopped(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes active bookings only; cancelled ones keep their moment."""
    event = office.opens(tickets=200)
    for n in range(cancellation.BOOKINGS_MAX * 3):
        event.books(f"user-{n}")
    event.cancels_event()
    transactions: list[int] = []
    cancel_all = cancellation.cancel_all

    def until_it_stops(*arguments: Any) -> int:
        if len(transactions) == 2:
            raise TimeoutError
        transactions.append(cancel_all(*arguments))
        return transactions[-1]

    with monkeypatch.context() as stopping:
        stopping.setattr(event_cancellation, "cancel_all", until_it_stops)
        with pytest.raises(TimeoutError):
            event_cancellation.empty(event.event_id, Deadline.after(30))
    found = event.check()
    done = {one["userId"]: one["cancelledAt"] for one in found.bookings if one["status"] == "CANCELLED"}
    assert len(done) == sum(transactions) < cancellation.BOOKINGS_MAX * 3
    event.follows()
    found = event.check(drained=True)
    assert done.items() <= {one["userId"]: one["cancelledAt"] for one in found.bookings}.items()


def test_the_sweep_empties_an_event_whose_record_was_lost(sold_out: Event, log_lines: LogLines) -> None:
    """It also audits the event."""
    sold_out.cancels_event()
    functions.sweep.app.handler({}, Context())
    sold_out.check(drained=True)
    lines = [line for line in log_lines() if line.get("event_id") == sold_out.event_id]
    assert [line["PromiseViolations"] for line in lines if "PromiseViolations" in line] == [0]
    assert not [line for line in lines if "StrandedAge" in line]


def test_the_sweep_reports_how_long_an_event_has_waited_to_be_emptied(
    sold_out: Event, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It drops once the event is emptied. Users who wait beside a free ticket of the event are not stranded."""
    with at(monkeypatch, seconds_ago=10**9):
        sold_out.cancels_event()
        sold_out.cancels("anna")
    with monkeypatch.context() as hurried:
        hurried.setattr("shared.booking.sweep.UNFINISHED_S_MAX", 0)
        functions.sweep.app.handler({}, Context())
    functions.sweep.app.handler({}, Context())
    first, second = (line["EmptyingAge"] for line in log_lines() if "EmptyingAge" in line)
    assert 10**9 <= first < 10**9 + 30
    assert second < 10**9
    assert not [line for line in log_lines() if "StrandedAge" in line and line["event_id"] == sold_out.event_id]


def test_the_sweep_spends_bounded_time_on_cancelled_events(
    sold_out: Event, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even an event with a million bookings leaves it time for its audits."""
    monkeypatch.setattr("shared.booking.sweep.UNFINISHED_S_MAX", 0)
    sold_out.cancels_event()
    functions.sweep.app.handler({}, Context())
    assert sold_out.check().confirmed == {"anna"}
    assert [
        one for one in log_lines() if one["message"] == "PromiseViolations" and one["event_id"] == sold_out.event_id
    ]
    monkeypatch.undo()
    functions.sweep.app.handler({}, Context())
    sold_out.check(drained=True)


def test_an_emptied_event_is_audited_for_an_hour(
    office: Office, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O3: the audit finds a booking that was written into the event after it was emptied."""
    event, older = office.opens(tickets=2), office.opens(tickets=2)
    with at(monkeypatch, seconds_ago=4_000):
        older.cancels_event()
        older.follows()
    event.cancels_event()
    event.follows()
    booking = filling.confirmed(catalog.read_event(event.event_id, Deadline.after(5)), ["mallory"])
    for table, item in booking:
        office.database.put_item(TableName=table, Item=item)
    functions.sweep.app.handler({}, Context())
    found = {line["promise"] for line in log_lines() if line.get("promise") and line["event_id"] == event.event_id}
    assert found == {"P1", "O3"}  # this event's only: other tests may leave broken promises
    assert older.event_id not in {line["event_id"] for line in log_lines() if line["message"] == "PromiseViolations"}
    office.events.remove(event)  # it breaks promises


def test_each_transaction_logs_one_line(sold_out: Event, log_lines: LogLines) -> None:
    """The line has counts, not users: a million lines would cost more than the work."""
    sold_out.cancels_event()
    sold_out.follows()
    lines = [(line["message"], line) for line in log_lines() if line.get("event_id") == sold_out.event_id]
    [(_, batch)] = [one for one in lines if one[0] == "BookingCancelled"]
    assert (batch["BookingCancelled"], batch["WaitingLeft"]) == (1, 2)
    assert [name for name, _ in lines].count("EventCancelled") == 1
    assert [name for name, _ in lines].count("EventEmptied") == 1


def test_cancelling_an_event_marks_the_event_and_each_lane(office: Office) -> None:
    """Two requests, and one for each lane: 98 for an event with 96 lanes."""
    event = office.opens(tickets=1_000_000)
    event.status()
    with metered() as meter:
        event.cancels_event()
    assert meter.requests == ["UpdateItem", "BatchGetItem", *["UpdateItem"] * 96]
    with metered() as meter:
        event.cancels_event()
    assert meter.requests == ["UpdateItem", "BatchGetItem"]


def test_a_record_of_a_cancelled_event_costs_one_request(sold_out: Event) -> None:
    """Each of a million cancellations calls the promoter, which has nothing to do."""
    sold_out.cancels_event()
    sold_out.cancels("anna")
    with metered() as meter:
        sold_out.promotes()
    assert (meter.requests, meter.write_units, meter.read_units) == (["BatchGetItem"], 0, 2)


def test_a_refusal_costs_one_read_once_the_function_knows_the_cancellation(office: Office) -> None:
    """The lane refuses the first request; then the function remembers the cancellation."""
    event = office.opens(tickets=1)
    before = catalog.read_event(event.event_id, Deadline.after(5))
    event.cancels_event()
    catalog.remember(before)  # as in another function, which read the event before
    for requests in (["TransactWriteItems", "GetItem"], ["GetItem"]):
        with metered() as meter:
            assert event.books("anna") == 409
        assert (meter.requests, meter.write_units) == (requests, 0)


@pytest.mark.timeout(300)  # seconds
def test_two_thousand_bookings_cost_what_two_hundred_cost(
    office: Office, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests and units per booking do not grow: half the bookings wait, and fixed costs spread over more bookings."""
    monkeypatch.setattr(event_cancellation, "BOOKINGS_PER_S_MAX", 10**9)
    few, many = _emptied_of(database, 200), _emptied_of(database, 2_000)
    assert many.write_units / 2_000 <= few.write_units / 200 < 3.2  # 2 each for bookings and entries
    assert many.read_units / 2_000 <= few.read_units / 200 < 0.12  # a unit is 4 KB, and a booking takes about 300 bytes
    assert len(many.requests) / 2_000 <= len(few.requests) / 200 < 0.1


def test_bookings_are_read_page_by_page(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one page of a lane is in memory."""
    monkeypatch.setattr(event_cancellation, "PAGE_BOOKINGS", 10)
    event = _with_bookings(database, 1_000)
    tracemalloc.start()
    event_cancellation.empty(event.event_id, Deadline.after(60))
    _, bytes_at_most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bytes_at_most < 1_000_000  # a thousand bookings are more than twice as much


def test_bookings_are_cancelled_at_a_bounded_rate(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that other events keep their share of the tables, even if the database takes no time."""
    slept: list[float] = []
    monkeypatch.setattr(runtime.current, "monotonic_s", lambda: sum(slept))
    monkeypatch.setattr(runtime.current, "sleep", slept.append)
    event = office.opens(tickets=200)
    for n in range(150):
        event.books(f"user-{n}")
    event.cancels_event()
    event.follows()
    assert sum(slept) == pytest.approx(150 / event_cancellation.BOOKINGS_PER_S_MAX)
    assert max(slept) <= cancellation.BOOKINGS_MAX / event_cancellation.BOOKINGS_PER_S_MAX + 1e-9


def _emptied_of(database: Any, bookings: int) -> Meter:
    """Empty an event with so many bookings. Return the requests that it took."""
    event = _with_bookings(database, bookings)
    with metered() as meter:
        event_cancellation.empty(event.event_id, Deadline.after(240))
    assert promises.check(database, event.event_id, drained=True).tickets_left == bookings // 2
    return meter


def _with_bookings(database: Any, bookings: int) -> model.Event:
    """Return a cancelled event with so many bookings on four lanes. Half of them wait."""
    users = [f"user-{n}" for n in range(bookings)]
    event = filled.sold_out(database, 4, users[: bookings // 2], users[bookings // 2 :])
    event_cancellation.cancel_event(event.event_id, Deadline.after(30))
    return event
