"""DynamoDB's expressions, as far as shared/ uses them; anything else is refused loudly.

conditions        attribute_not_exists(a) · a > :v · a >= :v · a = :v · (one OR another of these), joined by AND
keys              a = :v · b < :v · b <= :v, joined by AND
updates           SET a = :v, b = if_not_exists(b, :v) · REMOVE a, b · ADD a :v, b :w, one after the other
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Item = Mapping[str, Any]  # attribute name -> {"S": text} or {"N": digits}; never changed, only replaced

CLAUSE = re.compile(
    r"attribute_not_exists\((?P<absent>#?\w+)\)|(?P<name>#?\w+) (?P<comparison>=|<=|<|>=|>) (?P<value>:\w+)"
)
_ACTION = re.compile(
    r"(?P<name>#?\w+) = (?P<value>:\w+)|(?P<kept>#?\w+) = if_not_exists\((?P<same>#?\w+), (?P<first>:\w+)\)"
)
_ADDITION = re.compile(r"(?P<name>#?\w+) (?P<value>:\w+)")
VERB = re.compile(r"(?:^| )(?=(?:SET|REMOVE|ADD) )")
_UPDATE = re.compile(r"(?P<verb>SET|REMOVE|ADD) (?P<actions>.+)")
_NAME = re.compile(r"#?\w+")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: bool(one == other),
    "<=": lambda one, other: bool(one <= other),
    ">=": lambda one, other: bool(one >= other),
    "<": lambda one, other: bool(one < other),
    ">": lambda one, other: bool(one > other),
}


class NotUnderstoodError(Exception):
    """The request uses something that this stand-in has no part of, or that DynamoDB refuses."""


@dataclass
class Names:
    """The names and values that a request defines. DynamoDB refuses what is missing, and what is left over."""

    request: Mapping[str, Any]
    used: set[str] = field(default_factory=set)

    def attribute(self, name: str) -> str:
        """Return the attribute that a name in an expression stands for."""
        if not name.startswith("#"):
            return name
        self.used.add(name)
        return str(self._defined("ExpressionAttributeNames")[name])

    def value(self, name: str) -> Any:
        """Return the value that a name in an expression stands for."""
        self.used.add(name)
        value: Any = self._defined("ExpressionAttributeValues")[name]
        return value

    def check_all_used(self) -> None:
        """Refuse a request that defines what it does not use."""
        defined = {*self._defined("ExpressionAttributeNames"), *self._defined("ExpressionAttributeValues")}
        if defined - self.used:
            raise NotUnderstoodError(f"unused in expressions: {sorted(defined - self.used)}")

    def _defined(self, kind: str) -> Mapping[str, Any]:
        defined: Mapping[str, Any] = self.request.get(kind, {})
        return defined


def holds(condition: str, names: Names, item: Item | None) -> bool:
    """Tell whether a condition, of filters or keys, holds for an item. Every clause is read, as DynamoDB does."""
    found = [_clause_holds(clause, names, item or {}) for clause in condition.split(" AND ")]
    return all(found)


def updated(expression: str, names: Names, item: Item) -> tuple[Item, set[str]]:
    """Return the item after an update, and the attributes that it touched."""
    changes = {"SET": _set, "REMOVE": _removed, "ADD": _added}
    new = dict(item)
    touched: set[str] = set()
    for part in filter(None, VERB.split(expression)):
        update = _match(_UPDATE, part)
        for action in re.split(r", (?![^(]*\))", update["actions"]):
            attribute = changes[update["verb"]](action, names, new)
            if attribute in touched:
                raise NotUnderstoodError(f"two changes of {attribute}")
            touched.add(attribute)
    return new, touched


def answered(request: Mapping[str, Any], old: Item | None, new: Item, touched: set[str]) -> dict[str, Item]:
    """Return what an update answers, as its ReturnValues wants."""
    wanted = request.get("ReturnValues", "NONE")
    if wanted == "NONE":
        return {}
    if wanted == "ALL_NEW":
        return {"Attributes": new}
    if wanted == "UPDATED_OLD":
        before = {name: old[name] for name in touched if old and name in old}
        return {"Attributes": before} if before else {}
    raise NotUnderstoodError(wanted)


def plain(value: Mapping[str, str]) -> int | str:
    """Return an attribute's value to compare and to add with."""
    return int(value["N"]) if "N" in value else value["S"]


def _clause_holds(clause: str, names: Names, item: Item) -> bool:
    if clause.startswith("("):
        found = [_clause_holds(one, names, item) for one in clause[1:-1].split(" OR ")]
        return any(found)
    match = _match(CLAUSE, clause)
    if match["absent"]:
        return names.attribute(match["absent"]) not in item
    value = names.value(match["value"])
    stored = item.get(names.attribute(match["name"]))
    if stored is None or stored.keys() != value.keys():
        return False  # DynamoDB compares only what is there and of the same type
    return _COMPARISONS[match["comparison"]](plain(stored), plain(value))


def _set(action: str, names: Names, new: dict[str, Any]) -> str:
    match = _match(_ACTION, action)
    attribute = names.attribute(match["name"] or match["kept"])
    if match["name"]:
        new[attribute] = names.value(match["value"])
    else:
        if match["kept"] != match["same"]:
            raise NotUnderstoodError(action)
        new.setdefault(attribute, names.value(match["first"]))
    return attribute


def _removed(action: str, names: Names, new: dict[str, Any]) -> str:
    attribute = names.attribute(_match(_NAME, action)[0])
    new.pop(attribute, None)
    return attribute


def _added(action: str, names: Names, new: dict[str, Any]) -> str:
    match = _match(_ADDITION, action)
    attribute = names.attribute(match["name"])
    total = int(new.get(attribute, {"N": "0"})["N"]) + int(names.value(match["value"])["N"])
    new[attribute] = {"N": str(total)}
    return attribute


def _match(pattern: re.Pattern[str], expression: str) -> re.Match[str]:
    match = pattern.fullmatch(expression)
    if match is None:
        raise NotUnderstoodError(expression)
    return match
