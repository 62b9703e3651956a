"""What runs against the database: each calls the office as a function's handler does."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar
from unittest.mock import patch

from shared.booking import (
    background,
    cancellation,
    catalog,
    check_ins,
    confirmation,
    event_cancellation,
    event_change,
    expiry,
    office,
    sweep,
    transfers,
    waiting_list,
)
from shared.model import NO_HOLDS, Actor, Confirmation, Event, Rules, Terms, Transfer
from shared.runtime import Deadline

EVENT = "E"
MOMENT = "2026-05-01T18:00:00.000Z"
_BUDGET_S = 60.0  # the simulated clock stands still


@dataclass(frozen=True)
class Operation:
    """One call of a function. `tag` tells those of one user apart; `warm` with an event as it was when opened.

    With `meets_comebacks`, the function has just met a user who came back. `at` is what its clock says, all the time.
    """

    kind: ClassVar[str]  # of who calls it
    title: ClassVar[str] = ""  # its name without the tag, if that is always the same
    tag: str = ""
    warm: Event | None = None
    meets_comebacks: bool = False
    at: str = MOMENT

    @property
    def name(self) -> str:
        """Return how it is called in reports, different for each operation of a scenario."""
        return f"{self.title}{self.tag}"

    @property
    def name_of_effect(self) -> str:
        """Return the id of what it makes."""
        return self.name

    @property
    def user(self) -> str | None:
        """Return who asks."""
        return None

    @property
    def is_asked_again(self) -> bool:
        """Tell whether somebody waits for its answer, and sends the request again where it dies."""
        return self.user is not None

    def run(self) -> Any:
        """Call the function, cold or with what it remembers."""
        if self.warm:
            catalog.remember(self.warm)
        if self.meets_comebacks:
            waiting_list.remember_comeback(EVENT)
        return self.call(Deadline.after(_BUDGET_S))

    def call(self, deadline: Deadline) -> Any:
        """Ask the office."""
        raise NotImplementedError

    def repeated(self, times: int = 1) -> "Operation":
        """Return the same request, sent again, to a function that has just been started."""
        return replace(self, tag=f"{self.tag}{'+' * times}", warm=None, meets_comebacks=False)


@dataclass(frozen=True)
class Open(Operation):
    """POST /initialize."""

    kind = "organiser"
    title = "open"
    tickets: int = 1
    lanes: int = 1
    stripes: int = 1
    rules: Rules = NO_HOLDS

    @property
    def name_of_effect(self) -> str:
        """Return the event's id: the same for each, as it follows from an Idempotency-Key."""
        return EVENT

    def call(self, deadline: Deadline) -> Event:
        """Open the event, with lanes as few and stripes as many as the scenario wants."""
        lanes, stripes = (lambda _: self.lanes), (lambda _: self.stripes)
        with patch.object(catalog, "lanes_for", lanes), patch.object(catalog, "stripes_for", stripes):
            return catalog.open_event(Terms("The concert", self.tickets), deadline, rules=self.rules)


@dataclass(frozen=True)
class OfUser(Operation):
    """A request about a user's booking."""

    who: str = ""

    @property
    def user(self) -> str:
        """Return whose booking it is."""
        return self.who


@dataclass(frozen=True)
class Book(OfUser):
    """POST /book."""

    kind = "buyer"
    quantity: int = 1
    at_least: int | None = None

    @property
    def name(self) -> str:
        """Return e.g. "ann" or "ann again"."""
        return f"{self.who}{self.tag}"

    def call(self, deadline: Deadline) -> Any:
        """Ask the office."""
        return office.book(EVENT, self.who, deadline, quantity=self.quantity, at_least=self.at_least)


@dataclass(frozen=True)
class Cancel(OfUser):
    """POST /cancel, with or without a bookingId, of all tickets or of all but those to `keep`."""

    kind = "buyer"
    booking: str | None = None
    keep: int | None = None

    @property
    def name(self) -> str:
        """Return e.g. "cancel ann" or "cancel ann but 1"."""
        return f"cancel {self.who}{'' if self.keep is None else f' but {self.keep}'}{self.tag}"

    def call(self, deadline: Deadline) -> Any:
        """Ask the office."""
        if self.keep is None:
            return cancellation.cancel(EVENT, self.who, self.booking, deadline)
        return cancellation.reduce(EVENT, self.who, self.booking, self.keep, deadline)


