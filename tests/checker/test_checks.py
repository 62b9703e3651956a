"""The checks on small histories, written by hand: odd but correct ones pass, wrong ones are violations."""

from pathlib import Path
from typing import Any

import pytest

from checker import rounds
from checker.checks import judge
from checker.checks.story import Story
from checker.history import Exchange, History
from checker.program import Program

E = "e1"
OPENED = {"eventId": E, "name": "n", "totalTickets": 1}


def _opened(tickets: int = 1) -> Exchange:
    facts = OPENED | {"totalTickets": tickets}
    return Exchange("initialize", 0, 0.5, 201, facts, body={"name": "n", "totalTickets": tickets})


def _book(  # noqa: PLR0917 - as short as a line of a history
    user: str, begin: float, end: float, status: int, booking: str = "", shown: str = "CONFIRMED", **row: Any
) -> Exchange:
    if not status:
        return Exchange("book", begin, event=E, user=user)
    response = {"status": shown, "bookingId": booking, "eventId": E, "userId": user} | row
    return Exchange("book", begin, end, status, response, event=E, user=user)


def _cancel(user: str, begin: float, end: float, booking: str, was: str = "CONFIRMED", *, named: str = "") -> Exchange:
    response = {"status": "CANCELLED", "bookingId": booking, "eventId": E, "userId": user, "was": was}
    body = {"bookingId": named} if named else {}
    return Exchange("cancel", begin, end, 200, response, event=E, user=user, body=body)


def _look(user: str, begin: float, end: float, status: str, booking: str) -> Exchange:
    row = {"status": status, "bookingId": booking, "eventId": E, "userId": user}
    return Exchange("bookings", begin, end, 200, {"bookings": [row], "nextCursor": None}, event=E, user=user)


def _change(begin: float, end: float, status: int, total: int, **response: Any) -> Exchange:
    shown = response or (OPENED | {"totalTickets": total})
    if not status:
        return Exchange("change", begin, event=E, body={"totalTickets": total})
    return Exchange("change", begin, end, status, shown, event=E, body={"totalTickets": total})


def _found(*exchanges: Exchange) -> set[str]:
    return {one.check for one in judge(History([_opened(), *exchanges]))}


RIGHT = {
    "a lost response is found later": [
        _book("a", 1, 0, 0),
        _look("a", 5, 6, "CONFIRMED", "b1"),
    ],
    "a request without a response takes effect late": [
        _book("a", 1, 0, 0),
        Exchange("cancel", 2, 3, 404, {"code": "booking-not-found"}, event=E, user="a"),
        _look("a", 5, 6, "CONFIRMED", "b1"),
    ],
    "a waiting booking is promoted by itself": [
        _book("a", 1, 2, 202, "b1", "WAITING"),
        _look("a", 3, 4, "CONFIRMED", "b1"),
    ],
    "a booking is seen waiting and answered as promoted": [
        _book("a", 1, 4, 201, "b1"),
        _look("a", 2, 3, "WAITING", "b1"),
    ],
    "a booking is cancelled before it is answered": [
        _book("a", 1, 5, 200, "b1", "CANCELLED", was="WAITING"),
        _cancel("a", 2, 3, "b1", "WAITING"),
    ],
    "requests that overlap take effect in any order": [
        _cancel("a", 2, 6, "b1"),
        _book("a", 1, 1.5, 201, "b1"),
        _book("a", 3, 5, 201, "b2"),
        _look("a", 7, 8, "CONFIRMED", "b2"),
    ],
    "a user who asks while another is told to wait may be first": [
        _book("a", 1, 4, 202, "b1", "WAITING"),
        _book("b", 3, 5, 201, "b2"),
        _look("a", 8, 9, "WAITING", "b1"),
    ],
    "the total is between the old and the new": [
        _change(1, 5, 200, 9),
        Exchange("status", 2, 3, 200, OPENED | {"totalTickets": 5}, event=E),
    ],
    "a change without a response comes after a later one": [
        _change(1, 0, 0, 9),
        _change(2, 3, 200, 5),
        Exchange("status", 6, 7, 200, OPENED | {"totalTickets": 9}, event=E),
    ],
}

