"""Each user's bookings of an event are linearizable: some order of the requests, in real time, explains every response.

The model of one user and one event is a value: nothing yet, or the booking as it stands, with its number of tickets. A
booking is made with as many as were asked for, or fewer, but no fewer than `atLeast`; so is a waiting one when it is
promoted. One that another user transferred is made with as many as that user's booking had. After that only `keep`
changes the number, and only lowers it. Tickets of a booking that was checked in are neither returned nor transferred.
The office may promote a waiting booking at any moment, expire a hold at any moment from its `expiresAt` on, and cancel
an active booking once the cancellation of its event began. A request without a response may have had its effect at any
moment since it began, or none.
"""

import heapq
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any, NamedTuple

from checker.checks.story import ACTORS, ENDED, MOMENTS, OWNING, Asked, Rules, Sighting, Story, Violation, sightings
from checker.history import Exchange

CONFIGURATIONS_MAX = 20_000  # by one response; beyond that, a user's requests overlap too much to be judged
UNSEEN = "?"  # the bookingId of a booking that no response shows


class State(NamedTuple):
    """What the user has."""

    status: str = ""  # or HELD, CONFIRMED, WAITING, CANCELLED, EXPIRED, TRANSFERRED
    booking: str = ""
    was: str = ""
    quantity: int = 0
    at_least: int = 0  # only while it is WAITING
    reference: str = ""  # with which it was confirmed
    is_used: bool = False  # it was checked in
    given_to: str = ""  # to whom it was transferred
    used: frozenset[str] = frozenset()  # ids of all bookings up to this one

    @property
    def is_active(self) -> bool:
        """Tell whether there is a ticket or a place."""
        return self.status in OWNING or self.status == "WAITING"


@dataclass(frozen=True)
class Known:
    """What all steps of one user and event say together."""

    rules: Rules
    orphans: frozenset[str] = frozenset()  # bookings of which no 201 or 202 says that it was made
    quantities: Mapping[str, frozenset[int]] = field(default_factory=dict)  # with which responses show each booking

    def given(self, booking: str, asked: Asked) -> Iterator[int]:
        """Yield how many tickets a booking may get. A number that no response shows might as well be the largest."""
        yield asked.quantity
        for quantity in self.quantities.get(booking, ()):
            if asked.at_least <= quantity < asked.quantity:
                yield quantity


@dataclass(frozen=True)
class Step:
    """A request of the user, or a look at their booking."""

    begin: float
    end: float
    kind: str  # book, confirm, cancel, check-in, transfer, look
    exchange: Exchange
    sighting: Sighting | None = None

    def outcomes(self, state: State, known: Known) -> Iterator[State]:
        """Yield the states in which the step may leave the user, if its response is possible in `state`."""
        one = self.exchange
        if self.kind == "look":
            if _shows(self.sighting, state):
                yield state
        elif one.is_open:
            yield from _done_or_not(one, state, known)
        elif one.is_refused:
            if _may_be_refused(one, state):
                yield state
        elif self.kind == "book":
            yield from _booked(one, state, known)
        else:
            changed = {
                "confirm": _confirmed,
                "check-in": _checked_in,
                "transfer": _transferred,
                "cancel": _kept if "keep" in one.body else _cancelled,
            }
            yield from changed[self.kind](one, state)

    @property
    def asks(self) -> tuple[Any, ...]:
        """Return what the request asks for: two without a response that ask for the same have the same effect."""
        return self.exchange.op, *sorted(self.exchange.body.items())

    def __str__(self) -> str:
        one = self.exchange
        named = "".join(f" {name} {value}" for name, value in one.body.items())
        shown = self.sighting
        saw = f"{shown.status} {shown.booking} x{shown.quantity} {shown.was}".rstrip() if shown else "no booking"
        code = one.response.get("code", "") if isinstance(one.response, dict) else ""
        what = f"{one.status} {code if one.is_refused else saw}" if one.status else "no response"
        return f"{self.begin:.4f} to {self.end:.4f}: {one.op}{named}: {what}"


def _shows(seen: Sighting | None, state: State) -> bool:
    if seen is None:
        return not state.status
    if seen.status == "CONFIRMED" and (
        (seen.row.get("reference") or "") != state.reference or bool(seen.row.get("checkedInAt")) != state.is_used
    ):
        return False
    if seen.status == "TRANSFERRED" and seen.row["transferredTo"] != state.given_to:
        return False
    if seen.status == "WAITING" and (seen.row.get("atLeast") or state.at_least) != state.at_least:
        return False
    shown = (seen.status, seen.booking, seen.was, seen.quantity)
    return shown == (state.status, state.booking, state.was, state.quantity)


