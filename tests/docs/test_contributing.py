"""docs/contributing.md: folders, imports, modules, commands and times are those of the code."""

import re
import subprocess
from pathlib import Path

import pytest

from harness.running import PROJECT
from scripts import time_tests
from tests.docs import pages

PAGE = "docs/contributing.md"
PACKAGES = ["bench", "examples", "functions", "local", "ops", "scripts", "shared", "tests"]


def _table(*head: str) -> list[list[str]]:
    [table] = [table[1:] for table in pages.tables(PAGE) if tuple(table[0]) == head]
    return table


def test_every_folder_is_in_the_table() -> None:
    """What git has, and nothing else."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.splitlines()
    there = {f"{Path(name).parts[0]}/" for name in files if "/" in name}
    listed = re.findall(r"`([\w.]+/)`", " ".join(row[0] for row in _table("folder", "what is in it")))
    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize("page", pages.PAGES)
def test_make_knows_every_target_of_the_pages(page: str) -> None:
    """Whoever types what stands there is not told that there is no rule for it."""
    listed = set(re.findall(r"^make (\w+)", pages.run("make help"), re.MULTILINE))
    named = set(re.findall(r"(?:^|[`$] ?)make ([a-z]+)\b", pages.text(page), re.MULTILINE))
    assert listed >= named


def test_the_targets_are_found_in_the_pages() -> None:
    """The control of the test above."""
    assert set(re.findall(r"`make ([a-z]+)", pages.text(PAGE))) >= {"test", "lint", "times", "proof", "scale"}


def test_each_choice_of_tests_chooses_some() -> None:
    """The commands of the page, which collect what they would run: they would run this test, too."""
    [block] = pages.blocks(PAGE, "sh")
    commands = block.splitlines()
    assert len(commands) == 3
    for command in commands:
        here = pages.run(f"make --dry-run {command[5:]}").splitlines()[-1] if command.startswith("make ") else command
        assert here.startswith(".venv/bin/python -m pytest tests/"), command
        found = pages.run(f"{here} --collect-only -q -p no:cacheprovider")
        assert re.search(r"\d+(/\d+)? tests collected", found), command


def test_files_that_are_named_are_there() -> None:
    """Paths in backticks, from the project's root."""
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", pages.text(PAGE)))
    assert {"proof/scenarios.py", "shared/edge/contract.py"} <= named
    assert [path for path in named if not (PROJECT / path.replace("NAME", "book")).exists()] == []


def test_the_times_are_those_of_the_last_run() -> None:
    """Every folder of tests has its row; whoever adds one measures it: make times ARGS=tests/NAME."""
    _, rest = pages.text(PAGE).split(time_tests.MARKS[0])
    assert rest.split(time_tests.MARKS[1])[0].strip() == time_tests.section().strip()
    assert [row[0].strip("`") for row in _table("folder", "tests", "time")[:-1]] == time_tests.folders()
