"""Holds and offers last as long as the event's terms say: no shorter (H1), and not much longer (H3)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from checker.checks.story import Sighting, Story, Violation

OVERDUE_S_MAX = 10.0  # at rest: the round's office expires holds every second, those that are due for 2 seconds


def check_holds(story: Story) -> Iterator[Violation]:
    """No hold ends by itself before its `expiresAt`, and none is left long after it."""
    for event in story.opened:
        texts = [*_lengths(story, event), *_early(story, event), *_overdue(story, event)]
        yield from [Violation("holds", event, text) for text in texts]


def _lengths(story: Story, event: str) -> Iterator[str]:
    """Judge `expiresAt`: a hold lasts `holdSeconds`, an offer `offerSeconds`, on the clock of the office."""
    rules = story.rules(event)
    for booking, seen in story.bookings_of(event):
        for row in {_length(one): one.row for one in seen if one.status == "HELD"}.values():
            wanted_s = rules.offer_s if row.get("promotedAt") else rules.hold_s
            lasts_s = _seconds(row["heldAt"], row["expiresAt"])
            if wanted_s is None or abs(lasts_s - wanted_s) > 0.001:
                yield f"{booking} of {row['userId']} is held for {lasts_s} s, where the event has {wanted_s}"


def _length(one: Sighting) -> tuple[Any, ...]:
    return one.row["heldAt"], one.row["expiresAt"], one.row.get("promotedAt")


def _early(story: Story, event: str) -> Iterator[str]:
    """Judge announcements: on the clock of the office, no hold ends before it may."""
    ends = {
        told["data"]["bookingId"]: told["data"]["expiresAt"]
        for told in story.announced.values()
        if "expiresAt" in told["data"]
    }
    for told in story.announced.values():
        data = told["data"]
        if told["type"] != "booking.expired" or data["eventId"] != event:
            continue
        seen = story.sightings.get((event, data["bookingId"]), [])
        if not seen or story.clock_was_wrong(seen):
            continue
        if data["expiredAt"] < ends.get(data["bookingId"], ""):
            yield f"{data['bookingId']} of {data['userId']} expired early: {data}, {ends[data['bookingId']]}"


def _overdue(story: Story, event: str) -> Iterator[str]:
    """Judge the list of bookings at rest: no hold on it should have ended long ago."""
    for page in story.at_rest("event-bookings", event):
        for row in page.response["bookings"]:
            due = story.time_of(row["expiresAt"]) if row["status"] == "HELD" else None
            if due is not None and page.begin - due > OVERDUE_S_MAX:
                yield f"{row['bookingId']} of {row['userId']} is still held {page.begin - due:.1f} s too late"


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
