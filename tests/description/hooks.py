"""What Schemathesis must know of the office that no JSON schema can say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis

MOMENTS = ("opensAt", "closesAt")
SOON = timedelta(hours=1)  # a run is shorter
IDS = ("userId", "toUserId", "eventId", "bookingId", "reference")


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Leave out bodies that match the description and are refused, or that do not and are accepted.

    Refused: a whole number with a fraction, because 2.0 is an integer in JSON Schema and not in the office; a sale that
    ends before it begins, or before the event is opened; a change of one of its times, because the other is unknown;
    `confirmedBy` without holds and offers; an `atLeast` that is more than `quantity`;
    and a transfer to oneself. Accepted: an integer id.
    """
    if isinstance(body, dict) and any(type(body.get(name)) is int for name in IDS):
        return False
    if not isinstance(body, dict):
        return not _has_fraction_of_nothing(body)
    if context.operation.method.upper() == "PATCH" and sum(name in body for name in MOMENTS) == 1:
        return False
    if context.operation.path == "/initialize" and (_may_have_closed(body) or _has_nothing_to_confirm(body)):
        return False
    if _insists_on_more(body) or _goes_nowhere(body):
        return False
    return not (_has_fraction_of_nothing(body) or _ends_before_it_begins(body))


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out what depends on two fields in the coverage phase, too, which knows no `filter_body`."""
    if not isinstance(case.body, dict):
        return True
    is_opening = context.operation.path == "/initialize"
    if is_opening and _has_nothing_to_confirm(case.body):
        return False
    return not (_insists_on_more(case.body) or _goes_nowhere(case.body))


def _has_fraction_of_nothing(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_fraction_of_nothing, value.values()))
    if isinstance(value, list):
        return any(map(_has_fraction_of_nothing, value))
    return isinstance(value, float) and value.is_integer()


def _ends_before_it_begins(body: dict[str, Any]) -> bool:
    try:
        opens_ms, closes_ms = (int(datetime.fromisoformat(body[name]).timestamp() * 1000) for name in MOMENTS)
        return closes_ms <= opens_ms
    except (KeyError, TypeError, ValueError, OverflowError):  # one of them is not there, or no moment
        return False


def _has_nothing_to_confirm(body: dict[str, Any]) -> bool:
    return bool(body.get("confirmedBy")) and not (body.get("holdSeconds") or body.get("offerSeconds"))


def _insists_on_more(body: dict[str, Any]) -> bool:
    wanted, at_least = body.get("quantity", 1), body.get("atLeast")
    return type(wanted) is int and type(at_least) is int and at_least > wanted


def _goes_nowhere(body: dict[str, Any]) -> bool:
    return "toUserId" in body and body["toUserId"] == body.get("userId")


def _may_have_closed(body: dict[str, Any]) -> bool:
    try:
        return datetime.fromisoformat(body["closesAt"]) < datetime.now(UTC) + SOON
    except (KeyError, TypeError, ValueError, OverflowError):  # it is not there, or no moment
        return False
