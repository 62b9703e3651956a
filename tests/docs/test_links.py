"""Links lead somewhere, and every page is listed."""

import re
from pathlib import Path

import pytest

from harness.running import PROJECT
from tests.docs import pages

FIRST_SCREEN_LINES = 30  # of the README, with its picture
READERS = ["docs/comparison.md", "docs/clients.md", "docs/organisers.md", "docs/operations.md", "docs/contributing.md"]


def _from(page: str, link: str) -> Path:
    return (PROJECT / page).parent.joinpath(link).resolve() if link else PROJECT / page


@pytest.mark.parametrize("page", pages.PAGES)
def test_links_within_the_project_lead_somewhere(page: str) -> None:
    """Every linked file exists."""
    assert [link for link, _ in pages.links(page) if not _from(page, link).exists()] == []


@pytest.mark.parametrize("page", pages.PAGES)
def test_anchors_are_headings_of_their_page(page: str) -> None:
    """Every anchor exists: a renamed heading would send readers to the top of the page."""
    named = [(_from(page, link), anchor) for link, anchor in pages.links(page) if anchor]
    assert [
        f"{file.name}#{anchor}" for file, anchor in named if anchor not in pages.anchors(str(file.relative_to(PROJECT)))
    ] == []


def test_every_page_is_listed_for_its_readers() -> None:
    """docs/README.md links to each page of docs/, and to the folder of decisions."""
    listed = {str(_from("docs/README.md", link).relative_to(PROJECT)) for link, _ in pages.links("docs/README.md")}
    there = {page for page in pages.PAGES if page.startswith("docs/") and "/decisions/" not in page}
    assert {*there, "docs/decisions"} - {"docs/README.md"} <= listed


def test_the_diagram_has_every_function() -> None:
    """Except `check`, which runs only during a deployment."""
    [picture] = pages.blocks("docs/architecture.md", "mermaid")
    shown = {name.strip() for box in re.findall(r"\w\[([^\[\]]+)\]", picture) for name in re.split(r",|<br/>", box)}
    functions = {path.parent.name.replace("_", " ") for path in (PROJECT / "functions").glob("*/app.py")}
    assert functions - shown == {"check"}


def test_the_first_screen_says_where_to_go() -> None:
    """It has a picture, the two commands, and a page for each kind of reader."""
    screen = "\n".join(pages.text("README.md").splitlines()[:FIRST_SCREEN_LINES])
    assert '"docs/page-live-1280.png"' in screen
    assert "make demo " in screen
    assert "make run " in screen
    assert "make test " in screen
    assert [page for page in READERS if f"({page})" not in screen] == []
