"""The clients of a round: buyers of several kinds of events, and organisers who change and cancel them."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from checker.client import Client
from checker.history import Exchange

DROP_S = (0.004, 0.012)  # a connection is broken while the request is being worked on
FAULT_S_MAX = 20.0  # the longest time by which a fault extends a round
TWICE, DROPPED = 0.08, 0.06  # parts of all requests that are sent twice at once, or whose connection breaks
WAITING_MIN = 40  # on the event with repeated changes: enough for each raise, and few enough to be promoted at once
CONFIRMS = 0.5  # part of the requests to book that confirm instead, on events with holds or offers
HOLD_S_MAX = 3
TICKETS_PER_BOOKING = 4  # on events that sell to groups
KEPT_BY_ID = 0.7  # part of the requests to keep some that name the booking
FEW_TICKETS = 20  # for groups, so that many wait; an event that is opened with more has several lanes
IMPOSSIBLE = 0.02  # part of the requests for a group that ask for more than that, or for more at least than at most
BREATH_S = 0.02  # between two requests of a buyer
ORGANISER_S = (0.1, 0.4)  # between two changes

Calls = Callable[..., Callable[[], Exchange]]


@dataclass
class Sale:
    """One event of a round, and the crowd's knowledge of it."""

    kind: str
    tickets: int
    users: list[str]
    event: str = ""
    total: int = 0  # as an organiser last asked for it
    seen: dict[str, str] = field(default_factory=dict)  # a user's last known bookingId
    newcomers: int = 0
    waiting: int = 0  # as the last response to a change said, plus those who joined since
    terms: dict[str, Any] = field(default_factory=dict)  # holdSeconds and so on

    @property
    def sells_groups(self) -> bool:
        """Tell whether one booking may have several tickets."""
        return "ticketsPerBooking" in self.terms

    @property
    def has_holds(self) -> bool:
        """Tell whether anything is to be confirmed."""
        return bool({"holdSeconds", "offerSeconds"} & self.terms.keys())

    @property
    def early_users(self) -> list[str]:
        """Return the users who may be checked in: few, because their tickets never come back."""
        return self.users[: 1 + len(self.users) // (6 * self.terms.get("ticketsPerBooking", 1))]


@dataclass
class Crowd:
    """The actors of one round. `until` ends it; no connection is broken after `calm_at`."""

    client: Client
    sales: list[Sale]
    until: float
    calm_at: float

    is_faulty: bool = False  # during a fault: its time does not count

    @property
    def goes_on(self) -> bool:
        """Tell whether the actors should go on."""
        return self.is_faulty or time.monotonic() < self.until

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Keep the actors going during a fault, and extend the round by its length, up to a bound."""
        began = time.monotonic()
        self.is_faulty = True
        try:
            yield
        finally:
            more_s = min(time.monotonic() - began, FAULT_S_MAX)
            self.until += more_s
            self.calm_at += more_s
            self.is_faulty = False

    def open(self, rng: random.Random, sale: Sale) -> None:
        """Open an event with a key, by a request that is sent twice at once; open another one without a key."""
        sale.terms = _terms(rng, sale.kind)
        body = {"name": f"{sale.kind} {rng.getrandbits(48):012x}", "totalTickets": sale.tickets, **sale.terms}
        responses = self._send(rng, "initialize", style="twice", body=body, key=f"key {body['name']}")
        sale.event, sale.total = responses[0].response["eventId"], sale.tickets
        self.client.send("initialize", body={"name": f"unkeyed {rng.getrandbits(48):012x}", "totalTickets": 1})

    def run(self, seed: str, buyers: int, faults: Callable[[], None]) -> None:
        """Let all actors act until the round ends; `faults` runs at the same time."""
        jobs = [(self._buy, f"{seed} buyer {number}") for number in range(buyers)]
        jobs += [(partial(self._organise, sale), f"{seed} {sale.kind}") for sale in self.sales]
        failures: list[BaseException] = []

        def guarded(job: Callable[[random.Random], None], name: str) -> None:
            try:
                job(random.Random(name))
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)

        threads = [threading.Thread(target=guarded, args=job, name=job[1]) for job in jobs]
        threads.append(threading.Thread(target=guarded, args=(lambda _: faults(), "faults"), name="faults"))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for error in failures:
            raise error

    # ------------------------------------------------------------------ buyers

    def _buy(self, rng: random.Random) -> None:
        while self.goes_on:
            sale = rng.choices(self.sales, [3 if one.kind == "doubled" else 2 for one in self.sales])[0]
            if sale.kind == "doubled":
                self._leave_and_rejoin(rng, sale)
                continue
            if rng.random() < 0.1:
                self._rush(rng, sale)
            else:
                self._act(rng, sale, rng.choice(sale.users))
            time.sleep(rng.uniform(0, BREATH_S))

    def _act(self, rng: random.Random, sale: Sale, user: str) -> None:
        """Do one thing that a buyer or an organiser may do."""
        [what] = rng.choices(list(ACTIONS), list(ACTIONS.values()))
        known = {"bookingId": sale.seen[user]} if user in sale.seen else {}
        if what == "book" and sale.has_holds and known and rng.random() < CONFIRMS:
            self._confirm(rng, sale, user)
            return
        if what == "check-in":
            self._check_in(rng, sale)
            return
        if what == "transfer":
            self._transfer(rng, sale, user)
            return
        if (what == "cancel-by-id" and not known) or (what == "keep" and not sale.sells_groups):
            return
        event: dict[str, Any] = {"event": sale.event}
        own = event | {"user": user}
        asked: dict[str, tuple[str, dict[str, Any]]] = {
            "book": ("book", own | {"body": _wanted(rng) if sale.sells_groups else {}}),
            "cancel-by-id": ("cancel", own | {"body": known}),
            "keep": ("cancel", own | {"body": _kept(rng) | (known if rng.random() < KEPT_BY_ID else {})}),
            "cancel": ("cancel", own),
            "bookings": ("bookings", own),
            "status-of-user": ("status", own),
            "all-bookings": ("bookings", {"user": user}),
            "events": ("events", {}),
            "bookings-by-status": ("event-bookings", event | {"query": {"status": rng.choice(["HELD", "CONFIRMED"])}}),
        }
        op, parts = asked.get(what, (what, event))
        self._send(rng, op, sale if "user" in parts and "event" in parts else None, **parts)

    def _confirm(self, rng: random.Random, sale: Sale, user: str) -> None:
        """Confirm the user's last known booking, whatever has become of it; rarely, name another user's."""
        booking = sale.seen.get(user if rng.random() < 0.9 else rng.choice(sale.users))
        if booking is None:
            return
        references = [{"reference": f"payment {rng.getrandbits(32):x}"} if rng.randrange(4) else {} for _ in range(2)]
        bodies = [{"bookingId": booking} | reference for reference in references]
        if rng.random() < TWICE:  # with another reference each
            self.client.together(*(self._asking(rng, "confirm", sale, user, **body) for body in bodies))
        else:
            self._send(rng, "confirm", sale, event=sale.event, user=user, body=bodies[0])

    def _check_in(self, rng: random.Random, sale: Sale) -> None:
        """Check in the last known booking of a user, at one door or at two at once, or while they return tickets."""
        user = rng.choice(sale.early_users)
        booking = sale.seen.get(user if rng.random() < 0.9 else rng.choice(sale.users))
        if booking is None:
            return

        call: Calls = partial(self._asking, rng, sale=sale, user=user, bookingId=booking)
        if rng.random() < 0.4:
            rival = call("check-in") if rng.random() < 0.5 else call("cancel", **_returned(rng, sale))
            self.client.together(call("check-in"), rival)
        else:
            self._send(rng, "check-in", sale, event=sale.event, user=user, body={"bookingId": booking})

    def _transfer(self, rng: random.Random, sale: Sale, user: str) -> None:
        """Transfer the last known booking of a user: once or again, to two users at once, or during a return."""
        booking, others = sale.seen.get(user), [one for one in sale.users if one != user]
        if booking is None:
            return
        first, second = rng.choice(others), rng.choice(others)

        call: Calls = partial(self._asking, rng, sale=sale, user=user, bookingId=booking)
        if rng.random() < 0.3:
            is_return = rng.random() < 0.3
            rival = call("cancel", **_returned(rng, sale)) if is_return else call("transfer", toUserId=second)
            self.client.together(call("transfer", toUserId=first), rival)
        else:
            body = {"bookingId": booking, "toUserId": first}
            for _ in range(rng.choice([1, 2])):  # a repeated request finds what the first one did
                self._send(rng, "transfer", sale, event=sale.event, user=user, body=body)

    def _asking(self, rng: random.Random, op: str, sale: Sale, user: str, **body: Any) -> Callable[[], Exchange]:
        """Return what sends a request about a user's booking until it is answered."""
        seed = rng.getrandbits(64)
        return lambda: self.client.ask(op, random.Random(seed), event=sale.event, user=user, body=body)

    def _rush(self, rng: random.Random, sale: Sale) -> None:
        """Let one user book twice and cancel, all at once; a group keeps some as well."""
        user = rng.choice(sale.users)

        def after(pause_s: float, op: str, body: dict[str, Any]) -> Callable[[], Exchange]:
            def call() -> Exchange:
                time.sleep(pause_s)
                return self.client.send(op, event=sale.event, user=user, body=body)

            return call

        jobs: list[tuple[str, dict[str, Any]]] = [("book", {}), ("book", {}), ("cancel", {})]
        if sale.sells_groups:
            jobs[:2] = [("book", _wanted(rng)), ("book", _wanted(rng)), ("cancel", _kept(rng))]
        self.client.together(*(after(rng.uniform(0, 0.02), *job) for job in jobs))

    def _leave_and_rejoin(self, rng: random.Random, sale: Sale) -> None:
        """Keep the waiting list of a sold-out event moving, and short: some leave it and come back, new ones join."""
        if sale.waiting < WAITING_MIN and rng.random() < 0.5:
            sale.waiting += 1
            sale.newcomers += 1
            sale.users.append(f"new {sale.newcomers} {rng.getrandbits(32):08x}")
            user = sale.users[-1]
        else:
            user = rng.choice(sale.users[-60:])
            self._send(rng, "cancel", style="plain", event=sale.event, user=user)
        self._send(rng, "book", style="plain", event=sale.event, user=user)

    def _send(
        self, rng: random.Random, op: str, sale: Sale | None = None, style: str = "", **parts: Any
    ) -> list[Exchange]:
        """Send once, twice at once, or break the connection and send again; remember the booking that is named."""
        calm = time.monotonic() > self.calm_at or (sale is not None and sale.kind == "releases")
        [chosen] = rng.choices(["plain", "twice", "drop"], [1 - TWICE - DROPPED, TWICE, 0 if calm else DROPPED])
        style = style or chosen
        drop_s = rng.uniform(*DROP_S) if style == "drop" else None
        seeds = [rng.getrandbits(64), rng.getrandbits(64)]
        calls = [
            lambda seed=seed: self.client.ask(op, random.Random(seed), drop_s, **parts)
            for seed in seeds[: 2 if style == "twice" else 1]
        ]
        responses = self.client.together(*calls)
        for one in responses:
            booking = one.response.get("booking") or one.response if one.is_done and sale else {}
            if sale and "bookingId" in booking:
                sale.seen[one.user] = booking["bookingId"]
        return responses

    # -------------------------------------------------------------- organisers

    def _organise(self, sale: Sale, rng: random.Random) -> None:
        """Change the event from time to time, each kind of event in its own way."""
        change = {
            "doubled": self._raise_doubled,
            "busy": self._change_numbers,
            "holds": self._change_numbers,
            "groups": self._change_numbers,
            "releases": self._release,
            "window": self._change_window,
        }
        if sale.kind == "ending":
            time.sleep(max(0.0, (self.until - time.monotonic()) * rng.uniform(0.3, 0.8)))
            self._send(rng, "cancel-event", event=sale.event)
        while self.goes_on:
            if sale.kind in change:
                change[sale.kind](rng, sale)
            elif sale.kind == "ending":
                self._send(rng, "change", event=sale.event, body={"name": "too late"})
            time.sleep(rng.uniform(0.02, 0.1) if sale.kind == "doubled" else rng.uniform(*ORGANISER_S))

    def _raise_doubled(self, rng: random.Random, sale: Sale) -> None:
        """Raise the total by a request that is sent twice at once, or dropped and sent again."""
        sale.total += rng.randint(1, 12)
        style = "twice" if rng.random() < 0.5 or time.monotonic() > self.calm_at else "drop"
        [*responses] = self._send(rng, "change", style=style, event=sale.event, body={"totalTickets": sale.total})
        sale.waiting = responses[-1].response["waitingListCount"] if responses[-1].is_done else sale.waiting

    def _change_numbers(self, rng: random.Random, sale: Sale) -> None:
        """Raise, lower, rename, limit the list; some of these at once, some of them impossible."""
        body: dict[str, Any] = {}
        while not body:
            if rng.random() < 0.6:
                usual = FEW_TICKETS if sale.sells_groups else sale.tickets
                body["totalTickets"] = max(1, int(usual * rng.uniform(0.4, 1.4)))
            if rng.random() < 0.3:
                body["waitingListLimit"] = rng.choice([None, rng.randint(0, 30)])
            if rng.random() < 0.3:
                body["name"] = f"renamed {rng.getrandbits(48):012x}"
        self._send(rng, "change", event=sale.event, body=body)

    def _release(self, rng: random.Random, sale: Sale) -> None:
        """Leave a few free tickets, and release more than anybody wants when they are sold: it is back on sale.

        No connection of this event is broken: a request without a response might have taken a ticket at any time.
        A list of all bookings shows that nobody waits any more: from then on, nobody may be told to wait.
        """
        for more, seconds in ((rng.randint(0, 4), 6), (TICKETS_PER_BOOKING * len(sale.users), 1)):
            status = self.client.ask("status", rng, event=sale.event)
            if status.is_done:
                wanted = {"totalTickets": max(1, status.response["bookedTickets"] + more)}
                self._send(rng, "change", sale, event=sale.event, body=wanted)
            time.sleep(seconds * rng.uniform(*ORGANISER_S))
        self.client.pages("event-bookings", rng, event=sale.event)
        self.client.ask("status", rng, event=sale.event)
        time.sleep(rng.uniform(*ORGANISER_S))

    def _change_window(self, rng: random.Random, sale: Sale) -> None:
        """Open and close the sale, now or soon."""
        body: dict[str, Any] = {"opensAt": None, "closesAt": None}
        for name, choices in (("opensAt", (None, -60, 0.5, 3600)), ("closesAt", (None, -30, 1.0, 7200))):
            offset_s = rng.choice(choices)
            if offset_s is not None:
                body[name] = _moment(offset_s)
        if rng.random() < 0.3:
            del body[rng.choice(["opensAt", "closesAt"])]
        self._send(rng, "change", event=sale.event, body=body)


GROUPS = {"groups", "releases"}
ACTIONS = {  # how often each is chosen
    "book": 44,
    "cancel": 12,
    "cancel-by-id": 12,
    "keep": 10,
    "check-in": 3,
    "transfer": 6,
    "status": 5,
    "status-of-user": 8,
    "bookings": 8,
    "all-bookings": 3,
    "events": 2,
    "event-bookings": 2,
    "bookings-by-status": 1,
    "waiting-list": 3,
}


def sales(kinds: list[str]) -> list[Sale]:
    """Return the events of a round: with few tickets, with many, sold out and growing, and so on."""
    sizes = {
        "busy": (60, 90),
        "small": (4, 7),
        "doubled": (200, 0),
        "window": (25, 40),
        "ending": (40, 70),
        "holds": (20, 50),
        "offers": (12, 30),
        "carts": (10, 16),
        "groups": (52, 30),
        "releases": (52, 40),
    }
    return [Sale(kind, sizes[kind][0], [f"{kind} {number}" for number in range(sizes[kind][1])]) for kind in kinds]


def _wanted(rng: random.Random) -> dict[str, Any]:
    """Return how many tickets a group asks for; rarely, what no event sells."""
    if rng.random() < IMPOSSIBLE:
        return rng.choice([{"quantity": TICKETS_PER_BOOKING + 1}, {"quantity": 2, "atLeast": 3}])
    quantity = rng.randint(1, TICKETS_PER_BOOKING)
    return rng.choice([{}, {"quantity": quantity}, {"quantity": quantity, "atLeast": rng.randint(1, quantity)}])


def _kept(rng: random.Random) -> dict[str, int]:
    """Return how many tickets a group keeps."""
    return {"keep": rng.randint(1, TICKETS_PER_BOOKING - 1)}


def _returned(rng: random.Random, sale: Sale) -> dict[str, int]:
    """Return how a request to cancel ends: with no ticket kept, or some by half of the groups."""
    return _kept(rng) if sale.sells_groups and rng.random() < 0.5 else {}


def _terms(rng: random.Random, kind: str) -> dict[str, Any]:
    """Return the terms of holds of an event: short ones, so that many expire during a round; of "carts", none does."""
    seconds = rng.randint(1, HOLD_S_MAX)
    if kind in GROUPS:
        terms = rng.choice([{}, {"holdSeconds": seconds}, {"offerSeconds": seconds}]) if kind == "groups" else {}
        return {"ticketsPerBooking": TICKETS_PER_BOOKING} | terms
    if kind == "holds":
        return {"holdSeconds": seconds} | rng.choice([{}, {"offerSeconds": 1}, {"confirmedBy": "shop"}])
    if kind == "offers":
        return {"offerSeconds": seconds, "confirmedBy": "buyer"}
    if kind == "carts":
        return {"holdSeconds": 3_600}
    return {"holdSeconds": seconds} if kind == "ending" and rng.random() < 0.5 else {}


def fill(crowd: Crowd, rng: random.Random, sale: Sale) -> None:
    """Sell an event out, and let some wait for it."""
    holders = [f"holder {number}" for number in range(sale.tickets)]
    sale.users = [f"waiter {number}" for number in range(WAITING_MIN)]
    names = holders + sale.users

    def book(user: str, seed: int) -> Callable[[], Exchange]:
        return lambda: crowd.client.ask("book", random.Random(seed), event=sale.event, user=user)

    for start in range(0, len(names), 16):
        crowd.client.together(*(book(user, rng.getrandbits(64)) for user in names[start : start + 16]))


def _moment(offset_s: float) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=offset_s)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
