"""A database request takes effect, its response is lost, and the booking changes before the office repeats it.

A refusal would say that nothing was changed (docs/decisions/0027).
"""

from collections.abc import Callable
from typing import Any

import pytest

from harness.gateway import Response
from harness.office import Event, Office
from shared.store import dynamodb
from shared.store.aws_client import NoResponse, RequestFailed


def _comes_back(event: Event) -> None:
    event.books("anna")


def _cancels(event: Event) -> None:
    event.cancels("anna")


def _cancels_and_comes_back(event: Event) -> None:
    _cancels(event)
    _comes_back(event)


def _is_called_off(event: Event) -> None:
    event.cancels_event()
    event.follows()


CHANGES: dict[str, tuple[Callable[[Event, str], Response], Callable[[Event], None], int]] = {
    "cancel": (lambda event, _: event.cancel("anna"), _comes_back, 200),
    "cancel, by bookingId": (lambda event, one: event.cancel("anna", booking_id=one), _comes_back, 409),
    "keep": (lambda event, one: event.cancel("anna", booking_id=one, keep=1), _cancels_and_comes_back, 409),
    "confirm": (lambda event, one: event.confirm("anna", one), _cancels, 409),
    "transfer": (lambda event, one: event.transfer("anna", one, "the recipient"), _comes_back, 409),
    "check in": (lambda event, one: event.check_in("anna", one), _is_called_off, 409),
    "name": (lambda event, _: event.change(name="Another"), _is_called_off, 409),
}
WRITES = {"TransactWriteItems", "UpdateItem"}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_was_made_is_not_refused(office: Office, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """P7: 503, after which the same request is answered by what there is now."""
    change, meanwhile, repeated = CHANGES[name]
    event = office.opens(tickets=3, ticketsPerBooking=2, **({"holdSeconds": 60} if name == "confirm" else {}))
    booking_id = event.book("anna", quantity=2).json["bookingId"]
    client = dynamodb.client()
    send = client.call

    def lost(operation: str, request: dict[str, Any]) -> Any:
        response = send(operation, request)
        if operation not in WRITES:
            return response
        monkeypatch.undo()
        meanwhile(event)
        raise NoResponse(operation, "TimeoutError")

    monkeypatch.setattr(client, "call", lost)
    response = change(event, booking_id)
    assert (response.status, response.json["code"]) == (503, "try-again")
    assert change(event, booking_id).status == repeated


def test_a_check_in_that_meets_the_cancellation_of_its_booking_is_not_refused(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7, D1: the lane refuses the repetition, and the booking, which is just being cancelled, conflicts with it."""
    event = office.opens(tickets=1)
    booking_id = event.book("anna").json["bookingId"]
    client = dynamodb.client()
    send = client.call
    sent: list[dict[str, Any]] = []

    def lost(operation: str, request: dict[str, Any]) -> Any:
        if operation not in WRITES or len(sent) == 2:
            return send(operation, request)
        sent.append(request)
        if len(sent) == 1:
            send(operation, request)
            monkeypatch.undo()
            event.cancels_event()
            monkeypatch.setattr(client, "call", lost)
            raise NoResponse(operation, "TimeoutError")
        with pytest.raises(RequestFailed) as refused:
            send(operation, request)
        refused.value.reasons[0] = {"Code": "TransactionConflict"}
        raise refused.value

    monkeypatch.setattr(client, "call", lost)
    assert event.check_in("anna", booking_id).json["code"] == "try-again"
    assert event.check_in("anna", booking_id).json["again"] is True


def test_a_late_try_makes_no_booking_after_a_refusal(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """P7: anna comes back for two tickets, ben takes one of them and returns it, and then her first try arrives."""
    event = office.opens(tickets=2, ticketsPerBooking=2)
    event.books("anna")
    event.cancels("anna")
    client = dynamodb.client()
    send = client.call
    late: list[dict[str, Any]] = []

    def delayed(operation: str, request: dict[str, Any]) -> Any:
        if operation == "TransactWriteItems" and not late and ":ended" in str(request):
            late.append(request)
            event.books("ben")
            raise NoResponse(operation, "TimeoutError")
        return send(operation, request)

    with monkeypatch.context() as patch:
        patch.setattr(client, "call", delayed)
        response = event.book("anna", quantity=2)
    event.cancels("ben")
    send("TransactWriteItems", late[0])
    assert (response.status, event.status("anna").json["booking"]["status"]) == (503, "CONFIRMED")
