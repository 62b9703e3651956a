"""docs/operations-tools.md shows what the commands print."""

import json
import re
import shlex
from pathlib import Path

from harness.office import Office
from local import batches
from tests.conftest import LogLines
from tests.docs import pages
from tests.ops.commands import Commands
from tests.ops.test_redrive import record

PAGE = "docs/operations-tools.md"
COMMAND = ".venv/bin/python -m ops "
MASKS = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d[:.]\d\d[:.]\d\d([.,]\d{3}Z?(\+0000)?)?"), "TIME"),
)


def shown() -> list[tuple[str, str]]:
    """Return each command of the page, without the common prefix, and its output."""
    found = pages.shown(PAGE)
    assert all(line.startswith(COMMAND) for line, _ in found)
    return [(line.removeprefix(COMMAND), output) for line, output in found]


def masked(text: str) -> str:
    """Return an output without ids and times."""
    return pages.masked(text, MASKS)


def test_every_example_of_the_page_shows_the_real_output(
    office: Office, local: Commands, data: Path, log_lines: LogLines
) -> None:
    """In the order of the page; what its text describes happens between the commands."""
    event = office.opens(tickets=2)
    for user in ("anna", "ben", "cleo"):
        event.books(user)
    event.cancels("cleo")
    for user in ("cleo", "dora"):
        event.books(user)
    commands = iter(shown())

    def runs(name: str) -> None:
        arguments, expected = next(commands)
        words = [word.replace("$EVENT", event.event_id) for word in shlex.split(arguments)]
        assert words[0] == name
        done = local(*[word for word in words if word != "--local"])
        assert (masked(done.out), done.err) == (masked(expected), "")

    runs("audit")
    event.cancels("ben")
    runs("audit")
    runs("settle")
    runs("settle")
    event.cancels("anna")
    given_up = batches.GivenUp([record(event.event_id)], "RetryAttemptsExhausted", 11, raised=False)
    batches.write_failed(data / "failed-records", given_up, "shard", "arn:stream", "arn:function")
    (data / "failed-records" / "notes.json").write_text("Ask Zoë about these.")
    runs("redrive")
    runs("redrive")
    (data / "logs" / "worker-1.log").write_text("\n".join(map(json.dumps, log_lines())))
    runs("history")
    event.books("elia")
    runs("export")
    assert next(commands, None) is None
