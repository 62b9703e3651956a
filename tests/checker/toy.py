"""A toy office in memory that keeps every promise, except for the one fault that a test plants.

It is as simple as possible: one lock, no processes. It answers as docs/api.md says, so the checker treats it like the
real one.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from checker.checks.story import ACTORS, ENDED, MOMENTS, OWNING

Response = tuple[int, dict[str, Any]]
SHOWN = (*MOMENTS, *ACTORS, "reference", "transferredTo", "transferredFrom")
NOT_CONFIRMED = {
    "EXPIRED": "hold-expired",
    "CANCELLED": "booking-cancelled",
    "TRANSFERRED": "booking-transferred",
    "WAITING": "not-held",
}
OF_BOOKINGS = ("/book", "/confirm", "/cancel", "/transfer", "/check-in")


def now(later_s: float = 0) -> str:
    """Return this moment, or a later one, as the API writes it."""
    moment = datetime.now(UTC) + timedelta(seconds=later_s)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Booking(SimpleNamespace):
    """One user's booking, with the names of the API. A moment that has not come is None."""

    def __init__(self, user: str, event: str, generation: int, status: str, **more: Any) -> None:
        super().__init__(**dict.fromkeys((*SHOWN, "reducedAt", "was", "atLeast")))
        whose = {"id": str(uuid4()), "user": user, "event": event, "generation": generation, "status": status}
        vars(self).update(whose, quantity=1, bookedBy="buyer")
        vars(self).update(more)


@dataclass
class Event:
    """One event."""

    facts: dict[str, Any]
    bookings: dict[str, Booking] = field(default_factory=dict)
    queue: list[Booking] = field(default_factory=list)
    revision: int = 0
    sale: int = 1
    lost: int = 0  # tickets that a fault lost

    @property
    def id(self) -> str:
        """Return its id."""
        return str(self.facts["eventId"])

    def booked(self) -> int:
        """Count its tickets that are held or confirmed."""
        return self.lost + sum(int(one.quantity) for one in self.bookings.values() if one.status in OWNING)

    def confirmed(self) -> int:
        """Count its tickets that are confirmed."""
        return sum(int(one.quantity) for one in self.bookings.values() if one.status == "CONFIRMED")


