"""events/README.md: its command prints what it shows, and its tables list every payload."""

import json
import re

from harness.running import PROJECT
from tests.docs import pages

PAGE = "events/README.md"
FOLDER = PROJECT / "events"


def test_the_command_of_the_page_prints_what_is_shown() -> None:
    """Handlers invoked by hand answer as the page says."""
    [(command, expected)] = pages.shown(PAGE)
    assert pages.masked(pages.run(command)) == pages.masked(expected)


def test_every_payload_but_that_of_a_deployment_can_be_invoked() -> None:
    """The usage lists them, so a payload that is added is one that can be tried."""
    usage = pages.run("! .venv/bin/python -m examples.invoke unknown")
    listed = set(re.findall(r"\w+", usage.partition("is one of ")[2]))
    assert {path.stem for path in FOLDER.glob("*.json")} - listed == {"check"}


def test_every_payload_is_described() -> None:
    """Each file has a row, and the row of a request names the route of the payload."""
    rows = {row[0].strip("`"): row[1] for table in pages.tables(PAGE) for row in table[1:]}
    assert rows.keys() == {path.name for path in FOLDER.glob("*.json")}
    for name, text in rows.items():
        route = json.loads((FOLDER / name).read_text(encoding="utf-8")).get("routeKey", "")
        assert text.startswith(f"`{route}" if route else ""), name
