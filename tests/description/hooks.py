"""What Schemathesis is told of the office that no JSON schema can say."""

from typing import Any

import schemathesis


@schemathesis.hook
def filter_body(_context: Any, body: Any) -> bool:
    """Leave out whole numbers with a fraction: to JSON Schema 2.0 is an integer, to the office it is none."""
    return not _has_fraction_of_nothing(body)


def _has_fraction_of_nothing(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_fraction_of_nothing, value.values()))
    if isinstance(value, list):
        return any(map(_has_fraction_of_nothing, value))
    return isinstance(value, float) and value.is_integer()
