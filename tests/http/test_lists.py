"""The lists: a user's bookings, the events, an event's bookings and waiting list, page by page."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

import functions.bookings.app
import functions.event_bookings.app
import functions.events.app
import functions.waiting_list.app
from harness import promises
from harness.gateway import Response, call
from harness.meter import metered
from harness.office import Event, Office
from shared.booking import listing
from shared.edge import pages
from shared.edge.pages import LIMIT, LIMIT_MAX
from shared.store import dynamodb, items
from tests.http.test_contract import assert_problem

BOOKINGS, EVENTS, EVENT_BOOKINGS, WAITING_LIST = (
    functions.bookings.app,
    functions.events.app,
    functions.event_bookings.app,
    functions.waiting_list.app,
)
OF_EVENTS = [EVENT_BOOKINGS, WAITING_LIST]
Row = dict[str, Any]


def rows_of(answer: Response) -> list[Row]:
    """Return the rows of a page."""
    assert answer.status == 200, answer.text
    [name] = answer.json.keys() - {"nextCursor"}
    rows: list[Row] = answer.json[name]
    return rows


def walk(ask: Callable[..., Response], **query: str) -> Iterator[list[Row]]:
    """Yield the rows of each page, up to the last."""
    answer = ask(**query)
    yield rows_of(answer)
    while answer.json["nextCursor"] is not None:
        answer = ask(**query, cursor=answer.json["nextCursor"])
        yield rows_of(answer)


def flat(pages: Iterable[list[Row]]) -> list[Row]:
    """Return the rows of pages."""
    return list(chain.from_iterable(pages))


def every(ask: Callable[..., Response], **query: str) -> list[Row]:
    """Return the rows of all pages."""
    return flat(walk(ask, **query))


def of(office: Office, user: str) -> Callable[..., Response]:
    """Ask for a user's bookings."""
    return lambda **query: office.bookings_of(user, **query)


def ids(rows: list[Row]) -> list[str]:
    """Return the ids of the events in these rows."""
    return [row["eventId"] for row in rows]


# ---------------------------------------------------------------- a user's bookings


def test_a_users_bookings_have_the_usual_fields_and_the_name_of_the_event(office: Office) -> None:
    """The newest comes first. A waiting booking has its position."""
    opera, play, film = (office.opens(tickets=1, name=name) for name in ("Opera", "Play", "Film"))
    for event, first in ((opera, "mona"), (play, "ben"), (film, "mona")):
        event.books(first)
        event.books("mona")
    play.books("cleo")
    film.cancels("mona")
    answer = office.bookings_of("mona")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json["nextCursor"] is None
    found = rows_of(answer)
    assert [row.pop("eventName") for row in found] == ["Film", "Play", "Opera"]
    assert found == [event.status("mona").json["booking"] for event in (film, play, opera)]
    assert [row["status"] for row in found] == ["CANCELLED", "WAITING", "CONFIRMED"]
    assert found[1]["position"] == 1