@dataclass(frozen=True)
class Confirm(OfUser):
    """POST /confirm, by a shop: of the booking with this id."""

    kind = "shop"
    booking: str = ""

    @property
    def name(self) -> str:
        """Return e.g. "confirm ann"."""
        return f"confirm {self.booking}{self.tag}"

    def call(self, deadline: Deadline) -> Any:
        """Ask the office."""
        return confirmation.confirm(EVENT, self.who, Confirmation(self.booking, Actor.SHOP), deadline)


@dataclass(frozen=True)
class GiveAway(OfUser):
    """POST /transfer, by the holder: of the booking with this id."""

    kind = "buyer"
    booking: str = ""
    to: str = ""

    @property
    def name(self) -> str:
        """Return e.g. "transfer ann to bob"."""
        return f"transfer {self.booking} to {self.to}{self.tag}"

    def call(self, deadline: Deadline) -> Any:
        """Ask the office."""
        return transfers.transfer(EVENT, self.who, Transfer(self.booking, self.to, Actor.BUYER), deadline)


@dataclass(frozen=True)
class AtDoor(OfUser):
    """POST /check-in: of the booking with this id."""

    kind = "door"
    booking: str = ""

    @property
    def name(self) -> str:
        """Return e.g. "check in ann"."""
        return f"check in {self.booking}{self.tag}"

    def call(self, deadline: Deadline) -> Any:
        """Ask the office."""
        return check_ins.check_in(EVENT, self.who, self.booking, Actor.DOOR, deadline)


@dataclass(frozen=True)
class Expire(Operation):
    """The function that expires holds, once a minute."""

    kind = "expiry"
    title = "expire"

    @property
    def is_asked_again(self) -> bool:
        """Tell whether it comes again after a death: a minute later it does."""
        return True

    def call(self, deadline: Deadline) -> int:
        """Expire what is due."""
        return expiry.expire(deadline.at_s)


@dataclass(frozen=True)
class Patch(Operation):
    """PATCH /events/{eventId}, with If-Match where there is a `revision`."""

    kind = "organiser"
    wanted: tuple[tuple[str, Any], ...] = ()
    revision: int | None = None
    insists: bool = True

    @property
    def name(self) -> str:
        """Return e.g. "change total_tickets to 2"."""
        return f"change {', '.join(f'{name} to {value}' for name, value in self.wanted)}{self.tag}"

    @property
    def is_asked_again(self) -> bool:
        """Tell whether the organiser waits for the answer."""
        return self.insists

    def call(self, deadline: Deadline) -> Any:
        """Change the event."""
        revisions = None if self.revision is None else {self.revision}
        return event_change.change(EVENT, dict(self.wanted), deadline, revisions)


@dataclass(frozen=True)
class OfRecords(Operation):
    """A function on a batch of records of a stream: what it is told of each is its lane, note or event."""

    parts: tuple[str, ...] = ()

    @property
    def records(self) -> list[dict[str, Any]]:
        """Return the batch as the function gets it."""
        keys = [{"eventId" if part == EVENT else "laneId": {"S": part}} for part in self.parts]
        return [{"dynamodb": {"Keys": key, "SequenceNumber": str(number)}} for number, key in enumerate(keys)]


@dataclass(frozen=True)
class Promote(OfRecords):
    """The promoter on a batch of records of the Bookings stream."""

    kind = "promoter"
    title = "promoter"

    def call(self, deadline: Deadline) -> list[str]:
        """Settle the batch; `deadline` is that of the invocation."""
        return background.settle_batch(self.records, deadline.at_s)


@dataclass(frozen=True)
class CancelEvent(Operation):
    """POST /events/{eventId}/cancel. Nobody asks again: the background does what is left."""

    kind = "organiser"
    title = "cancel event"

    def call(self, deadline: Deadline) -> Any:
        """Cancel the event."""
        return event_cancellation.cancel_event(EVENT, deadline)


@dataclass(frozen=True)
class Follow(OfRecords):
    """What follows from a batch of records of the Events stream."""

    kind = "background"
    title = "background"

    def call(self, deadline: Deadline) -> list[str]:
        """Empty or settle the event; `deadline` is that of the invocation."""
        return background.follow_batch(self.records, deadline.at_s)


@dataclass(frozen=True)
class Sweep(Operation):
    """The sweep of sold-out and cancelled events."""

    kind = "sweep"
    title = "sweep"

    def call(self, deadline: Deadline) -> int:
        """Sweep and audit."""
        return sweep.sweep(deadline.at_s)