WRONG = {
    "bookings: an acknowledged booking is gone": [
        _book("a", 1, 2, 201, "b1"),
        Exchange("cancel", 3, 4, 404, {"code": "booking-not-found"}, event=E, user="a"),
    ],
    "bookings: two requests made one booking": [
        _book("a", 1, 5, 201, "b1"),
        _book("a", 2, 6, 202, "b1", "WAITING"),
        _cancel("a", 3, 4, "b1"),
    ],
    "bookings: a late cancellation takes the new booking": [
        _book("a", 1, 2, 201, "b1"),
        _cancel("a", 3, 4, "b1"),
        _book("a", 5, 6, 201, "b2"),
        _cancel("a", 7, 8, "b2", named="b1"),
    ],
    "bookings: a ticket becomes a place in the list": [
        _book("a", 1, 2, 201, "b1"),
        _look("a", 3, 4, "WAITING", "b1"),
    ],
    "tickets: two hold the only ticket": [
        _book("a", 1, 2, 201, "b1"),
        _book("b", 3, 4, 201, "b2"),
        _look("a", 5, 6, "CONFIRMED", "b1"),
    ],
    "order: a newcomer passes one who was told to wait": [
        _book("a", 1, 2, 202, "b1", "WAITING"),
        _book("b", 3, 4, 201, "b2"),
        _look("a", 5, 6, "WAITING", "b1"),
    ],
    "changes: a raise is refused": [
        _change(1, 2, 409, 9, code="tickets-booked", totalTickets=1, bookedTickets=10),
    ],
    "changes: the total is neither the old nor the new": [
        _change(1, 5, 200, 9),
        Exchange("status", 6, 7, 200, OPENED | {"totalTickets": 10}, event=E),
    ],
    "cancelled: a ticket is sold after the end": [
        Exchange("cancel-event", 1, 2, 202, OPENED, event=E),
        _book("a", 3, 4, 201, "b1"),
    ],
    "cancelled: one who waits is promoted after the end": [
        _book("a", 0.6, 0.7, 202, "b1", "WAITING"),
        Exchange("cancel-event", 1, 2, 202, OPENED, event=E),
        _look("a", 3, 4, "WAITING", "b1"),
        _look("a", 5, 6, "CONFIRMED", "b1"),
    ],
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_correct_history_is_no_violation(name: str) -> None:
    """No false alarms, however odd the order of events."""
    assert _found(*RIGHT[name]) == set()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_history_is_a_violation(name: str) -> None:
    """The check before the colon reports it."""
    assert name.partition(":")[0] in _found(*WRONG[name])


@pytest.mark.parametrize("last", ["CONFIRMED", "WAITING"])
def test_many_requests_without_a_response_do_not_hide_a_violation(
    last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The history is judged, whether it is right or wrong: a ticket does not become a place in the list."""
    exchanges = [_book("a", 1, 0, 0) for _ in range(8)]
    exchanges += [Exchange("cancel", 1, event=E, user="a") for _ in range(8)]
    exchanges += [_look("a", 10 + turn, 10.5 + turn, "CONFIRMED", f"b{turn}") for turn in range(8)]
    exchanges += [_look("a", 20, 21, last, "b7")]
    assert _found(*exchanges) == ({"bookings"} if last == "WAITING" else set())
    assert not capsys.readouterr().err, "some user is not judged"


def test_a_program_that_exits_by_itself_is_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is started again, so that the round goes on."""
    program, history = Program(tmp_path, tmp_path / "log"), History()
    started: list[bool] = []
    monkeypatch.setattr(program, "exit_code", lambda: 1)
    monkeypatch.setattr(program, "start", lambda: started.append(True))
    assert rounds.watch(program, history)
    assert [one.check for one in judge(history)] == ["program"]
    assert started == [True]


def test_a_saved_history_is_judged_as_it_was(tmp_path: Path) -> None:
    """Requests without a response stay so."""
    history = History([_opened(), _book("a", 1, 0, 0), *WRONG["order: a newcomer passes one who was told to wait"]])
    history.save(tmp_path / "history.jsonl")
    assert list(History.load(tmp_path / "history.jsonl")) == list(history)
    assert Story(history).opened.keys() == {E}
