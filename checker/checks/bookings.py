"""Each user's bookings of an event are linearizable: some order of the requests, in real time, explains every response.

The model of one user and one event is a value: nothing yet, or the booking as it stands. The office may promote a
waiting booking at any moment, and cancel an active one once the cancellation of its event began. A request without a
response may have had its effect at any moment since it began, or none.
"""

import heapq
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, NamedTuple

from checker.checks.story import Sighting, Story, Violation, sightings
from checker.history import Exchange

CONFIGURATIONS_MAX = 20_000  # by one response; beyond that, a user's requests overlap too much to be judged
UNSEEN = "?"  # the bookingId of a booking that no response shows


class State(NamedTuple):
    """What the user has."""

    status: str = ""  # or CONFIRMED, WAITING, CANCELLED
    booking: str = ""
    was: str = ""
    used: frozenset[str] = frozenset()  # ids of all bookings up to this one

    @property
    def is_active(self) -> bool:
        """Tell whether there is a ticket or a place."""
        return self.status in ("CONFIRMED", "WAITING")


@dataclass(frozen=True)
class Step:
    """A request of the user, or a look at their booking."""

    begin: float
    end: float
    kind: str  # book, cancel, look
    exchange: Exchange
    sighting: Sighting | None = None

    def outcomes(self, state: State, orphans: frozenset[str]) -> Iterator[State]:
        """Yield the states in which the step may leave the user, if its response is possible in `state`.

        `orphans` are the bookings of which no 201 or 202 says that it was made.
        """
        one = self.exchange
        if self.kind == "look":
            if _shows(self.sighting, state):
                yield state
        elif one.is_open:
            yield from _done_or_not(one, state, orphans)
        elif one.is_refused:
            if _may_be_refused(one, state):
                yield state
        elif self.kind == "book":
            yield from _booked(one, state, orphans)
        else:
            yield from _cancelled(one, state)

    @property
    def asks(self) -> tuple[str, Any]:
        """Return what the request asks for: two without a response that ask for the same have the same effect."""
        return self.exchange.op, self.exchange.body.get("bookingId")

    def __str__(self) -> str:
        one = self.exchange
        named = f" {one.body['bookingId']}" if one.op == "cancel" and "bookingId" in one.body else ""
        shown = self.sighting
        saw = f"{shown.status} {shown.booking} {shown.was}".rstrip() if shown else "no booking"
        code = one.response.get("code", "") if isinstance(one.response, dict) else ""
        what = f"{one.status} {code if one.is_refused else saw}" if one.status else "no response"
        return f"{self.begin:.4f} to {self.end:.4f}: {one.op}{named}: {what}"


def _shows(seen: Sighting | None, state: State) -> bool:
    if seen is None:
        return not state.status
    return (seen.status, seen.booking, seen.was) == (state.status, state.booking, state.was)


def _made(state: State, status: str, booking: str) -> State:
    return State(status, booking, "", state.used if booking == UNSEEN else state.used | {booking})


def _done_or_not(one: Exchange, state: State, orphans: frozenset[str]) -> Iterator[State]:
    """Yield what a request without a response may have done."""
    if one.op == "book" and not state.is_active:
        for booking in chain(sorted(orphans - state.used), [UNSEEN]):
            yield _made(state, "CONFIRMED", booking)
            yield _made(state, "WAITING", booking)
    if one.op == "cancel" and state.is_active and one.body.get("bookingId", state.booking) == state.booking:
        yield state._replace(status="CANCELLED", was=state.status)


def _may_be_refused(one: Exchange, state: State) -> bool:
    code = one.response.get("code")
    if one.op == "book":
        return not state.is_active
    if code == "booking-not-found":
        return not state.status
    return code == "booking-changed" and bool(state.status) and state.booking != one.body.get("bookingId")


def _booked(one: Exchange, state: State, orphans: frozenset[str]) -> Iterator[State]:
    """Yield the booking that the request found or made.

    The response shows what the user has a moment later, which is a separate look. So a 201 may show a booking that
    waited and was promoted. A 200 may have made a booking that another request cancelled before the response: one that
    no 201 or 202 names.
    """
    response = one.response
    if state.is_active:
        if one.status == 200 and response["bookingId"] == state.booking:
            yield state
        return
    made = frozenset({response["bookingId"]})
    if one.status == 200:
        made = orphans if response["status"] == "CANCELLED" else orphans - made
    for booking in made - state.used:
        yield _made(state, "CONFIRMED", booking)
        yield _made(state, "WAITING", booking)


def _cancelled(one: Exchange, state: State) -> Iterator[State]:
    response = one.response
    if response["bookingId"] != state.booking or one.body.get("bookingId", state.booking) != state.booking:
        return
    if state.is_active and response["was"] == state.status:
        yield state._replace(status="CANCELLED", was=state.status)
    elif state.status == "CANCELLED" and response["was"] == state.was:
        yield state


class Undecided(Exception):
    """There are too many orders to look at."""


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

    def __init__(self, steps: list[Step], cancelled_from: float) -> None:
        self._steps = steps
        self._cancelled_from = cancelled_from
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
        if state.status == "WAITING":
            yield here._replace(state=state._replace(status="CONFIRMED"))
        if state.is_active and self._cancelled_from <= moment:
            yield here._replace(state=state._replace(status="CANCELLED", was=state.status))

    def _outcomes(self, number: int, state: State, moment: float) -> Iterator[State]:
        is_over = self._shown_until.get(state.booking, moment) <= moment
        outcomes = self._steps[number].outcomes(state, self._orphans)
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
        if one.op in ("book", "cancel"):
            known = {"event-not-found", "invalid-request"}
            if not (one.is_refused and one.response.get("code") in known):
                found[one.event, one.user].append(Step(one.begin, one.end, one.op, one, shown[0] if shown else None))
            if one.op == "cancel" or not one.is_done:
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
        try:
            failure = Search(steps, story.cancelled_from(event)).failure()
        except Undecided:  # too many requests at the same time
            sys.stderr.write(f"not judged: {user}: more than {CONFIGURATIONS_MAX:,} orders of overlapping requests\n")
            continue
        if failure:
            violations.append(Violation("bookings", event, f"{user}: {failure}"))
    return violations


def check_facts(story: Story) -> list[Violation]:
    """A booking belongs to one user, and each moment of it is the same in every response."""
    violations = []
    for (event, booking), seen in story.sightings.items():
        users = {one.user for one in seen}
        if len(users) > 1:
            violations.append(Violation("facts", event, f"booking {booking} belongs to several users: {sorted(users)}"))
        for name in ("joinedAt", "bookedAt", "promotedAt", "cancelledAt"):
            values = {one.row[name] for one in seen if one.row.get(name)}
            if len(values) > 1:
                text = f"booking {booking} of {seen[0].user} has several values of {name}: {sorted(values)}"
                violations.append(Violation("facts", event, text))
    return violations
