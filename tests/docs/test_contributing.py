"""docs/contributing.md: its folders, files and commands exist."""

import re
import subprocess
from pathlib import Path

from harness.running import PROJECT
from tests.docs import pages

PAGE = "docs/contributing.md"


def test_every_folder_is_in_the_table() -> None:
    """The folders that git has, and no others."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.splitlines()
    there = {f"{Path(name).parts[0]}/" for name in files if "/" in name}
    [table] = [table for table in pages.tables(PAGE) if table[0] == ["folder", "what is in it"]]
    assert sorted(re.findall(r"`([\w.]+/)`", " ".join(row[0] for row in table[1:]))) == sorted(there)


def test_make_knows_every_target_that_a_page_names() -> None:
    """A reader who types a command of a page gets no "No rule to make target"."""
    targets = set(re.findall(r"^make (\w+)", pages.run("make help"), re.MULTILINE))
    named = {
        (page, target)
        for page in pages.PAGES
        for target in re.findall(r"(?:^|[`$] ?)make ([a-z]+)\b", pages.text(page), re.MULTILINE)
    }
    assert named >= {(PAGE, "lint"), (PAGE, "scale"), ("README.md", "run")}
    assert {one for one in named if one[1] not in targets} == set()


def test_each_choice_of_tests_chooses_some() -> None:
    """Each folder has tests, and each -k collects some. It only collects: running them would run this test too."""
    [block] = pages.blocks(PAGE, "sh")
    commands = block.splitlines()
    assert len(commands) == 3
    for command in commands:
        here = pages.run(f"make --dry-run {command[5:]}").splitlines()[-1] if command.startswith("make ") else command
        assert here.startswith(".venv/bin/python -m pytest tests/"), command
        for folder in re.findall(r"tests/\w+", here):
            assert list((PROJECT / folder).glob("test_*.py")), command
        if " -k " in here:
            found = pages.run(f"{here} --collect-only -q -p no:cacheprovider")
            assert re.search(r"\d+/\d+ tests collected", found), command


def test_files_that_are_named_are_there() -> None:
    """Paths in backticks are relative to the project's root."""
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", pages.text(PAGE)))
    assert {"proof/scenarios.py", "shared/edge/contract.py"} <= named
    assert [path for path in named if not (PROJECT / path.replace("NAME", "book")).exists()] == []
