"""Names and ids that the terminal cannot show do not stop a command."""

from typing import Any

import pytest

from harness.office import Office
from tests.ops.commands import Commands
from tests.ops.commands import ops as program

NAMES = ("Bühne", "🎟", "Кино", "日本語", "a\u0301")
ENCODINGS: tuple[dict[str, Any], ...] = (
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""},
)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_names_are_shown_as_far_as_the_terminal_can(office: Office, local: Commands, encoding: dict[str, Any]) -> None:
    """Each character is shown or escaped. A traceback would end with exit code 1, which means a broken promise."""
    event = office.opens(name=" ".join(NAMES), tickets=1)
    user = "Zoë 🎟"
    event.books(user)
    done = program("history", event.event_id, user, *local.where, **encoding)
    assert (done.code, done.err) == (0, "")
    done = program("history", event.event_id, "Jürgen", *local.where, **encoding)
    assert done.code == 2
    assert done.err.endswith(f" has never booked the event {event.event_id}\n")
