"""Each user's bookings of an event are linearizable: some order of the requests, in real time, explains every response.

The model of one user and one event is a value: nothing yet, or the booking as it stands. The office may promote a
waiting booking at any moment, expire a hold at any moment from its `expiresAt` on, and cancel an active booking once
the cancellation of its event began. A request without a response may have had its effect at any moment since it began,
or none.
"""

import heapq
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any, NamedTuple

from checker.checks.story import ACTORS, ENDED, MOMENTS, OWNING, Rules, Sighting, Story, Violation, sightings
from checker.history import Exchange

CONFIGURATIONS_MAX = 20_000  # by one response; beyond that, a user's requests overlap too much to be judged
UNSEEN = "?"  # the bookingId of a booking that no response shows


class State(NamedTuple):
    """What the user has."""

    status: str = ""  # or HELD, CONFIRMED, WAITING, CANCELLED, EXPIRED
    booking: str = ""
    was: str = ""
    reference: str = ""  # with which it was confirmed
    is_used: bool = False  # it was checked in
    given_to: str = ""  # to whom it was transferred
    used: frozenset[str] = frozenset()  # ids of all bookings up to this one

    @property
    def is_active(self) -> bool:
        """Tell whether there is a ticket or a place."""
        return self.status in OWNING or self.status == "WAITING"


@dataclass(frozen=True)
class Step:
    """A request of the user, or a look at their booking."""

    begin: float
    end: float
    kind: str  # book, confirm, cancel, check-in, transfer, look
    exchange: Exchange
    sighting: Sighting | None = None

    def outcomes(self, state: State, rules: Rules, orphans: frozenset[str]) -> Iterator[State]:
        """Yield the states in which the step may leave the user, if its response is possible in `state`.

        `rules` are the event's. `orphans` are the bookings of which no 201 or 202 says that it was made.
        """
        one = self.exchange
        if self.kind == "look":
            if _shows(self.sighting, state):
                yield state
        elif one.is_open:
            yield from _done_or_not(one, state, rules, orphans)
        elif one.is_refused:
            if _may_be_refused(one, state):
                yield state
        elif self.kind == "book":
            yield from _booked(one, state, rules, orphans)
        elif self.kind == "confirm":
            yield from _confirmed(one, state)
        elif self.kind == "check-in":
            yield from _checked_in(one, state)
        elif self.kind == "transfer":
            yield from _transferred(one, state)
        else:
            yield from _cancelled(one, state)

    @property
    def asks(self) -> tuple[Any, ...]:
        """Return what the request asks for: two without a response that ask for the same have the same effect."""
        body = self.exchange.body
        return self.exchange.op, body.get("bookingId"), body.get("reference"), body.get("toUserId")

    def __str__(self) -> str:
        one = self.exchange
        named = f" {one.body['bookingId']}" if "bookingId" in one.body else ""
        shown = self.sighting
        saw = f"{shown.status} {shown.booking} {shown.was}".rstrip() if shown else "no booking"
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
    return (seen.status, seen.booking, seen.was) == (state.status, state.booking, state.was)


def _made(state: State, status: str, booking: str) -> State:
    return State(status, booking, used=state.used if booking == UNSEEN else state.used | {booking})


def _done_or_not(one: Exchange, state: State, rules: Rules, orphans: frozenset[str]) -> Iterator[State]:
    """Yield what a request without a response may have done."""
    if one.op == "book" and not state.is_active:
        for booking in chain(sorted(orphans - state.used), [UNSEEN]):
            yield _made(state, rules.first, booking)
            yield _made(state, "WAITING", booking)
    is_meant = one.body.get("bookingId", state.booking) == state.booking
    if one.op == "cancel" and state.is_active and is_meant and not state.is_used:
        yield state._replace(status="CANCELLED", was=state.status)
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
        return code == "checked-in" and state.status == "CONFIRMED" and state.is_used
    if state.is_used and state.status == "CONFIRMED":
        return is_meant and (one.op, code) == ("transfer", "checked-in")
    if state.status == "TRANSFERRED" and state.given_to == one.body.get("toUserId"):
        return False
    refused = {"confirm": REFUSED_CONFIRMATIONS, "check-in": REFUSED_CHECK_INS, "transfer": REFUSED_TRANSFERS}
    return is_meant and state.status in refused[one.op].get(code, set())


def _booked(one: Exchange, state: State, rules: Rules, orphans: frozenset[str]) -> Iterator[State]:
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
        yield _made(state, rules.first if one.status == 201 else "WAITING", shown)
    for booking in orphans - state.used if one.status == 200 else ():
        yield _made(state, "WAITING", booking)
        if booking != shown or response["status"] in ENDED:
            yield _made(state, rules.first, booking)


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
    if response["again"] == state.is_used and (response.get("reference") or "") == state.reference:
        yield state._replace(is_used=True)


