"""Tickets: never more at once than the largest total in force, and in the order of the waiting list."""

import bisect
import math
from collections.abc import Iterator

from checker.checks.story import OWNING, Sighting, Story, Violation
from checker.history import Exchange

EXACT_TO = 100  # docs/api.md: a position is exact up to 100 ahead


def check_tickets(story: Story) -> Iterator[Violation]:
    """At no moment are more tickets certainly held than the event can have had."""
    for event in story.opened:
        edges: list[tuple[float, int, str, int]] = []
        for booking, seen in story.bookings_of(event):
            for ticket, (begin, end) in enumerate(held(story, seen)):
                if begin <= end:
                    edges += [(begin, 0, booking, ticket), (end, 1, booking, ticket)]
        holding: set[tuple[str, int]] = set()
        most, where = 0, 0.0
        for moment, is_end, booking, ticket in sorted(edges):
            if is_end:
                holding.discard((booking, ticket))
                continue
            holding.add((booking, ticket))
            if len(holding) > most and len(holding) > _total(story, event, moment):
                most, where = len(holding), moment
        if most:
            text = f"{most} tickets are held at {where:.4f}; the total was at most {_total(story, event, where)}"
            yield Violation("tickets", event, text)


def _total(story: Story, event: str, moment: float) -> int:
    return int(max(story.possible(event, "totalTickets", moment, moment, refused=False)))


def held(story: Story, seen: list[Sighting]) -> Iterator[tuple[float, float]]:
    """Yield from when and until when a booking surely has its first ticket, its second one, and so on.

    A booking, held or confirmed, has its tickets without interruption: between two sightings, and after the first
    sighting until a request may have cancelled or transferred it or returned the ticket, or it may have expired without
    having been confirmed. Its number of tickets only falls. The end comes first if there is no such time.
    """
    owned = [one for one in seen if one.status in OWNING]
    requests = _that_may_return(story, seen[0])
    is_final = any("CONFIRMED" in (one.status, one.was) for one in seen)
    may_expire = math.inf if is_final else story.expires_from(seen)
    for number in range(1, max((one.quantity for one in owned), default=0) + 1):
        returns = [one.begin for one in requests if one.body.get("keep", 0) < number]
        untouched_until = min([*returns, story.cancelled_from(seen[0].event), may_expire])
        shown_until = max(one.begin for one in owned if one.quantity >= number)
        yield min(one.end for one in owned), max(untouched_until, shown_until)


def _that_may_return(story: Story, seen: Sighting) -> list[Exchange]:
    """Return the requests that may have returned a booking's tickets, all of them or some, or given them away."""
    return [
        one
        for one in story.by_user[seen.event, seen.user]
        if one.op in {"cancel", "transfer"}
        and one.body.get("bookingId", seen.booking) == seen.booking
        and not one.is_refused
        and (one.is_open or one.response["bookingId"] == seen.booking)
    ]


class Waits:
    """Who surely waited for an event, and when: a booking waits without interruption."""

    def __init__(self, story: Story, event: str) -> None:
        found = []
        for _, seen in story.bookings_of(event):
            waits = [one for one in seen if one.status == "WAITING"]
            if waits:
                found.append((min(one.end for one in waits), max(one.begin for one in waits), seen[0].user))
        found.sort()
        self._told = [told for told, *_ in found]
        self._longest: list[tuple[float, str]] = []  # of those who were told by then: until when, and who
        for _, until, user in found:
            self._longest.append(max([*self._longest[-1:], (until, user)]))

    def through(self, begin: float, end: float) -> tuple[float, str]:
        """Return a user who was told to wait before `begin` and still waited at `end`, and until when; or no name."""
        before = bisect.bisect_left(self._told, begin)
        until, user = self._longest[before - 1] if before else (-math.inf, "")
        return until, user if until >= end else ""


def check_order(story: Story) -> Iterator[Violation]:
    """A user who was told to wait before another asked gets tickets before the other, however many (P4, P5)."""
    for event in story.opened:
        waits = Waits(story, event)
        for _, seen in story.bookings_of(event):
            if story.may_be_gift(seen):  # tickets that were another user's pass nobody
                continue
            has_from = min((one.end for one in seen if one.has_ticket), default=math.inf)
            asked = story.created_from(seen)
            until, user = waits.through(asked, has_from)
            if user and has_from < math.inf:
                text = (
                    f"{seen[0].user} asked at {asked:.4f} and had a ticket by {has_from:.4f}, while {user}, "
                    f"who had been told to wait before that, still waited at {until:.4f}"
                )
                yield Violation("order", event, text)


def check_positions(story: Story) -> Iterator[Violation]:
    """A position hardly grows, and the list at rest is in the order in which users were told to wait.

    It may grow by the users whose request to book overlapped with the user's own: their places may be ahead.
    """
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
                    yield Violation("positions", event, text)
                    break
        yield from _order_of_list(story, event)


def _may_be_ahead(story: Story, seen: list[Sighting]) -> set[str]:
    """Return the other users who may have got an earlier place than a booking, and joined the list after it."""
    begin, end = story.created_from(seen), min(one.end for one in seen)
    others = [one for one in story.of("book", seen[0].event) if not one.is_refused and one.user != seen[0].user]
    return {one.user for one in others if one.begin <= end and one.last >= begin}


def _order_of_list(story: Story, event: str) -> Iterator[Violation]:
    """Judge the waiting list at rest: positions count from 1, and no user stands before one who was told earlier."""
    pages = story.at_rest("waiting-list", event)
    rows = [row for page in pages for row in page.response["entries"]]
    exact = [row["position"] for row in rows if not row.get("positionIsEstimate")]
    if exact != list(range(1, len(exact) + 1)):
        yield Violation("positions", event, f"positions at rest do not count from 1: {exact[:20]}")
    latest, behind = -math.inf, ""
    for row in rows:
        seen = story.sightings[event, row["bookingId"]]
        told = min(one.end for one in seen)
        if told < latest:
            text = f"{row['userId']} was told to wait before {behind} asked, and stands behind"
            yield Violation("positions", event, text)
        asked = story.created_from(seen)
        if asked > latest:
            latest, behind = asked, row["userId"]
