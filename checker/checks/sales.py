"""Sales: buyers get as many tickets as there are, and an event is on sale, or back on sale, while nobody waits.

A number of tickets is surely free during a request if the smallest total in force, less the tickets of all bookings
that may have had some at any moment of the request, leaves it: even if the office looks at one part after the other.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from checker.checks.story import ENDED, OWNING, Asked, Sighting, Story, Violation
from checker.checks.tickets import Waits
from checker.history import Exchange


@dataclass(frozen=True)
class Span:
    """The time during which a booking may have had tickets, and how many. `shown` are sightings, each with its end."""

    booking: str
    begin: float
    end: float
    asked: int
    shown: tuple[tuple[float, int], ...] = ()

    def most(self, begin: float, end: float) -> int:
        """Return the most tickets that it may have had at any moment from `begin` to `end`: their number only falls."""
        if self.begin > end or self.end < begin:
            return 0
        return min((quantity for at, quantity in self.shown if at <= begin), default=self.asked)


class Sale:
    """What surely was free of an event, and when it was seen on sale."""

    def __init__(self, story: Story, event: str) -> None:
        self._story, self._event = story, event
        most = story.rules(event).tickets_per_booking
        self._spans = [_span(story, seen) for _, seen in story.bookings_of(event)]
        self._unseen = [  # of bookings that no response shows
            Span("", one.begin, math.inf, Asked.by(one).quantity) for one in story.of("book", event) if one.is_open
        ]
        self._unseen += [Span("", one.begin, math.inf, most) for one in _unseen_gifts(story, event)]
        looks = [one for one in story.of("status", event) if one.is_done and "soldOutAt" not in one.response]
        self._looks = sorted((one.end, story.shown_from(one)) for one in [story.opened[event], *looks])

    def free(self, begin: float, end: float, but: str = "") -> int:
        """Return how many tickets surely were free from `begin` to `end`, without those of the booking `but`."""
        taken = sum(span.most(begin, end) for span in self._spans + self._unseen if span.booking != but or not but)
        return int(min(self._story.possible(self._event, "totalTickets", begin, end))) - taken

    def seen_on_sale(self, by: float) -> float:
        """Return since when the event was on sale by the last look that showed it, of those answered by then."""
        return max((begin for end, begin in self._looks if end <= by), default=math.inf)


def _span(story: Story, seen: list[Sighting]) -> Span:
    asked = [Asked.by(one).quantity for one in story.of("book", seen[0].event, seen[0].user)]
    if story.may_be_gift(seen):
        asked.append(story.rules(seen[0].event).tickets_per_booking)
    ended = min((one.end for one in seen if one.status in ENDED), default=math.inf)
    shown = tuple((one.end, one.quantity) for one in seen if one.status not in ENDED)
    return Span(seen[0].booking, story.created_from(seen), ended, max(asked, default=1), shown)


def _unseen_gifts(story: Story, event: str) -> list[Exchange]:
    """Return the transfers to users who may have ended what they got before any response showed it."""
    unanswered = {one.user for op in ("cancel", "transfer") for one in story.of(op, event) if one.is_open}
    return [one for user in sorted(unanswered) for one in story.gifts.get((event, user), [])]


def check_sales(story: Story) -> Iterator[Violation]:
    """Nobody is refused, given fewer tickets or told to wait while enough are free; no sale goes on while one waits."""
    for event in story.opened:
        sale, waits = Sale(story, event), Waits(story, event)
        for one in story.of("book", event):
            text = _limits(story, one) or _too_few(sale, waits, one) or _fewer(story, sale, one) or _waits(sale, one)
            if text:
                yield Violation("sales", event, f"{one.user}, from {one.begin:.4f} to {one.end:.4f}: {text}")
        yield from [Violation("sales", event, text) for text in _on_sale(story, waits, event)]


def _limits(story: Story, one: Exchange) -> str:
    """Judge 422: a booking has at most `ticketsPerBooking` tickets, and `atLeast` is no more than `quantity`."""
    asked, most = Asked.by(one), story.rules(one.event).tickets_per_booking
    is_valid = 1 <= asked.at_least <= asked.quantity <= most
    if one.is_open or is_valid == (one.status != 422):
        return ""
    return f"{asked} was answered {one.status}, where a booking has at most {most}"


def _too_few(sale: Sale, waits: Waits, one: Exchange) -> str:
    """Judge 409 `too-few-tickets`: some are free, fewer than wanted, and nobody waits for them."""
    if not one.is_refused or one.response.get("code") != "too-few-tickets":
        return ""
    asked, left, free = Asked.by(one), one.response.get("availableTickets"), sale.free(one.begin, one.end)
    if not isinstance(left, int) or not 1 <= left < asked.at_least:
        return f"{asked} was refused because {left} tickets are left"
    if free >= asked.at_least:
        return f"{asked} was refused because {left} tickets are left, where {free} were free"
    _, user = waits.through(one.begin, one.end)
    return f"{asked} was refused because {left} tickets are left, while {user} waited" if user else ""


def _fewer(story: Story, sale: Sale, one: Exchange) -> str:
    """Judge 201: fewer tickets than wanted are given only if no more are free."""
    if one.status != 201 or one.response["status"] not in OWNING:
        return ""
    wanted, given, booking = Asked.by(one).quantity, one.response.get("quantity", 1), one.response["bookingId"]
    cancels = story.of("cancel", one.event, one.user)
    is_reduced = any(other.begin <= one.end and other.last >= one.begin for other in cancels if "keep" in other.body)
    if given >= wanted or is_reduced or (free := sale.free(one.begin, one.end, booking)) < wanted:
        return ""
    return f"{given} tickets were given, where {wanted} were wanted and {free} were free"


def _waits(sale: Sale, one: Exchange) -> str:
    """Judge 202: an event that was seen on sale stays on sale while a ticket is free, so nobody is told to wait."""
    if one.status != 202:
        return ""
    since = sale.seen_on_sale(one.begin)
    free = sale.free(since, one.end, one.response["bookingId"]) if since < math.inf else 0
    return f"told to wait, where it was on sale at {since:.4f} and {free} tickets were free since" if free > 0 else ""


def _on_sale(story: Story, waits: Waits, event: str) -> Iterator[str]:
    """Judge `soldOutAt`: it is set as long as anyone waits."""
    shown = [(one, one.response) for one in story.of("status", event) if one.is_done]
    shown += [
        (page, row)
        for page in story.of("events")
        for row in (page.response["events"] if page.is_done else [])
        if row["eventId"] == event
    ]
    for one, row in shown:
        until, user = waits.through(story.shown_from(one), one.end)
        if user and not row.get("soldOutAt"):
            yield f"{one.op} from {one.begin:.4f} to {one.end:.4f}: on sale, while {user} waited until {until:.4f}"