def _transferred(one: Exchange, state: State) -> Iterator[State]:
    """Yield the booking that the request gave away, or found given to the same user."""
    response, to = one.response, one.body["toUserId"]
    if not response["bookingId"] == one.body["bookingId"] == state.booking or response["transferredTo"] != to:
        return
    if state.status == "CONFIRMED" and not state.is_used:
        yield state._replace(status="TRANSFERRED", given_to=to)
    elif state.status == "TRANSFERRED" and state.given_to == to:
        yield state


def _cancelled(one: Exchange, state: State) -> Iterator[State]:
    response = one.response
    if response["bookingId"] != state.booking or one.body.get("bookingId", state.booking) != state.booking:
        return
    if state.is_active and not state.is_used and response.get("was") == state.status:
        yield state._replace(status="CANCELLED", was=state.status)
    elif state.status in ENDED and (response["status"], response.get("was", "")) == (state.status, state.was):
        yield state


class Undecided(Exception):
    """There are too many orders to look at."""


@dataclass(frozen=True)
class Office:
    """What the office may do with the bookings of one user and event by itself."""

    rules: Rules
    cancelled_from: float
    expires_from: Mapping[str, float] = field(default_factory=dict)  # by booking; one that is not here: any time
    gifts: Mapping[str, str] = field(default_factory=dict)  # bookings that other users may have given, by reference
    gifts_from: float = math.inf

    def moves(self, state: State, moment: float) -> Iterator[State]:
        """Yield each state in which it may leave the user by that time."""
        if state.status == "WAITING":
            yield state._replace(status=self.rules.promoted)
        if state.status == "HELD" and self.expires_from.get(state.booking, moment) <= moment:
            yield state._replace(status="EXPIRED")
        if not state.is_active and self.gifts_from <= moment:
            for booking, reference in self.gifts.items():
                if booking not in state.used:
                    yield _made(state, "CONFIRMED", booking)._replace(reference=reference)
        if state.is_active and self.cancelled_from <= moment:
            yield state._replace(status="CANCELLED", was=state.status)


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
        ids = frozenset(step.sighting.booking for step in steps if step.sighting)
        made = {step.sighting.booking for step in steps if step.sighting and step.exchange.status in (201, 202)}
        self._orphans = ids - made
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
        outcomes = self._steps[number].outcomes(state, self._office.rules, self._orphans)
        return (outcome for outcome in outcomes if is_over or outcome.booking == state.booking)

    def _explain(self, number: int, before: list[Configuration]) -> str:
        states = {f"{state.status or 'no booking'} {state.booking} {state.was}".rstrip() for state, *_ in before}
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


def check_bookings(story: Story) -> list[Violation]:
    """Each user's history on each event can be explained."""
    violations = []
    for (event, user), steps in steps_by_user(story).items():
        ids = {step.sighting.booking for step in steps if step.sighting}
        expires_from = {one: story.expires_from(story.sightings[event, one]) for one in ids}
        gifts_from = min((one.begin for one in story.gifts.get((event, user), [])), default=math.inf)
        office = Office(
            story.rules(event), story.cancelled_from(event), expires_from, _gifts(story, event, ids), gifts_from
        )
        try:
            failure = Search(steps, office).failure()
        except Undecided:  # too many requests at the same time
            sys.stderr.write(f"not judged: {user}: more than {CONFIGURATIONS_MAX:,} orders of overlapping requests\n")
            continue
        if failure:
            violations.append(Violation("bookings", event, f"{user}: {failure}"))
    return violations


def _gifts(story: Story, event: str, bookings: set[str]) -> dict[str, str]:
    """Return the bookings that other users may have given to this one, each with its reference; one may be unseen."""
    gifts = {UNSEEN: ""}
    for booking in bookings:
        seen = story.sightings[event, booking]
        if story.may_be_gift(seen):
            gifts[booking] = next((one.row["reference"] for one in seen if one.row.get("reference")), "")
    return gifts


def check_facts(story: Story) -> list[Violation]:
    """A booking belongs to one user, and each fact of it is the same in every response."""
    violations = []
    for (event, booking), seen in story.sightings.items():
        users = {one.user for one in seen}
        if len(users) > 1:
            violations.append(Violation("facts", event, f"booking {booking} belongs to several users: {sorted(users)}"))
        for name in (*MOMENTS, "reference", *ACTORS):
            values = {one.row[name] for one in seen if one.row.get(name)}
            if len(values) > 1:
                text = f"booking {booking} of {seen[0].user} has several values of {name}: {sorted(values)}"
                violations.append(Violation("facts", event, text))
        for name, allowed in ACTORS.items():
            strange = {one.row[name] for one in seen if one.row.get(name)} - allowed
            if strange:
                violations.append(Violation("facts", event, f"booking {booking} of {seen[0].user}: {name} {strange}"))
    return violations
