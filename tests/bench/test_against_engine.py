"""The simulated database answers as the real engine does: the same requests, in the same order.

A crowd uses the simulated office, and each of its requests is noted at the moment of its effect. Then they are sent
to the engine, one after the other: transactions are serializable, so it must answer the same. The sweep at the end
reads all that is left.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from bench.scale.office import Office
from proof.requests import key_of
from shared.booking.confirmation import confirm
from shared.booking.sweep import sweep
from shared.model import NO_HOLDS, Actor, Confirmation, Event, Rules, TicketOfficeError
from shared.store import dynamodb, items
from shared.store.aws_client import RequestFailed

USERS, TICKETS, LANES = 40, 12, 6  # lanes for two stripes
HOLDS = Rules(hold_seconds=1, offer_seconds=1, confirmed_by=Actor.SHOP)


@pytest.mark.parametrize(  # each seed once: ids follow from it, and the runs share an engine
    ("seed", "rules"), [(0, NO_HOLDS), (1, NO_HOLDS), (2, NO_HOLDS), (3, HOLDS), (4, HOLDS), (5, HOLDS)]
)
def test_the_engine_returns_the_same_responses(seed: int, rules: Rules) -> None:
    """A crowd books, confirms and cancels concurrently, with too few tickets; the background works too."""
    refusals, operations = 0, set()
    for operation, request, answer in history(seed, rules):
        operations.add(operation)
        try:
            real: Any = dynamodb.client().call(operation, request)
        except RequestFailed as error:
            real = error.reasons
        if operation == "TransactWriteItems":
            refusals += bool(answer)
            assert refused(real) == refused(answer), request
        elif operation != "Scan":  # the segments are the engine's own, and it has other tests' events
            assert comparable(real) == comparable(answer), request
    assert operations == {"TransactWriteItems", "UpdateItem", "GetItem", "BatchGetItem", "Query", "Scan"}
    assert refusals > 5


def history(seed: int, rules: Rules) -> list[tuple[str, Any, Any]]:
    """Let a crowd loose; return its requests and their answers, in the order of their effects.

    Transactions that only met others, or a limit, had no effect and are left out.
    """
    with Office(seed).at_work() as office:
        office.database.log = []
        event = office.open_event(TICKETS, LANES, rules)
        for n in range(USERS):
            user, at_s = f"user-{n % (USERS // 2)}", office.chance.uniform(0, 0.2)
            office.clock.start(lambda user=user: office.book(event, user), at_s)  # type: ignore[misc]  # not inferred
            if office.chance.random() < 0.7:
                after_s = at_s + office.chance.uniform(0.0, 1.5)
                office.clock.start(lambda user=user: _cancel(office, event, user), after_s)  # type: ignore[misc]
            elif rules is HOLDS:
                office.clock.start(lambda user=user: _confirm(office, event, user), at_s + 0.3)  # type: ignore[misc]
        for second in range(1, 5):  # holds and offers expire while others book and cancel
            office.clock.start(office.expire, second)
        office.clock.run()
        office.clock.start(lambda: office.ask("promote", "sweep", lambda _: str(sweep(60.0))))
        office.clock.run()
        office.check(event)
        return [
            (operation, request, answer)
            for operation, request, answer in office.database.log
            if operation != "TransactWriteItems" or not answer or any(refused(answer))
        ]


def _cancel(office: Office, event: Event, user: str) -> None:
    if any(answer.user == user for answer in office.answers):  # else there is nothing to cancel
        office.cancel(event, user)


def _confirm(office: Office, event: Event, user: str) -> None:
    booking = next((one for one in office.snapshot(event).bookings if one["userId"] == user), None)
    if booking is None:
        return  # it is not booked yet
    wanted = Confirmation(str(booking["bookingId"]), Actor.SHOP)
    with suppress(TicketOfficeError):  # it waits, or has been cancelled
        office.ask("book", user, lambda deadline: confirm(event.event_id, user, wanted, deadline).status)


def refused(reasons: Any) -> list[Any]:
    """Return which conditions of a transaction did not hold, with the items that they met; none if it happened."""
    return [
        reason.get("Item", True) if reason["Code"] == "ConditionalCheckFailed" else None for reason in reasons or ()
    ]


def comparable(answer: Mapping[str, Any]) -> Any:
    """Return an answer with the items of a batch in the order of their keys, and without what only the engine says."""
    batch = {
        table: sorted(rows, key=lambda item: str(key_of(table, item)))
        for table, rows in answer.get("Responses", {}).items()
    }
    single = {name: answer.get(name) for name in ("Item", "Items", "Count", "LastEvaluatedKey", "Attributes")}
    return batch, answer.get("UnprocessedKeys") or {}, single


def test_throttled_requests_end_with_try_again() -> None:
    """If the database throttles everything, requests are retried until their time is up."""
    with Office(seed=1).at_work() as office:
        event = office.open_event(TICKETS, LANES)
        for partition in office.throughput[items.LANES].partitions:
            partition["writes"].take(10**9)
        office.clock.start(lambda: office.book(event, "anna"))
        office.clock.run()
        [answer] = office.answers
        assert answer.outcome == "503 of the office"
        assert 5 <= answer.answered_s - answer.asked_s < 6.5
