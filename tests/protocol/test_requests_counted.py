"""What each transaction asks of DynamoDB: requests and units, as the engine reports them.

The figures of one request do not depend on how many lanes, events or bookings there are.
"""

import zlib

import pytest

from harness.meter import metered
from harness.office import Event, Office
from shared import runtime
from shared.booking import catalog, listing, waiting_list
from shared.store import items
from shared.store.dynamodb import Deadline

TAKE = ["TransactWriteItems"]


def _warm(event: Event) -> Event:
    """Let the functions know the event, as warm ones do."""
    event.status()
    return event


def _entry(event: Event, sequence: int, stripes: int) -> dict[str, dict[str, str]]:
    facts = {name: items.text("x") for name in ("userId", "bookingId", "joinedAt")}
    stripe_id = items.text(f"{event.event_id}#{sequence % stripes}")
    return {"stripeId": stripe_id, "sequence": items.number(sequence), **facts}


def test_booking_on_sale_is_one_request_and_five_write_units(office: Office) -> None:
    """Take: the lane and the booking, twice 1 KB, each at the double price of a transaction; one for the index."""
    event = _warm(office.opens(tickets=1000))
    with metered() as meter:
        assert event.books("anna") == 201
    assert (meter.requests, meter.write_units, meter.read_units) == (TAKE, 5, 0)


def test_a_cold_function_reads_the_event_once(office: Office) -> None:
    """One more read for the first booking of an event; none after it."""
    event = office.opens(tickets=1000)
    with metered() as meter:
        event.books("anna")
        event.books("ben")
    assert (meter.requests, meter.write_units, meter.read_units) == (["GetItem", *TAKE, *TAKE], 10, 1)


def test_booking_again_on_sale_is_one_refused_request(office: Office) -> None:
    """The refusal carries the booking that stands: no second read."""
    event = _warm(office.opens(tickets=1000))
    event.books("anna")
    with metered() as meter:
        assert event.books("anna") == 200
    assert meter.requests == TAKE
    assert event.check().tickets_left == 999


def test_coming_back_on_sale_is_a_refused_and_a_successful_request(office: Office) -> None:
    """The refusal tells the booking number; the second try names it. In the index, one row goes and one comes."""
    event = _warm(office.opens(tickets=1000))
    event.books("anna")
    event.cancels("anna")
    with metered() as meter:
        assert event.books("anna") == 201
    # Of the refused one the answer says no units; AWS bills it as it does the other.
    assert (meter.requests, meter.write_units) == ([*TAKE, *TAKE], 6)


def test_the_sold_out_turn_closes_each_lane_and_the_event_once(office: Office) -> None:
    """Close: one unit for each lane, and two for the event with its sparse index."""
    event = _warm(office.opens(tickets=120))
    for n in range(120):
        event.books(f"user-{n}")
    with metered() as meter:
        assert event.books("late") == 202
    look, close = [*TAKE, "BatchGetItem"], ["UpdateItem"] * 3 + ["UpdateItem"]
    join = ["GetItem", "UpdateItem", "TransactWriteItems", "Query"]
    settle_and_look_again = ["GetItem", "BatchGetItem", "GetItem", "Query"]
    assert meter.requests == [*look, *close, *join, *settle_and_look_again]


