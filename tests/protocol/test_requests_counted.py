"""What each operation costs in DynamoDB: its requests, and the units that the engine reports.

The cost of one request does not depend on the number of lanes, events or bookings.
"""

import zlib
from unittest.mock import patch

import pytest

import functions.expire.app
from harness.gateway import Context
from harness.meter import metered
from harness.office import Event, Office, clock_ahead
from shared import runtime
from shared.booking import catalog, list_limit, listing, waiting_list
from shared.model import HOLD_SHARDS
from shared.runtime import Deadline
from shared.store import items

TAKE = ["TransactWriteItems"]
JOIN = ["UpdateItem", "Query", "TransactWriteItems"]


def _warm(event: Event) -> Event:
    """Let the functions cache the event, as warm ones do."""
    event.status()
    return event


def _entry(event: Event, sequence: int, stripes: int) -> dict[str, dict[str, str]]:
    facts = {name: items.text("x") for name in ("userId", "bookingId", "joinedAt")}
    stripe_id = items.text(f"{event.event_id}#{sequence % stripes}")
    return {"stripeId": stripe_id, "sequence": items.number(sequence), **facts}


def test_holding_is_one_request_and_six_write_units(office: Office) -> None:
    """2 units each for lane and booking (1 KB at a transaction's double price), 1 for each of two indexes."""
    event = _warm(office.opens(tickets=1000, holdSeconds=60))
    with metered() as meter:
        assert event.books("anna") == 201
    assert (meter.requests, meter.write_units, meter.read_units) == (TAKE, 6, 0)


def test_a_lane_has_seven_attributes_while_it_has_no_window_and_no_visitors(office: Office) -> None:
    """Every booking writes its lane, and the engine's time grows with the number of attributes."""
    event = office.opens(tickets=50)
    event.books("anna")
    [lane] = event.check().lanes
    assert lane.keys() == {"laneId", "tickets", "available", "waiting", "changes", "sale", "sweepId"}


def test_confirming_is_one_request_and_two_write_units(office: Office) -> None:
    """Confirm: 1 unit for the booking, outside a transaction, and 1 for the index of holds, which loses a row."""
    event = _warm(office.opens(tickets=1000, holdSeconds=60))
    booking_id = event.book("anna").json["bookingId"]
    with metered() as meter:
        assert event.confirm("anna", booking_id, reference="payment-1").status == 200
    assert (meter.requests, meter.write_units, meter.read_units) == (["UpdateItem"], 2, 0)
    with metered() as meter:
        assert event.confirm("anna", booking_id, reference="payment-1").status == 200
    assert meter.requests == ["UpdateItem", "GetItem"]  # refused, and the booking says why


def test_holds_of_one_lane_expire_ten_in_a_transaction(office: Office) -> None:
    """Expire: 2 units and 1 of the index for each hold, 2 for the lane of ten; and a query for each shard."""
    event = office.opens(tickets=50, holdSeconds=60)
    for n in range(30):
        event.books(f"user-{n}")
    with clock_ahead(120):
        functions.expire.app.handler({}, Context())  # holds of other tests, too
        assert event.check().tickets_left == 50
        for n in range(30):
            event.books(f"user-{n}")
    with clock_ahead(240), metered() as meter:
        assert functions.expire.app.handler({}, Context()) == {"expired": 30}
    shards = ["Query"] * HOLD_SHARDS
    assert sorted(meter.requests) == sorted([*shards, *TAKE * 3])
    assert meter.write_units == 30 * 3 + 3 * 2


def test_an_expiry_without_work_is_a_query_for_each_shard(office: Office) -> None:
    """It reads no hold that is not due."""
    event = office.opens(tickets=50, holdSeconds=60)
    event.books("anna")
    functions.expire.app.handler({}, Context())  # holds of other tests
    with metered() as meter:
        assert functions.expire.app.handler({}, Context()) == {"expired": 0}
    assert (meter.requests, meter.write_units) == (["Query"] * HOLD_SHARDS, 0)
    assert meter.read_units <= HOLD_SHARDS / 2