def _sold(one: Exchange, state: State, known: Known, booking: str) -> Iterator[State]:
    """Yield the user with a new booking that has tickets."""
    used = state.used if booking == UNSEEN else state.used | {booking}
    for quantity in known.given(booking, Asked.by(one)):
        yield State(known.rules.first, booking, quantity=quantity, used=used)


def _queued(one: Exchange, state: State, booking: str) -> State:
    """Return the user with a new booking that waits."""
    used = state.used if booking == UNSEEN else state.used | {booking}
    asked = Asked.by(one)
    return State("WAITING", booking, quantity=asked.quantity, at_least=asked.at_least, used=used)


def _with_fewer(state: State, keep: int) -> State:
    """Return the user with as many tickets as they keep; with more than they have, nothing changes."""
    return state._replace(quantity=min(state.quantity, keep), at_least=min(state.at_least, keep))


def _ended(state: State) -> State:
    return state._replace(status="CANCELLED", was=state.status, at_least=0)


def _done_or_not(one: Exchange, state: State, known: Known) -> Iterator[State]:
    """Yield what a request without a response may have done."""
    if one.op == "book" and not state.is_active:
        for booking in chain(sorted(known.orphans - state.used), [UNSEEN]):
            yield from _sold(one, state, known, booking)
            yield _queued(one, state, booking)
    is_meant = one.body.get("bookingId", state.booking) == state.booking
    if one.op == "cancel" and state.is_active and is_meant and not state.is_used:
        yield _with_fewer(state, one.body["keep"]) if "keep" in one.body else _ended(state)
    if one.op == "confirm" and state.status == "HELD" and is_meant:
        yield state._replace(status="CONFIRMED", reference=one.body.get("reference", ""))
    if one.op == "check-in" and state.status == "CONFIRMED" and is_meant:
        yield state._replace(is_used=True)
    if one.op == "transfer" and state.status == "CONFIRMED" and is_meant and not state.is_used:
        yield state._replace(status="TRANSFERRED", given_to=one.body["toUserId"])


REFUSED_CONFIRMATIONS = {
    "hold-expired": {"EXPIRED"},
    "booking-cancelled": {"CANCELLED"},
    "not-held": {"WAITING"},
    "booking-transferred": {"TRANSFERRED"},
}
REFUSED_CHECK_INS = {
    "hold-expired": {"EXPIRED"},
    "booking-cancelled": {"CANCELLED"},
    "not-confirmed": {"HELD", "WAITING"},
    "event-cancelled": {"CONFIRMED"},
    "booking-transferred": {"TRANSFERRED"},
}
REFUSED_TRANSFERS = REFUSED_CHECK_INS | {"recipient-has-booking": {"CONFIRMED"}}


def _may_be_refused(one: Exchange, state: State) -> bool:  # noqa: PLR0911 - one for each kind of request
    code = one.response.get("code")
    if one.op == "book":
        return not state.is_active
    if code == "booking-not-found":
        return not state.status
    is_meant = state.booking == one.body.get("bookingId")
    if code == "booking-changed":
        return bool(state.status) and not is_meant
    if one.op == "cancel":
        is_used = state.status == "CONFIRMED" and state.is_used
        return code == "checked-in" and is_used and one.body.get("keep", 0) < state.quantity
    if state.is_used and state.status == "CONFIRMED":
        return is_meant and (one.op, code) == ("transfer", "checked-in")
    if state.status == "TRANSFERRED" and state.given_to == one.body.get("toUserId"):
        return False
    refused = {"confirm": REFUSED_CONFIRMATIONS, "check-in": REFUSED_CHECK_INS, "transfer": REFUSED_TRANSFERS}
    return is_meant and state.status in refused[one.op].get(code, set())


def _booked(one: Exchange, state: State, known: Known) -> Iterator[State]:
    """Yield the booking that the request found or made.

    A 201 made a booking with a ticket, a 202 one that waits. The response shows what the user has a moment later, which
    is a separate look. A 200 may have made a booking of which no 201 or 202 says so: one that another request
    cancelled before the response, or one that waited and was promoted before it.
    """
    response = one.response
    if state.is_active:
        if one.status == 200 and response["bookingId"] == state.booking:
            yield state
        return
    shown = response["bookingId"]
    if one.status != 200 and shown not in state.used:
        yield from _sold(one, state, known, shown) if one.status == 201 else [_queued(one, state, shown)]
    for booking in known.orphans - state.used if one.status == 200 else ():
        yield _queued(one, state, booking)
        if booking != shown or response["status"] in ENDED:
            yield from _sold(one, state, known, booking)


