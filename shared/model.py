"""The nouns of the ticket office: what is stored, what can happen to a booking, and what can go wrong.

Imports nothing of ours. The promises that comments refer to, P1 to P8, O1 to O3, H1 to H3, D1 and T1, are listed
in docs/guarantees.md.

Errors of booking are TicketOfficeErrors; those of HTTP are in shared/edge. Each class says when it is raised.

DamagedItem is no user's error: it becomes a 500.
"""

import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

TICKETS_MAX = 1_000_000  # per event
WAITING_LIST_LIMIT_MAX = 1_000_000_000  # users: more than will ever wait
NAME_LENGTH_MAX = 200  # characters; of a venue as well
ID_LENGTH_MAX = 128  # characters; in UTF-8 at most 512 bytes, below DynamoDB's 1,024 for a sort key
IDEMPOTENCY_KEY_LENGTH_MAX = 255  # characters
BODY_BYTES_MAX = 10 * 1024

HOLD_S_MAX = 86_400  # a day
OFFER_S_MAX = 604_800  # a week
HOLD_SHARDS = 64  # parts of the index of holds by expiry: each takes a thousand new holds a second

TICKETS_PER_BOOKING_MAX = 20  # so that a booking from several lanes fits in one transaction

TICKETS_PER_LANE = 50
LANES_MAX = 96  # an event and its lanes are opened in one transaction, which takes at most 100 items
LANES_PER_STRIPE = 5  # a lane takes about 100 joins a second, a stripe 500
STRIPES_MAX = 4  # together 2,000 joins a second; the counter hands out at most 1,000

POSITION_EXACT_MAX = 100  # waiting users ahead that are counted one by one; beyond that, the position is an estimate

REFUSALS_KEPT = 8  # refused changes that an event remembers, so that a slow request still learns of its own

# For retries in one HTTP request. A call that began in time may still take CALL_TIMEOUT_S (store/aws_client.py), so a
# response takes at most 7 s (a refused signature adds one call); the functions' own timeout is 10 s.
REQUEST_BUDGET_S = 5.0
STATUS_BUDGET_S = 1.0  # for retries of a status: its caller asks again anyway, and more retries would only queue up
RETRY_AFTER_S = 1  # what a client is told to wait after 503
BACKGROUND_RESERVE_S = 5.0  # of the time of an invocation in the background, kept for the last call and the answer


class Status(StrEnum):
    """Where a booking stands. HELD and CONFIRMED bookings own tickets, WAITING ones a place; the others have ended."""

    HELD = "HELD"
    CONFIRMED = "CONFIRMED"
    WAITING = "WAITING"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    TRANSFERRED = "TRANSFERRED"  # to another user, whose booking it became


