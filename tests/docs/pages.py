"""Reads the pages of the documentation: their code blocks, tables, headings and links."""

import re
import subprocess
from collections.abc import Sequence

from harness.running import PROJECT

PAGES = sorted(
    str(page.relative_to(PROJECT))
    for pattern in ("*.md", "docs/**/*.md", "events/*.md")
    for page in PROJECT.glob(pattern)
)
MASKS = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d[:.]\d\d[:.]\d\d([.,]\d{3}Z?)?"), "TIME"),
)
COMMAND_S_MAX = 60
_CODE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def text(page: str) -> str:
    """Return the text of a page; its path is relative to the project's root."""
    return (PROJECT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a language."""
    found = _CODE.findall(text(page))
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, name, body in found if name == language]


def shown(page: str) -> list[tuple[str, str]]:
    """Return each command of the console blocks, with the output shown below it."""
    found: list[tuple[str, str]] = []
    for body in blocks(page, "console"):
        for line in body.splitlines(keepends=True):
            if line.startswith("$ "):
                found.append((line.removeprefix("$ ").strip(), ""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def steps(page: str) -> list[tuple[str, str]]:
    """Return each block of shell commands, with the plain block below it: its output, shortened by `...`."""
    found: list[tuple[str, str]] = []
    for _, name, body in _CODE.findall(text(page)):
        if name == "sh":
            found.append((body, ""))
        elif not name:
            found[-1] = (found[-1][0], body)
    return found


def shows(expected: str, output: str) -> bool:
    """Return whether an output has the lines of a shortened one, in order; `...` stands for anything."""
    lines = iter(" ".join(line.split()) for line in output.splitlines())
    wanted = [" ".join(line.split()) for line in expected.splitlines() if line.strip() not in ("", "...")]
    return all(any(re.fullmatch(".*".join(map(re.escape, one.split("..."))), line) for line in lines) for one in wanted)


def masked(output: str, masks: Sequence[tuple[re.Pattern[str], str]] = MASKS) -> str:
    """Replace ids and times in an output, which differ from run to run."""
    for pattern, name in masks:
        output = pattern.sub(name, output)
    return output


def run(command: str) -> str:
    """Run a command of a page in the project's root; return what it printed."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def tables(page: str) -> list[list[list[str]]]:
    """Return the tables, each as a list of rows of cells, the head first."""
    found: list[list[list[str]]] = []
    for body in re.findall(r"(?:^\|.*\|\n)+", text(page), re.MULTILINE):
        head, _, *rows = body.splitlines()
        found.append([[cell.strip() for cell in line.strip("|").split("|")] for line in (head, *rows)])
    return found


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub names them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+?)\s*$", _CODE.sub("", text(page)), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = next(n for n in range(100) if (f"{slug}-{n}" if n else slug) not in found)
        found.add(f"{slug}-{number}" if number else slug)
    return found


def links(page: str) -> list[tuple[str, str]]:
    """Return each link within the project as file (empty for this page) and anchor (empty for none)."""
    found = re.findall(r"\]\(([^)\s]+)\)", _CODE.sub("", text(page)))
    return [(link.partition("#")[0], link.partition("#")[2]) for link in found if not re.match(r"\w+:", link)]