def _confirmed(one: Exchange, state: State) -> Iterator[State]:
    """Yield the booking that the request confirmed, or found confirmed with its first reference."""
    response = one.response
    if not response["bookingId"] == one.body.get("bookingId") == state.booking:
        return
    reference = response.get("reference") or ""
    if state.status == "HELD" and reference == one.body.get("reference", ""):
        yield state._replace(status="CONFIRMED", reference=reference)
    elif state.status == "CONFIRMED" and reference == state.reference:
        yield state


def _checked_in(one: Exchange, state: State) -> Iterator[State]:
    """Yield the booking that the request checked in, if it is told so; else the booking that another one did."""
    response = one.response
    if not response["bookingId"] == one.body.get("bookingId") == state.booking or state.status != "CONFIRMED":
        return
    if response["again"] == state.is_used:
        yield from _if_shown(one, state._replace(is_used=True))


def _transferred(one: Exchange, state: State) -> Iterator[State]:
    """Yield the booking that the request gave away, or found given to the same user."""
    given = state._replace(status="TRANSFERRED", given_to=one.body["toUserId"])
    if _is_meant(one, state) and (state == given or (state.status == "CONFIRMED" and not state.is_used)):
        yield from _if_shown(one, given)


def _cancelled(one: Exchange, state: State) -> Iterator[State]:
    """Yield the booking that the request ended, or found ended."""
    if not _is_meant(one, state):
        return
    if state.is_active and not state.is_used and one.response.get("was") == state.status:
        yield from _if_shown(one, _ended(state))
    elif state.status in ENDED:
        yield from _if_shown(one, state)


def _kept(one: Exchange, state: State) -> Iterator[State]:
    """Yield the booking with the tickets that the request keeps; one that has ended stays as it is."""
    kept = _with_fewer(state, one.body["keep"]) if state.is_active else state
    if _is_meant(one, state) and (kept == state or not state.is_used):
        yield from _if_shown(one, kept)


def _is_meant(one: Exchange, state: State) -> bool:
    return (state.booking, state.booking) == (one.response["bookingId"], one.body.get("bookingId", state.booking))


def _if_shown(one: Exchange, state: State) -> Iterator[State]:
    """Yield the state if it is the one that the response shows."""
    if all(_shows(seen, state) for seen in sightings(one)):
        yield state


class Undecided(Exception):
    """There are too many orders to look at."""


@dataclass(frozen=True)
class Office:
    """What the office may do with the bookings of one user and event by itself."""

    known: Known
    cancelled_from: float
    expires_from: Mapping[str, float] = field(default_factory=dict)  # by booking; one that is not here: any time
    gifts: tuple[State, ...] = ()  # bookings that other users may have given
    gifts_from: float = math.inf

    def moves(self, state: State, moment: float) -> Iterator[State]:
        """Yield each state in which it may leave the user by that time."""
        if state.status == "WAITING":
            for quantity in self.known.given(state.booking, Asked(state.quantity, state.at_least)):
                yield state._replace(status=self.known.rules.promoted, quantity=quantity, at_least=0)
        if state.status == "HELD" and self.expires_from.get(state.booking, moment) <= moment:
            yield state._replace(status="EXPIRED")
        if not state.is_active and self.gifts_from <= moment:
            for gift in self.gifts:
                if gift.booking not in state.used:
                    yield gift._replace(used=state.used | gift.used)
        if state.is_active and self.cancelled_from <= moment:
            yield _ended(state)


class Configuration(NamedTuple):
    """Where one order of the steps has led by a moment."""

    state: State
    done: frozenset[int]  # steps with a response that is yet to come
    spent: frozenset[int]  # steps without a response that had their effect


