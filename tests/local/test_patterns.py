"""Filter patterns pass the same records as on AWS."""

from typing import Any

import pytest

from local import patterns, template
from local.errors import TemplateError


def record(old: str | None, new: str | None) -> dict[str, Any]:
    """Return a booking's change as a filter sees it."""
    images = {"OldImage": old, "NewImage": new}
    return {"dynamodb": {name: {"status": {"S": status}} for name, status in images.items() if status}}


@pytest.mark.parametrize(
    ("old", "new", "passes"),
    [
        ("CONFIRMED", "CANCELLED", True),  # a ticket was released
        (None, "WAITING", True),  # a user joined the waiting list
        ("CANCELLED", "WAITING", True),
        (None, "CONFIRMED", False),
        ("WAITING", "CONFIRMED", False),
        ("WAITING", "CANCELLED", False),  # frees no ticket
        ("CONFIRMED", None, False),
    ],
)
def test_the_promoter_is_called_for_released_tickets_and_joiners(
    old: str | None, new: str | None, passes: bool
) -> None:
    """It is not called for the many bookings of a sale."""
    stream = template.load().stream("PromoteFunctionBookings")
    assert patterns.matches(stream.patterns, record(old, new)) is passes


@pytest.mark.parametrize(
    ("old", "new", "passes"),
    [
        ({"name": "a"}, {"name": "a", "requestedAt": "t"}, True),  # a change is under way
        ({"name": "a", "requestedAt": "t"}, {"name": "b"}, False),  # it is done
        ({"name": "a"}, {"name": "a", "soldOutAt": "t"}, True),  # tickets may have come back meanwhile
        ({"name": "a"}, {"name": "b"}, False),  # done at once
        ({}, {"name": "a"}, False),  # opened
        ({"name": "a"}, {"name": "a", "cancelledAt": "t"}, True),
        ({"soldOutAt": "t"}, {"soldOutAt": "t", "cancelledAt": "t"}, True),
        ({"soldOutAt": "t", "cancelledAt": "t"}, {"soldOutAt": "t", "cancelledAt": "t", "emptiedAt": "t"}, False),
    ],
)
def test_changes_under_way_and_cancellations_are_followed(
    old: dict[str, str], new: dict[str, str], passes: bool
) -> None:
    """Nothing else is left to do in the background."""
    images = {"OldImage": old, "NewImage": new}
    seen = {"dynamodb": {image: {name: {"S": text} for name, text in of.items()} for image, of in images.items()}}
    assert patterns.matches(template.load().stream("FollowFunctionEvents").patterns, seen) is passes


@pytest.mark.parametrize(
    ("pattern", "value", "passes"),
    [
        ({"a": ["x", "y"]}, {"a": "y"}, True), ({"a": ["x"]}, {"a": "y"}, False), ({"a": ["x"]}, {}, False),
        ({"a": ["x"], "b": [1]}, {"a": "x", "b": 2}, False), ({"a": [1]}, {"a": True}, False),
        ({"a": [None]}, {"a": None}, True), ({"a": [None]}, {}, False), ({"a": ["x"]}, {"a": ["w", "x"]}, True),
        ({"a": {"b": ["x"]}}, {"a": "x"}, False), ({"a": [{"exists": True}]}, {"a": ""}, True),
        ({"a": [{"exists": True}]}, {}, False), ({"a": [{"exists": False}]}, {}, True),
        ({"a": [{"exists": False}]}, {"a": None}, False), ({"a": {"b": [{"exists": False}]}}, {}, True),
        ({"a": ["x", {"exists": False}]}, {}, True),
    ],
)  # fmt: skip
def test_a_pattern_matches_as_lambda_documents_it(pattern: dict[str, Any], value: dict[str, Any], passes: bool) -> None:
    """Every key must match, with at least one of its values."""
    patterns.check(pattern, "here")
    assert patterns.matches([pattern], value) is passes


def test_several_patterns_are_alternatives_and_none_passes_everything() -> None:
    """One matching pattern is enough."""
    assert patterns.matches([], {"a": 1})
    assert patterns.matches([{"a": [1]}, {"a": [2]}], {"a": 2})
    assert not patterns.matches([{"a": [1]}, {"a": [2]}], {"a": 3})


@pytest.mark.parametrize(
    "pattern",
    [
        {}, [], "x", {"a": "x"}, {"a": {}}, {"a": [["x"]]}, {"a": [{"numeric": [">", 1]}]},
        {"a": [{"exists": "yes"}]}, {"a": [{"prefix": "x"}]}, {"$or": [{"a": [1]}]},
    ],
)  # fmt: skip
def test_an_unsupported_pattern_is_refused(pattern: Any) -> None:
    """It would pass the wrong records."""
    with pytest.raises(TemplateError):
        patterns.check(pattern, "here")