class Actor(StrEnum):
    """Who acts on a booking: the buyer, a shop or an organiser for the buyer, the door, or the event's cancellation."""

    BUYER = "buyer"
    SHOP = "shop"
    ORGANISER = "organiser"
    DOOR = "door"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Terms:
    """What an organiser sets when opening an event and by each change. None means that there is no bound."""

    name: str
    total_tickets: int
    opens_at: str | None = None
    closes_at: str | None = None
    waiting_list_limit: int | None = None
    venue: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How an event sells its tickets: set when it is opened, then fixed, so that warm functions can cache it.

    With `hold_seconds`, a buyer first holds tickets for that long, and the hold is confirmed or expires. With
    `offer_seconds`, so does a user whom the waiting list promotes. Without them, bookings are confirmed at once.
    `confirmed_by` is SHOP or BUYER if there are holds, else None. `tickets_per_booking` is the most that one booking
    may have, 1 to TICKETS_PER_BOOKING_MAX.
    """

    hold_seconds: int | None = None  # 1 to HOLD_S_MAX
    offer_seconds: int | None = None  # 1 to OFFER_S_MAX
    confirmed_by: Actor | None = None
    tickets_per_booking: int = 1

    def with_defaults(self) -> "Rules":
        """Return them with what an organiser leaves out: offers last as long as holds, and shops confirm both."""
        offer_seconds = self.offer_seconds or self.hold_seconds
        confirmed_by = (self.confirmed_by or Actor.SHOP) if offer_seconds else None
        return replace(self, offer_seconds=offer_seconds, confirmed_by=confirmed_by)


NO_HOLDS = Rules()  # bookings are confirmed at once


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an event's terms that is under way: requested, and not yet done or, if it was refused, undone."""

    number: int  # the event's `steps` when it was requested: no other change has it
    requested_at: str
    terms: Terms


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A change that was refused: its number, and how many tickets were booked then."""

    number: int
    booked: int


@dataclass(frozen=True, slots=True)
class Event:
    """What people attend.

    Fixed when it is opened: its id, rules, lanes, stripes, created_at and request_fingerprint. Set once:
    `cancelled_at`; `emptied_at`, when every booking of the cancelled event was cancelled. `terms` are those in
    force: each change that is done adds 1 to `revision`. Lanes decide by their own copy of the tickets and of the sale
    window.

    An event is on sale until it sells out, and once it is back on sale it may sell out again. `sale` counts these sales
    from 1; `sold_out_at` is when the present one ended.

    `tickets_in_lanes` is the exact sum of the lanes' tickets. It differs from the total only while a change is under
    way. `steps` counts every write that a change makes to the event, and each is conditional on it. `refusals`
    are the last changes that were refused, at most REFUSALS_KEPT.
    """

    event_id: str
    terms: Terms
    lanes: int
    stripes: int
    created_at: str
    request_fingerprint: str
    sold_out_at: str | None = None
    cancelled_at: str | None = None
    emptied_at: str | None = None
    revision: int = 0
    tickets_in_lanes: int = 0
    steps: int = 0
    change: Change | None = None
    refusals: tuple[Refusal, ...] = ()
    rules: Rules = NO_HOLDS
    sale: int = 1

    @property
    def is_stepping_back(self) -> bool:
        """Tell whether the change that is under way was refused, so that the lanes go back to the total in force."""
        return self.change is not None and self.refusal_of(self.change) is not None

    def refusal_of(self, change: Change) -> Refusal | None:
        """Return the refusal of this change, if it is one of the last REFUSALS_KEPT."""
        return next((one for one in self.refusals if one.number == change.number), None)

    @property
    def tickets_to_add(self) -> int:
        """Return how many tickets the lanes still need; a negative number is to be taken away."""
        wanted = self.terms if self.change is None or self.is_stepping_back else self.change.terms
        return wanted.total_tickets - self.tickets_in_lanes

    def home_lane(self, user_id: str) -> int:
        """Return the number of the lane of this user's booking: always the same, and even over users."""
        return zlib.crc32(user_id.encode()) % self.lanes


