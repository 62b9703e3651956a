"""Tickets: never more at once than the largest total in force, and in the order of the waiting list."""

import bisect
import math

from checker.checks.story import OWNING, Sighting, Story, Violation

EXACT_TO = 100  # docs/api.md: a position is exact up to 100 ahead


def check_tickets(story: Story) -> list[Violation]:
    """At no moment are more tickets certainly held than the event can have had."""
    violations = []
    for event in story.opened:
        edges: list[tuple[float, int, str]] = []
        for _, seen in story.bookings_of(event):
            begin, end = held(story, seen)
            if begin <= end:
                edges += [(begin, 0, seen[0].booking), (end, 1, seen[0].booking)]
        holding: set[str] = set()
        most, where = 0, 0.0
        for moment, is_end, booking in sorted(edges):
            if is_end:
                holding.discard(booking)
                continue
            holding.add(booking)
            if len(holding) > most and len(holding) > _total(story, event, moment):
                most, where = len(holding), moment
        if most:
            text = f"{most} tickets are held at {where:.4f}; the total was at most {_total(story, event, where)}"
            violations.append(Violation("tickets", event, text))
    return violations


def _total(story: Story, event: str, moment: float) -> int:
    return int(max(story.possible(event, "totalTickets", moment, moment, refused=False)))


def held(story: Story, seen: list[Sighting]) -> tuple[float, float]:
    """Return from when and until when a booking surely has a ticket; the end comes first if there is no such time.

    A booking, held or confirmed, has its ticket without interruption: between two sightings, and after the first
    sighting until a request may have cancelled it, or it may have expired without having been confirmed.
    """
    owned = [one for one in seen if one.status in OWNING]
    if not owned:
        return math.inf, -math.inf
    event, user, booking = seen[0].event, seen[0].user, seen[0].booking
    cancels = [
        one.begin
        for one in story.by_user[event, user]
        if one.op in {"cancel", "transfer"}
        and one.body.get("bookingId", booking) == booking
        and not one.is_refused
        and (one.is_open or one.response["bookingId"] == booking)
    ]
    is_final = any("CONFIRMED" in (one.status, one.was) for one in seen)
    may_expire = math.inf if is_final else story.expires_from(seen)
    untouched_until = min([*cancels, story.cancelled_from(event), may_expire])
    return min(one.end for one in owned), max(untouched_until, *(one.begin for one in owned))


def check_order(story: Story) -> list[Violation]:
    """A user who was told to wait before another asked gets a ticket before the other (P4, P5)."""
    violations = []
    for event in story.opened:
        waiting = []  # (told by, surely waits until, user): a booking waits without interruption
        holding = []  # (asked from, surely has a ticket from, user)
        for _, seen in story.bookings_of(event):
            waits = [one for one in seen if one.status == "WAITING"]
            if waits:
                waiting.append((min(one.end for one in waits), max(one.begin for one in waits), seen[0]))
            has = [one for one in seen if one.has_ticket]
            if has and not story.may_be_gift(seen):  # a ticket that was another user's passes nobody
                holding.append((story.created_from(seen), min(one.end for one in has), seen[0]))
        waiting.sort(key=lambda one: one[0])
        told = [one[0] for one in waiting]
        longest: list[tuple[float, Sighting]] = []
        for _, until, one in waiting:
            longest.append(max([*longest[-1:], (until, one)], key=lambda pair: pair[0]))
        for asked, has_from, other in holding:
            before = bisect.bisect_left(told, asked)  # how many were told before the other asked
            if before and longest[before - 1][0] >= has_from:
                until, one = longest[before - 1]
                text = (
                    f"{other.user} asked at {asked:.4f} and had a ticket by {has_from:.4f}, while {one.user}, "
                    f"who had been told to wait before that, still waited at {until:.4f}"
                )
                violations.append(Violation("order", event, text))
    return violations


def check_positions(story: Story) -> list[Violation]:
    """A position hardly grows, and the list at rest is in the order in which users were told to wait.

    It may grow by the users whose request to book overlapped with the user's own: their places may be ahead.
    """
    violations = []
    for event in story.opened:
        for booking, seen in story.bookings_of(event):
            places = [
                one for one in seen
                if one.row.get("position", EXACT_TO) < EXACT_TO and not one.row.get("positionIsEstimate")
            ]  # fmt: skip
            best = math.inf
            ends = sorted(places, key=lambda one: one.end)
            for later in sorted(places, key=lambda one: one.begin):
                while ends and ends[0].end < later.begin:
                    best = min(best, ends.pop(0).row["position"])
                position = later.row["position"]
                if position > best and position > best + len(_may_be_ahead(story, seen)):
                    text = f"{later.user}'s booking {booking} was at {best}, and later at {position}"
                    violations.append(Violation("positions", event, text))
                    break
        violations += _order_of_list(story, event)
    return violations


def _may_be_ahead(story: Story, seen: list[Sighting]) -> set[str]:
    """Return the other users who may have got an earlier place than a booking, and joined the list after it."""
    begin, end = story.created_from(seen), min(one.end for one in seen)
    others = [one for one in story.of("book", seen[0].event) if not one.is_refused and one.user != seen[0].user]
    return {one.user for one in others if one.begin <= end and one.last >= begin}


def _order_of_list(story: Story, event: str) -> list[Violation]:
    """Judge the waiting list at rest: positions count from 1, and no user stands before one who was told earlier."""
    violations = []
    pages = story.at_rest("waiting-list", event)
    rows = [row for page in pages for row in page.response["entries"]]
    exact = [row["position"] for row in rows if not row.get("positionIsEstimate")]
    if exact != list(range(1, len(exact) + 1)):
        violations.append(Violation("positions", event, f"positions at rest do not count from 1: {exact[:20]}"))
    latest, behind = -math.inf, ""
    for row in rows:
        seen = story.sightings[event, row["bookingId"]]
        told = min(one.end for one in seen)
        if told < latest:
            text = f"{row['userId']} was told to wait before {behind} asked, and stands behind"
            violations.append(Violation("positions", event, text))
        asked = story.created_from(seen)
        if asked > latest:
            latest, behind = asked, row["userId"]
    return violations
