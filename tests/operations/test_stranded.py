"""The audit measures how long a user has waited beside a free ticket: a lower bound, whatever happened before.

A busy event always has users who have waited for long, and tickets that were just released. A user is stranded only for
as long as both have lasted.
"""

import pytest

from harness.gateway import a_moment_passes
from harness.office import Event, Office
from shared.booking import audit
from shared.booking.catalog import read_event
from shared.model import seconds_between
from shared.runtime import Deadline
from tests.operations.clock import at

A_MOMENT_S = 30.0  # what a test may take on a busy machine


def _stranded_s(event: Event) -> float:
    a_moment_passes()  # or 0 might mean that no time has passed
    deadline = Deadline.after(10)
    return audit.audit(read_event(event.event_id, deadline), deadline).stranded_s


@pytest.fixture
def sold_out(office: Office, monkeypatch: pytest.MonkeyPatch) -> Event:
    """Return an event that sold out ten minutes ago: anna and ben have its tickets, cleo and dora wait."""
    event = office.opens(tickets=2)
    with at(monkeypatch, seconds_ago=600):
        for user in ("anna", "ben", "cleo", "dora"):
            event.books(user)
    return event


def test_waiting_without_a_free_ticket_is_not_being_stranded(sold_out: Event) -> None:
    """This is what a waiting list is for."""
    assert _stranded_s(sold_out) == 0


def test_a_free_ticket_beside_an_empty_list_strands_nobody(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next booker gets the ticket."""
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


def test_a_ticket_that_was_just_released_strands_nobody_for_long(sold_out: Event) -> None:
    """Ten minutes in the list are not ten minutes beside a ticket."""
    sold_out.cancels("anna")
    assert 0 < _stranded_s(sold_out) < A_MOMENT_S


def test_a_user_who_just_joined_is_not_stranded_for_long(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ticket has been free for long, but all earlier waiting users left."""
    with at(monkeypatch, seconds_ago=300):
        for user in ("cleo", "dora", "anna"):
            sold_out.cancels(user)
    monkeypatch.setattr("shared.booking.sale.take_from", lambda *_: None)  # eve looked before it was free
    sold_out.books("eve")
    assert 0 < _stranded_s(sold_out) < A_MOMENT_S


def test_the_first_of_several_unsettled_releases_counts(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tickets are free, one of them for five minutes; the later release does not hide it."""
    with at(monkeypatch, seconds_ago=300):
        sold_out.cancels("anna")
    sold_out.cancels("ben")
    assert 300 <= _stranded_s(sold_out) < 300 + A_MOMENT_S


def test_a_settled_release_does_not_count(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """One ticket is free: the one that was released last."""
    with at(monkeypatch, seconds_ago=300):
        sold_out.cancels("anna")
        sold_out.promotes()
    sold_out.cancels("ben")
    assert 0 < _stranded_s(sold_out) < A_MOMENT_S


def test_a_user_who_cancels_and_returns_hides_no_release(sold_out: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new booking replaces the cancelled one; the release counts as just before it."""
    with at(monkeypatch, seconds_ago=300):
        sold_out.cancels("anna")
        sold_out.promotes()
    sold_out.cancels("ben")
    sold_out.books("ben")
    assert 0 <= _stranded_s(sold_out) < A_MOMENT_S


def test_clocks_that_disagree_measure_zero() -> None:
    """Cancelled on one machine, promoted on another whose clock is behind: not negative."""
    assert seconds_between("2026-05-01T18:00:01.000Z", "2026-05-01T18:00:00.000Z") == 0
    assert seconds_between("2026-05-01T18:00:00.000Z", "2026-05-01T18:00:01.250Z") == 1.25