class Toy:
    """The office. `fault` names its one mistake, which it makes whenever `_slips` says so."""

    def __init__(self, fault: str = "") -> None:
        self._fault = fault
        self._count = 0
        self._lock = threading.Lock()
        self._events: dict[str, Event] = {}
        self._keys: dict[str, dict[str, Any]] = {}
        self._told: list[str] = []

    def _slips(self, fault: str, every: int = 1) -> bool:
        if fault != self._fault:
            return False
        self._count += 1
        return self._count % every == 0

    def _ask(  # noqa: PLR0911 - a response each
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any], key: str
    ) -> Response:
        """Answer one request."""
        parts = path.strip("/").split("/")
        with self._lock:
            for one in self._events.values():
                self._expire(one)
            if self._slips("fails", 50):
                return 500, {"code": "internal-error"}
            if path == "/initialize":
                return self._initialize(body, key)
            if path == "/events":
                return self._page("events", [self._row_of_event(one) for one in self._events.values()], query)
            if path == "/bookings":
                found = [
                    one.bookings[query["userId"]] for one in self._events.values() if query["userId"] in one.bookings
                ]
                chosen = [one for one in found if query.get("eventId", one.event) == one.event]
                return self._page("bookings", [self._show(one) | {"eventName": ""} for one in chosen], query)
            event = self._events.get(body["eventId"] if path in OF_BOOKINGS else parts[1])
            if event is None:
                return 404, {"code": "event-not-found"}
            if method == "PATCH":
                return self._change(event, body)
            if path in OF_BOOKINGS:
                return self._ask_for_booking(path, event, body)
            answers: dict[str, Callable[[], Response]] = {
                f"/status/{event.id}": lambda: (200, self._counts(event, query.get("userId"))),
                f"/events/{event.id}/cancel": lambda: self._end(event),
                f"/events/{event.id}/bookings": lambda: self._bookings(event, query),
                f"/events/{event.id}/waiting-list": lambda: self._list(event, query),
            }
            return answers[path]()

    def _ask_for_booking(self, path: str, event: Event, body: dict[str, Any]) -> Response:
        """Answer a request about a user's booking; all but the first name one that must be there."""
        booking = event.bookings.get(body["userId"])
        if path == "/book":
            return self._book(event, body["userId"], body.get("quantity", 1), body.get("atLeast"))
        if booking is None:
            return 404, {"code": "booking-not-found"}
        fault = {"/confirm": "confirms the wrong one", "/cancel": "cancels the wrong one"}.get(path, "-")
        if body.get("bookingId", booking.id) != booking.id and not self._slips(fault):
            return 409, {"code": "booking-changed"}
        if path == "/confirm":
            return self._confirm(booking, body.get("reference"))
        if path == "/cancel":
            return self._cancel(event, booking, body.get("keep"))
        return self._transfer(event, booking, body["toUserId"]) if path == "/transfer" else self._check_in(booking)

    def serve(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Answer one request over HTTP."""
        path, _, query = target.partition("?")
        if path == "/local/events":
            return 200, "".join(self._stream(int(headers["last-event-id"]))).encode()
        asked = dict(parse_qsl(query))
        status, response = self._ask(method, path, asked, json.loads(body or "{}"), headers.get("idempotency-key", ""))
        return status, json.dumps(response).encode()

    def _stream(self, after: int) -> list[str]:
        """Return the lines of the stream behind a place."""
        with self._lock:
            first = after + (1 if self._fault == "listener skips" and after else 0)
            return [f"id: {place + 1}\ndata: {line}\n\n" for place, line in enumerate(self._told) if place >= first]

    # ------------------------------------------------------------------ events

    def _initialize(self, body: dict[str, Any], key: str) -> Response:
        if key in self._keys and not self._slips("key forgotten"):
            return 201, self._keys[key]
        rules = {"offerSeconds": body["holdSeconds"]} if "holdSeconds" in body else {}
        rules |= {"confirmedBy": "shop"} if rules or "offerSeconds" in body else {}
        event = Event({"eventId": str(uuid4()), "createdAt": now(), "ticketsPerBooking": 1} | rules | body)
        self._events[event.id] = event
        self._tell(f"event.opened:{event.id}", dict(event.facts))
        response = self._status(event)
        if key:
            self._keys[key] = response
        return 201, response

    def _status(self, event: Event, user: str | None = None) -> dict[str, Any]:
        booked, total = event.booked(), event.facts["totalTickets"]
        booked += self._fault == "miscounts" and booked > 0
        if self._fault == "counts no holds":
            booked = event.confirmed()
        facts = {name: value for name, value in event.facts.items() if value is not None}
        counts = {"availableTickets": total - booked, "bookedTickets": booked, "waitingListCount": len(event.queue)}
        response = facts | counts
        if used := sum(one.quantity for one in event.bookings.values() if one.checkedInAt):
            response["checkedInTickets"] = used + self._slips("miscounts the door")
        if user is not None:
            response["booking"] = self._show(event.bookings[user]) if user in event.bookings else None
        return response

    def _counts(self, event: Event, user: str | None) -> dict[str, Any]:
        return self._status(event, user) | {"asOf": now(-5 if self._slips("keeps counts") else 0)}

    def _row_of_event(self, event: Event) -> dict[str, Any]:
        names = ("opensAt", "closesAt", "waitingListLimit", "soldOutAt", "cancelledAt", "emptiedAt")
        return dict.fromkeys(names) | event.facts

    def _change(self, event: Event, body: dict[str, Any]) -> Response:
        if "cancelledAt" in event.facts and not self._slips("changes after the end"):
            return 409, {"code": "event-cancelled"}
        wanted = event.facts | body
        opens, closes = wanted.get("opensAt"), wanted.get("closesAt")
        if opens and closes and opens >= closes:
            return 422, {"code": "invalid-request"}
        asked = body.get("totalTickets", event.booked())
        refuses = asked < event.booked() or ("totalTickets" in body and self._slips("refuses a raise", 3))
        if refuses:
            if self._slips("refuses and changes"):
                event.facts["totalTickets"] = asked
            if self._slips("announces refusals"):
                self._tell_change(event)
            return 409, {"code": "tickets-booked", "totalTickets": asked, "bookedTickets": event.booked()}
        lost = self._slips("loses changes", 4)
        before, event.facts = event.facts, wanted
        if event.facts != before:
            self._tell_change(event)
            self._settle(event)
        response = self._status(event)
        if lost:
            event.facts = before
        return 200, response

    def _tell_change(self, event: Event) -> None:
        event.revision += 1
        fields = ("name", "totalTickets", "opensAt", "closesAt", "waitingListLimit")
        facts = {name: event.facts[name] for name in fields if event.facts.get(name) is not None}
        self._tell(
            f"event.changed:{event.id}:{event.revision}", {"eventId": event.id, "revision": event.revision} | facts
        )

    def _tell_sale(self, kind: str, event: Event) -> None:
        names = ("eventId", "name", "totalTickets", "soldOutAt")
        facts = {name: event.facts[name] for name in names if name in event.facts}
        self._tell(f"{kind}:{event.id}:{event.sale}", facts | {"sale": event.sale})

    def _end(self, event: Event) -> Response:
        if "cancelledAt" not in event.facts:
            event.facts["cancelledAt"] = event.facts["emptiedAt"] = now()
            facts = {name: event.facts[name] for name in ("eventId", "name", "totalTickets", "cancelledAt")}
            self._tell(f"event.cancelled:{event.id}", facts)
            for booking in event.bookings.values():
                if booking.status not in ENDED and not self._slips("keeps a booking after the end", 10):
                    self._end_booking(event, booking, "event")
        return 200, self._status(event)

    # ---------------------------------------------------------------- bookings

    def _book(self, event: Event, user: str, quantity: int, at_least: int | None) -> Response:
        there = event.bookings.get(user)
        at_least = at_least or quantity
        if not at_least <= quantity <= event.facts["ticketsPerBooking"] and not self._slips("sells too many at once"):
            return 422, {"code": "invalid-request"}
        if there and there.status not in ENDED and not self._slips("books twice", 20):
            if there.status == "HELD" and self._slips("extends holds", 3):
                there.expiresAt = now(event.facts.get("holdSeconds", 1))
            return (201 if self._slips("says created twice", 20) else 200), self._show(there)
        facts = event.facts
        if "cancelledAt" in facts and not self._slips("books after the end"):
            return 409, {"code": "event-cancelled"}
        is_open = (facts.get("opensAt") or "") <= now() < (facts.get("closesAt") or "9")
        if not is_open and not self._slips("books outside the window"):
            return 409, {"code": "not-on-sale"} | {
                name: facts[name] for name in ("opensAt", "closesAt") if facts.get(name)
            }
        return self._make(
            event, Booking(user, event.id, there.generation + 1 if there else 1, "", quantity=quantity), at_least
        )

    def _make(self, event: Event, booking: Booking, at_least: int) -> Response:
        free = self._free(event, booking.quantity)
        if free <= 0:
            return self._queue(event, booking, at_least)
        if free < at_least or (at_least > 1 and self._slips("counts too few", 10)):
            return 409, {"code": "too-few-tickets", "availableTickets": min(free, at_least - 1)}
        booking.quantity = min(booking.quantity, free) + self._slips("gives too many", 10)
        if booking.quantity > at_least and self._slips("gives fewer than are free"):
            booking.quantity = at_least
        if self._slips("announces that it waits", 5):
            booking.joinedAt = now()
            self._tell_booking("waiting.joined", booking, "joinedAt")
        self._give(booking, event.facts.get("holdSeconds"), "booking.held")
        return self._keep_booking(event, booking)

    def _free(self, event: Event, quantity: int) -> int:
        """Return how many tickets a buyer may have who comes now: none while others wait."""
        free = int(event.facts["totalTickets"]) - event.booked()
        if self._fault == "sells held tickets":
            free = event.facts["totalTickets"] - event.confirmed()
        if event.booked() and self._slips("oversells", 10):
            free = 1
        passes = self._slips("lets newcomers pass") or (quantity == 1 and self._slips("lets singles pass"))
        passes |= self._fault == "goes back on sale too early" and "soldOutAt" not in event.facts
        if (event.queue and not passes) or (free > 0 and self._slips("tells to wait beside free tickets", 20)):
            return 0
        return free

    def _queue(self, event: Event, booking: Booking, at_least: int) -> Response:
        facts = event.facts
        limit = facts.get("waitingListLimit")
        if limit is not None and len(event.queue) >= limit:
            return 409, {"code": "waiting-list-full", "waitingListLimit": limit}
        if "soldOutAt" not in facts:
            facts["soldOutAt"] = now()
            self._tell_sale("event.sold-out", event)
            if self._slips("announces an end of the sale twice"):
                event.sale += 1
                self._tell_sale("event.sold-out", event)
        booking.status, booking.joinedAt, booking.atLeast = "WAITING", now(), at_least
        self._tell_booking("waiting.joined", booking, "joinedAt")
        event.queue.append(booking)
        return self._keep_booking(event, booking)

    def _keep_booking(self, event: Event, booking: Booking) -> Response:
        if not self._slips("loses bookings", 20):
            event.bookings[booking.user] = booking
        return (201 if booking.status in OWNING else 202), self._show(booking)

    def _give(self, booking: Booking, hold_s: int | None, held: str) -> None:
        """Give a booking a ticket, which it holds for a while or has at once."""
        if hold_s is None or (held == "booking.offered" and self._slips("confirms offers", 2)):
            booking.status, booking.bookedAt = "CONFIRMED", now()
            self._tell_booking("booking.confirmed", booking, "bookedAt")
            return
        booking.status, booking.heldAt = "HELD", now()
        ends = datetime.fromisoformat(booking.heldAt) + timedelta(seconds=hold_s)
        booking.expiresAt = ends.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._tell_booking(held, booking, "heldAt", "expiresAt")

    def _confirm(self, booking: Booking, reference: str | None) -> Response:
        if booking.status == "CONFIRMED":
            if booking.confirmedBy and self._slips("overwrites the reference"):
                booking.reference = reference
            return 200, self._show(booking)
        if booking.status != "HELD" and not (booking.status == "EXPIRED" and self._slips("confirms too late", 2)):
            return 409, {"code": NOT_CONFIRMED[booking.status]}
        booking.status, booking.bookedAt, booking.reference = "CONFIRMED", now(), reference
        booking.confirmedBy = "shop"
        if self._fault != "expires what is confirmed":
            booking.expiresAt = None
        self._tell_booking("booking.confirmed", booking, "bookedAt", "heldAt")
        return 200, self._show(booking)

    def _expire(self, event: Event) -> None:
        """Expire the holds that are due, and give their tickets to those who wait."""
        early_s = 0.8 if self._fault == "expires early" else 0
        due = [one for one in event.bookings.values() if one.expiresAt and one.expiresAt <= now(early_s)]
        for booking in due:
            if self._fault == "forgets holds" and booking.id < "8":  # half of them, for good
                continue
            booking.status, booking.expiredAt, booking.expiresAt = "EXPIRED", now(), None
            kind = "booking.cancelled" if self._fault == "announces expiry as a cancellation" else "booking.expired"
            booking.cancelledAt = now() if kind == "booking.cancelled" else None
            self._tell_booking(kind, booking, "heldAt", "expiredAt", "cancelledAt")
            event.lost += self._slips("loses expired tickets", 3)
        if due and "cancelledAt" not in event.facts:
            self._settle(event, last=self._fault == "offers expired tickets to the last")

    def _transfer(self, event: Event, booking: Booking, to: str) -> Response:
        if booking.status == "TRANSFERRED" and not (booking.transferredTo == to and self._slips("gives it twice")):
            return (200, self._show(booking)) if booking.transferredTo == to else (409, {"code": "booking-transferred"})
        if booking.status not in {"CONFIRMED", "TRANSFERRED"}:
            code = {"EXPIRED": "hold-expired", "CANCELLED": "booking-cancelled"}.get(booking.status, "not-confirmed")
            return 409, {"code": code}
        if booking.checkedInAt:
            return 409, {"code": "checked-in", "checkedInAt": booking.checkedInAt}
        there = event.bookings.get(to)
        if there and there.status not in ENDED and not self._slips("replaces what the recipient has", 3):
            return 409, {"code": "recipient-has-booking"}
        got = Booking(to, event.id, there.generation + 1 if there else 1, "CONFIRMED", transferredFrom=booking.user)
        got.bookedAt, got.reference, got.quantity = now(), booking.reference, booking.quantity
        if booking.quantity > 1 and self._slips("gives some of the tickets"):
            got.quantity -= 1
        booking.status, booking.transferredAt, booking.transferredTo = "TRANSFERRED", got.bookedAt, to
        booking.transferredBy = "buyer"
        self._tell_booking("booking.transferred", booking, "bookedAt", "transferredAt", "transferredTo", by="buyer")
        if not self._slips("loses what is given", 3):
            event.bookings[to] = got
            self._tell_booking("booking.confirmed", got, "bookedAt", "transferredFrom")
        shown = self._show(booking)
        if self._slips("keeps what is given", 3):
            booking.status, booking.transferredAt, booking.transferredTo = "CONFIRMED", None, None
        return 200, shown

    def _check_in(self, booking: Booking) -> Response:
        if booking.status != "CONFIRMED" and not (booking.status == "HELD" and self._slips("lets in who only holds")):
            code = NOT_CONFIRMED[booking.status] if booking.status in ENDED else "not-confirmed"
            return 409, {"code": code}
        if booking.checkedInAt:
            return 200, self._show(booking) | {"again": not self._slips("lets two in")}
        booking.checkedInAt, booking.checkedInBy = now(), "door"
        self._tell_booking("booking.checked-in", booking, "bookedAt", "checkedInAt", by="door")
        shown = self._show(booking) | {"again": False}
        if self._slips("forgets who came", 2):
            booking.checkedInAt = booking.checkedInBy = None
        return 200, shown

    def _cancel(self, event: Event, booking: Booking, keep: int | None) -> Response:
        is_used = booking.status == "CONFIRMED" and booking.checkedInAt and (keep is None or keep < booking.quantity)
        if is_used and not self._slips("cancels what was used" if keep is None else "reduces what was used"):
            return 409, {"code": "checked-in", "checkedInAt": booking.checkedInAt}
        if keep is not None and not self._slips("returns all instead of some", 5):
            return self._keep(event, booking, keep)
        if booking.status not in ENDED:
            before = event.facts.get("cancelledAt")
            self._end_booking(event, booking, "shop" if self._slips("names the wrong actor", 5) else "buyer")
            if self._slips("rolls back", 10):
                booking.status, booking.cancelledAt, booking.cancelledBy = str(booking.was), None, None
                return 200, self._show(booking) | {"status": "CANCELLED", "was": booking.was, "cancelledAt": now()}
            if before is None and self._fault not in ("strands a waiting user", "lets newcomers pass"):
                self._settle(event)
        elif booking.cancelledAt and self._slips("changes a moment", 5):
            booking.cancelledAt = f"{str(booking.cancelledAt)[:-4]}777Z"
        return 200, self._show(booking)

    def _keep(self, event: Event, booking: Booking, keep: int) -> Response:
        if booking.status not in ENDED and (booking.quantity > keep or self._slips("keeps more than there are", 3)):
            booking.quantity, booking.reducedAt, booking.reducedBy = keep, now(), "buyer"
            booking.atLeast = booking.atLeast and min(booking.atLeast, keep)
            kind = "waiting.reduced" if booking in event.queue else "booking.reduced"
            if not self._slips("forgets to announce fewer tickets"):
                self._tell_booking(kind, booking, "heldAt", "expiresAt", "bookedAt", "reducedAt", by=booking.reducedBy)
            if booking in event.queue and self._slips("puts who wants fewer last"):
                event.queue.remove(booking)
                event.queue.append(booking)
            if "cancelledAt" not in event.facts:
                self._settle(event)
        elif booking.status in OWNING and self._slips("returns tickets twice"):
            event.lost -= 1
        return 200, self._show(booking)

    def _end_booking(self, event: Event, booking: Booking, by: str) -> None:
        booking.was, booking.status, booking.cancelledAt = booking.status, "CANCELLED", now()
        booking.cancelledBy, booking.expiresAt = by, None
        if booking in event.queue:
            event.queue.remove(booking)
            self._tell_booking("waiting.left", booking, "joinedAt", "cancelledAt", by=by)
        else:
            self._tell_booking("booking.cancelled", booking, "heldAt", "bookedAt", "cancelledAt", by=by)

    def _settle(self, event: Event, *, last: bool = False) -> None:
        """Give free tickets to those who wait, in order; if nobody waits any more, put the event back on sale."""
        too_early = self._slips("goes back on sale too early")
        while event.queue and not too_early and (free := event.facts["totalTickets"] - event.booked()) > 0:
            place = -1 if last or self._slips("promotes the last") else 0
            if (event.queue[0].atLeast or 1) > free and self._fault == "lets singles pass":
                place = next((number for number, one in enumerate(event.queue) if one.quantity == 1), 0)
            booking = event.queue[place]
            if (booking.atLeast or 1) > free and not self._slips("gives groups too few"):
                break
            if booking.quantity > 1 and self._slips("strands groups"):
                break
            event.queue.remove(booking)
            booking.promotedAt, booking.atLeast = now(), None
            booking.quantity = min(booking.quantity, free)
            self._give(booking, event.facts.get("offerSeconds"), "booking.offered")
        is_free = event.facts["totalTickets"] > event.booked()
        if is_free and "soldOutAt" in event.facts and (not event.queue or too_early):
            del event.facts["soldOutAt"]
            event.sale += 1
            if not self._slips("forgets to announce that it is back on sale"):
                self._tell_sale("event.back-on-sale", event)

    def _show(self, booking: Booking) -> dict[str, Any]:
        place: dict[str, Any] = {}
        if booking.status == "WAITING":
            [*before] = [one.id for one in self._events[booking.event].queue]
            place = {
                "position": before.index(booking.id) + 1 if booking.id in before else 1,
                "joinedAt": booking.joinedAt,
            }
            if self._slips("places wrongly", 10):
                place["position"] += 3
            place["atLeast"] = booking.atLeast
        else:
            names = {
                "HELD": ("heldAt", "expiresAt", "promotedAt"),
                "CONFIRMED": ("bookedAt", "reference", "checkedInAt", "transferredFrom"),
                "CANCELLED": ("cancelledAt", "cancelledBy", "was"),
                "EXPIRED": ("expiredAt",),
                "TRANSFERRED": ("transferredAt", "transferredTo", "transferredBy"),
            }[booking.status]
            place = {name: getattr(booking, name) for name in names if getattr(booking, name) is not None}
        whose = {
            "bookingId": booking.id,
            "eventId": booking.event,
            "userId": booking.user,
            "quantity": booking.quantity,
        }
        return {"status": booking.status} | whose | place

    # ------------------------------------------------------------------- lists

    def _bookings(self, event: Event, query: dict[str, str]) -> Response:
        chosen = [one for one in event.bookings.values() if query.get("status", one.status) == one.status]
        rows = [
            {"status": one.status, "bookingId": one.id, "userId": one.user, "quantity": one.quantity}
            | {name: getattr(one, name) for name in SHOWN}
            for one in chosen
        ]
        if self._fault == "omits a booking" and rows:
            rows.pop()
        return self._page("bookings", rows, query)

    def _list(self, event: Event, query: dict[str, str]) -> Response:
        order = list(reversed(event.queue)) if self._fault == "turns the list around" else event.queue
        rows = [self._show(one) | {"position": place} for place, one in enumerate(order, 1)]
        return self._page("entries", rows, query)

    @staticmethod
    def _page(name: str, rows: list[dict[str, Any]], query: dict[str, str]) -> Response:
        start, size = int(query.get("cursor", 0)), int(query.get("limit", 25))
        return 200, {
            name: rows[start : start + size],
            "nextCursor": str(start + size) if len(rows) > start + size else None,
        }

    # ----------------------------------------------------------- announcements

    def _tell_booking(self, kind: str, booking: Booking, *moments: str, by: str | None = None) -> None:
        whose: dict[str, Any] = {"eventId": booking.event, "userId": booking.user, "bookingId": booking.id}
        whose |= {"generation": booking.generation, "quantity": booking.quantity}
        facts = {name: getattr(booking, name) for name in ("joinedAt", "promotedAt", "reference", *moments)}
        facts |= {"by": by}
        number = f":{booking.quantity}" if kind.endswith("reduced") else ""
        self._tell(
            f"{kind}:{booking.id}{number}", whose | {name: value for name, value in facts.items() if value is not None}
        )
        if self._slips("announces what did not happen", 20):
            self._tell(f"booking.cancelled:{booking.id}", whose | {"cancelledAt": now(), "by": "buyer"})

    def _tell(self, id_: str, data: dict[str, Any]) -> None:
        kind, subject = id_.split(":")[:2]
        if kind != "event.opened" and self._slips("forgets to announce", 20):
            return
        line = json.dumps({"detail": {"id": id_, "type": kind, "subject": subject, "data": data}})
        self._told.append(line[: len(line) // 2] if self._slips("announces half a line", 20) else line)