def test_a_cold_function_reads_the_event_once(office: Office) -> None:
    """The first booking of an event costs one more read."""
    event = office.opens(tickets=1000)
    with metered() as meter:
        event.books("anna")
        event.books("ben")
    assert (meter.requests, meter.write_units, meter.read_units) == (["GetItem", *TAKE, *TAKE], 10, 1)


def test_booking_again_on_sale_is_one_refused_request(office: Office) -> None:
    """The refusal contains the user's booking, so it needs no read."""
    event = _warm(office.opens(tickets=1000))
    event.books("anna")
    with metered() as meter:
        assert event.books("anna") == 200
    assert meter.requests == TAKE
    assert event.check().tickets_left == 999


def test_booking_after_a_cancellation_on_sale_is_a_refused_and_a_successful_request(office: Office) -> None:
    """The refusal shows the generation; the second try names it. The index loses one row and gets one."""
    event = _warm(office.opens(tickets=1000))
    event.books("anna")
    event.cancels("anna")
    with metered() as meter:
        assert event.books("anna") == 201
    # The refused response reports no units; AWS bills it like the other.
    assert (meter.requests, meter.write_units) == ([*TAKE, *TAKE], 6)


def test_selling_out_closes_each_lane_and_the_event_once(office: Office) -> None:
    """Close: one update for each lane, and one for the event."""
    event = _warm(office.opens(tickets=120))
    for n in range(120):
        event.books(f"user-{n}")
    with metered() as meter:
        assert event.books("late") == 202
    search, close = [*TAKE, "BatchGetItem"], ["UpdateItem"] * 3 + ["UpdateItem"]
    at_the_head = ["UpdateItem", "Query", "BatchGetItem", "TransactWriteItems"]
    assert meter.requests == [*search, *close, *at_the_head]


def test_a_function_that_missed_the_sell_out_does_not_repeat_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One read tells a warm function with an old event in its cache that the event is sold out."""
    event = _warm(office.opens(tickets=120))
    old_caches = {kind: dict(kept) for kind, kept in runtime.current.memory.items()}
    for n in range(121):
        event.books(f"user-{n}")
    monkeypatch.setattr(runtime.current, "memory", old_caches)
    with metered() as meter:
        assert event.books("late") == 202
    assert meter.requests == [*TAKE, "BatchGetItem", *JOIN]
    assert meter.write_units == 8  # all for joining
    with metered() as meter:
        assert event.books("later") == 202
    assert meter.requests == JOIN


def test_taking_from_another_lane_costs_a_refusal_and_a_read_more(office: Office) -> None:
    """The home lane is empty: one read of the event and its lanes, and a second transaction."""
    event = _warm(office.opens(tickets=60))
    at_home = [f"user-{n}" for n in range(200) if zlib.crc32(f"user-{n}".encode()) % 2 == 0]
    for user in at_home[:30]:
        event.books(user)
    with metered() as meter:
        assert event.books(at_home[30]) == 201
    assert meter.requests == [*TAKE, "BatchGetItem", *TAKE]
    assert (meter.write_units, meter.read_units) == (5, 3)  # the event and two lanes


@pytest.mark.parametrize(("tickets", "lanes"), [(1, 1), (120, 3), (1_000_000, 96)])
def test_opening_status_and_lists_cost_by_the_lane_and_a_booking_does_not(
    office: Office, tickets: int, lanes: int
) -> None:
    """Open: 2 units each for the event, its list's tail and its lanes, and 1 for the index.

    Status: 1 unit each for the event and its lanes, strongly consistent. A page of an empty list of bookings: a query
    for each lane, the most requests that a page takes. Take costs as much on one lane as on 96.
    """
    with metered() as meter:
        event = office.opens(tickets=tickets)
    assert (meter.requests, meter.write_units) == (TAKE, 2 * (2 + lanes) + 1)
    _warm(event)
    with metered() as meter:
        event.status()
    assert (meter.requests, meter.write_units, meter.read_units) == (["BatchGetItem"], 0, 1 + lanes)
    with metered() as meter:
        assert event.bookings().json == {"bookings": [], "nextCursor": None}
    assert (meter.requests, meter.read_units) == (["Query"] * lanes, lanes)
    assert lanes <= listing.QUERIES_MAX == 96
    with metered() as meter:
        event.books("anna")
    assert (meter.requests, meter.write_units, meter.read_units) == (TAKE, 5, 0)
    with metered() as meter:  # the event and the booking, but not the lanes
        office.bookings_of("anna", eventId=event.event_id)
    assert (meter.requests, meter.write_units, meter.read_units) == (["BatchGetItem"] * 2, 0, 2)


def test_joining_is_eight_write_units(office: Office) -> None:
    """Join: 1 unit for the number, 6 for booking, entry and count, and 1 for the index."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    with metered() as meter:
        assert event.books("cleo") == 202
    assert (meter.requests, meter.write_units, meter.read_units) == (JOIN, 8, 1)  # it reads the entries ahead


