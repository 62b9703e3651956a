"""Mutants of the requests: each condition, each item and each count that a transaction could go without.

None is listed by hand: they are read off the requests that shared/ sends, so a new condition has its mutant at once.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proof.explore import Scenario, explore
from proof.expressions import VERB
from proof.lambdas import Request
from proof.stand_in import TRANSACT, UPDATE
from proof.steps import Ground

# Transactions by their different items' verbs and tables, without "Table", in the order of their first; and by what
# stands in the expressions of the first item. The first that fits is the one.
_TRANSACTIONS: Sequence[tuple[tuple[str, ...], str, str, str]] = (
    (("Put Events", "Put WaitingList", "Put Lanes"), "", "open", "shared/booking/catalog.py"),
    (("Update Lanes", "Put Bookings"), "attribute_not_exists(closedAt)", "take", "shared/booking/sale.py"),
    (("Update Lanes", "Put Bookings"), "", "take in line", "shared/booking/sale.py"),
    (("Put Bookings", "Put WaitingList", "Update Lanes"), "", "join", "shared/booking/waiting_list.py"),
    (("Update Bookings", "Delete WaitingList", "Update Lanes"), "promotedAt", "promote", "shared/booking/settle.py"),
    (("Update Bookings", "Delete WaitingList", "Update Lanes"), "", "leave", "shared/booking/cancellation.py"),
    (("Update Bookings", "Update WaitingList", "Update Lanes"), "", "want fewer", "shared/booking/cancellation.py"),
    (("Update Bookings", "Update Lanes"), "reducedAt", "return some", "shared/booking/cancellation.py"),
    (("Update Bookings", "Update Lanes"), "checkedInAt = ", "check in", "shared/booking/check_ins.py"),
    (("Update Bookings", "Update Lanes"), "expiredAt", "expire", "shared/booking/cancellation.py"),
    (("Update Bookings", "Update Lanes"), "", "release", "shared/booking/cancellation.py"),
    (("Update Bookings", "Put Bookings", "Update Lanes"), "", "transfer", "shared/booking/transfers.py"),
    (("Update Events", "Update Lanes"), "soldOutAt", "back on sale", "shared/booking/sale.py"),
    (("Update Events", "Update Lanes"), "", "step", "shared/booking/event_change.py"),
    (("Update Lanes",), "REMOVE sweepId", "rest", "shared/booking/resting.py"),
    (("Update Lanes",), "", "window", "shared/booking/event_change.py"),
    (("Update Events",), "", "change event", "shared/booking/event_change.py"),
    (("Update Events", "Update WaitingList"), "", "change event", "shared/booking/event_change.py"),
)
_UPDATES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("Update Lanes", "SET"): ("close", "shared/booking/sale.py"),
    ("Update Events", "SET"): ("close", "shared/booking/sale.py"),
    ("Update Bookings", "SET"): ("confirm", "shared/booking/confirmation.py"),
    ("Update WaitingList", "ADD"): ("join", "shared/booking/waiting_list.py"),
}
# Facts for the reader of an answer: no promise is about them.
_FACTS = re.compile(r"#?(?!expiresAt|checkedInAt)\w+(At|By) = |#reference = ")
_BETWEEN_ACTIONS = re.compile(r", (?![^(]*\))")  # not between the arguments of a function
_NAMES = re.compile(r"[#:]\w+")

Write = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Omission:
    """One thing left out of one transaction: a clause of a condition, an action of an update, or a whole item."""

    transaction: str
    file: str
    item: str  # verb and table
    part: str  # the clause, the action, or "" for all of the item

    def __str__(self) -> str:
        """Return e.g. "take: Update Lanes without `available > :none`"."""
        return (
            f"{self.transaction}: {self.item} without `{self.part}`"
            if self.part
            else f"{self.transaction}: no {self.item}"
        )

    def made(self, request: Request) -> Request:
        """Return the request without it."""
        if name_of(request) != (self.transaction, self.file):
            return request
        if request.operation == UPDATE:
            return Request(UPDATE, self._without(request.parameters))
        kept = []
        for item in request.parameters["TransactItems"]:
            for verb, write in item.items():
                if self.item != _item_name(verb, write):
                    kept.append(item)
                elif self.part:
                    kept.append({verb: self._without(write)})
        return Request(TRANSACT, {"TransactItems": kept})

    def _without(self, write: Write) -> Write:
        fewer = dict(write)
        if clauses := write.get("ConditionExpression"):
            left = [clause for clause in clauses.split(" AND ") if clause != self.part]
            fewer["ConditionExpression"] = " AND ".join(left)
            if not left:
                del fewer["ConditionExpression"]
        if update := write.get("UpdateExpression"):
            kept = [(verb, [one for one in actions if one != self.part]) for verb, actions in _actions(update)]
            fewer["UpdateExpression"] = " ".join(f"{verb} {', '.join(actions)}" for verb, actions in kept if actions)
        return _without_unused_names(fewer)


def name_of(request: Request) -> tuple[str, str] | None:
    """Return the name of a transaction, and the file that it stands in; None for a read."""
    if request.operation == TRANSACT:
        kinds = tuple(dict.fromkeys(request.written))
        [first] = request.parameters["TransactItems"][0].values()
        said = f"{first.get('UpdateExpression')} {first.get('ConditionExpression')}"
        return next((name, file) for some, part, name, file in _TRANSACTIONS if some == kinds and part in said)
    if request.operation == UPDATE:
        if "askedAt" in request.parameters["UpdateExpression"]:
            return "note", "shared/booking/note.py"
        return _UPDATES[request.written[0], request.parameters["UpdateExpression"].partition(" ")[0]]
    return None


def omissions(scenarios: Iterable[Scenario]) -> list[Omission]:
    """List all that could be left out of the requests that these scenarios send."""
    found: set[Omission] = set()

    def noted(request: Request) -> Request:
        if named := name_of(request):
            found.update(_omissions(*named, request))
        return request

    for scenario in scenarios:
        explore(scenario, Ground(altered=noted))
    return sorted(found)


def ground_without(omission: Omission) -> Ground:
    """Return a ground on which every request goes without it."""
    made: dict[Request, Request] = {}

    def altered(request: Request) -> Request:
        if request not in made:
            made[request] = omission.made(request)
        return made[request]

    return Ground(altered=altered)


def _omissions(transaction: str, file: str, request: Request) -> Iterator[Omission]:
    if request.operation == UPDATE:
        if "ConditionExpression" not in request.parameters:
            return  # one action each: without it there is no request
        items = [("Update", request.parameters)]
    else:
        items = [(verb, write) for one in request.parameters["TransactItems"] for verb, write in one.items()]
    kinds = {_item_name(verb, write) for verb, write in items}
    for verb, write in items:
        name = _item_name(verb, write)
        if len(kinds) > 1:
            yield Omission(transaction, file, name, "")
        for clause in write.get("ConditionExpression", "").split(" AND "):
            if clause:
                yield Omission(transaction, file, name, clause)
        actions = [one for _, some in _actions(write.get("UpdateExpression", "")) for one in some]
        if len(actions) > 1:
            yield from (Omission(transaction, file, name, one) for one in actions if not _FACTS.match(one))


def _actions(update: str) -> list[tuple[str, list[str]]]:
    """Return what an update does: each verb with its actions."""
    parts = [part.partition(" ") for part in VERB.split(update) if part]
    return [(verb, _BETWEEN_ACTIONS.split(actions)) for verb, _, actions in parts]


def _without_unused_names(write: Write) -> Write:
    used = set(
        _NAMES.findall(" ".join(str(write.get(name, "")) for name in ("ConditionExpression", "UpdateExpression")))
    )
    kept = dict(write)
    for kind in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        if kind in kept:
            kept[kind] = {name: value for name, value in kept[kind].items() if name in used}
    return kept


def _item_name(verb: str, write: Write) -> str:
    return f"{verb} {write['TableName'].removesuffix('Table')}"