def test_a_user_who_never_booked_has_no_bookings(office: Office) -> None:
    """The list is empty and has no bookings of other users. It is not an error."""
    office.opens(tickets=1).books("nina")
    assert office.bookings_of("nin").json == {"bookings": [], "nextCursor": None}
    assert office.bookings_of("nina a").json["bookings"] == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_of_any_length_are_the_whole_list(office: Office, limit: int) -> None:
    """Each booking is there once, in one order. Only the last page may be short, and it has no cursor."""
    user = f"olaf-{limit}"
    opened = [office.opens(tickets=1) for _ in range(7)]
    for event in opened:
        event.books(user)
    found = list(walk(of(office, user), limit=str(limit)))
    assert ids(flat(found)) == [event.event_id for event in reversed(opened)]
    assert {len(page) for page in found[:-1]} <= {limit}
    assert len(found) == -(-7 // limit)


def test_a_booking_keeps_its_place_until_its_user_comes_back(office: Office) -> None:
    """The index has one row for each, by the time of the booking. Promotion and cancellation do not change it."""
    first, second = office.opens(tickets=1), office.opens(tickets=1)
    for event in (first, second):
        event.books("holder")
        event.books("pia")
    first.cancels("holder")
    first.promotes()
    second.cancels("pia")
    assert [row["status"] for row in every(of(office, "pia"))] == ["CANCELLED", "CONFIRMED"]
    assert ids(every(of(office, "pia"))) == [second.event_id, first.event_id]
    [promoted] = [item for item in _stored(office, first) if item["userId"]["S"] == "pia"]
    assert items.to_booking(promoted).created_at == promoted["createdAt"]["S"] < promoted["bookedAt"]["S"]
    first.cancels("pia")
    assert ids(every(of(office, "pia"))) == [second.event_id, first.event_id]
    for _ in range(3):
        assert first.books("pia") == 201
        first.cancels("pia")
    assert ids(every(of(office, "pia"), limit="1")) == [first.event_id, second.event_id]
    for event in (first, second):
        assert promises.unlisted(office.database, event.check()) == []


def _stored(office: Office, event: Event) -> list[dict[str, Any]]:
    lane = items.partition(items.BOOKINGS, "laneId", items.lane_id(event.event_id, 0))
    found: list[dict[str, Any]] = office.database.query(**lane)["Items"]
    return found


def test_a_page_ends_before_it_would_count_too_many_positions(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each position reads a part of a waiting list. The next page continues, and no booking is left out."""
    monkeypatch.setattr(listing, "POSITIONS_MAX", 2)
    opened = [office.opens(tickets=1) for _ in range(7)]
    waits = (True, False, True, True, True, True, False)
    for event, waiting in zip(opened, waits, strict=True):
        if waiting:
            event.books("holder")
        event.books("quin")
    found = list(walk(of(office, "quin")))
    assert [[row["status"] == "WAITING" for row in page] for page in found] == [
        [False, True, True],
        [True, True, False],
        [True],
    ]
    assert ids(flat(found)) == [event.event_id for event in reversed(opened)]
    assert {row["position"] for row in flat(found) if row["status"] == "WAITING"} == {1}


def test_a_user_who_came_back_is_listed_once_while_the_index_is_late(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index may still have the row of the earlier booking; both rows lead to the same booking."""
    event = office.opens(tickets=1)
    event.books("rosa")
    index = {"TableName": items.BOOKINGS, "IndexName": items.BY_USER_INDEX}
    query = dynamodb.query

    def late(*deadline: Any, **request: Any) -> dict[str, Any]:
        page = query(*deadline, **request)
        if request.items() >= index.items():
            page["Items"] += [row | {"createdAt": items.text("2026-01-01T00:00:00.000Z")} for row in page["Items"]]
        return page

    monkeypatch.setattr(dynamodb, "query", late)
    assert [row["bookingId"] for row in rows_of(office.bookings_of("rosa"))] == [
        event.status("rosa").json["booking"]["bookingId"]
    ]


@pytest.mark.parametrize("user", ["sven", "ü & ö", "a+b", "a/b?c=d#e", "100 %", "'; --", 7])
def test_the_response_to_book_says_where_the_booking_is(office: Office, user: str | int) -> None:
    """At once, without an index. A repetition gets the same address."""
    event = office.opens(tickets=1)
    first, again = event.book(user), event.book(user)
    waiting = event.book(f"{user} 2")
    assert [first.status, again.status, waiting.status] == [201, 200, 202]
    assert first.headers["location"] == again.headers["location"]
    for booked in (first, waiting):
        where = urlsplit(booked.headers["location"])
        assert where.path == "/bookings"
        query = dict(parse_qsl(where.query, strict_parsing=True))
        assert query == {"userId": booked.json["userId"], "eventId": event.event_id}
        found = call(BOOKINGS, query=query).json
        assert found == {"bookings": [booked.json | {"eventName": "The concert"}], "nextCursor": None}


def test_a_booking_is_found_by_its_address_before_it_is_in_the_index(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index may be late; the address of a booking must not be."""
    event = office.opens(tickets=1)
    event.books("tina")
    monkeypatch.setattr(dynamodb, "query", lambda *_, **__: {"Items": []})
    assert rows_of(office.bookings_of("tina")) == []
    assert [row["status"] for row in rows_of(office.bookings_of("tina", eventId=event.event_id))] == ["CONFIRMED"]


def test_a_user_without_a_booking_on_an_event_gets_an_empty_list(office: Office) -> None:
    """An unknown event is 404."""
    event = office.opens(tickets=1)
    assert office.bookings_of("nobody", eventId=event.event_id).json == {"bookings": [], "nextCursor": None}
    assert_problem(office.bookings_of("nobody", eventId="nowhere"), 404, "event-not-found")


def test_a_page_may_need_several_database_requests(office: Office) -> None:
    """A hundred bookings and their events are two hundred items."""
    opened = [office.opens(tickets=1) for _ in range(LIMIT_MAX + 1)]
    for event in opened:
        event.books("uma")
    first, last = walk(of(office, "uma"), limit=str(LIMIT_MAX))
    assert ids(first + last) == [event.event_id for event in reversed(opened)]
    assert len(rows_of(office.bookings_of("uma"))) == LIMIT


def test_a_users_bookings_on_a_cancelled_event_say_that_it_is(office: Office) -> None:
    """At once. Each booking stays until the background cancels it."""
    event, other = office.opens(tickets=1, name="Opera"), office.opens(tickets=1)
    other.books("zoe")
    for user in ("zoe", "abel", "bea"):
        event.books(user)
    event.cancels("bea")
    event.changes(name="Operetta")
    event.cancels_event()
    cancelled_at = event.status().json["cancelledAt"]
    users = ("zoe", "abel", "bea")
    before = [rows_of(office.bookings_of(user))[0] for user in users]
    assert [row["status"] for row in before] == ["CONFIRMED", "WAITING", "CANCELLED"]
    assert before[1]["position"] == 1
    event.follows()
    after = [rows_of(office.bookings_of(user, eventId=event.event_id))[0] for user in users]
    assert [(row["status"], row["was"]) for row in after] == [
        ("CANCELLED", "CONFIRMED"),
        ("CANCELLED", "WAITING"),
        ("CANCELLED", "WAITING"),
    ]
    assert {(row["eventName"], row["eventCancelledAt"]) for row in before + after} == {("Operetta", cancelled_at)}
    assert [row["cancelledAt"] >= cancelled_at for row in after] == [True, True, False]
    assert ids(every(of(office, "zoe"))) == [event.event_id, other.event_id]
    assert "eventCancelledAt" not in rows_of(office.bookings_of("zoe"))[1]


# ---------------------------------------------------------------- the events


def test_the_newest_events_are_listed_first(office: Office) -> None:
    """Their settings and links. Counts would have to be read from the lanes of each."""
    older, newer = office.opens(tickets=1, name="Older"), office.opens(tickets=200, name="Newer")
    older.books("anna")
    older.books("ben")
    found = rows_of(office.lists_events(limit="2"))
    for row, event, name, tickets in zip(found, (newer, older), ("Newer", "Older"), (200, 1), strict=True):
        status = event.status().json
        below = f"/events/{event.event_id}"
        assert row == {
            "eventId": event.event_id,
            "name": name,
            "totalTickets": tickets,
            "createdAt": status["createdAt"],
            "ticketsPerBooking": 1,
            **({"soldOutAt": row["soldOutAt"]} if "soldOutAt" in row else {}),
            "links": {
                "status": f"/status/{event.event_id}",
                "bookings": f"{below}/bookings",
                "waitingList": f"{below}/waiting-list",
            },
        }
    assert "soldOutAt" not in found[0]
    assert found[1]["soldOutAt"] == older.check().event["soldOutAt"]


FACTS = ("name", "totalTickets", "opensAt", "closesAt", "waitingListLimit", "soldOutAt", "cancelledAt", "emptiedAt")


def _facts(office: Office) -> Row:
    """Return the newest event of the list, with None for fields that are not set."""
    [row] = rows_of(office.lists_events(limit="1"))
    return {name: row.get(name) for name in FACTS}


def test_the_list_of_events_shows_the_current_settings(office: Office) -> None:
    """At once, like the status. A setting that was removed is left out."""
    bounds = {"opensAt": "2031-01-01T00:00:00.000Z", "closesAt": "2031-02-01T00:00:00.000Z", "waitingListLimit": 9}
    event = office.opens(tickets=60, **bounds)
    assert _facts(office).items() >= bounds.items()
    event.changes(name="Encore", totalTickets=70, opensAt=None, closesAt="2031-03-01T00:00:00Z")
    changed = {"name": "Encore", "totalTickets": 70, "opensAt": None, "closesAt": "2031-03-01T00:00:00.000Z"}
    assert _facts(office).items() >= changed.items()
    event.cancels_event()
    assert (_facts(office)["cancelledAt"] is None, _facts(office)["emptiedAt"]) == (False, None)
    event.follows()
    shown = event.status().json
    assert _facts(office) == {name: shown.get(name) for name in FACTS}
    assert shown["cancelledAt"] < shown["emptiedAt"]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_every_event_is_listed_once(office: Office, limit: int) -> None:
    """Page by page, even events of the same millisecond."""
    opened = {office.opens(tickets=1).event_id for _ in range(6)}
    listed: list[str] = []
    for page in walk(office.lists_events, limit=str(limit)):
        listed += ids(page)
        if opened <= set(listed):
            break
    assert len(listed) == len(set(listed))
    assert set(listed) >= opened


def test_the_list_of_events_has_an_end(office: Office) -> None:
    """Its last page has no cursor, and every event was on some page."""
    office.opens(tickets=1)
    scan = office.database.get_paginator("scan").paginate(TableName=items.EVENTS)
    there_are = {item["eventId"]["S"] for page in scan for item in page["Items"]}
    assert sorted(ids(every(office.lists_events, limit="100"))) == sorted(there_are)


def test_an_office_without_events_lists_none(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index is empty, and no empty request goes to a table."""
    monkeypatch.setattr(dynamodb, "query", lambda *_, **__: {"Items": []})
    assert office.lists_events().json == {"events": [], "nextCursor": None}


@pytest.mark.parametrize("place", [("", ""), ("", "x"), ("2026", ""), ("\0", "\0"), ("x" * 90, "\U0010ffff" * 90)])
def test_a_cursor_with_a_made_up_place_stays_in_the_same_list(office: Office, place: tuple[str, str]) -> None:
    """The caller sees a part of that list, or nothing."""
    office.opens(tickets=1).books("yves")
    request = pages.BookingsRequest.model_validate({"userId": "yves"})
    made_up = str(pages.BookingsPage.of(request, [], place).next_cursor)
    assert {row["userId"] for row in rows_of(office.bookings_of("yves", cursor=made_up))} <= {"yves"}
    made_up = str(pages.EventsPage.of(pages.EventsRequest(), [], place).next_cursor)
    assert len(rows_of(office.lists_events(cursor=made_up))) <= LIMIT


# ---------------------------------------------------------------- an event's bookings


def _sold(office: Office) -> Event:
    """Return an event of three lanes, with 120 bookings of each status: users booked, waited and left."""
    event = office.opens(tickets=120)
    for n in range(130):
        event.books(f"user-{n}")
    for n in (*range(5), *range(120, 123)):
        event.cancels(f"user-{n}")
    event.promotes()
    return event


TIMES = ("joinedAt", "bookedAt", "promotedAt", "cancelledAt")
OTHERS = (
    "quantity", "heldAt", "expiresAt", "expiredAt", "reducedAt", "reference", "bookedBy", "confirmedBy", "cancelledBy",
    "reducedBy", "checkedInAt", "checkedInBy", "transferredAt", "transferredTo", "transferredFrom", "transferredBy",
)  # fmt: skip


def _as_stored(found: promises.Snapshot) -> list[Row]:
    names = ("status", "bookingId", "userId", *TIMES, *OTHERS)
    return [
        {
            **{name: booking.get(name) for name in names},
            "atLeast": booking.get("atLeast", 1) if booking["status"] == "WAITING" else None,
        }
        for booking in found.bookings
    ]


STATUSES = ("CONFIRMED", "WAITING", "CANCELLED")


def test_an_events_bookings_are_listed_with_their_times(office: Office) -> None:
    """Each once, with pages of any length: cancelled ones and the times of promotions too; or those of one status."""
    event = _sold(office)
    stored = _as_stored(event.check())
    assert {row["status"] for row in stored} == {*STATUSES}
    assert [sum(row[time] is not None for row in stored) for time in TIMES] == [10, 125, 5, 8]
    for limit in (1, 7, 43, 100):
        found = list(walk(event.bookings, limit=str(limit)))
        assert flat(found) == stored, "lane by lane, by user"
        assert all(len(page) <= limit for page in found)
        assert {len(page) for page in found[:-1]} <= {limit}, "only the last page of an unfiltered list is short"
    for status in STATUSES:
        for limit in (4, 100):
            found = list(walk(event.bookings, limit=str(limit), status=status))
            assert flat(found) == [row for row in stored if row["status"] == status]
            assert all(len(page) <= limit for page in found)


def test_the_queries_of_a_page_are_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """If most rows are left out, a page may be empty and the list continues."""
    monkeypatch.setattr(listing, "QUERIES_MAX", 2)
    event = _sold(office)
    stored = [row for row in _as_stored(event.check()) if row["status"] == "CANCELLED"]
    found = list(walk(event.bookings, limit="3", status="CANCELLED"))
    assert flat(found) == stored
    assert [] in found


def test_a_place_beyond_the_lanes_is_the_end(office: Office) -> None:
    """A made-up cursor: no rows, and no query."""
    event = office.opens(tickets=1)
    request = pages.EventBookingsRequest.model_validate({"eventId": event.event_id})
    made_up = pages.EventBookingsPage.of(request, [], (10**12, "")).next_cursor
    with metered() as meter:
        assert event.bookings(cursor=str(made_up)).json == {"bookings": [], "nextCursor": None}
    assert "Query" not in meter.requests


# ---------------------------------------------------------------- waiting lists


@pytest.mark.parametrize("tickets", [1, 300])
def test_the_waiting_list_is_listed_in_its_order(office: Office, tickets: int) -> None:
    """From one stripe and from two. It matches the position of each user."""
    event = office.opens(tickets=tickets)
    for n in range(tickets + 12):
        event.books(f"user-{n}")
    event.cancels(f"user-{tickets + 3}")
    waiting = [n for n in range(tickets, tickets + 12) if n != tickets + 3]
    shown = rows_of(event.waiting_list())
    assert shown == [event.status(f"user-{n}").json["booking"] for n in waiting]
    assert [row["position"] for row in shown] == list(range(1, 12))
    for limit in (1, 5, 11, 12):
        found = list(walk(event.waiting_list, limit=str(limit)))
        assert [row["userId"] for row in flat(found)] == [f"user-{n}" for n in waiting]
        assert [row["position"] for row in flat(found)] == list(range(1, 12))
        assert not any("positionIsEstimate" in row for row in found[0])
        assert all(row["positionIsEstimate"] for page in found[1:] for row in page), "pages are no snapshot"
        assert {len(page) for page in found[:-1]} <= {limit}


def test_a_user_who_leaves_between_two_pages_shifts_no_other_user_out(office: Office) -> None:
    """The next page continues after the last row. Its positions still count the user who left."""
    event = office.opens(tickets=1)
    for n in range(7):
        event.books(f"user-{n}")
    found = walk(event.waiting_list, limit="2")
    assert [row["userId"] for row in next(found)] == ["user-1", "user-2"]
    event.cancels("user-0")  # and user-1 gets the ticket
    event.promotes()
    event.cancels("user-2")
    event.cancels("user-3")
    assert [(row["userId"], row["position"]) for row in next(found)] == [("user-4", 3), ("user-5", 4)]
    assert [(row["userId"], row["position"]) for row in next(found)] == [("user-6", 5)]
    assert rows_of(event.waiting_list())[0]["position"] == 1


def test_the_lists_of_a_cancelled_event_empty_with_it(office: Office) -> None:
    """Cancelled bookings stay on the list of bookings, with the time. The waiting list becomes empty."""
    event = _sold(office)
    event.cancels_event()
    assert [len(flat(walk(event.bookings, limit="100", status=status))) for status in STATUSES] == [120, 2, 8]
    assert len(rows_of(event.waiting_list())) == 2
    event.follows()
    assert [len(flat(walk(event.bookings, limit="100", status=status))) for status in STATUSES] == [0, 0, 130]
    assert flat(walk(event.bookings, limit="100")) == _as_stored(event.check(drained=True))
    assert event.waiting_list().json == {"entries": [], "nextCursor": None}


# ---------------------------------------------------------------- wrong requests


def _asking(office: Office, function: ModuleType) -> Callable[[dict[str, str]], Response]:
    """Return how to ask for a page of an existing list."""
    event_id = office.opens(tickets=1).event_id if function in OF_EVENTS else None
    user = {"userId": "anna"} if function is BOOKINGS else {}
    return lambda query: call(function, event_id=event_id, query=user | query)


LISTS = [BOOKINGS, EVENTS, *OF_EVENTS]


LIMITS = ["0", "101", "-1", "1.5", "", " 5", "5 ", "+5", "1_0", "\u0665", "ten", "1,2", "9" * 5000]
CURSORS = ["", "x", "null", "W10", "W10=", "%", "ü", "[1]", "eyJhIjogMX0", "A" * 5000]
UNKNOWN = ["user_id", "page", "event_id", "Limit", "sort"]
WRONG = {"limit": LIMITS, "cursor": CURSORS, **{name: ["1"] for name in UNKNOWN}}


@pytest.mark.parametrize("function", LISTS)
def test_wrong_parameters_of_a_list_are_422_with_their_name(office: Office, function: ModuleType) -> None:
    """A limit is an integer from 1 to 100, a cursor is not made up, and a misspelled parameter is no other list."""
    ask = _asking(office, function)
    for name, values in WRONG.items():
        for value in values:
            problem = assert_problem(ask({name: value}), 422, "invalid-request")
            assert [error["field"] for error in problem["errors"]] == [name], value
    for limit in ("1", "100", "007"):
        assert len(rows_of(ask({"limit": limit}))) <= int(limit)


def test_a_cursor_belongs_to_its_list(office: Office) -> None:
    """Lists of another user, event or status are other lists. The limit may change."""
    events = [office.opens(tickets=1) for _ in range(2)]
    for event in events:
        for user in ("vera", "will", "xena"):
            event.books(user)
    mine = office.bookings_of("vera", limit="1").json["nextCursor"]
    booked = events[0].bookings(limit="1").json["nextCursor"]
    waiting = events[0].waiting_list(limit="1").json["nextCursor"]
    opened = office.lists_events(limit="1").json["nextCursor"]
    taken = [
        office.bookings_of("vera", cursor=mine),
        events[0].bookings(cursor=booked),
        events[0].waiting_list(cursor=waiting),
        office.lists_events(cursor=opened),
    ]
    assert [answer.status for answer in taken] == [200] * 4
    refused = [
        office.bookings_of("will", cursor=mine), office.bookings_of("vera", cursor=mine, eventId=events[0].event_id),
        office.bookings_of("vera", cursor=opened), events[1].bookings(cursor=booked),
        events[0].bookings(cursor=booked, status="WAITING"), events[0].bookings(cursor=waiting),
        events[1].waiting_list(cursor=waiting), events[0].waiting_list(cursor=booked),
        office.lists_events(cursor=mine),
    ]  # fmt: skip
    for answer in refused:
        problem = assert_problem(answer, 422, "invalid-request")
        assert [error["field"] for error in problem["errors"]] == ["cursor"]


def test_a_status_is_one_of_those_of_a_booking(office: Office) -> None:
    """Spelled exactly."""
    for status in ("", "confirmed", "BOOKED", "CONFIRMED,WAITING"):
        problem = assert_problem(_asking(office, EVENT_BOOKINGS)({"status": status}), 422, "invalid-request")
        assert [error["field"] for error in problem["errors"]] == ["status"]


def test_a_list_of_bookings_needs_a_user() -> None:
    """It is one user's list."""
    problem = assert_problem(call(BOOKINGS), 422, "invalid-request")
    assert [error["field"] for error in problem["errors"]] == ["userId"]
