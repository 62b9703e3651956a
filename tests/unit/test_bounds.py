"""Responses are bounded in bytes, whatever callers send and whatever is stored."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

import functions.book.app
import functions.initialize.app
import functions.status.app
from harness.gateway import call
from shared.edge import pages
from shared.edge.api import ERROR_FIELD_LENGTH_MAX, ERRORS_MAX
from shared.model import (
    ID_LENGTH_MAX,
    LANES_MAX,
    NAME_LENGTH_MAX,
    Actor,
    Booking,
    Entry,
    Event,
    Position,
    Rules,
    Standing,
    Status,
    Terms,
)
from shared.store import items

PAGE_KB_MAX = 400  # as docs/api.md says
PROBLEM_KB_MAX = 12
QUERY_BYTES, BODY_BYTES = 8 * 1024, 10 * 1024  # that API Gateway, and the office, let through
QUERY_PAGE_BYTES = 1024 * 1024  # DynamoDB ends the page of a Query there, however many rows were asked for
WIDE = "𝄞"  # 4 bytes in UTF-8, 12 in an escaped JSON string
NOW = "2026-05-01T18:00:00.000Z"
ID = "8c1f3b9e-3f0b-4f5c-9a58-0d8a4f0f6d11"

TERMS = Terms(WIDE * NAME_LENGTH_MAX, 1_000_000, NOW, NOW, 1_000_000_000, WIDE * NAME_LENGTH_MAX)
EVENT = Event(
    ID, TERMS, LANES_MAX, 4, NOW, "f" * 64, NOW, NOW, NOW, 10**9, rules=Rules(86_400, 604_800, Actor.BUYER)
)  # fmt: skip
BOOKING = Booking(
    ID, WIDE * ID_LENGTH_MAX, ID, 10**9, Status.HELD, 20, 20, 10**9,
    joined_at=NOW, promoted_at=NOW, held_at=NOW, expires_at=NOW, booked_at=NOW, cancelled_at=NOW, expired_at=NOW,
    transferred_at=NOW, transferred_to=WIDE * ID_LENGTH_MAX, transferred_from=WIDE * ID_LENGTH_MAX, reduced_at=NOW,
    reduced_by=Actor.ORGANISER,    checked_in_at=NOW, checked_in_by=Actor.ORGANISER, transferred_by=Actor.ORGANISER,
    reference=WIDE * ID_LENGTH_MAX, booked_by=Actor.ORGANISER, confirmed_by=Actor.ORGANISER, cancelled_by=Actor.EVENT,
)  # fmt: skip
ENTRY = Entry(ID, 10**9, WIDE * ID_LENGTH_MAX, ID, NOW)


def _status(status: Status) -> Standing:
    return Standing(Booking(**{**_fields(BOOKING), "status": status}), Position(10**9, is_estimate=True))


def _fields(booking: Booking) -> dict[str, Any]:
    return {name: getattr(booking, name) for name in Booking.__slots__}


def _request(model: Any, **fields: str) -> Any:
    return model.model_validate({"limit": str(pages.LIMIT_MAX), **fields})


PAGES: Mapping[str, Any] = {
    **{
        f"bookings, {status}": lambda status=status: pages.BookingsPage.of(
            _request(pages.BookingsRequest, userId=BOOKING.user_id),
            [(EVENT, _status(status))] * pages.LIMIT_MAX,
            (NOW, ID),
        )
        for status in Status
    },
    "events": lambda: pages.EventsPage.of(_request(pages.EventsRequest), [EVENT] * pages.LIMIT_MAX, (NOW, ID)),
    "event bookings": lambda: pages.EventBookingsPage.of(
        _request(pages.EventBookingsRequest, eventId=ID), [BOOKING] * pages.LIMIT_MAX, (LANES_MAX, BOOKING.user_id)
    ),
    "waiting list": lambda: pages.WaitingListPage.of(
        _request(pages.WaitingListRequest, eventId=ID), [(ENTRY, Position(10**9))] * pages.LIMIT_MAX, (10**9, 10**9)
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_a_list_with_the_longest_texts_is_bounded(name: str) -> None:
    """Far below Lambda's 6 MB, of which an answer may have all."""
    page = PAGES[name]().model_dump_json(by_alias=True)
    assert len(page.encode()) <= PAGE_KB_MAX * 1024
    assert page.count(WIDE * ID_LENGTH_MAX) >= pages.LIMIT_MAX  # the rows are there


@pytest.mark.parametrize(
    "item", [items.booking_item(EVENT, BOOKING), items.entry_item(EVENT, ENTRY)], ids=["booking", "entry"]
)
def test_the_rows_of_a_page_are_in_one_page_of_a_query(item: items.Item) -> None:
    """And one more, which tells whether another page follows."""
    stored = sum(len(name) + len(next(iter(value.values())).encode()) for name, value in item.items())
    assert stored * (pages.LIMIT_MAX + 1) < QUERY_PAGE_BYTES / 2


FIELDS = {
    "many short names": [f"f{n}" for n in range(1_300)],
    "a long name": ["f" * 7_000],
    "wide names": [f"{WIDE * 60}{n}" for n in range(30)],
    "escaped names": ["\\" * 90 + str(n) for n in range(60)],
}


@pytest.mark.parametrize("names", FIELDS.values(), ids=FIELDS)
def test_a_response_to_a_bad_request_is_small(names: list[str]) -> None:
    """It names the first fields only, and cuts their names: callers would choose how much is sent."""
    body = json.dumps(dict.fromkeys(names, 1), ensure_ascii=False)
    assert len(body.encode()) <= 1.5 * BODY_BYTES
    for answer in (
        call(functions.book.app, raw=body),
        call(functions.initialize.app, raw=body),
        call(functions.status.app, event_id="e", query=[(name, "1") for name in names][:90]),
        call(functions.status.app, event_id="e", query=[(name, "1") for name in names[:40] * 2]),
    ):
        assert answer.status in {413, 422}
        assert len(answer.text.encode()) <= PROBLEM_KB_MAX * 1024
        errors = answer.json.get("errors", [])
        assert len(errors) <= ERRORS_MAX
        assert all(len(error["field"]) <= ERROR_FIELD_LENGTH_MAX for error in errors)
