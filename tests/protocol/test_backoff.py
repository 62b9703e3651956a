"""How long the client waits before it sends a request again, by the kind of failure."""

import json
from typing import Any

import pytest

from harness.network import Reply, Sent, error, network
from shared import runtime
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import BACKOFF_CONFLICT_S, BACKOFF_S
from tests.conftest import LogLines

TRIES = 12
CONFLICT = [{"Code": "None"}, {"Code": "TransactionConflict", "Message": "x"}]
THROTTLED = [{"Code": "TransactionConflict"}, {"Code": "ThrottlingError"}]


@pytest.mark.parametrize(
    ("reply", "pauses_s"),
    [
        (error(400, "TransactionCanceledException", CancellationReasons=CONFLICT), BACKOFF_CONFLICT_S),
        (error(400, "TransactionConflictException"), BACKOFF_CONFLICT_S),
        (error(400, "TransactionCanceledException", CancellationReasons=THROTTLED), BACKOFF_S),
        (error(400, "ProvisionedThroughputExceededException"), BACKOFF_S),
        (error(500, "InternalServerError"), BACKOFF_S),
    ],
)
def test_a_conflict_is_retried_sooner_than_throttling(
    monkeypatch: pytest.MonkeyPatch, reply: Reply, pauses_s: tuple[float, float]
) -> None:
    """Full jitter: the bound doubles with each try, up to the longest pause."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.0

    monkeypatch.setattr(runtime.current, "uniform", uniform)

    def intercept(_: Sent) -> Reply | None:
        return reply if len(drawn) < TRIES else None

    with network() as between:
        between.intercept = intercept
        dynamodb.get(Deadline.after(5), items.EVENTS, items.event_key("nowhere"))
    first_s, longest_s = pauses_s
    assert drawn == [(0, min(longest_s, first_s * 2**tries)) for tries in range(TRIES)]
    assert drawn[-1] == (0, longest_s)


def test_unprocessed_keys_are_requested_again(log_lines: LogLines) -> None:
    """They are how BatchGetItem reports throttling. In the end all keys are read."""
    requested: list[Any] = []

    def intercept(request: Sent) -> Reply | None:
        requested.append(request.parameters["RequestItems"])
        if len(requested) > 1:
            return None
        return 200, json.dumps({"Responses": {}, "UnprocessedKeys": requested[0]}).encode()

    with network() as between:
        between.intercept = intercept
        found = dynamodb.get_all(Deadline.after(5), {items.EVENTS: [items.event_key("nowhere")]})
    assert found == {items.EVENTS: []}
    assert requested[0] == requested[1]
    assert [line["cause"] for line in log_lines()] == ["UnprocessedKeys"]
