"""The history in the order that the checks need: sightings of bookings, values of fields, announcements."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from checker.history import Exchange, History

FIELDS = ("name", "totalTickets", "opensAt", "closesAt", "waitingListLimit")  # what an organiser sets
MOMENTS = (
    "joinedAt",
    "promotedAt",
    "heldAt",
    "expiresAt",
    "bookedAt",
    "cancelledAt",
    "expiredAt",
    "checkedInAt",
    "transferredAt",
)
ACTORS = {  # docs/api.md: without tokens every caller is the buyer, for confirmations the shop, for check-ins the door
    "bookedBy": {"buyer"},
    "confirmedBy": {"shop"},
    "cancelledBy": {"buyer", "event"},
    "reducedBy": {"buyer"},
    "checkedInBy": {"door"},
    "transferredBy": {"buyer"},
}
OWNING = {"HELD", "CONFIRMED"}  # the statuses of a booking with a ticket
ENDED = {"CANCELLED", "EXPIRED", "TRANSFERRED"}
CLOCK_DRIFT_S_MAX = 0.5  # of the checker's wall clock during a round; with more, no moment is judged
CLOCK_ERROR_S = 0.1  # in comparing a moment of the office with a time of the history: moments are cut to milliseconds
COUNTS_AGE_S_MAX = 1.0  # docs/api.md: how long before its request the counts of a status may have begun
RUN_S = 10.0  # how long work may go on with a time that was read while the clock was wrong


@dataclass(frozen=True)
class Violation:
    """One broken promise, for a person to read."""

    check: str
    event: str
    text: str


@dataclass(frozen=True)
class Sighting:
    """A booking as a response showed it: this was true at some moment between `begin` and `end`."""

    event: str
    user: str
    booking: str
    status: str
    was: str  # status before the cancellation, if it is cancelled
    begin: float
    end: float
    row: dict[str, Any]
    exchange: Exchange

    @property
    def has_ticket(self) -> bool:
        """Tell whether the booking has a ticket, or had one."""
        return self.status in OWNING or self.status in {"EXPIRED", "TRANSFERRED"} or self.was in OWNING

    @property
    def quantity(self) -> int:
        """Return how many tickets it has, had, or waits for."""
        return int(self.row.get("quantity", 1))


@dataclass(frozen=True)
class Rules:
    """How an event sells its tickets, as it was opened; None for no holds, and for no offers."""

    hold_s: int | None
    offer_s: int | None
    confirmed_by: str | None
    tickets_per_booking: int = 1

    @property
    def first(self) -> str:
        """Return the status of a booking that gets a ticket at once."""
        return "HELD" if self.hold_s else "CONFIRMED"

    @property
    def promoted(self) -> str:
        """Return the status of a booking that the waiting list gives a ticket."""
        return "HELD" if self.offer_s else "CONFIRMED"

    def fields(self) -> dict[str, Any]:
        """Return them as they are shown."""
        return {
            "holdSeconds": self.hold_s,
            "offerSeconds": self.offer_s,
            "confirmedBy": self.confirmed_by,
            "ticketsPerBooking": self.tickets_per_booking,
        }


@dataclass(frozen=True)
class Asked:
    """How many tickets a request to book asks for: `quantity`, or fewer if no more are free, down to `at_least`."""

    quantity: int
    at_least: int

    @staticmethod
    def by(one: Exchange) -> "Asked":
        """Read the request; without `atLeast` it wants all of them."""
        quantity = one.body.get("quantity", 1)
        return Asked(quantity, one.body.get("atLeast", quantity))


@dataclass(frozen=True)
class Write:
    """A value that an organiser asked a field to have; possible from `begin` until a later one surely replaced it."""

    value: Any
    begin: float
    end: float
    is_done: bool
    is_refused: bool


class Story:
    """A history, indexed once."""

    def __init__(self, history: History) -> None:
        self.exchanges = list(history)
        self._writes: dict[tuple[str, str], list[Write]] = {}

    @cached_property
    def opened(self) -> dict[str, Exchange]:
        """Return each event's opening, by its id."""
        opened: dict[str, Exchange] = {}
        for one in self.of("initialize"):
            if one.is_done:
                opened.setdefault(one.response["eventId"], one)
        return opened

    def rules(self, event: str) -> Rules:
        """Return an event's rules, with their defaults."""
        asked = self.opened[event].body if event in self.opened else {}
        hold_s = asked.get("holdSeconds")
        offer_s = asked.get("offerSeconds", hold_s)
        confirmed_by = asked.get("confirmedBy", "shop") if offer_s else None
        return Rules(hold_s, offer_s, confirmed_by, asked.get("ticketsPerBooking", 1))

    @cached_property
    def _requests(self) -> dict[tuple[str, str | None, str | None], list[Exchange]]:
        found = defaultdict(list)
        for one in self.exchanges:
            for event, user in ((None, None), (one.event, None), (one.event, one.user)):
                found[one.op, event, user].append(one)
        return found

    def of(self, op: str, event: str | None = None, user: str | None = None) -> list[Exchange]:
        """Return the requests of one kind; of an event, of a user of an event."""
        return self._requests.get((op, event, user), [])

    @cached_property
    def by_user(self) -> dict[tuple[str, str], list[Exchange]]:
        """Return what each user asked for on each event: bookings, confirmations, transfers, cancellations."""
        found = defaultdict(list)
        for one in self.of("book") + self.of("confirm") + self.of("transfer") + self.of("cancel"):
            found[one.event, one.user].append(one)
        return found

    @cached_property
    def gifts(self) -> dict[tuple[str, str], list[Exchange]]:
        """Return the transfers that may have given each user tickets of each event."""
        found = defaultdict(list)
        for one in self.of("transfer"):
            if not one.is_refused:
                found[one.event, one.body["toUserId"]].append(one)
        return found

    def may_be_gift(self, seen: list[Sighting]) -> bool:
        """Tell whether a booking may be one that the user got by a transfer: no request of the user made it."""
        event, user, booking = seen[0].event, seen[0].user, seen[0].booking
        asked = self.by_user.get((event, user), [])
        is_made = any(
            one.op == "book" and one.status in (201, 202) and one.response["bookingId"] == booking for one in asked
        )
        has_waited = any(one.status in {"WAITING", "HELD"} for one in seen)
        return (event, user) in self.gifts and not is_made and not has_waited

    @cached_property
    def sightings(self) -> dict[tuple[str, str], list[Sighting]]:
        """Return all sightings of bookings, by event and bookingId."""
        found = defaultdict(list)
        for one in self.exchanges:
            for seen in sightings(one):
                found[seen.event, seen.booking].append(seen)
        return found

    def bookings_of(self, event: str) -> Iterator[tuple[str, list[Sighting]]]:
        """Yield each bookingId of an event with its sightings."""
        return ((booking, seen) for (of, booking), seen in self.sightings.items() if of == event)

    def shown_from(self, one: Exchange) -> float:
        """Return the earliest moment at which an event was as a response shows it: a status may be cached."""
        if one.op != "status":
            return one.begin
        earliest = one.begin - COUNTS_AGE_S_MAX
        if "asOf" not in one.response or self.clock_jumped(earliest, one.end):
            return earliest
        as_of = self.time_of(one.response["asOf"])
        return earliest if as_of is None else min(one.begin, max(earliest, as_of))

    def created_from(self, seen: list[Sighting]) -> float:
        """Return the earliest moment at which a booking can have been made: when a request for it began."""
        first_end, booking = min(one.end for one in seen), seen[0].booking
        books = [
            one for one in self.by_user[seen[0].event, seen[0].user] if one.op == "book" and one.begin <= first_end
        ]
        makers = [one for one in books if one.status in (201, 202) and one.response["bookingId"] == booking]
        # A 200 may have made a booking that was cancelled before the response: one that no 201 or 202 names.
        others = [one for one in books if one.is_open or (one.status == 200 and not makers)]
        gifts = self.gifts[seen[0].event, seen[0].user] if self.may_be_gift(seen) else []
        return min((one.begin for one in makers + others + gifts), default=-math.inf)

    @cached_property
    def _wall_clock(self) -> float | None:
        """Return what the wall clock is ahead of the history's; None if it is unknown, or not always the same."""
        ahead = [one.response - one.begin for one in self.of("clock")]
        return ahead[0] if ahead and max(ahead) - min(ahead) <= CLOCK_DRIFT_S_MAX else None

    def clock_was_wrong(self, seen: list[Sighting]) -> bool:
        """Tell whether the office's clock may have been wrong from when a booking was made until it was seen to end.

        One that was not seen to end may have ended before it was due, and another booking may have taken its place.
        """
        last = max([one.end for one in seen] + self._due(seen))
        end = min((one.end for one in seen if one.status == "EXPIRED"), default=last)
        return self.clock_jumped(self.created_from(seen), end)

    def clock_jumped(self, begin: float, end: float) -> bool:
        """Tell whether the office may have worked with a wrong clock between two moments."""
        jumps = [one for one in self.of("fault") if one.body.get("kind") == "clock"]
        return any(one.begin <= end and one.end + RUN_S >= begin for one in jumps)

    def time_of(self, moment: str) -> float | None:
        """Return a moment of the wall clock on the history's; None if the checker's was unsteady."""
        if self._wall_clock is None:
            return None
        return datetime.fromisoformat(moment).timestamp() - self._wall_clock - CLOCK_ERROR_S

    def expires_from(self, seen: list[Sighting]) -> float:
        """Return the earliest time at which a hold can have expired (H1); any time if the clock may have been wrong.

        A hold that was only seen after its end was made after the request for it began.
        """
        if self._wall_clock is None or self.clock_was_wrong(seen):
            return -math.inf
        return min(self._due(seen), default=self.created_from(seen))

    def _due(self, seen: list[Sighting]) -> list[float]:
        """Return when a hold is due, as it was seen; empty if it never was, or if the checker's clock was unsteady."""
        times = [self.time_of(one.row["expiresAt"]) for one in seen if one.row.get("expiresAt")]
        return [time for time in times if time is not None]

    def cancelled_from(self, event: str) -> float:
        """Return when the first cancellation of an event began: it may be cancelled from then on."""
        return min((one.begin for one in self.of("cancel-event", event) if not one.is_refused), default=math.inf)

    def cancelled_by(self, event: str) -> float:
        """Return when a cancellation of an event was first acknowledged: it is cancelled from then on."""
        return min((one.end for one in self.of("cancel-event", event) if one.is_done), default=math.inf)

    def writes(self, event: str, field: str) -> list[Write]:
        """Return the values that a field of an event was asked to have, the first when it was opened."""
        if (event, field) not in self._writes:
            first = self.opened[event].body.get(field)
            found = [Write(first, -math.inf, -math.inf, is_done=True, is_refused=False)]
            found += [
                Write(one.body[field], one.begin, one.last, one.is_done, one.is_refused)
                for one in self.of("change", event)
                if field in one.body
            ]
            self._writes[event, field] = found
        return self._writes[event, field]

    def possible(self, event: str, field: str, begin: float, end: float, *, refused: bool = True) -> list[Any]:
        """Return the values that a field may have had at some moment from `begin` to `end`.

        A refused one may show while it is being refused, unless `refused` is false; an acknowledged one ends all that
        were answered before it began.
        """
        writes = self.writes(event, field)
        replaced = max((one.begin for one in writes if one.is_done and one.end < begin), default=-math.inf)
        found = []
        for one in writes:
            if one.begin > end or one.end < replaced or (one.is_refused and (not refused or one.end < begin)):
                continue
            if one.value not in found:
                found.append(one.value)
        return found

    # ------------------------------------------------------------------ at rest

    def at_rest(self, op: str, event: str = "") -> list[Exchange]:
        """Return the requests about an event at rest."""
        return [one for one in self.of(op) if one.at_rest and one.event == event and one.is_done]

    def last_status(self, event: str) -> dict[str, Any] | None:
        """Return an event's status at rest, if it could be read."""
        found = [one for one in self.at_rest("status", event) if not one.user]
        return dict(found[-1].response) if found else None

    def last_rows(self, event: str) -> list[dict[str, Any]]:
        """Return all bookings of an event at rest."""
        return [
            row for one in self.at_rest("event-bookings", event) if "status" not in one.query
            for row in one.response["bookings"]
        ]  # fmt: skip

    @cached_property
    def announced(self) -> dict[str, dict[str, Any]]:
        """Return the announcements by id, as the whole stream has them at rest."""
        return {told["detail"]["id"]: told["detail"] for told in self.told(at_rest=True) if "bad" not in told}

    def told(self, *, at_rest: bool) -> list[dict[str, Any]]:
        """Return the records of the stream: the whole stream at rest, or as the listener got them during the round."""
        return [told for one in self.of("listen") if one.at_rest == at_rest for told in one.response]


def sightings(one: Exchange) -> Iterator[Sighting]:
    """Yield each booking that a response shows."""
    if not one.is_done:
        return
    rows: list[dict[str, Any]] = []
    if one.op in ("book", "confirm", "cancel", "transfer", "check-in"):
        rows = [one.response]
    elif one.op == "status":
        rows = [one.response["booking"]] if one.response.get("booking") else []
    elif one.op in ("bookings", "event-bookings"):
        rows = one.response["bookings"]
    elif one.op == "waiting-list":
        rows = one.response["entries"]
    for row in rows:
        was = row.get("was") or ("CONFIRMED" if row.get("bookedAt") else "HELD" if row.get("heldAt") else "WAITING")
        yield Sighting(
            row.get("eventId") or one.event,
            row["userId"],
            row["bookingId"],
            row["status"],
            was if row["status"] == "CANCELLED" else "",
            one.begin,
            one.end,
            row,
            one,
        )
