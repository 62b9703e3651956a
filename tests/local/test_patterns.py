"""Filter patterns: the promoter sees the records that it would see on AWS."""

from typing import Any

import pytest

from local import patterns, template
from local.errors import TemplateError


def record(old: str | None, new: str | None) -> dict[str, Any]:
    """Make what a filter sees of a booking's change."""
    images = {"OldImage": old, "NewImage": new}
    return {"dynamodb": {name: {"status": {"S": status}} for name, status in images.items() if status}}


@pytest.mark.parametrize(
    ("old", "new", "passes"),
    [
        ("CONFIRMED", "CANCELLED", True),  # a ticket was released
        (None, "WAITING", True),  # somebody joined
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
    """Not for each of the many bookings of a sale."""
    stream = template.load().stream("PromoteFunctionBookings")
    assert patterns.matches(stream.patterns, record(old, new)) is passes


@pytest.mark.parametrize(
    ("old", "new", "passes"),
    [
        ({"name": "a", "soldOutAt": "t"}, {"name": "b", "soldOutAt": "t"}, True),  # tickets were added, perhaps
        ({"name": "a"}, {"name": "a", "soldOutAt": "t"}, False),  # whoever joins then has a record
        ({"name": "a"}, {"name": "b"}, False),  # it is on sale, so nobody waits
        ({}, {"name": "a"}, False),  # opened
        ({"name": "a"}, {"name": "a", "cancelledAt": "t"}, True),
        ({"soldOutAt": "t"}, {"soldOutAt": "t", "cancelledAt": "t"}, True),
        ({"soldOutAt": "t", "cancelledAt": "t"}, {"soldOutAt": "t", "cancelledAt": "t", "emptiedAt": "t"}, False),
    ],
)
def test_changes_of_sold_out_events_and_cancellations_are_followed(
    old: dict[str, str], new: dict[str, str], passes: bool
) -> None:
    """And not for others, at which nobody waits."""
    images = {"OldImage": old, "NewImage": new}
    seen = {"dynamodb": {image: {name: {"S": text} for name, text in of.items()} for image, of in images.items()}}
    assert patterns.matches(template.load().stream("FollowFunctionEvents").patterns, seen) is passes


@pytest.mark.parametrize(
    ("pattern", "value", "passes"),
    [
        ({"a": ["x", "y"]}, {"a": "y"}, True),
        ({"a": ["x"]}, {"a": "y"}, False),
        ({"a": ["x"]}, {}, False),
        ({"a": ["x"], "b": [1]}, {"a": "x", "b": 2}, False),
        ({"a": [1]}, {"a": True}, False),
        ({"a": [None]}, {"a": None}, True),
        ({"a": [None]}, {}, False),
        ({"a": ["x"]}, {"a": ["w", "x"]}, True),
        ({"a": {"b": ["x"]}}, {"a": "x"}, False),
        ({"a": [{"exists": True}]}, {"a": ""}, True),
        ({"a": [{"exists": True}]}, {}, False),
        ({"a": [{"exists": False}]}, {}, True),
        ({"a": [{"exists": False}]}, {"a": None}, False),
        ({"a": {"b": [{"exists": False}]}}, {}, True),
        ({"a": [{"prefix": "EU-"}]}, {"a": "EU-1"}, True),
        ({"a": [{"prefix": "EU-"}]}, {"a": "US-1"}, False),
        ({"a": [{"prefix": "1"}]}, {"a": 1}, False),
        ({"a": [{"anything-but": "x"}]}, {"a": "y"}, True),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": "y"}, False),
        ({"a": [{"anything-but": ["x"]}]}, {}, False),
        ({"a": ["x", {"prefix": "y"}]}, {"a": "yes"}, True),
    ],
)
def test_a_pattern_matches_as_lambda_documents_it(pattern: dict[str, Any], value: dict[str, Any], passes: bool) -> None:
    """Every key must match, one of the values of each leaf must."""
    patterns.check(pattern, "here")
    assert patterns.matches([pattern], value) is passes


def test_no_filter_passes_everything_and_several_are_alternatives() -> None:
    """As on Lambda."""
    assert patterns.matches([], {"a": 1})
    assert patterns.matches([{"a": [1]}, {"a": [2]}], {"a": 2})
    assert not patterns.matches([{"a": [1]}, {"a": [2]}], {"a": 3})


@pytest.mark.parametrize(
    "pattern",
    [
        {},
        [],
        "x",
        {"a": "x"},
        {"a": {}},
        {"a": [["x"]]},
        {"a": [{"numeric": [">", 1]}]},
        {"a": [{"exists": "yes"}]},
        {"a": [{"prefix": 1}]},
        {"a": [{"prefix": "x", "exists": True}]},
        {"a": [{"anything-but": {"prefix": "x"}}]},
        {"$or": [{"a": [1]}]},
    ],
)
def test_a_pattern_that_is_not_understood_is_refused(pattern: Any) -> None:
    """It would let the wrong records through, or none."""
    with pytest.raises(TemplateError):
        patterns.check(pattern, "here")
