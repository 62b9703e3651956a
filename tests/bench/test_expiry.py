"""Many holds of one event expire in the same minute, in a running office: their tickets are free in time (H3)."""

from collections.abc import Iterator

import pytest

from bench import expiry, record
from harness.running import RunningOffice, running
from shared.booking.expiry import MARGIN_S
from shared.booking.tally import OVERDUE_S_MAX

HOLDS = 1_000


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOffice]:
    """Yield an office with its data on disk."""
    with running(tmp_path_factory.mktemp("data"), 2, "--expire-every", "1") as office:
        yield office


def test_holds_that_expire_in_the_same_minute_are_released_in_time(office: RunningOffice) -> None:
    """H1, H3: none before its time, and all within two minutes of it. No ticket is lost (P1)."""
    found = expiry.measure(office, HOLDS)
    assert found["earliestS"] >= MARGIN_S
    assert found["latestS"] < OVERDUE_S_MAX


def test_tickets_that_stay_held_are_noticed(office: RunningOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: there is no time for a run of ExpireFunction."""
    monkeypatch.setattr(expiry, "OVERDUE_S_MAX", 1 - expiry.HOLD_S)
    with pytest.raises(AssertionError, match="0 of 3 tickets are free"):
        expiry.measure(office, 3)


def test_the_last_run_kept_the_promise() -> None:
    """H3, with as many holds as the page says."""
    result = record.read("expiry")
    assert result["holds"] == expiry.HOLDS
    assert result["expireWithinS"] < 60
    assert MARGIN_S <= result["earliestS"] <= result["latestS"] < OVERDUE_S_MAX
