"""Lambda's filter patterns, which decide which stream records reach a function.

A pattern has the shape of what it matches; each leaf lists the accepted values or rules.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html

Only values and `exists` are supported. Any other rule is refused when the template is read.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from local.errors import TemplateError

_MISSING: Any = object()
_RULES = ({"exists": True}, {"exists": False})


def check(pattern: Any, where: str) -> None:
    """Refuse a pattern that is not supported. Raises: TemplateError."""
    if not isinstance(pattern, dict) or not pattern:
        raise TemplateError(f"{where}: a pattern is an object with at least one key")
    for key, expected in pattern.items():
        if not isinstance(expected, list):
            check(expected, f"{where}.{key}")
        elif key.startswith("$") or any(isinstance(rule, dict | list) and rule not in _RULES for rule in expected):
            raise TemplateError(f"{where}.{key}: only values and exists are supported here")


def matches(patterns: Iterable[Mapping[str, Any]], record: Mapping[str, Any]) -> bool:
    """Return whether a record matches one of the patterns, or there are none."""
    alternatives = tuple(patterns)
    return not alternatives or any(_matches(pattern, record) for pattern in alternatives)


def _matches(pattern: Mapping[str, Any], record: Any) -> bool:
    for key, expected in pattern.items():
        value = record.get(key, _MISSING) if isinstance(record, dict) else _MISSING
        if isinstance(expected, list):
            # A list in the record matches if one of its elements does.
            candidates = value if isinstance(value, list) and value else [value]
            if not any(_accepts(rule, candidate) for rule in expected for candidate in candidates):
                return False
        elif not _matches(expected, value):
            return False
    return True


def _accepts(rule: Any, value: Any) -> bool:
    if isinstance(rule, dict):
        is_leaf = value is not _MISSING and not isinstance(value, dict)
        return bool(rule["exists"] == is_leaf)
    return isinstance(rule, bool) == isinstance(value, bool) and bool(rule == value)  # true is not 1
