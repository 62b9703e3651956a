"""docs/organisers.md: its commands print what it shows, and its numbers are those of the code."""

import json
import re
from pathlib import Path

import httpx

from harness.running import running
from local.template import TEMPLATE, load
from shared.model import lanes_for
from tests.docs import pages

PAGE = "docs/organisers.md"


def test_every_answer_of_the_page_is_the_real_one(tmp_path: Path) -> None:
    """The commands run in order. The one that opens an event runs twice, and Anna books before the export."""
    answered = []
    with running(tmp_path, 1) as office:
        event_id = ""
        for command, expected in pages.shown(PAGE):
            here = command.replace("localhost:3000", f"127.0.0.1:{office.port}")
            here = here.replace("--local", f"--local --data {tmp_path}")
            if "export" in command:
                httpx.post(f"{office.url}/book", json={"userId": "anna", "eventId": event_id}).raise_for_status()
            output = pages.run(f"EVENT={event_id}; {here}")
            if "Idempotency-Key" in command:
                assert pages.run(here) == output, "a key opens one event"
                event_id = json.loads(output)["eventId"]
            answered.append((command, pages.masked(output).strip()))
            assert answered[-1] == (command, pages.masked(expected).strip())
    assert len(answered) == 8


def test_an_event_has_the_lanes_of_the_table() -> None:
    """The table is right at both ends of each row."""
    [table] = [table for table in pages.tables(PAGE) if table[0][:2] == ["tickets", "lanes"]]
    for tickets, lanes, *_ in table[1:]:
        for number in tickets.split(" to "):
            assert lanes_for(int(number.replace(",", ""))) == int(lanes)


def test_the_commands_before_an_on_sale_are_for_the_largest_event() -> None:
    """The template accepts the parameters, and the tools the same number of bookings a second."""
    commands = "\n".join(pages.blocks(PAGE, "sh"))
    chosen = dict(re.findall(r"(\w+)=(\w+)", commands))
    load(TEMPLATE, chosen)  # it refuses what the template does not have
    [table] = [table for table in pages.tables(PAGE) if table[0][:2] == ["tickets", "lanes"]]
    rate = table[-1][2]
    assert f"for {rate} bookings a second" in pages.text(PAGE)
    numbers = re.findall(r"--bookings-per-second (\d+)", commands)
    assert [int(number) for number in numbers] == [int(rate.replace(",", ""))] * 2
    assert int(chosen["RouteRate"]) >= int(numbers[0])