def test_who_missed_the_sold_out_turn_does_not_repeat_it(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warm function that knows the event as it was learns from one read that it is sold out, and writes nothing."""
    event = _warm(office.opens(tickets=120))
    as_it_was = {kind: dict(kept) for kind, kept in runtime.current.memory.items()}
    for n in range(121):
        event.books(f"user-{n}")
    monkeypatch.setattr(runtime.current, "memory", as_it_was)
    with metered() as meter:
        assert event.books("late") == 202
    join = ["GetItem", "UpdateItem", "TransactWriteItems", "Query"]
    assert meter.requests == [*TAKE, "BatchGetItem", *join]
    assert meter.write_units == 8  # those of joining
    with metered() as meter:
        assert event.books("later") == 202
    assert meter.requests == join


def test_taking_from_another_lane_is_a_refusal_and_a_read_more(office: Office) -> None:
    """The home lane is empty: one read of the event and its lanes, one more transaction."""
    event = _warm(office.opens(tickets=60))
    at_home = [f"user-{n}" for n in range(200) if zlib.crc32(f"user-{n}".encode()) % 2 == 0]
    for user in at_home[:30]:
        event.books(user)
    with metered() as meter:
        assert event.books(at_home[30]) == 201
    assert meter.requests == [*TAKE, "BatchGetItem", *TAKE]
    assert (meter.write_units, meter.read_units) == (5, 3)  # the event and two lanes


@pytest.mark.parametrize(("tickets", "lanes"), [(1, 1), (120, 3), (1_000_000, 96)])
def test_opening_an_event_is_one_transaction(office: Office, tickets: int, lanes: int) -> None:
    """Open: the event, its list's tail and its lanes, two units each, all or nothing; one for the index."""
    with metered() as meter:
        office.opens(tickets=tickets)
    assert (meter.requests, meter.write_units) == (TAKE, 2 * (2 + lanes) + 1)


def test_joining_is_eight_write_units(office: Office) -> None:
    """Join: one for the number, six for booking, entry and count, one for the index. The rest reads."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    with metered() as meter:
        assert event.books("cleo") == 202
    assert meter.requests == ["GetItem", "UpdateItem", "TransactWriteItems", "Query"]
    assert meter.write_units == 8
    assert meter.read_units == 2  # the booking that is not there, and who is ahead


def test_a_join_far_back_reads_the_front_of_the_list_once_a_second(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a thousand join a second, the first places of the list are not read for each of them."""
    monkeypatch.setattr("shared.booking.waiting_list.POSITION_EXACT_MAX", 2)
    event = office.opens(tickets=1)
    for n in range(4):
        event.books(f"user-{n}")
    join = ["GetItem", "UpdateItem", "TransactWriteItems"]
    for n, read in enumerate([["Query"], [], []]):
        with metered() as meter:
            answer = event.book(f"late-{n}").json
        assert meter.requests == [*join, *read]
        assert (answer["position"], answer["positionIsEstimate"]) == (4 + n, True)
    near = event.status("user-2").json["booking"]
    assert (near["position"], "positionIsEstimate" in near) == (2, False)  # who is near the head is always counted
    monkeypatch.setattr("shared.booking.waiting_list.FRONT_AGE_MAX_S", 0)
    with metered() as meter:
        event.books("latest")
    assert meter.requests == [*join, "Query"]


def test_a_warm_function_remembers_so_many_lists(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten when there are too many: its front is read again."""
    monkeypatch.setattr("shared.booking.waiting_list.POSITION_EXACT_MAX", 1)
    monkeypatch.setattr("shared.booking.waiting_list._fronts.most", 2)
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


@pytest.mark.parametrize(("tickets", "stripes"), [(1, 1), (250, 1), (300, 2), (800, 4), (1_000_000, 4)])
def test_the_head_of_the_list_is_read_from_each_stripe(office: Office, tickets: int, stripes: int) -> None:
    """An event with many lanes has up to four, each good for 500 joins a second."""
    event = office.opens(tickets=tickets)
    for sequence in range(1, 8):
        office.database.put_item(TableName=items.WAITING_LIST, Item=_entry(event, sequence, stripes))
    found = catalog.read_event(event.event_id, Deadline.after(5))
    with metered() as meter:
        head = waiting_list.head(found, 5, 6, Deadline.after(5))
    assert [entry.sequence for entry in head] == [1, 2, 3, 4, 5]
    assert (meter.requests, meter.read_units) == (["Query"] * stripes, stripes)
    office.events.clear()  # nobody made these bookings


def test_asking_again_while_waiting_writes_nothing(office: Office) -> None:
    """People who ask again and again do not wear out the event's counter."""
    event = office.opens(tickets=1)
    for user in ("anna", "ben"):
        event.books(user)
    with metered() as meter:
        assert event.books("ben") == 200
    assert (meter.requests, meter.write_units) == (["GetItem", "Query"], 0)


def test_releasing_is_four_write_units(office: Office) -> None:
    """Release: the booking and its home lane."""
    event = office.opens(tickets=1)
    event.books("anna")
    with metered() as meter:
        event.cancels("anna")
    assert (meter.requests, meter.write_units, meter.read_units) == (["GetItem", "TransactWriteItems"], 4, 1)


def test_leaving_is_six_write_units(office: Office) -> None:
    """Leave: the booking, its entry and its home lane."""
    event = office.opens(tickets=1)
    event.books("anna")
    event.books("ben")
    with metered() as meter:
        event.cancels("ben")
    assert (meter.requests, meter.write_units, meter.read_units) == (["GetItem", "TransactWriteItems"], 6, 1)


@pytest.mark.parametrize("released", [1, 2, 5])
def test_promoting_is_one_transaction_for_all(office: Office, released: int) -> None:
    """Promote: booking and entry of each, and the lane; lanes and list are read once, and the lanes again to stop."""
    event = office.opens(tickets=5)
    for n in range(20):
        event.books(f"user-{n}")
    for n in range(released):
        event.cancels(f"user-{n}")
    with metered() as meter:
        event.promotes()
    look = ["GetItem", "BatchGetItem"]
    assert meter.requests == [*look, "Query", "TransactWriteItems", *look]
    assert meter.write_units == 4 * released + 2
    assert event.check(drained=True).waiting == [f"user-{n}" for n in range(5 + released, 20)]


def test_a_hint_without_work_costs_one_read(office: Office) -> None:
    """Promoter: a ticket released on sale has nobody waiting for it."""
    event = _warm(office.opens(tickets=2))
    with metered() as meter:
        event.promotes()
    assert (meter.requests, meter.write_units, meter.read_units) == (["GetItem"], 0, 1)


@pytest.mark.parametrize(("tickets", "lanes"), [(1, 1), (120, 3), (1_000_000, 96)])
def test_status_is_one_request_that_reads_each_lane(office: Office, tickets: int, lanes: int) -> None:
    """Status: consistent, one unit a lane, and one for the event, of which more may change than what is left."""
    event = _warm(office.opens(tickets=tickets))
    with metered() as meter:
        event.status()
    assert (meter.requests, meter.write_units, meter.read_units) == (["BatchGetItem"], 0, 1 + lanes)


@pytest.mark.parametrize(
    ("bookings", "requests", "read_units"), [(1, 2, 2.5), (50, 2, 101), (51, 3, 103), (100, 3, 201)]
)
def test_a_users_bookings_are_a_query_and_a_read_for_each_fifty(
    office: Office, bookings: int, requests: int, read_units: float
) -> None:
    """Each is two units: the booking, and the event for its name. The index is read at half the price."""
    user = f"user of {bookings}"
    for _ in range(bookings):
        office.opens(tickets=1).books(user)
    with metered() as meter:
        assert len(office.bookings_of(user, limit="100").json["bookings"]) == bookings
    assert meter.requests == ["Query", *["BatchGetItem"] * (requests - 1)]
    assert meter.write_units == 0
    assert meter.read_units == pytest.approx(read_units, abs=2)


def test_positions_on_a_page_are_a_query_each_up_to_ten(office: Office) -> None:
    """Of each waiting list its one stripe; the eleventh is for the next page."""
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


def test_a_booking_on_one_event_is_two_reads(office: Office) -> None:
    """The event and the booking; not its lanes, as the status."""
    event = office.opens(tickets=1_000_000)
    event.books("anna")
    with metered() as meter:
        office.bookings_of("anna", eventId=event.event_id)
    assert (meter.requests, meter.write_units, meter.read_units) == (["BatchGetItem"] * 2, 0, 2)


@pytest.mark.parametrize("limit", [1, 25, 100])
def test_a_page_of_events_is_two_requests(office: Office, limit: int) -> None:
    """One unit for each event, whatever its size: no lane is read."""
    for _ in range(limit):
        office.opens(tickets=1)
    with metered() as meter:
        assert len(office.lists_events(limit=str(limit)).json["events"]) == limit
    assert meter.requests == ["Query", "BatchGetItem"]
    assert meter.read_units == pytest.approx(limit + 0.5, abs=1.5)


def test_a_page_of_an_events_bookings_is_a_query_for_each_lane_that_it_reads(office: Office) -> None:
    """Consistent: a unit for 4 KB, some 15 bookings. The event is in the function's memory."""
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


def test_the_bookings_of_an_empty_event_are_a_query_for_each_lane(office: Office) -> None:
    """The most that a page asks."""
    event = _warm(office.opens(tickets=1_000_000))
    with metered() as meter:
        event.bookings()
    assert meter.requests == ["Query"] * 96 == ["Query"] * listing.QUERIES_MAX
    assert meter.read_units == 96, "strongly consistent"


@pytest.mark.parametrize(("tickets", "stripes"), [(1, 1), (300, 2)])
def test_a_page_of_the_waiting_list_is_a_query_for_each_stripe(office: Office, tickets: int, stripes: int) -> None:
    """However long the list is."""
    event = _warm(office.opens(tickets=tickets))
    for sequence in range(1, 60):
        office.database.put_item(TableName=items.WAITING_LIST, Item=_entry(event, sequence, stripes))
    for limit in (1, 25, 100):
        with metered() as meter:
            assert len(event.waiting_list(limit=str(limit)).json["entries"]) == min(limit, 59)
        assert (meter.requests, meter.write_units) == (["Query"] * stripes, 0)
        assert stripes <= meter.read_units <= 3 * stripes
    office.events.clear()  # nobody made these bookings


def test_the_cost_of_a_booking_does_not_grow_with_the_lanes(office: Office) -> None:
    """Take costs the same on one lane and on 96."""
    costs = []
    for tickets in (10, 1_000_000):
        event = _warm(office.opens(tickets=tickets))
        with metered() as meter:
            event.books("anna")
        costs.append((meter.requests, meter.write_units, meter.read_units))
    assert costs[0] == costs[1]


def test_known_events_are_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warm function forgets the oldest event when it knows too many."""
    monkeypatch.setattr(vars(catalog)["_known"], "most", 2)
    opened = [_warm(office.opens(tickets=1)) for _ in range(3)]
    with metered() as meter:
        opened[2].status()
        opened[0].status()
    assert meter.requests == ["BatchGetItem", "GetItem", "BatchGetItem"]
