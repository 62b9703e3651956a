"""The README's commands work, and its first sale prints the shown responses."""

import os
import re
import signal
import subprocess

from harness.crowd import open_event
from harness.running import PROJECT, STOP_S_MAX, RunningOffice, free_port
from local import intrinsics
from tests.docs import pages

PAGE = "README.md"
LINES_MAX = 150


def test_the_first_sale_prints_the_shown_responses(running_office: RunningOffice) -> None:
    """A reader pastes the block as a whole; ids and times differ."""
    [block] = [block for block in pages.blocks(PAGE, "sh") if "/initialize" in block]
    [shown] = pages.blocks(PAGE, "text")
    printed = pages.run(block.replace("localhost:3000", f"127.0.0.1:{running_office.port}"))
    assert pages.masked(printed) == pages.masked(shown)


def test_the_ids_of_the_first_sale_belong_together() -> None:
    """A reader who follows one id down the page finds one event and two bookings."""
    [shown] = pages.blocks(PAGE, "text")
    ids = {name: set(re.findall(rf'"{name}": "([^"]+)"', shown)) for name in ("eventId", "bookingId")}
    assert (len(ids["eventId"]), len(ids["bookingId"])) == (1, 2)


def test_the_readme_is_short() -> None:
    """It is one page, so that it is read."""
    assert len(pages.text(PAGE).splitlines()) <= LINES_MAX


def test_the_parameters_of_the_template_are_listed() -> None:
    """The page about deployments names each parameter with its default."""
    declared = intrinsics.read(PROJECT / "template.yaml")["Parameters"]
    page = (PROJECT / "docs/deployments.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", page, re.MULTILINE))
    assert listed == {name: str(parameter["Default"]) or '""' for name, parameter in declared.items()}


def test_make_run_sells_tickets_and_ends_with_ctrl_c() -> None:
    """The first of the two commands, as a user types it: it starts, responds and stops."""
    port = free_port()
    command = ["make", "run", f"ARGS=--memory --port {port}"]
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout
            printed = ""
            while f"http://127.0.0.1:{port}" not in printed:
                line = process.stdout.readline()
                assert line, printed
                printed += line
            assert open_event(f"http://127.0.0.1:{port}", tickets=1)
        finally:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=STOP_S_MAX)