@dataclass(frozen=True, slots=True)
class Lane:
    """One part of an event's tickets, on a partition of its own.

    `waiting` is this lane's share of the number of users waiting: users join on their home lane and are promoted on the
    lane that had the ticket, so a share may be negative and only the sum means anything. `changes` grows with every
    booking or ticket change on the lane, so the audit can tell whether anything moved. `tickets` is its share of the
    event's total. Again only the sum means anything, because tickets come back to their users' home lanes, and are
    taken away where they are free. `checked_in` counts the tickets of the bookings of this lane that were checked in.
    `opens_at` and `closes_at` are the moments between which it sells, None for no bound. `revision` is the event's
    revision that set this sale window; 0 if no change has. `sweep_id` is the event's id if anything has changed on the
    lane since the last clean audit (shared/booking/resting.py).
    """

    event_id: str
    number: int
    tickets: int
    available: int
    waiting: int
    changes: int
    # When this sale sold out: from then on the lane gives tickets only to the waiting list (not `closes_at`).
    closed_at: str | None = None
    cancelled_at: str | None = None  # of the event: from then on this lane gives no ticket and no place
    opens_at: str | None = None
    closes_at: str | None = None
    revision: int = 0
    sale: int = 1  # the event's
    checked_in: int = 0
    sweep_id: str | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether the lane still sells to any buyer."""
        return self.closed_at is None


@dataclass(frozen=True, slots=True)
class Booking:
    """One user's booking of one event: the current one, which replaces an earlier one that has ended.

    `generation` is 1 for the user's first booking of the event and one more each time they come back. `sequence` is the
    place in the waiting list; None for a booking sold while the event was on sale. `quantity` is the number of its
    tickets; while it is WAITING, of those that the user wants. `at_least` is the fewest that a waiting user takes, if
    that is more than one; a promotion removes it. `reduced_at` is when the user last gave back some of the tickets, or
    asked for fewer. `expires_at` is set only while the booking is HELD. A booking with `checked_in_at` was used: only
    the cancellation of the event ends it. `reference` is the shop's, such as the id of a payment. `transferred_to` is
    the user who got the tickets of a TRANSFERRED booking; theirs has the user before them as `transferred_from`. Times
    are ISO 8601 in UTC.
    """

    event_id: str
    user_id: str
    booking_id: str
    generation: int
    status: Status
    quantity: int = 1
    at_least: int | None = None
    sequence: int | None = None
    joined_at: str | None = None
    promoted_at: str | None = None
    held_at: str | None = None
    expires_at: str | None = None
    booked_at: str | None = None
    cancelled_at: str | None = None
    expired_at: str | None = None
    reduced_at: str | None = None
    checked_in_at: str | None = None
    transferred_at: str | None = None
    transferred_to: str | None = None
    transferred_from: str | None = None
    reference: str | None = None
    booked_by: Actor | None = None
    confirmed_by: Actor | None = None
    cancelled_by: Actor | None = None
    reduced_by: Actor | None = None
    checked_in_by: Actor | None = None
    transferred_by: Actor | None = None

    @property
    def is_active(self) -> bool:
        """Tell whether it owns tickets or a place in the waiting list."""
        return self.owns_tickets or self.status is Status.WAITING

    @property
    def owns_tickets(self) -> bool:
        """Tell whether it is held or confirmed."""
        return self.status in {Status.HELD, Status.CONFIRMED}

    @property
    def created_at(self) -> str:
        """Return when the booking was made; no later step changes it."""
        return self.joined_at or self.held_at or self.booked_at or ""

    @property
    def was(self) -> Status:
        """Return the status that an ended booking had before."""
        if self.booked_at is not None:
            return Status.CONFIRMED
        return Status.WAITING if self.held_at is None else Status.HELD


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How a hold is confirmed: which one, by whom, and with which reference of the shop's."""

    booking_id: str
    by: Actor
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """How a booking is transferred: which one, to whom, and by whom."""

    booking_id: str
    to_user_id: str
    by: Actor


@dataclass(frozen=True, slots=True)
class CheckIn:
    """A booking that was checked in: by this request, or `again` if it had been before."""

    booking: Booking
    again: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A place in the waiting list."""

    event_id: str
    sequence: int
    user_id: str
    booking_id: str
    joined_at: str
    quantity: int = 1
    at_least: int | None = None  # as in Booking


@dataclass(frozen=True, slots=True)
class Tail:
    """The tail of a waiting list: the last sequence number drawn (0: none was), and how many users may wait."""

    last_sequence: int
    waiting_list_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """How far back in the waiting list: 1 is the head. An estimate is an upper bound."""

    value: int
    is_estimate: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A booking and its place in line, as a user gets them. `position` is set only while it is WAITING."""

    booking: Booking
    position: Position | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Availability:
    """What is left of an event's tickets, and how many users wait for them.

    `total_tickets` is the sum over the lanes. While a change is under way, it lies between the old and the new total.
    """

    event: Event
    total_tickets: int
    available_tickets: int
    waiting_list_count: int
    checked_in_tickets: int = 0

    @property
    def booked_tickets(self) -> int:
        """Return the number of tickets that are held or confirmed, which by P1 is the rest."""
        return self.total_tickets - self.available_tickets


@dataclass(frozen=True, slots=True)
class Counts:
    """What was left of an event at a moment: every change that was acknowledged before `as_of` is counted."""

    availability: Availability
    as_of: str


class TicketOfficeError(Exception):
    """A request that cannot be fulfilled; `detail` explains it to the user."""

    detail = "The request cannot be fulfilled."

    @property
    def facts(self) -> dict[str, object]:
        """Return further members of the response, by their names there."""
        return {}


@dataclass(eq=False)
class EventNotFound(TicketOfficeError):
    """No event has this id."""

    event_id: str
    detail = "There is no event with this id."


@dataclass(eq=False)
class IdempotencyKeyReused(TicketOfficeError):
    """The same Idempotency-Key came with another body before."""

    event_id: str
    detail = "This Idempotency-Key was used before with another body."