class Search:
    """Follow all orders of one user's steps at once, forwards in time, and each configuration once.

    A step without a response need not be done at all, and may be done at any later time. Four rules keep their number
    from multiplying the work, and lose no explanation:

    - of two that ask for the same, the earlier one is done first;
    - a configuration is dropped if another one is the same with fewer of them spent;
    - one makes only a booking that no other response claims to have made;
    - a booking is replaced by the next one only after the last request that shows it began.
    """

    def __init__(self, steps: list[Step], office: Office) -> None:
        self._steps = steps
        self._office = office
        shown = sorted((step.begin, step.sighting.booking) for step in steps if step.sighting)
        self._shown_until = {booking: begin for begin, booking in shown}
        self._running: set[int] = set()  # steps that began and whose response is yet to come
        self._unanswered: list[int] = []  # steps that began and have no response, the latest first

    def failure(self) -> str:
        """Return which response no order explains, or nothing."""
        moments = [(step.begin, 0, number) for number, step in enumerate(self._steps)]
        moments += [(step.end, 1, number) for number, step in enumerate(self._steps) if not step.exchange.is_open]
        here = [Configuration(State(), frozenset(), frozenset())]
        for moment, is_end, number in sorted(moments):
            if is_end:
                before, here = here, self._pass(here, number, moment)
                if not here:
                    return self._explain(number, before)
                self._running.remove(number)
                here = [one._replace(done=one.done - {number}) for one in here]
            elif self._steps[number].exchange.is_open:
                self._unanswered.insert(0, number)
            else:
                self._running.add(number)
        return ""

    def _pass(self, here: list[Configuration], number: int, moment: float) -> list[Configuration]:
        """Return where all can be by the time at which step `number` was answered, with that step done."""
        passed, visited = [], 0
        looked: dict[tuple[State, frozenset[int]], list[frozenset[int]]] = defaultdict(list)
        order = count()
        pending = [(len(one.spent), next(order), one) for one in here]
        heapq.heapify(pending)  # by steps spent: one that may be dropped comes after the one to compare it with
        while pending:
            one = heapq.heappop(pending)[-1]
            others = looked[one.state, one.done]
            if any(spent <= one.spent for spent in others):
                continue
            others.append(one.spent)
            visited += 1
            if visited > CONFIGURATIONS_MAX:
                raise Undecided
            if number in one.done:
                passed.append(one)
                continue
            for following in self._moves(one, moment):
                heapq.heappush(pending, (len(following.spent), next(order), following))
        return passed

    def _moves(self, here: Configuration, moment: float) -> Iterator[Configuration]:
        """Yield each configuration that is one step further."""
        state, done, spent = here
        steps = {number: list(self._outcomes(number, state, moment)) for number in self._running - done}
        free = {number for number, outcomes in steps.items() if outcomes == [state]}
        if free:  # done now they leave everything as it is: to wait cannot be better
            yield here._replace(done=done | free)
            return
        for number, outcomes in steps.items():
            for outcome in outcomes:
                yield Configuration(outcome, done | {number}, spent)
        first = {self._steps[number].asks: number for number in self._unanswered if number not in spent}
        for number in first.values():
            for outcome in self._outcomes(number, state, moment):
                yield Configuration(outcome, done, spent | {number})
        for outcome in self._office.moves(state, moment):
            yield here._replace(state=outcome)

    def _outcomes(self, number: int, state: State, moment: float) -> Iterator[State]:
        is_over = self._shown_until.get(state.booking, moment) <= moment
        outcomes = self._steps[number].outcomes(state, self._office.known)
        return (outcome for outcome in outcomes if is_over or outcome.booking == state.booking)

    def _explain(self, number: int, before: list[Configuration]) -> str:
        states = {
            f"{state.status or 'no booking'} {state.booking} x{state.quantity} {state.was}".rstrip()
            for state, *_ in before
        }
        step = self._steps[number]
        near = [str(one) for one in self._steps if one.begin <= step.end and one.end >= step.begin - 1]
        around = list(dict.fromkeys(near))[-14:]
        return (
            f"no order of the requests explains\n    {step}\n  possible just before: {', '.join(sorted(states))}\n"
            + ("  around it:\n    " + "\n    ".join(around))
        )


def steps_by_user(story: Story) -> dict[tuple[str, str], list[Step]]:
    """Return the steps of each event and user."""
    found: dict[tuple[str, str], list[Step]] = defaultdict(list)
    for one in story.exchanges:
        shown = list(sightings(one))
        if one.op in ("book", "confirm", "cancel", "check-in", "transfer"):
            known = {"event-not-found", "invalid-request"}
            if not (one.is_refused and one.response.get("code") in known):
                found[one.event, one.user].append(Step(one.begin, one.end, one.op, one, shown[0] if shown else None))
            if one.op != "book" or not one.is_done:
                continue
        for seen in shown:
            found[seen.event, seen.user].append(Step(one.begin, one.end, "look", one, seen))
        if one.user and one.event and one.is_done and not shown:
            found[one.event, one.user].append(Step(one.begin, one.end, "look", one))
    for (event, user), page in _absences(story, list(found)).items():
        found[event, user].append(page)
    return found


