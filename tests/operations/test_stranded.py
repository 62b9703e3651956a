"""For how long somebody had waited beside a free ticket: a lower bound, whatever came before.

A busy event always has people who have waited for long, and tickets that were released a moment ago. Only both
together, for the same time, are somebody stranded.
"""

import pytest

from harness.gateway import a_moment_passes
from harness.office import Event, Office
from shared.booking import audit
from shared.booking.catalog import read_event
from shared.model import seconds_between
from shared.store.dynamodb import Deadline
from tests.operations.clock import at

A_MOMENT_S = 30.0  # of a test on a busy machine


def _stranded_s(event: Event) -> float:
    a_moment_passes()  # or 0 might be for the time that has not passed
    deadline = Deadline.after(10)
    return audit.audit(read_event(event.event_id, deadline), deadline).stranded_s


@pytest.fixture
def sold_out(office: Office, monkeypatch: pytest.MonkeyPatch) -> Event:
    """Return an event of two tickets that sold out ten minutes ago: anna and ben have them, cleo and dora wait."""
    event = office.opens(tickets=2)
    with at(monkeypatch, seconds_ago=600):
        for user in ("anna", "ben", "cleo", "dora"):
            event.books(user)
    return event


def test_who_waits_without_a_free_ticket_is_not_stranded(sold_out: Event) -> None:
    """Waiting is what a waiting list is for."""
    assert _stranded_s(sold_out) == 0


def test_a_free_ticket_that_nobody_waits_for_strands_nobody(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is empty: the ticket is for the next who asks."""
    event = office.opens(tickets=1)
    with at(monkeypatch, seconds_ago=600):
        for user in ("anna", "ben"):
            event.books(user)
            event.cancels(user)
        event.books("cleo")
        event.books("dora")
        for user in ("dora", "cleo"):
            event.cancels(user)
    assert _stranded_s(event) == 0


def test_a_ticket_released_just_now_strands_nobody_who_waited_for_long(sold_out: Event) -> None:
    """Its record is on its way: ten minutes in the list are not ten minutes beside a ticket."""
    sold_out.cancels("anna")
    assert 0 < _stranded_s(sold_out) < A_MOMENT_S


def test_who_joined_just_now_is_not_stranded_by_an_older_ticket(
    sold_out: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ticket has been free for long; nobody who is there now has waited for it."""
    with at(monkeypatch, seconds_ago=300):
        for user in ("cleo", "dora", "anna"):
            sold_out.cancels(user)
    monkeypatch.setattr("shared.booking.office.settle", lambda *_, **__: 0)  # eve stops before she settles (P8)
    sold_out.books("eve")
    assert 0 < _stranded_s(sold_out) < A_MOMENT_S


def test_of_several_releases_the_first_one_counts(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tickets free, one for five minutes: releases that go on do not hide those that were not settled."""
    with at(monkeypatch, seconds_ago=300):
        sold_out.cancels("anna")
    sold_out.cancels("ben")
    assert 300 <= _stranded_s(sold_out) < 300 + A_MOMENT_S


def test_a_release_that_was_settled_does_not_count(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """One ticket free: it is the last one that was released, the earlier one has its owner."""
    with at(monkeypatch, seconds_ago=300):
        sold_out.cancels("anna")
        sold_out.promotes()
    sold_out.cancels("ben")
    assert 0 < _stranded_s(sold_out) < A_MOMENT_S


def test_who_cancels_and_comes_back_hides_no_release(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new booking takes the place of the cancelled one: the release it hides counts as one just before it."""
    with at(monkeypatch, seconds_ago=300):
        sold_out.cancels("anna")
        sold_out.promotes()
    sold_out.cancels("ben")
    sold_out.books("ben")
    assert 0 <= _stranded_s(sold_out) < A_MOMENT_S


def test_clocks_that_disagree_measure_nothing() -> None:
    """Cancelled on one machine, promoted on another whose clock is behind: 0, not less."""
    assert seconds_between("2026-05-01T18:00:01.000Z", "2026-05-01T18:00:00.000Z") == 0
    assert seconds_between("2026-05-01T18:00:00.000Z", "2026-05-01T18:00:01.250Z") == 1.25
