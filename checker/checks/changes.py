"""Organisers' changes hold, sales keep to their window, and cancelled events stay cancelled (O1 to O3)."""

import math
from collections.abc import Iterator
from typing import Any

from checker.checks.story import FIELDS, Story, Violation
from checker.history import Exchange

MAX, MIN = "9999", "0000"  # after and before every moment, as text
LIMIT_AGE_S = 8.0  # docs/api.md: a count of the list is kept for a second; the request that counts may take seven
MADE_AT = {"booking.held": "heldAt", "booking.confirmed": "bookedAt", "waiting.joined": "joinedAt"}
LET_IN = {"heldAt", "joinedAt"}  # in booking.confirmed: the user was let in before


def check_changes(story: Story) -> Iterator[Violation]:
    """Events are as organisers set them: in every response, and at rest (O2)."""
    for event in story.opened:
        for one in [*story.of("status", event), *story.of("change", event), *story.of("cancel-event", event)]:
            if one.is_done:
                yield from _fields(story, event, one.response, story.shown_from(one), one.end)
        for page in story.of("events"):
            for row in page.response["events"] if page.is_done else []:
                if row["eventId"] == event:
                    yield from _fields(story, event, row, page.begin, page.end)
        yield from _refusals(story, event)
        yield from _at_rest(story, event)


def _fields(story: Story, event: str, shown: dict[str, Any], begin: float, end: float) -> Iterator[Violation]:
    for name in FIELDS:
        values = story.possible(event, name, begin, end)
        value = shown.get(name)
        if value in values or (name == "totalTickets" and min(values) <= value <= max(values)):
            continue  # a total may be between the old and the new one while it is changed
        text = f"a response from {begin:.4f} to {end:.4f} shows {name} {value!r}, which can have been only {values}"
        yield Violation("changes", event, text)
    for name, value in story.rules(event).fields().items():
        if shown.get(name) != value:
            text = f"a response from {begin:.4f} to {end:.4f} shows {name} {shown.get(name)!r}, and it is {value!r}"
            yield Violation("changes", event, text)


def _refusals(story: Story, event: str) -> Iterator[Violation]:
    """Judge 409 `tickets-booked`: more must be booked than was asked for, so the total must have been larger."""
    for one in story.of("change", event):
        if not one.is_refused or one.response.get("code") != "tickets-booked":
            continue
        asked = one.body.get("totalTickets")
        others = story.possible(event, "totalTickets", one.begin, one.end, refused=False)
        if asked is None or asked >= max(others):
            text = (
                f"a change to {asked} tickets was refused at {one.end:.4f} for fewer than are booked ({one.response}), "
                f"where the total was at most {max(others)}"
            )
            yield Violation("changes", event, text)


def _at_rest(story: Story, event: str) -> Iterator[Violation]:
    """Judge the end: each field has its last acknowledged value in every list, and the lanes add up to the total."""
    status = story.last_status(event)
    if status is None:
        return
    rows = [row for page in story.at_rest("events") for row in page.response["events"] if row["eventId"] == event]
    values = story.possible(event, "totalTickets", math.inf, math.inf, refused=False)
    if "cancelledAt" not in status and status["totalTickets"] not in values:
        text = f"{status['totalTickets']} tickets at rest, where organisers asked for {values}"
        yield Violation("changes", event, text)
    for row in rows:
        for name in (*FIELDS, "soldOutAt", "cancelledAt", "emptiedAt"):
            if row.get(name) != status.get(name):
                text = f"{name} is {status.get(name)!r} by GET /status and {row.get(name)!r} by GET /events"
                yield Violation("changes", event, text)


def check_window(story: Story) -> Iterator[Violation]:
    """No ticket is sold and no place given outside every sale window that can have been in force (O1)."""
    for told in story.announced.values():
        event, moment = told["data"].get("eventId"), told["data"].get(MADE_AT.get(told["type"], ""))
        seen = story.sightings.get((event, told["data"].get("bookingId")))
        is_step = told["type"] == "booking.confirmed" and LET_IN & told["data"].keys()
        if event not in story.opened or moment is None or not seen or is_step or "transferredFrom" in told["data"]:
            continue
        begin, end = story.created_from(seen), min(one.end for one in seen)
        opens = min(value or MIN for value in story.possible(event, "opensAt", begin, end))
        closes = max(value or MAX for value in story.possible(event, "closesAt", begin, end))
        if not opens <= moment < closes:
            text = f"{told['data']['userId']} was let in at {moment}; the event was on sale from {opens} to {closes}"
            yield Violation("window", event, text)
    for one in story.of("book"):
        if one.is_refused and one.event in story.opened:
            yield from [Violation("window", one.event, text) for text in _groundless(story, one)]


def _groundless(story: Story, one: Exchange) -> Iterator[str]:
    """Return why a refusal is wrong, if the reason that it gives was never true."""
    code = one.response.get("code", "")
    named = {"not-on-sale": ("opensAt", "closesAt"), "waiting-list-full": ("waitingListLimit",)}.get(code, ())
    for name in named:
        since = one.begin - (LIMIT_AGE_S if name == "waitingListLimit" else 0)
        values = story.possible(one.event, name, since, one.end)
        if one.response.get(name) not in values:
            yield f"{one.user} was refused ({code}) by {name} {one.response.get(name)!r}, where it was {values}"
    if named and all(one.response.get(name) is None for name in named):
        yield f"{one.user} was refused ({code}), but no such limit is set"
    if code == "event-cancelled" and story.cancelled_from(one.event) > one.end:
        yield f"{one.user} was refused ({code}), but the event was not cancelled"


def _lets_in(one: Exchange) -> bool:
    return one.op == "check-in" and one.is_done and not one.response["again"]


def check_cancelled(story: Story) -> Iterator[Violation]:
    """After an acknowledged cancellation of an event no user gets a ticket or a place, and all bookings end (O3)."""
    for event in story.opened:
        since = story.cancelled_by(event)
        if since == math.inf:
            continue
        yield from [
            Violation("cancelled", event, f"{one.op} was answered {one.status} after the end: {one.response}")
            for one in [*story.of("book", event), *story.of("change", event), *story.of("check-in", event)]
            if one.begin > since and (one.status in (201, 202) or (one.op == "change" and one.is_done) or _lets_in(one))
        ]
        for booking, seen in story.bookings_of(event):
            waited = max((one.begin for one in seen if one.status == "WAITING"), default=-math.inf)
            if waited > since and any(one.has_ticket for one in seen):
                text = f"{seen[0].user} was promoted ({booking}) after the end"
                yield Violation("cancelled", event, text)
        status = story.last_status(event)
        if status and (not status.get("emptiedAt") or status["bookedTickets"] or status["waitingListCount"]):
            yield Violation("cancelled", event, f"it is not emptied at rest: {status}")