@dataclass(eq=False)
class BookingNotFound(TicketOfficeError):
    """The user has never booked this event."""

    event_id: str
    user_id: str
    detail = "This user has no booking of this event."


@dataclass(eq=False)
class BookingChanged(TicketOfficeError):
    """The booking that the request names is not the user's current one."""

    event_id: str
    user_id: str
    booking_id: str
    detail = "This booking is no longer the user's current one."


@dataclass(eq=False)
class BookingCancelled(TicketOfficeError):
    """The booking was cancelled."""

    event_id: str
    booking_id: str
    cancelled_at: str
    detail = "This booking was cancelled."

    @property
    def facts(self) -> dict[str, object]:
        """Return when it was cancelled."""
        return {"cancelledAt": self.cancelled_at}


@dataclass(eq=False)
class HoldExpired(TicketOfficeError):
    """The hold has expired, and its tickets are no longer the user's."""

    event_id: str
    booking_id: str
    expired_at: str
    detail = "This hold has expired. Its tickets are no longer reserved."

    @property
    def facts(self) -> dict[str, object]:
        """Return when it expired."""
        return {"expiredAt": self.expired_at}


@dataclass(eq=False)
class NotHeld(TicketOfficeError):
    """The booking that was to be confirmed is still in the waiting list."""

    event_id: str
    booking_id: str
    detail = "This booking is in the waiting list: there is nothing to confirm yet."


@dataclass(eq=False)
class NotConfirmed(TicketOfficeError):
    """The booking that was to be checked in or transferred is held or waits."""

    event_id: str
    booking_id: str
    detail = "This booking is not confirmed."


@dataclass(eq=False)
class CheckedIn(TicketOfficeError):
    """The booking that was to be cancelled or transferred was checked in: its tickets were used."""

    event_id: str
    booking_id: str
    checked_in_at: str
    detail = "This booking was checked in. Its tickets were used."

    @property
    def facts(self) -> dict[str, object]:
        """Return when it was checked in."""
        return {"checkedInAt": self.checked_in_at}


@dataclass(eq=False)
class BookingTransferred(TicketOfficeError):
    """The booking was transferred: its tickets are those of another booking of another user."""

    event_id: str
    booking_id: str
    transferred_at: str
    reference: str | None = None
    detail = "This booking was transferred to another user."

    @property
    def facts(self) -> dict[str, object]:
        """Return when it was transferred, and with which payment: a shop may not know that it confirmed the hold."""
        return {"transferredAt": self.transferred_at, "reference": self.reference}


@dataclass(eq=False)
class RecipientHasBooking(TicketOfficeError):
    """The user who was to get the booking has an active one: tickets, or a place in the waiting list."""

    event_id: str
    to_user_id: str
    detail = "The recipient has a booking of this event, or waits for one. It would be lost: let them cancel it first."


@dataclass(eq=False)
class ShopOnly(TicketOfficeError):
    """A buyer tries to confirm a hold of an event whose holds only a shop confirms."""

    event_id: str
    detail = "Only a shop may confirm bookings of this event."


@dataclass(eq=False)
class NotOnSale(TicketOfficeError):
    """The lane does not sell at this moment. A user with an active booking keeps it."""

    event_id: str
    opens_at: str | None
    closes_at: str | None
    detail = "This event is not on sale at the moment."

    @property
    def facts(self) -> dict[str, object]:
        """Return when the sale opens and closes, as far as that is set."""
        return {"opensAt": self.opens_at, "closesAt": self.closes_at}


@dataclass(eq=False)
class TooFewTickets(TicketOfficeError):
    """The event is on sale, and has fewer free tickets than the user takes at least. They may ask for fewer."""

    event_id: str
    available: int  # free tickets, at least 1
    detail = "Fewer tickets are left than wanted. Nothing was booked."

    @property
    def facts(self) -> dict[str, object]:
        """Return how many tickets are left."""
        return {"availableTickets": self.available}


@dataclass(eq=False)
class TooManyTickets(TicketOfficeError):
    """The booking would have more tickets than the event allows in one."""

    event_id: str
    most: int
    detail = "Some fields are invalid: see errors."

    @property
    def facts(self) -> dict[str, object]:
        """Return the invalid field, as for other invalid requests."""
        return {"errors": [{"field": "quantity", "detail": f"must be at most {self.most} for this event"}]}


