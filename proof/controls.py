"""The controls: every mutant, where the search catches it, and which promise it broke there."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from proof import group_scenarios as groups
from proof import hold_scenarios as holds
from proof import scenarios as basic
from proof import transfer_scenarios as transfers
from proof.conditions import Omission, ground_without, omissions
from proof.explore import Scenario, explore
from proof.operations import Sweep
from proof.rules import RULES, Rule
from proof.scenarios import CRASH, FAULT
from proof.steps import Ground

ALL_PLANS = (*basic.PLANS, *holds.HOLD_PLANS, *groups.GROUP_PLANS, *transfers.TRANSFER_PLANS)


@dataclass(frozen=True)
class Caught:
    """A mutant that the search found out."""

    mutant: str
    file: str
    promise: str
    scenario: str


# What sends every request of the protocol at least once.
_ALL_REQUESTS = (
    basic.LAST_TICKET, basic.BOOKS_TWICE, basic.HEIR_LEAVES, basic.HEIR_COMES_BACK, basic.LOWERED_AND_BOOKED,
    basic.LOWERED_AND_PUT_BACK, basic.RAISED_ON_LANES, basic.ADVANCED, basic.PROLONGED, basic.UNLIMITED,
    basic.CANCEL_EVENT_SOLD_OUT, basic.COMES_BACK_IN_LINE, holds.CONFIRMED_CANCELLED_OR_EXPIRED, holds.OFFERED,
    groups.GROUP_WANTS_FEWER, groups.RETURNS_SOME, groups.BACK_ON_SALE, transfers.CHECKED_IN_TWICE,
    transfers.TRANSFERRED_TO_RETURNER, basic.REST_AND_RELEASE,
)  # fmt: skip

# Where to look for what a transaction's conditions are for, in this order.
_SHOWN_BY: Mapping[str, Sequence[Scenario]] = {
    "open": (basic.OPENED_TWICE,),
    "take": (
        basic.LAST_TICKET,
        basic.RELEASE_AND_JOIN,
        replace(basic.TWO_LANES, crashes=CRASH[0]),
        replace(basic.CANCELS_TWICE, crashes=CRASH[0]),
        basic.POSTPONED,
        basic.CLOSED_AND_BOOKED,
        basic.CANCEL_EVENT_AND_BOOK,
        groups.FROM_TWO_LANES,
    ),
    "take in line": (
        basic.NOBODY_WAITS,
        basic.BOOKS_TWICE_AT_HEAD,
        basic.COMES_BACK_IN_LINE,
        basic.CLOSED_IN_LINE,
        basic.POSTPONED_IN_LINE,
        basic.CANCEL_EVENT_IN_LINE,
        replace(basic.COMES_BACK_IN_LINE, crashes=CRASH[0]),
        replace(basic.NOBODY_WAITS, crashes=CRASH[0]),
        basic.SWEEP_AND_TAKES_IN_LINE,
    ),
    "close": (
        groups.SOLD_OUT_LATE,
        groups.BACK_ON_SALE,
        groups.GROUP_AGAIN,
        groups.SOLD_OUT_AGAIN,
        replace(groups.GROUP_AGAIN, crashes=CRASH[0]),
        groups.RELEASED_WHILE_CLOSED,
    ),
    "back on sale": (
        groups.BACK_ON_SALE,
        groups.GROUP_AGAIN,
        groups.SECOND_RELEASE_ON_LANES,
        groups.REOPENED_AND_CANCELLED,
        groups.RELEASED_WHILE_CLOSED,
        replace(groups.GROUP_AGAIN, crashes=CRASH[0]),
    ),
    "return some": (
        groups.RETURNS_SOME,
        groups.RETURNS_SOME_AND_COMES_BACK,
        groups.GROUP_WAITS,
        groups.HOLD_REDUCED,
        replace(groups.RETURNS_SOME, crashes=CRASH[0]),
        transfers.CHECKED_IN_OR_REDUCED,
        groups.SWEEP_AND_RETURNS,
        replace(groups.RETURN_AT_REST, faults=FAULT[1]),
    ),
    "want fewer": (
        groups.GROUP_WANTS_FEWER,
        groups.GROUP_TAKES_ONE,
        groups.GROUP_WANTS_FEWER_TWICE,
        groups.GROUP_COMES_BACK_IN_LINE,
        replace(groups.GROUP_WANTS_FEWER, crashes=CRASH[0]),
        groups.SWEEP_AND_RETURNS,
    ),
    "confirm": (
        holds.CONFIRMED_OR_EXPIRED,
        holds.CONFIRMED_TWICE,
        holds.CONFIRMED_CANCELLED_OR_EXPIRED,
        holds.EXPIRED_AND_COMES_BACK,
    ),
    "expire": (
        holds.CONFIRMED_OR_EXPIRED,
        holds.EXPIRED_AND_HELD_AGAIN,
        holds.EXPIRED_TO_NEXT,
        holds.EXPIRED_TWICE,
        groups.HOLD_REDUCED,
        replace(holds.EXPIRED_AND_COMES_BACK, crashes=CRASH[0]),
        holds.SWEEP_AND_EXPIRIES,
    ),
    "join": (
        basic.LAST_TICKET,
        replace(basic.LAST_TICKET, crashes=CRASH[0]),
        basic.CANCEL_EVENT_AND_JOIN,
        basic.LEFT_AND_BOOKS_TWICE,
        basic.POSTPONED_FOR_WAITING,
        basic.CLOSED_AND_JOINED,
        basic.COMES_BACK,
        basic.SWEEP_AND_JOINS,
        replace(basic.JOIN_AT_REST, faults=FAULT[1]),
    ),
    "promote": (
        basic.LATE_JOINER,
        basic.LOWERED_AND_WAITING,
        basic.COMES_BACK,
        holds.OFFERED,
        basic.CANCEL_EVENT_AND_PROMOTE,
        basic.LANES_COME_BACK,
        basic.HEIR_COMES_BACK_LATER,
        groups.GROUP_WANTS_FEWER,
        groups.GROUP_TAKES_ONE,
        basic.SWEEP_AND_RELEASES,
    ),
    "release": (
        basic.COMES_BACK,
        replace(basic.COMES_BACK, crashes=CRASH[0]),
        replace(basic.CANCELS_TWICE, faults=FAULT[1]),
        holds.HOLD_CANCELLED,
        holds.CONFIRMED_CANCELLED_OR_EXPIRED,
        groups.RETURNS_SOME,
        transfers.CHECKED_IN_OR_CANCELLED,
        basic.SWEEP_AND_RELEASES,
        replace(basic.RELEASE_AT_REST, faults=FAULT[1]),
    ),
    "check in": (
        transfers.CHECKED_IN_TWICE,
        transfers.CHECKED_IN_OR_CANCELLED,
        transfers.CHECKED_IN_OR_CONFIRMED,
        transfers.CHECKED_IN_OR_REDUCED,
        transfers.CANCEL_EVENT_AND_CHECK_IN,
        transfers.SWEEP_AND_CHECK_INS,
    ),
    "transfer": (
        transfers.SWEEP_AND_TRANSFERS,
        transfers.CANCEL_EVENT_AND_TRANSFER,
        transfers.TRANSFERRED_TO_TWO,
        transfers.TRANSFERRED_TO_BUYER,
        transfers.TRANSFERRED_TO_RETURNER,
        transfers.TRANSFERRED_OR_CANCELLED,
        transfers.TRANSFERRED_OR_CHECKED_IN,
        transfers.TRANSFERRED_OR_REDUCED,
    ),
    "leave": (
        basic.HEIR_LEAVES,
        basic.CANCEL_EVENT_SOLD_OUT,
        basic.HEIR_LEAVES_TWICE,
        groups.GROUP_WANTS_FEWER,
        groups.GROUP_LEAVES,
        groups.CANCEL_EVENT_AND_RETURN,
        basic.SWEEP_AND_LEAVES,
    ),
    "step": (
        basic.LOWERED_AND_BOOKED,
        basic.RAISED_TWICE_HALF,
        basic.RAISED_ON_LANES,
        basic.CANCEL_EVENT_AND_RAISE,
        replace(basic.RAISE_AT_REST, faults=FAULT[1]),
    ),
    "window": (basic.ADVANCED, basic.PROLONGED, basic.WINDOW_TWICE),
    "rest": (replace(basic.REST_AND_RELEASE, faults=FAULT[1]),),
    "change event": (
        basic.RENAMED,
        basic.ADVANCED,
        basic.PROLONGED,
        basic.LIMITED,
        basic.UNLIMITED,
        basic.LOWERED_AND_PUT_BACK,
        basic.LOWERED_TWICE,
        basic.RENAMED_TWICE,
        basic.CANCEL_EVENT_AND_RENAME,
        basic.RENAMED_AND_RAISED,
    ),
}

_FOR_THE_AUDIT = (
    "it frees no ticket that a waiting user could get, so only the audit needs it; tests/protocol/test_resting.py"
)

# What no search can miss, and why it is there nevertheless.
NEEDLESS: Mapping[str, str] = {
    "step: Update Lanes without `changes :changes`": (
        "no search is large enough for changes during two counts of an audit; tests/protocol/test_audit.py has them"
    ),
    "return some: Update Lanes without `changes :changes`": "as for a step",
    "want fewer: Update Lanes without `changes :changes`": (
        "an event does not rest while a ticket is free and a user waits; tests/protocol/test_resting.py"
    ),
    "take: Update Lanes without `changes :changes`": "the audit counts sold-out events only, which sell nothing",
    "promote: Update Lanes without `changes :changes`": (
        "with each promotion an audit counts what the promotion followed"
    ),
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
    "P1": (basic.LOWERED_AND_BOOKED, "step: Update Lanes without `available >= :taken`"),
    "P2": (basic.CANCEL_EVENT_AND_BOOK_TWICE, "take: Put Bookings without `attribute_not_exists(userId)`"),
    "P3": (basic.RAISED_AND_LEAVES, "leave: no Delete WaitingList"),
    "P4": (basic.RAISED_FOR_WAITING, "take: Update Lanes without `attribute_not_exists(closedAt)`"),
    "P5": (basic.RAISED_AND_RELEASED, "not: settle promotes in the order of the list"),
    "P6": (basic.RAISED_AND_RELEASED, "not: a release reaches the promoter"),
    "P7": (basic.CANCEL_EVENT_AND_BOOK_TWICE, "not: one bookingId over all tries"),
    "P8": (replace(basic.CANCEL_EVENT_AND_BOOK, crashes=CRASH[0]), "not: the background marks the lanes that are not"),
    "O1": (basic.CLOSED_AND_JOINED, "join: Update Lanes without `(attribute_not_exists(closesAt) OR closesAt > :now)`"),
    "O2": (basic.RAISED_TWICE_HALF, "step: Update Events without `steps = :steps`"),
    "O3": (basic.CANCEL_EVENT_AND_RAISE, "promote: Update Lanes without `attribute_not_exists(cancelledAt)`"),
    "H1": (holds.EXPIRED_EARLY, "not: a hold expires only when it is due"),
    "H2": (holds.CONFIRMED_CANCELLED_OR_EXPIRED, "confirm: Update Bookings without `#status = :held`"),
    "H3": (holds.CONFIRMED_CANCELLED_OR_EXPIRED, "not: holds that are due expire"),
    "T1": (transfers.TRANSFERRED_CANCELLED_OR_CHECKED_IN, "transfer: Update Bookings without `bookingId = :booking`"),
    "D1": (transfers.CANCEL_EVENT_AND_CHECK_IN, "release: Update Bookings without `attribute_not_exists(checkedInAt)`"),
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