def test_joining_at_the_head_also_reads_the_lanes(office: Office) -> None:
    """If no user is ahead, a free ticket would be the user's."""
    event = office.opens(tickets=1)
    event.books("anna")
    event.books("ben")
    event.cancels("ben")
    with metered() as meter:
        assert event.books("cleo") == 202
    assert meter.requests == ["UpdateItem", "Query", "BatchGetItem", "TransactWriteItems"]
    assert meter.write_units == 8


def test_a_ticket_that_no_user_waits_for_is_taken_in_one_transaction(office: Office) -> None:
    """1 unit for the number of a place that stays unused; then as a booking on sale."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    for user in ("ben", "anna"):
        event.cancels(user)
    with metered() as meter:
        assert event.books("cleo") == 201
    assert meter.requests == ["UpdateItem", "Query", "BatchGetItem", *TAKE]
    assert meter.write_units == 1 + 5


def test_a_join_far_back_reads_the_front_of_the_list_once_a_second(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a thousand users join in a second, the front of the list is not read for each of them."""
    monkeypatch.setattr("shared.booking.waiting_list.POSITION_EXACT_MAX", 2)
    event = office.opens(tickets=1)
    for n in range(4):
        event.books(f"user-{n}")
    for n, read in enumerate([["Query"], [], []]):
        with metered() as meter:
            response = event.book(f"late-{n}").json
        assert meter.requests == ["UpdateItem", *read, *TAKE]
        assert (response["position"], response["positionIsEstimate"]) == (4 + n, True)
    near = event.status("user-2").json["booking"]
    assert (near["position"], "positionIsEstimate" in near) == (2, False)  # near the head, positions are always exact
    monkeypatch.setattr("shared.booking.waiting_list.FRONT_AGE_S_MAX", 0)
    with metered() as meter:
        event.books("latest")
    assert meter.requests == ["UpdateItem", "Query", *TAKE]


