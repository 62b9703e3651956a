"""The controls: every mutant, where the search catches it, and which promise it broke there."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from proof.conditions import Omission, ground_without, omissions
from proof.explore import Scenario, explore
from proof.group_scenarios import (
    BACK_ON_SALE,
    CANCEL_EVENT_AND_RETURN,
    FROM_TWO_LANES,
    GROUP_AGAIN,
    GROUP_COMES_BACK_IN_LINE,
    GROUP_LEAVES,
    GROUP_TAKES_ONE,
    GROUP_WAITS,
    GROUP_WANTS_FEWER,
    GROUP_WANTS_FEWER_TWICE,
    HOLD_REDUCED,
    RELEASED_WHILE_CLOSED,
    REOPENED_AND_CANCELLED,
    RETURN_AT_REST,
    RETURNS_SOME,
    RETURNS_SOME_AND_COMES_BACK,
    SECOND_RELEASE_ON_LANES,
    SOLD_OUT_AGAIN,
    SOLD_OUT_LATE,
    SWEEP_AND_RETURNS,
)
from proof.hold_scenarios import (
    CONFIRMED_CANCELLED_OR_EXPIRED,
    CONFIRMED_OR_EXPIRED,
    CONFIRMED_TWICE,
    EXPIRED_AND_COMES_BACK,
    EXPIRED_AND_HELD_AGAIN,
    EXPIRED_EARLY,
    EXPIRED_TO_NEXT,
    EXPIRED_TWICE,
    HOLD_CANCELLED,
    OFFERED,
    SWEEP_AND_EXPIRIES,
)
from proof.operations import Sweep
from proof.plans import ALL_PLANS
from proof.rules import RULES, Rule
from proof.scenarios import (
    ADVANCED,
    BOOKS_TWICE,
    BOOKS_TWICE_AT_HEAD,
    CANCEL_EVENT_AND_BOOK,
    CANCEL_EVENT_AND_BOOK_TWICE,
    CANCEL_EVENT_AND_JOIN,
    CANCEL_EVENT_AND_PROMOTE,
    CANCEL_EVENT_AND_RAISE,
    CANCEL_EVENT_AND_RENAME,
    CANCEL_EVENT_IN_LINE,
    CANCEL_EVENT_SOLD_OUT,
    CANCELS_TWICE,
    CLOSED_AND_BOOKED,
    CLOSED_AND_JOINED,
    CLOSED_IN_LINE,
    COMES_BACK,
    COMES_BACK_IN_LINE,
    CRASH,
    FAULT,
    HEIR_COMES_BACK,
    HEIR_COMES_BACK_LATER,
    HEIR_LEAVES,
    HEIR_LEAVES_TWICE,
    JOIN_AT_REST,
    LANES_COME_BACK,
    LAST_TICKET,
    LATE_JOINER,
    LEFT_AND_BOOKS_TWICE,
    LIMITED,
    LOWERED_AND_BOOKED,
    LOWERED_AND_PUT_BACK,
    LOWERED_AND_WAITING,
    LOWERED_TWICE,
    NOBODY_WAITS,
    OPENED_TWICE,
    POSTPONED,
    POSTPONED_FOR_WAITING,
    POSTPONED_IN_LINE,
    PROLONGED,
    RAISE_AT_REST,
    RAISED_AND_LEAVES,
    RAISED_AND_RELEASED,
    RAISED_FOR_WAITING,
    RAISED_ON_LANES,
    RAISED_TWICE_HALF,
    RELEASE_AND_JOIN,
    RELEASE_AT_REST,
    RENAMED,
    RENAMED_AND_RAISED,
    RENAMED_TWICE,
    REST_AND_RELEASE,
    SWEEP_AND_JOINS,
    SWEEP_AND_LEAVES,
    SWEEP_AND_RELEASES,
    SWEEP_AND_TAKES_IN_LINE,
    TWO_LANES,
    UNLIMITED,
    WINDOW_TWICE,
)
from proof.steps import Ground
from proof.transfer_scenarios import (
    CANCEL_EVENT_AND_CHECK_IN,
    CANCEL_EVENT_AND_TRANSFER,
    CHECKED_IN_OR_CANCELLED,
    CHECKED_IN_OR_CONFIRMED,
    CHECKED_IN_OR_REDUCED,
    CHECKED_IN_TWICE,
    SWEEP_AND_CHECK_INS,
    SWEEP_AND_TRANSFERS,
    TRANSFERRED_CANCELLED_OR_CHECKED_IN,
    TRANSFERRED_OR_CANCELLED,
    TRANSFERRED_OR_CHECKED_IN,
    TRANSFERRED_OR_REDUCED,
    TRANSFERRED_TO_BUYER,
    TRANSFERRED_TO_RETURNER,
    TRANSFERRED_TO_TWO,
)


@dataclass(frozen=True)
class Caught:
    """A mutant that the search found out."""

    mutant: str
    file: str
    promise: str
    scenario: str


# What sends every request of the protocol at least once.
_ALL_REQUESTS = (
    LAST_TICKET, BOOKS_TWICE, HEIR_LEAVES, HEIR_COMES_BACK,
    LOWERED_AND_BOOKED, LOWERED_AND_PUT_BACK, RAISED_ON_LANES, ADVANCED, PROLONGED, UNLIMITED, CANCEL_EVENT_SOLD_OUT,
    COMES_BACK_IN_LINE, CONFIRMED_CANCELLED_OR_EXPIRED, OFFERED, GROUP_WANTS_FEWER, RETURNS_SOME, BACK_ON_SALE,
    CHECKED_IN_TWICE, TRANSFERRED_TO_RETURNER, REST_AND_RELEASE,
)  # fmt: skip

# Where to look for what a transaction's conditions are for, in this order.
_SHOWN_BY: Mapping[str, Sequence[Scenario]] = {
    "open": (OPENED_TWICE,),
    "take": (
        LAST_TICKET,
        RELEASE_AND_JOIN,
        replace(TWO_LANES, crashes=CRASH[0]),
        replace(CANCELS_TWICE, crashes=CRASH[0]),
        POSTPONED,
        CLOSED_AND_BOOKED,
        CANCEL_EVENT_AND_BOOK,
        FROM_TWO_LANES,
    ),
    "take in line": (
        NOBODY_WAITS,
        BOOKS_TWICE_AT_HEAD,
        COMES_BACK_IN_LINE,
        CLOSED_IN_LINE,
        POSTPONED_IN_LINE,
        CANCEL_EVENT_IN_LINE,
        replace(COMES_BACK_IN_LINE, crashes=CRASH[0]),
        replace(NOBODY_WAITS, crashes=CRASH[0]),
        SWEEP_AND_TAKES_IN_LINE,
    ),
    "close": (
        SOLD_OUT_LATE,
        BACK_ON_SALE,
        GROUP_AGAIN,
        SOLD_OUT_AGAIN,
        replace(GROUP_AGAIN, crashes=CRASH[0]),
        RELEASED_WHILE_CLOSED,
    ),
    "back on sale": (
        BACK_ON_SALE,
        GROUP_AGAIN,
        SECOND_RELEASE_ON_LANES,
        REOPENED_AND_CANCELLED,
        RELEASED_WHILE_CLOSED,
        replace(GROUP_AGAIN, crashes=CRASH[0]),
    ),
    "return some": (
        RETURNS_SOME,
        RETURNS_SOME_AND_COMES_BACK,
        GROUP_WAITS,
        HOLD_REDUCED,
        replace(RETURNS_SOME, crashes=CRASH[0]),
        CHECKED_IN_OR_REDUCED,
        SWEEP_AND_RETURNS,
        replace(RETURN_AT_REST, faults=FAULT[1]),
    ),
    "want fewer": (
        GROUP_WANTS_FEWER,
        GROUP_TAKES_ONE,
        GROUP_WANTS_FEWER_TWICE,
        GROUP_COMES_BACK_IN_LINE,
        replace(GROUP_WANTS_FEWER, crashes=CRASH[0]),
        SWEEP_AND_RETURNS,
    ),
    "confirm": (CONFIRMED_OR_EXPIRED, CONFIRMED_TWICE, CONFIRMED_CANCELLED_OR_EXPIRED, EXPIRED_AND_COMES_BACK),
    "expire": (
        CONFIRMED_OR_EXPIRED,
        EXPIRED_AND_HELD_AGAIN,
        EXPIRED_TO_NEXT,
        EXPIRED_TWICE,
        HOLD_REDUCED,
        replace(EXPIRED_AND_COMES_BACK, crashes=CRASH[0]),
        SWEEP_AND_EXPIRIES,
    ),
    "join": (
        LAST_TICKET,
        replace(LAST_TICKET, crashes=CRASH[0]),
        CANCEL_EVENT_AND_JOIN,
        LEFT_AND_BOOKS_TWICE,
        POSTPONED_FOR_WAITING,
        CLOSED_AND_JOINED,
        COMES_BACK,
        SWEEP_AND_JOINS,
        replace(JOIN_AT_REST, faults=FAULT[1]),
    ),
    "promote": (
        LATE_JOINER,
        LOWERED_AND_WAITING,
        COMES_BACK,
        OFFERED,
        CANCEL_EVENT_AND_PROMOTE,
        LANES_COME_BACK,
        HEIR_COMES_BACK_LATER,
        GROUP_WANTS_FEWER,
        GROUP_TAKES_ONE,
        SWEEP_AND_RELEASES,
    ),
    "release": (
        COMES_BACK,
        replace(COMES_BACK, crashes=CRASH[0]),
        replace(CANCELS_TWICE, faults=FAULT[1]),
        HOLD_CANCELLED,
        CONFIRMED_CANCELLED_OR_EXPIRED,
        RETURNS_SOME,
        CHECKED_IN_OR_CANCELLED,
        SWEEP_AND_RELEASES,
        replace(RELEASE_AT_REST, faults=FAULT[1]),
    ),
    "check in": (
        CHECKED_IN_TWICE,
        CHECKED_IN_OR_CANCELLED,
        CHECKED_IN_OR_CONFIRMED,
        CHECKED_IN_OR_REDUCED,
        CANCEL_EVENT_AND_CHECK_IN,
        SWEEP_AND_CHECK_INS,
    ),
    "transfer": (
        SWEEP_AND_TRANSFERS,
        CANCEL_EVENT_AND_TRANSFER,
        TRANSFERRED_TO_TWO,
        TRANSFERRED_TO_BUYER,
        TRANSFERRED_TO_RETURNER,
        TRANSFERRED_OR_CANCELLED,
        TRANSFERRED_OR_CHECKED_IN,
        TRANSFERRED_OR_REDUCED,
    ),
    "leave": (
        HEIR_LEAVES,
        CANCEL_EVENT_SOLD_OUT,
        HEIR_LEAVES_TWICE,
        GROUP_WANTS_FEWER,
        GROUP_LEAVES,
        CANCEL_EVENT_AND_RETURN,
        SWEEP_AND_LEAVES,
    ),
    "step": (
        LOWERED_AND_BOOKED,
        RAISED_TWICE_HALF,
        RAISED_ON_LANES,
        CANCEL_EVENT_AND_RAISE,
        replace(RAISE_AT_REST, faults=FAULT[1]),
    ),
    "window": (ADVANCED, PROLONGED, WINDOW_TWICE),
    "rest": (replace(REST_AND_RELEASE, faults=FAULT[1]),),
    "change event": (
        RENAMED,
        ADVANCED,
        PROLONGED,
        LIMITED,
        UNLIMITED,
        LOWERED_AND_PUT_BACK,
        LOWERED_TWICE,
        RENAMED_TWICE,
        CANCEL_EVENT_AND_RENAME,
        RENAMED_AND_RAISED,
    ),
}

_FOR_THE_AUDIT = (
    "it frees no ticket that a waiting user could get, so only the audit needs it; tests/protocol/test_resting.py"
)

# What no search can miss, and why it is there nevertheless.
NEEDLESS: Mapping[str, str] = {
    "step: Update Lanes without `changes :one`": (
        "no search is large enough for changes during two counts of an audit; tests/protocol/test_audit.py has them"
    ),
    "return some: Update Lanes without `changes :changes`": "as for a step",
    "want fewer: Update Lanes without `changes :changes`": (
        "an event does not rest while a ticket is free and a user waits; tests/protocol/test_resting.py"
    ),
    "take: Update Lanes without `changes :share`": "the audit counts sold-out events only, which sell nothing",
    "promote: Update Lanes without `changes :count`": "with each promotion an audit counts what the promotion followed",
    "window: Update Lanes without `changes :one`": "as for a step",
    "take: Update Lanes without `sweepId = :event`": (
        "a user who waits has joined, and the join sets it too; tests/protocol/test_resting.py"
    ),
    "take in line: Update Lanes without `sweepId = :event`": _FOR_THE_AUDIT,
    "promote: Update Lanes without `sweepId = :event`": _FOR_THE_AUDIT,
    "leave: Update Lanes without `sweepId = :event`": _FOR_THE_AUDIT,
    "want fewer: Update Lanes without `sweepId = :event`": _FOR_THE_AUDIT,
    "check in: Update Lanes without `sweepId = :event`": _FOR_THE_AUDIT,
    "transfer: Update Lanes without `sweepId = :event`": _FOR_THE_AUDIT,
    "expire: Update Lanes without `sweepId = :event`": (
        "an event with holds does not rest; tests/protocol/test_resting.py"
    ),
    "window: Update Lanes without `#sweepId = :sweepId`": _FOR_THE_AUDIT,
}

# For each promise a scenario in which at least three kinds of actors meet, and a mutant that breaks the promise there.
# P8 is that a crash breaks no other: so its mutant breaks any of them.
THREE_KINDS: Mapping[str, tuple[Scenario, str]] = {
    "P1": (LOWERED_AND_BOOKED, "step: Update Lanes without `available >= :taken`"),
    "P2": (CANCEL_EVENT_AND_BOOK_TWICE, "take: Put Bookings without `attribute_not_exists(userId)`"),
    "P3": (RAISED_AND_LEAVES, "leave: no Delete WaitingList"),
    "P4": (RAISED_FOR_WAITING, "take: Update Lanes without `attribute_not_exists(closedAt)`"),
    "P5": (RAISED_AND_RELEASED, "not: settle promotes in the order of the list"),
    "P6": (RAISED_AND_RELEASED, "not: a release reaches the promoter"),
    "P7": (CANCEL_EVENT_AND_BOOK_TWICE, "not: one bookingId over all tries"),
    "P8": (replace(CANCEL_EVENT_AND_BOOK, crashes=CRASH[0]), "not: the background marks the lanes that are not"),
    "O1": (CLOSED_AND_JOINED, "join: Update Lanes without `(attribute_not_exists(closesAt) OR closesAt > :now)`"),
    "O2": (RAISED_TWICE_HALF, "step: Update Events without `steps = :steps`"),
    "O3": (CANCEL_EVENT_AND_RAISE, "promote: Update Lanes without `attribute_not_exists(cancelledAt)`"),
    "H1": (EXPIRED_EARLY, "not: a hold expires only when it is due"),
    "H2": (CONFIRMED_CANCELLED_OR_EXPIRED, "confirm: Update Bookings without `#status = :held`"),
    "H3": (CONFIRMED_CANCELLED_OR_EXPIRED, "not: holds that are due expire"),
    "T1": (TRANSFERRED_CANCELLED_OR_CHECKED_IN, "transfer: Update Bookings without `bookingId = :booking`"),
    "D1": (CANCEL_EVENT_AND_CHECK_IN, "release: Update Bookings without `attribute_not_exists(checkedInAt)`"),
}


@cache
def all_omissions() -> tuple[Omission, ...]:
    """List all that requests could go without."""
    return tuple(omissions(_ALL_REQUESTS))


def caught_omission(omission: Omission, known: str = "") -> Caught | None:
    """Search without it where it should be missed, first where it is known to be; None if it is not."""
    scenarios = _SHOWN_BY[omission.transaction]
    if omission.part.startswith("changes "):  # only an audit misses it
        scenarios = sorted(scenarios, key=lambda one: not any(isinstance(other, Sweep) for other in one.meanwhile))
    if "sweepId" in omission.part:  # only a resting event misses it
        scenarios = [*reversed(scenarios)]
    if known:
        scenarios = sorted(scenarios, key=lambda one: name_of(one) != known)
    for scenario in scenarios:
        if violation := explore(scenario, ground_without(omission)).violation:
            return Caught(str(omission), omission.file, promise_of(violation), name_of(scenario))
    return None


def caught_rule(rule: Rule) -> Caught | None:
    """Search without the rule where it should be missed; None if it is not."""
    with rule.broken():
        violation = explore(rule.shown_by, Ground(filters=rule.filters)).violation
    return Caught(f"not: {rule.text}", rule.file, promise_of(violation), name_of(rule.shown_by)) if violation else None


def caught_among_three_kinds(promise: str) -> Caught | None:
    """Search the scenario of THREE_KINDS with its mutant; None if nothing is missed there."""
    scenario, mutant = THREE_KINDS[promise]
    if rule := next((one for one in RULES if mutant == f"not: {one.text}"), None):
        return caught_rule(replace(rule, shown_by=scenario))
    [omission] = [one for one in all_omissions() if str(one) == mutant]
    violation = explore(scenario, ground_without(omission)).violation
    return Caught(mutant, omission.file, promise_of(violation), name_of(scenario)) if violation else None


def searches(*, whole: bool) -> list[Scenario]:
    """List all searches, or those that `make test` has time for."""
    return [scenario for plan in ALL_PLANS for scenario in plan.searches(whole=whole)]


def rules(*, whole: bool) -> list[Rule]:
    """List all rules, or those whose control `make test` has time for."""
    return [rule for rule in RULES if whole or not rule.is_slow]


def promise_of(violation: str) -> str:
    """Return the first promise that a violation names, or what it is instead."""
    found = re.search(r"\b(P[1-8]|O[1-9]|H[1-9]|D[1-9]|T[1-9])\b", violation)
    return found[0] if found else "the code fails"


def name_of(scenario: Scenario) -> str:
    """Return a scenario's name with what else may happen."""
    parts = ["a crash"] * bool(scenario.crashes) + ["a fault"] * bool(scenario.faults)
    return f"{scenario.name}, with {' and '.join(parts)}" if parts else scenario.name
