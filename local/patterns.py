"""Lambda's filter patterns: which stream records reach the function.

A pattern has the form of what it matches; its leaves are lists of what is accepted there:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html. Understood are values, null,
`exists`, `prefix` and `anything-but`; the rest (`numeric`, `$or`, ...) is refused when the template is read.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from local.errors import TemplateError

_MISSING: Any = object()
_OPERATORS = ("exists", "prefix", "anything-but")


def check(pattern: Any, where: str) -> None:
    """Refuse a pattern that is not understood.

    Raises: TemplateError.
    """
    if not isinstance(pattern, dict) or not pattern:
        raise TemplateError(f"{where}: a pattern is an object with at least one key")
    for key, expected in pattern.items():
        if key.startswith("$"):
            raise TemplateError(f"{where}: {key} is not understood here")
        if not isinstance(expected, list):
            check(expected, f"{where}.{key}")
            continue
        for rule in expected:
            _check_rule(rule, f"{where}.{key}")


def matches(patterns: Iterable[Mapping[str, Any]], record: Mapping[str, Any]) -> bool:
    """Say whether a record passes: it does when one of the patterns matches; no pattern at all passes it."""
    alternatives = tuple(patterns)
    return not alternatives or any(_matches(pattern, record) for pattern in alternatives)


def _check_rule(rule: Any, where: str) -> None:
    if not isinstance(rule, dict):
        if isinstance(rule, list):
            raise TemplateError(f"{where}: a list within a list is not understood here")
        return
    operator, argument = next(iter(rule.items())) if len(rule) == 1 else (", ".join(rule), None)
    good = {
        "exists": isinstance(argument, bool),
        "prefix": isinstance(argument, str),
        "anything-but": isinstance(argument, (str, int, float))
        or (isinstance(argument, list) and all(isinstance(value, (str, int, float)) for value in argument)),
    }
    if not good.get(operator, False):
        known = ", ".join(_OPERATORS)
        raise TemplateError(f"{where}: the rule {operator} is not understood here ({known} are)")


def _matches(pattern: Mapping[str, Any], record: Any) -> bool:
    for key, expected in pattern.items():
        value = record.get(key, _MISSING) if isinstance(record, dict) else _MISSING
        if isinstance(expected, list):
            # A list in the record matches when one of its elements does.
            candidates = value if isinstance(value, list) and value else [value]
            if not any(_accepts(rule, candidate) for rule in expected for candidate in candidates):
                return False
        elif not _matches(expected, value):
            return False
    return True


def _accepts(rule: Any, value: Any) -> bool:
    if not isinstance(rule, dict):
        return _same(rule, value)
    ((operator, argument),) = rule.items()
    if operator == "exists":
        return argument is (value is not _MISSING and not isinstance(value, dict))  # it looks at leaves only
    if operator == "prefix":
        return isinstance(value, str) and value.startswith(argument)
    refused = argument if isinstance(argument, list) else [argument]
    return value is not _MISSING and not any(_same(one, value) for one in refused)


def _same(expected: Any, value: Any) -> bool:
    """Compare as JSON does: true is not 1."""
    return isinstance(expected, bool) == isinstance(value, bool) and bool(expected == value)