def test_a_warm_function_caches_a_bounded_number_of_lists(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """It drops the oldest one, whose front is then read again."""
    monkeypatch.setattr("shared.booking.waiting_list.POSITION_EXACT_MAX", 1)
    monkeypatch.setattr("shared.booking.waiting_list._fronts.maxsize", 2)
    lists = [office.opens(tickets=1) for _ in range(3)]
    for event in lists:
        for n in range(4):
            event.books(f"user-{n}")
    read = []
    for event in reversed(lists):
        with metered() as meter:
            event.books("late")
        read.append("Query" in meter.requests)
    assert read == [False, False, True]


@pytest.mark.parametrize(("tickets", "stripes"), [(1, 1), (250, 1), (300, 2), (800, 4)])
def test_the_head_of_the_list_is_read_from_each_stripe(office: Office, tickets: int, stripes: int) -> None:
    """An event with many lanes has up to four stripes. Each takes 500 joins a second."""
    event = office.opens(tickets=tickets)
    for sequence in range(1, 8):
        office.database.put_item(TableName=items.WAITING_LIST, Item=_entry(event, sequence, stripes))
    found = catalog.read_event(event.event_id, Deadline.after(5))
    with metered() as meter:
        head = waiting_list.head(found, 5, 6, Deadline.after(5))
    assert [entry.sequence for entry in head] == [1, 2, 3, 4, 5]
    assert (meter.requests, meter.read_units) == (["Query"] * stripes, stripes)
    office.events.clear()  # no user made these bookings


def test_users_who_come_back_load_the_lists_counter_once_in_ten_seconds(office: Office) -> None:
    """After the first of them the function reads bookings first, until none has come back for ten seconds."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "cleo"):
        event.books(user)

    def again(user: str) -> list[str]:
        with metered() as meter:
            assert event.books(user) == 200
        return meter.requests

    drawn, read = [*JOIN, "Query"], ["GetItem", "Query"]
    assert [again(user) for user in ("ben", "cleo", "ben")] == [drawn, read, read]
    event.cancels("ben")
    for user in ("dora", "ben"):  # a booking that has ended is not asked for again
        with metered() as meter:
            assert event.books(user) == 202
        assert meter.requests == ["GetItem", *JOIN]
    found, begun_s = [], runtime.current.monotonic_s()
    for ahead_s in (9, 18, 29):
        with patch.object(runtime.current, "monotonic_s", lambda moment_s=begun_s + ahead_s: moment_s):
            found.append(again("cleo"))
    assert found == [read, read, drawn]


def test_a_user_who_comes_back_after_leaving_counts_as_one_who_comes_back(office: Office) -> None:
    """The refused transaction shows the generation; the second names it, with a new number."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    requests = []
    for user in ("ben", "cleo"):
        event.cancels(user)
        with metered() as meter:
            assert event.books(user) == 202
        requests.append(meter.requests)
    assert requests == [[*JOIN, *JOIN], ["GetItem", *JOIN]]


def test_a_refusal_that_the_function_knows_is_one_read(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a user who came back, whose booking is not the first: of a full list, and of a cancelled event."""
    monkeypatch.setattr(list_limit, "COUNT_AGE_S_MAX", 60)
    event = office.opens(tickets=1, waitingListLimit=0)
    event.books("anna")
    event.cancels("anna")
    event.books("ben")
    assert event.books("cleo") == 409
    for code in ("waiting-list-full", "event-cancelled"):
        with metered() as meter:
            assert event.book("anna").json["code"] == code
        assert meter.requests == ["GetItem"]
        event.cancels_event()


def test_releasing_is_four_write_units(office: Office) -> None:
    """Release: 2 units each for the booking and its home lane."""
    event = office.opens(tickets=1)
    event.books("anna")
    with metered() as meter:
        event.cancels("anna")
    assert (meter.requests, meter.write_units, meter.read_units) == (["GetItem", "TransactWriteItems"], 4, 1)


def test_leaving_is_six_write_units(office: Office) -> None:
    """Leave: 2 units each for the booking, its entry and its home lane."""
    event = office.opens(tickets=1)
    event.books("anna")
    event.books("ben")
    with metered() as meter:
        event.cancels("ben")
    assert (meter.requests, meter.write_units, meter.read_units) == (["GetItem", "TransactWriteItems"], 6, 1)


@pytest.mark.parametrize("released", [1, 2, 5])
def test_several_promotions_are_one_transaction(office: Office, released: int) -> None:
    """Promote: 2 units each for bookings, entries and the lane. Settling reads the lanes again at its end."""
    event = office.opens(tickets=5)
    for n in range(20):
        event.books(f"user-{n}")
    for n in range(released):
        event.cancels(f"user-{n}")
    with metered() as meter:
        event.promotes()
    read = ["BatchGetItem"] * 2  # the event with the end of its list, then the lanes
    assert meter.requests == [*read, "Query", "TransactWriteItems", *read]
    assert meter.write_units == 4 * released + 2
    assert event.check(drained=True).waiting == [f"user-{n}" for n in range(5 + released, 20)]


def test_a_record_without_work_costs_one_request(office: Office) -> None:
    """Promoter: 1 unit each for the event, which is on sale, and the end of its list."""
    event = _warm(office.opens(tickets=2))
    with metered() as meter:
        event.promotes()
    assert (meter.requests, meter.write_units, meter.read_units) == (["BatchGetItem"], 0, 2)


@pytest.mark.parametrize(("bookings", "requests", "read_units"), [(1, 2, 2.5), (50, 2, 101), (51, 3, 103)])
def test_a_users_bookings_are_a_query_and_a_read_for_each_fifty(
    office: Office, bookings: int, requests: int, read_units: float
) -> None:
    """Two units for each booking: itself and its event. Reading the index costs half as much."""
    user = f"user of {bookings}"
    for _ in range(bookings):
        office.opens(tickets=1).books(user)
    with metered() as meter:
        assert len(office.bookings_of(user, limit="100").json["bookings"]) == bookings
    assert meter.requests == ["Query", *["BatchGetItem"] * (requests - 1)]
    assert meter.write_units == 0
    assert meter.read_units == pytest.approx(read_units, abs=2)


def test_positions_on_a_page_are_a_query_each_up_to_ten(office: Office) -> None:
    """Each waiting list has one stripe here. The eleventh position is for the next page."""
    for _ in range(12):
        event = office.opens(tickets=1)
        event.books("holder")
        event.books("wanda")
    with metered() as meter:
        page = office.bookings_of("wanda").json
    assert len(page["bookings"]) == listing.POSITIONS_MAX
    assert meter.requests == ["Query", "BatchGetItem", *["Query"] * listing.POSITIONS_MAX]
    with metered() as meter:
        assert len(office.bookings_of("wanda", cursor=page["nextCursor"]).json["bookings"]) == 2
    assert meter.requests == ["Query", "BatchGetItem", "Query", "Query"]


def test_a_page_of_events_is_two_requests(office: Office) -> None:
    """One unit for each event, whatever its size, because no lane is read."""
    for _ in range(40):
        office.opens(tickets=1)
    for limit in (1, 40):
        with metered() as meter:
            assert len(office.lists_events(limit=str(limit)).json["events"]) == limit
        assert meter.requests == ["Query", "BatchGetItem"]
        assert meter.read_units == pytest.approx(limit + 0.5, abs=1.5)


def test_a_page_of_an_events_bookings_is_one_query_for_each_lane_on_it(office: Office) -> None:
    """Strongly consistent: one unit for 4 KB, about 15 bookings. The event itself is cached."""
    event = _warm(office.opens(tickets=100))
    for n in range(100):
        event.books(f"user-{n}")
    on_lane = [sum(zlib.crc32(f"user-{n}".encode()) % 2 == lane for n in range(100)) for lane in (0, 1)]
    assert min(on_lane) > 10
    for limit, queries in ((10, 1), (on_lane[0] + 1, 2), (100, 2)):
        with metered() as meter:
            assert len(event.bookings(limit=str(limit)).json["bookings"]) == limit
        assert meter.requests == ["Query"] * queries
        assert meter.read_units <= queries * (1 + limit / 15)


@pytest.mark.parametrize(("tickets", "stripes"), [(1, 1), (300, 2)])
def test_a_page_of_the_waiting_list_is_a_query_for_each_stripe(office: Office, tickets: int, stripes: int) -> None:
    """The length of the list does not matter."""
    event = _warm(office.opens(tickets=tickets))
    for sequence in range(1, 60):
        office.database.put_item(TableName=items.WAITING_LIST, Item=_entry(event, sequence, stripes))
    for limit in (1, 25, 100):
        with metered() as meter:
            assert len(event.waiting_list(limit=str(limit)).json["entries"]) == min(limit, 59)
        assert (meter.requests, meter.write_units) == (["Query"] * stripes, 0)
        assert stripes <= meter.read_units <= 3 * stripes
    office.events.clear()  # no user made these bookings


def test_a_warm_function_caches_a_bounded_number_of_events(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """It drops the oldest event, which is then read again."""
    monkeypatch.setattr(vars(catalog)["_known"], "maxsize", 2)
    opened = [_warm(office.opens(tickets=1)) for _ in range(3)]
    with metered() as meter:
        opened[2].status()
        opened[0].status()
    assert meter.requests == ["BatchGetItem", "GetItem", "BatchGetItem"]
