"""settle EVENT does the promoter's work by hand."""

from typing import Any

import pytest

import ops.settling
from harness.office import Event
from shared.model import Stuck, TryAgain
from tests.ops.commands import Commands
from tests.ops.commands import ops as program


def test_free_tickets_go_to_the_head_of_the_list(sold_out: Event, local: Commands) -> None:
    """In order (P5, P6); a repetition does nothing (P7)."""
    for user in ("user-0", "user-1"):
        sold_out.cancels(user)
    done = local("settle", sold_out.event_id)
    assert (done.code, done.out, done.err) == (0, "promoted 2; now 0 tickets free, 3 waiting\n", "")
    assert sold_out.check(drained=True).waiting == ["user-62", "user-63", "user-64"]
    assert local("settle", sold_out.event_id).out == "promoted 0; now 0 tickets free, 3 waiting\n"


def test_several_rounds_settle_everything(sold_out: Event, local: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round has its own deadline."""
    monkeypatch.setattr(ops.settling, "PROMOTIONS_MAX", 2)
    for n in range(4):
        sold_out.cancels(f"user-{n}")
    assert local("settle", sold_out.event_id).out.startswith("promoted 4;")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            Stuck("settle"),
            (1, "settling was refused again and again: run `audit` to see whether the tables are damaged\n"),
        ),
        (
            TryAgain("ThrottlingException"),
            (2, "the database did not accept the request in time (ThrottlingException): run the same command again\n"),
        ),
    ],
)
def test_a_failure_to_settle_is_reported_in_one_line(
    sold_out: Event, local: Commands, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: tuple[int, str]
) -> None:
    """Damage and a busy database have different exit codes."""

    def fails(*_: Any, **__: Any) -> int:
        raise error

    monkeypatch.setattr(ops.settling, "settle", fails)
    done = local("settle", sold_out.event_id)
    assert (done.code, done.err) == expected
    assert done.out == ""


def test_log_lines_for_cloudwatch_are_not_shown(sold_out: Event, local: Commands) -> None:
    """The operator sees only the result, although a user was promoted."""
    sold_out.cancels("user-0")
    done = program("settle", sold_out.event_id, *local.where)
    assert (done.code, done.out, done.err) == (0, "promoted 1; now 0 tickets free, 4 waiting\n", "")
