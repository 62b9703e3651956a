"""The simulated database is held against the real engine: the same requests in the same order, the same answers.

A crowd is let loose on the simulation, and each of its requests is noted at the moment of its effect. Then they are
sent to the engine one after the other: since transactions are serializable, it must say the same of each.
"""

from typing import Any

import pytest

from bench.scale.office import Office
from bench.scale.store import KEYS
from shared.booking.background import sweep
from shared.model import Event
from shared.store import dynamodb, items
from shared.store.aws_client import RequestFailed

Noted = tuple[str, Any, Any]
USERS, TICKETS, LANES = 40, 12, 6  # lanes for two stripes


@pytest.mark.parametrize("seed", range(3))
def test_the_engine_says_the_same_of_every_request(seed: int) -> None:
    """Of a crowd that books and cancels at once, more than there are tickets, and of what the stream and sweep do."""
    noted, event, left = history(seed)
    kinds = {operation for operation, _, _ in noted}
    assert kinds == {"TransactWriteItems", "UpdateItem", "GetItem", "BatchGetItem", "Query", "Scan"}
    refusals = 0
    for operation, request, answer in noted:
        try:
            said: Any = dynamodb.client().call(operation, request)
        except RequestFailed as error:
            said = error.reasons
        if operation == "TransactWriteItems":
            refusals += bool(answer)
            assert failed(said) == failed(answer), request
        else:
            assert comparable(operation, said, event) == comparable(operation, answer, event), request
    assert refusals > 5
    assert stored(event) == left


def history(seed: int) -> tuple[list[Noted], Event, dict[str, list[Any]]]:
    """Let a crowd loose; return the requests that had an effect or an answer, and what the tables hold in the end."""
    with Office(seed).at_work() as office:
        office.database.log = []
        event = office.open_event(TICKETS, LANES)
        for n in range(USERS):
            user, at_s = f"user-{n % (USERS // 2)}", office.chance.uniform(0, 0.2)
            office.clock.start(lambda user=user: office.book(event, user), at_s)  # type: ignore[misc]  # not inferred
            if office.chance.random() < 0.7:
                after_s = at_s + office.chance.uniform(0.0, 1.5)
                office.clock.start(lambda user=user: _cancel(office, event, user), after_s)  # type: ignore[misc]
        office.clock.run()
        office.clock.start(lambda: _sweep(office))
        office.clock.run()
        office.check(event)
        left = {
            table: sorted(office.database.store.all_of(table), key=lambda item: _key(table, item)) for table in KEYS
        }
        return [one for one in office.database.log if _counts(one)], event, left


def _cancel(office: Office, event: Event, user: str) -> None:
    if any(answer.user == user for answer in office.answers):  # else there is nothing to cancel
        office.cancel(event, user)


def _sweep(office: Office) -> None:
    def work(_deadline: Any) -> str:
        return str(sweep(60.0))

    office.ask("promote", "sweep", work)


def _counts(noted: Noted) -> bool:
    """Leave out transactions that met others or a limit only: they had neither an effect nor a say."""
    operation, _, answer = noted
    return operation != "TransactWriteItems" or not answer or any(failed(answer))


def failed(reasons: Any) -> list[Any]:
    """Return which conditions of a transaction did not hold, with the items that were met; none if it happened."""
    if not reasons:
        return []
    return [reason.get("Item", True) if reason["Code"] == "ConditionalCheckFailed" else None for reason in reasons]


def comparable(operation: str, answer: Any, event: Event) -> Any:
    """Return what must be equal of an answer."""
    if operation == "BatchGetItem":
        found = {table: sorted(rows, key=lambda item: _key(table, item)) for table, rows in answer["Responses"].items()}
        return found, answer.get("UnprocessedKeys") or {}
    if operation == "Scan":  # the segments are the engine's own, and so are other tests' events
        return None
    return {name: answer.get(name) for name in ("Item", "Items", "Count", "LastEvaluatedKey", "Attributes")}


def stored(event: Event) -> dict[str, list[Any]]:
    """Read what the engine holds of the event."""
    lanes = [items.lane_id(event.event_id, lane) for lane in range(LANES)]
    wanted = {
        items.EVENTS: ("eventId", [event.event_id]),
        items.LANES: ("laneId", lanes),
        items.BOOKINGS: ("laneId", lanes),
        items.WAITING_LIST: ("stripeId", [f"{event.event_id}#{part}" for part in (*range(event.stripes), "tail")]),
    }
    return {
        table: sorted((item for value in values for item in _rows(table, key, value)), key=lambda one: _key(table, one))
        for table, (key, values) in wanted.items()
    }


def _rows(table: str, key: str, value: str) -> list[Any]:
    request = {
        "TableName": table,
        "KeyConditionExpression": f"{key} = :value",
        "ExpressionAttributeValues": {":value": items.text(value)},
        "ConsistentRead": True,
    }
    rows: list[Any] = dynamodb.client().call("Query", request)["Items"]
    return rows


def _key(table: str, item: Any) -> list[str]:
    return [str(item[name]) for name in KEYS[table]]


def test_a_user_who_cannot_be_served_is_told_so() -> None:
    """A database that throttles everything has every request tried again until its time is up."""
    with Office(seed=1).at_work() as office:
        event = office.open_event(TICKETS, LANES)
        for partition in office.throughput[items.LANES].partitions:
            partition.writes.take(10**9)
        office.clock.start(lambda: office.book(event, "anna"))
        office.clock.run()
        [answer] = office.answers
        assert answer.outcome == "503 of the office"
        assert 5 <= answer.answered_s - answer.asked_s < 6.5