def _absences(story: Story, users: list[tuple[str, str]]) -> dict[tuple[str, str], Step]:
    """Return a look for each user who is not on the list of all bookings at rest: it shows that they have none."""
    found = {}
    for event in story.opened:
        listed = {row["userId"] for row in story.last_rows(event)}
        pages = story.at_rest("event-bookings", event)
        for of, user in users if pages else []:
            if of == event and user not in listed:
                found[event, user] = Step(pages[0].begin, pages[-1].end, "look", pages[-1])
    return found


def _known(rules: Rules, steps: list[Step]) -> Known:
    """Gather what the steps of one user show of each booking."""
    quantities: dict[str, set[int]] = defaultdict(set)
    made = set()
    for step in steps:
        if step.sighting:
            quantities[step.sighting.booking].add(step.sighting.quantity)
            if step.exchange.status in (201, 202):
                made.add(step.sighting.booking)
    orphans = frozenset(quantities) - made
    return Known(rules, orphans, {booking: frozenset(shown) for booking, shown in quantities.items()})


def check_bookings(story: Story) -> Iterator[Violation]:
    """Each user's history on each event can be explained."""
    for (event, user), steps in steps_by_user(story).items():
        known = _known(story.rules(event), steps)
        expires_from = {one: story.expires_from(story.sightings[event, one]) for one in known.quantities}
        gifts_from = min((one.begin for one in story.gifts.get((event, user), [])), default=math.inf)
        gifts = _gifts(story, event, user, known)
        office = Office(known, story.cancelled_from(event), expires_from, gifts, gifts_from)
        try:
            failure = Search(steps, office).failure()
        except Undecided:  # too many requests at the same time
            sys.stderr.write(f"not judged: {user}: more than {CONFIGURATIONS_MAX:,} orders of overlapping requests\n")
            continue
        if failure:
            yield Violation("bookings", event, f"{user}: {failure}")


def _gifts(story: Story, event: str, user: str, known: Known) -> tuple[State, ...]:
    """Return the bookings that other users may have given to this one, as they were then; one may be unseen."""
    transfers = story.gifts.get((event, user), [])
    quantities = {quantity for one in transfers for quantity in _given(story, one)}
    gifts = [State("CONFIRMED", UNSEEN, quantity=max(quantities, default=1))]
    for booking in known.quantities:
        seen = story.sightings[event, booking]
        if story.may_be_gift(seen):
            reference = next((one.row["reference"] for one in seen if one.row.get("reference")), "")
            gifts += [
                State("CONFIRMED", booking, quantity=quantity, reference=reference, used=frozenset([booking]))
                for quantity in quantities
            ]
    return tuple(gifts)


def _given(story: Story, transfer: Exchange) -> set[int]:
    """Return how many tickets a transfer may have given. Without a response, a later look may tell."""
    if transfer.is_done:
        return {transfer.response.get("quantity", 1)}
    seen = story.sightings.get((transfer.event, transfer.body["bookingId"]), [])
    ended = {one.quantity for one in seen if one.status == "TRANSFERRED"}
    return ended or set(range(1, story.rules(transfer.event).tickets_per_booking + 1))


def check_facts(story: Story) -> Iterator[Violation]:
    """A booking belongs to one user, and each fact of it is the same in every response."""
    for (event, booking), seen in story.sightings.items():
        users = {one.user for one in seen}
        if len(users) > 1:
            yield Violation("facts", event, f"booking {booking} belongs to several users: {sorted(users)}")
        for name in (*MOMENTS, "reference", *ACTORS):
            values = {one.row[name] for one in seen if one.row.get(name)}
            if len(values) > 1:
                text = f"booking {booking} of {seen[0].user} has several values of {name}: {sorted(values)}"
                yield Violation("facts", event, text)
        for name, allowed in ACTORS.items():
            strange = {one.row[name] for one in seen if one.row.get(name)} - allowed
            if strange:
                yield Violation("facts", event, f"booking {booking} of {seen[0].user}: {name} {strange}")
