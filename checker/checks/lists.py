"""Lists and counts at rest agree, and responses are those that docs/api.md names."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from checker.checks.story import OWNING, Story, Violation

Responses = set[int | tuple[int, str]]  # statuses; of errors with their code
NO_BOOKING = (404, "booking-not-found")
INVALID = (422, "invalid-request")


def _conflicts(*codes: str) -> Responses:
    return {(409, code) for code in codes}


ENDED_OR_CHANGED = _conflicts("hold-expired", "booking-cancelled", "booking-transferred", "booking-changed")
NOT_USABLE: Responses = {NO_BOOKING, *ENDED_OR_CHANGED, *_conflicts("not-confirmed", "event-cancelled")}
RESPONSES: dict[str, Responses] = {  # docs/api.md: to each request; 5xx is judged separately
    "initialize": {201},
    "book": {
        200,
        201,
        202,
        INVALID,
        *_conflicts("not-on-sale", "waiting-list-full", "event-cancelled", "too-few-tickets"),
    },
    "confirm": {200, NO_BOOKING, *ENDED_OR_CHANGED, *_conflicts("not-held")},
    "transfer": {200, *NOT_USABLE, *_conflicts("recipient-has-booking", "checked-in")},
    "cancel": {200, NO_BOOKING, *_conflicts("booking-changed", "checked-in")},
    "check-in": {200, *NOT_USABLE},
    "status": {200},
    "bookings": {200},
    "events": {200},
    "event-bookings": {200},
    "waiting-list": {200},
    "change": {200, INVALID, *_conflicts("tickets-booked", "event-cancelled")},
    "cancel-event": {200, 202},
    "listen": {200},
}
TRY_AGAIN = (503, "try-again")


def check_responses(story: Story) -> Iterator[Violation]:
    """Every response is one that docs/api.md names, except 500; the program runs until it is stopped."""
    for one in story.exchanges:
        if one.op == "exit":
            yield Violation("program", one.event, str(one.response))
        if one.op not in RESPONSES or not one.status:
            continue
        code = one.response.get("code") if isinstance(one.response, dict) else None
        response: Any = one.status if one.is_done else (one.status, code)
        if response not in RESPONSES[one.op] and response != TRY_AGAIN:
            yield Violation("responses", one.event, f"{one.op} was answered {one.status}: {one.response}")
        elif isinstance(one.response, dict) and "bad" in one.response:
            yield Violation("responses", one.event, f"{one.op} was answered with invalid JSON: {one.response}")


def check_openings(story: Story) -> Iterator[Violation]:
    """The same opening with the same key opens one event, however often it is sent (P7)."""
    by_key: dict[str, set[str]] = {}
    for one in story.of("initialize"):
        if one.key and one.is_done:
            by_key.setdefault(one.key, set()).add(str(sorted(one.response.items())))
    for key, responses in by_key.items():
        if len(responses) > 1:
            yield Violation("openings", "", f"the key {key!r} has several responses: {sorted(responses)}")
    names = Counter(row["name"] for page in story.at_rest("events") for row in page.response["events"])
    asked = Counter(one.body["name"] for one in story.of("initialize") if not one.key)
    for one in story.of("initialize"):
        asked[one.body["name"]] = max(asked[one.body["name"]], 1)
    listed = {row["eventId"] for page in story.at_rest("events") for row in page.response["events"]}
    for name, most in asked.items():
        if names[name] > most:
            yield Violation("openings", "", f"{names[name]} events are called {name!r}, where {most} can be")
    if story.at_rest("events"):
        missing = [event for event in story.opened if event not in listed]
        yield from [
            Violation("openings", event, "it was opened, and is not on the list of events") for event in missing
        ]


def check_lists(story: Story) -> Iterator[Violation]:
    """At rest, counts match lists, and too few tickets are free for the first in line (P1, P3, P6)."""
    for event in story.opened:
        status = story.last_status(event)
        if status is not None:
            yield from [Violation("lists", event, text) for text in _disagreements(story, event, status)]


def _disagreements(story: Story, event: str, status: dict[str, Any]) -> Iterator[str]:
    rows = story.last_rows(event)
    entries = [row for page in story.at_rest("waiting-list", event) for row in page.response["entries"]]
    owning = {_tickets_of(row) for row in rows if row["status"] in OWNING}
    waiting = {_tickets_of(row) for row in rows if row["status"] == "WAITING"}
    only = {
        _tickets_of(row)
        for page in story.at_rest("event-bookings", event) if "status" in page.query
        for row in page.response["bookings"] if row["status"] == page.query["status"]
    }  # fmt: skip
    used = sum(row.get("quantity", 1) for row in rows if row["checkedInAt"])
    total, free = status["totalTickets"], status["availableTickets"]
    booked = sum(quantity for *_, quantity in owning)
    enough = min((row.get("atLeast") or 1 for row in entries[:1]), default=math.inf)
    sums = [
        (len(rows) != len({row["userId"] for row in rows}), "a user is twice on the list of bookings"),
        (booked != status["bookedTickets"], f"{booked} tickets are on the list of bookings"),
        (only != owning, f"{len(only)} are on the lists of held and confirmed bookings, {len(owning)} on that of all"),
        (len(entries) != status["waitingListCount"], f"{len(entries)} stand in the waiting list"),
        ({_tickets_of(row) for row in entries} != waiting, "the waiting list and the waiting bookings differ"),
        (free + status["bookedTickets"] != total, "tickets free and booked are not all tickets"),
        (used != status.get("checkedInTickets", 0), f"{used} tickets are checked in on the list of bookings"),
        (free < 0, "the number of free tickets is negative"),
        (booked > total, f"{booked} tickets are sold of {total}"),
        (free >= enough and "cancelledAt" not in status, "the first in line waits while enough tickets are free"),
        (
            bool(entries) and "soldOutAt" not in status and "cancelledAt" not in status,
            "a user waits, and it is on sale",
        ),
    ]
    yield from (f"{text}; the status at rest is {status}" for is_wrong, text in sums if is_wrong)
    yield from _own_lists(story, event)


def _tickets_of(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["userId"], row["bookingId"], row.get("quantity", 1)


def _own_lists(story: Story, event: str) -> Iterator[str]:
    """Judge GET /bookings of single users at rest: every event on which they have a booking is there, once."""
    listed = {row["userId"] for row in story.last_rows(event)}
    for page in [page for page in story.at_rest("bookings") if page.response["nextCursor"] is None]:
        times = sum(row["eventId"] == event for row in page.response["bookings"])
        if times != (page.user in listed) and "cursor" not in page.query:
            yield f"{page.user} finds the event {times} times in their own list"
