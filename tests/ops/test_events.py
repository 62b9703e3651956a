"""events lists the latest events, newest first, with their state."""

import pytest

from harness.office import Office
from ops import events
from tests.ops.commands import Commands


def test_events_are_listed_with_their_state(office: Office, local: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """From as many pages as it takes."""
    monkeypatch.setattr(events, "_AT_ONCE", 2)
    opened = [office.opens(tickets=tickets) for tickets in (1, 1, 1_500)]
    for _ in range(2):
        opened[0].books("ada" if _ else "bob")
    opened[1].cancels_event()
    done = local("events", "--limit", "3")
    assert done.code == 0
    rows = {line.split()[0]: line for line in done.lines}
    assert list(rows) == [event.event_id for event in reversed(opened)]
    states = [rows[event.event_id].split("tickets  ")[1] for event in opened]
    assert [state.split("  ")[0] for state in states] == ["sold out", "cancelled", "open"]
    assert all(line.endswith("  The concert") for line in done.lines)
    assert "    1,500 tickets" in rows[opened[2].event_id]


@pytest.mark.parametrize("limit", ["1", "2", "5"])
def test_a_limit_is_kept(office: Office, local: Commands, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """Also in the middle of a page."""
    monkeypatch.setattr(events, "_AT_ONCE", 3)
    for _ in range(5):
        office.opens(tickets=1)
    assert len(local("events", "--limit", limit).lines) == int(limit)