@dataclass(eq=False)
class WaitingListFull(TicketOfficeError):
    """As many users wait as the organiser allows."""

    event_id: str
    limit: int
    detail = "This event is sold out, and its waiting list is full."

    @property
    def facts(self) -> dict[str, object]:
        """Return the limit."""
        return {"waitingListLimit": self.limit}


@dataclass(eq=False)
class EventChanged(TicketOfficeError):
    """The event is at another revision than the ones that the request names."""

    event_id: str
    revision: int
    detail = "The event was changed in the meantime. Read it again, then decide."


@dataclass(eq=False)
class TicketsBooked(TicketOfficeError):
    """The event cannot have as few tickets as wanted: more of them are booked."""

    event_id: str
    total: int
    booked: int
    detail = "More tickets are booked than the new total. Nothing was changed."

    @property
    def facts(self) -> dict[str, object]:
        """Return how many tickets there are and how many of them are booked."""
        return {"totalTickets": self.total, "bookedTickets": self.booked}


@dataclass(eq=False)
class ImpossibleWindow(TicketOfficeError):
    """The sale would end before it begins."""

    opens_at: str
    closes_at: str
    detail = "Some fields are invalid: see errors."

    @property
    def facts(self) -> dict[str, object]:
        """Return the invalid field, as for other invalid requests."""
        return {"errors": [{"field": "closesAt", "detail": f"must be later than opensAt, {self.opens_at}"}]}


@dataclass(eq=False)
class AlreadyClosed(TicketOfficeError):
    """The sale of a new event would have ended before the event is opened."""

    closes_at: str
    detail = "Some fields are invalid: see errors."

    @property
    def facts(self) -> dict[str, object]:
        """Return the invalid field, as for other invalid requests."""
        return {"errors": [{"field": "closesAt", "detail": "must be in the future"}]}


@dataclass(eq=False)
class EventCancelled(TicketOfficeError):
    """The event was cancelled. A user with an active booking gets that booking instead."""

    event_id: str
    cancelled_at: str
    detail = "This event was cancelled."

    @property
    def facts(self) -> dict[str, object]:
        """Return when it was cancelled."""
        return {"cancelledAt": self.cancelled_at}


@dataclass(eq=False)
class TryAgain(TicketOfficeError):
    """The database did not let the request through in time.

    What was begun may be done, undone or still under way; repeating it is safe.
    """

    cause: str
    detail = "The ticket office is very busy. Nothing is lost: send the same request again."


class Stuck(TryAgain):
    """Settling was refused again and again: others are faster each time, or the tables are damaged."""


@dataclass(eq=False)
class DamagedItem(Exception):
    """An item of the tables lacks an attribute, or has one that cannot be read. No code of ours writes such an item."""

    item: str  # what it is, and its key
    attribute: str

    def __str__(self) -> str:
        """Name the item and the attribute."""
        return f"the {self.item} is damaged: its {self.attribute} cannot be read"


def lanes_for(total_tickets: int) -> int:
    """Return the number of lanes, 1 to LANES_MAX, for an event of this size.

    One lane for every TICKETS_PER_LANE, so that small events stay on one item and large ones spread.
    """
    return min(LANES_MAX, -(-total_tickets // TICKETS_PER_LANE))


def stripes_for(lanes: int) -> int:
    """Return the number of stripes of the waiting list, 1 to STRIPES_MAX, for an event with this many lanes.

    Each join is counted on a lane, so stripes that the lanes cannot fill would only be more to read.
    """
    return min(STRIPES_MAX, -(-lanes // LANES_PER_STRIPE))


def seconds_between(begin: str, end: str) -> float:
    """Return the seconds from one moment to another; 0 if the clocks that gave them disagree about the order."""
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


def as_moment(time: datetime) -> str:
    """Write a time with an offset as all moments are: ISO 8601 in UTC with milliseconds, so that they compare as text.

    Raises OverflowError for a year that UTC cannot have.
    """
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def later(moment: str, seconds: float) -> str:
    """Return the moment that many seconds later; earlier if the number is negative."""
    return as_moment(datetime.fromisoformat(moment) + timedelta(seconds=seconds))
