"""Record the office at work in a terminal: `make recording` writes docs/recording.cast and draws docs/recording.svg.

A real shell runs the commands, one after the other, and what it prints is kept with the moment it came, in asciinema's
format. Only the typing is ours. The picture is drawn from the recording and from nothing else, as an SVG that moves by
itself, without a script; whoever asks their browser for less motion sees the end of it.
"""

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CAST = ROOT / "docs" / "recording.cast"
PICTURE = ROOT / "docs" / "recording.svg"
TITLE = "A hundred tickets, two hundred and fifty people: the ticket office in a terminal"

PORT = 3000
FOLDER = Path("/tmp/ticket-office")  # noqa: S108  # shown in the recording, so the same on every machine
COLUMNS, ROWS = 100, 26

COMMAND_S_MAX = 60
WORD_S, THINK_S, END_S = 0.09, 0.7, 6.0  # a word is typed; before a command; the last screen stays

PROMPT, COMMENT, PLAIN = "\x1b[32m", "\x1b[36m", "\x1b[0m"
_DONE = "the command is done"
_IS_OPEN = "--auth"  # in the last line that the office prints when it is open

SESSION = r"""
make run ARGS="--data /tmp/ticket-office" &
# A hundred tickets go on sale.
EVENT=$(curl -s localhost:3000/initialize -d '{"name": "The concert", "totalTickets": 100}' | cut -d'"' -f4)
# Anna is early.
curl -s localhost:3000/book -d '{"userId": "anna", "eventId": "'$EVENT'"}'; echo
# 249 others come, 25 at a time. 201 is a ticket, 202 a place in the waiting list.
seq 249 | xargs -P 25 -I@ curl -s -o /dev/null -w '%{http_code}\n' localhost:3000/book -d '{"userId": "fan-@", "eventId": "'$EVENT'"}' | sort | uniq -c
# Anna cancels. Nobody has to do anything: the first in line has her ticket.
curl -s localhost:3000/cancel -d '{"userId": "anna", "eventId": "'$EVENT'"}'; echo
sleep 1; curl -s localhost:3000/status/$EVENT; echo
# Recount every booking: does it all add up?
.venv/bin/python -m ops audit $EVENT --local --data /tmp/ticket-office
""".strip().splitlines()  # noqa: E501  # a command is a line

Printed = list[tuple[float, str]]  # seconds since the beginning, and what the terminal was sent then


def main() -> None:
    """Record, and draw."""
    if FOLDER.exists():
        sys.exit(f"{FOLDER} is there already; the recording wants to begin without it")
    try:
        CAST.write_text(to_cast(record(PORT, FOLDER)), encoding="utf-8")
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
    PICTURE.write_text(draw(from_cast(CAST.read_text(encoding="utf-8"))), encoding="utf-8")


def record(port: int, folder: Path) -> Printed:
    """Run the session in a shell, with the office on this port and its data in this folder; it is ended at the end."""
    options = f'ARGS="--port {port} ' if port != PORT else 'ARGS="'
    printed: Printed = []
    shell = subprocess.Popen(
        ["bash", "--norc"],  # noqa: S607  # found on PATH, as make finds it
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        now_s = 0.0
        for command in SESSION:
            here = command.replace("localhost:3000", f"localhost:{port}").replace('ARGS="', options)
            here = here.replace(str(FOLDER), str(folder))
            now_s = _type(here, now_s + THINK_S, printed)
            now_s = _run(shell, here, now_s, printed)
    finally:
        _end(shell)
    return printed


def _end(shell: subprocess.Popen[bytes]) -> None:
    """End the shell and the office as Ctrl-C does, and wait until both are gone."""
    assert shell.stdout
    os.killpg(shell.pid, signal.SIGINT)
    shell.communicate(timeout=COMMAND_S_MAX)  # to the end of what they print


def _type(command: str, now_s: float, printed: Printed) -> float:
    """Type a command word by word; return when that is done."""
    colour = COMMENT if command.startswith("#") else PLAIN
    printed.append((now_s, f"{PROMPT}$ {colour}"))
    for word in re.findall(r"\S+\s*", command):
        now_s += WORD_S
        printed.append((now_s, word))
    now_s += WORD_S
    printed.append((now_s, f"{PLAIN}\r\n"))
    return now_s


def _run(shell: subprocess.Popen[bytes], command: str, now_s: float, printed: Printed) -> float:
    """Have the shell run a command; return when it is done, or, in the background, says that it is ready."""
    assert shell.stdin
    assert shell.stdout
    shell.stdin.write(f"{command}\necho '{_DONE}'\n".encode())
    shell.stdin.flush()
    shows = _IS_OPEN if command.endswith("&") else ""
    began_s, seen, told = time.monotonic(), "", 0
    with selectors.DefaultSelector() as waiting:
        waiting.register(shell.stdout, selectors.EVENT_READ)
        while not (f"{_DONE}\n" in seen and shows in seen and seen.endswith("\n")):
            left_s = began_s + COMMAND_S_MAX - time.monotonic()
            if left_s <= 0 or not waiting.select(left_s):
                raise TimeoutError(f"{command}: {seen}")
            more = os.read(shell.stdout.fileno(), 65536).decode()
            if not more:
                raise EOFError(f"{command}: {seen}")
            seen += more
            output = seen.replace(f"{_DONE}\n", "")
            whole = output[: output.rfind("\n") + 1]
            if whole[told:]:
                printed.append((now_s + time.monotonic() - began_s, whole[told:].replace("\n", "\r\n")))
                told = len(whole)
    return now_s + time.monotonic() - began_s


def to_cast(printed: Printed) -> str:
    """Return a recording as asciicast, version 2: a header and one line for each moment."""
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": TITLE}
    lines = [header, *([round(moment_s, 3), "o", text] for moment_s, text in printed)]
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def from_cast(text: str) -> Printed:
    """Read a recording."""
    return [(moment_s, shown) for moment_s, _, shown in map(json.loads, text.splitlines()[1:])]


# ---------------------------------------------------------------- the picture

CHARACTER, LINE, MARGIN, BAR = 7.8, 18, 14, 30  # pixels: of 13-pixel type; around the text; the window's title bar
CLASSES = {PROMPT: "p", COMMENT: "c", PLAIN: "o"}
STYLE = """
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;white-space:pre;fill:#c9d1d9}
.p{fill:#3fb950}.c{fill:#79c0ff}
g g{animation-timing-function:step-end;animation-iteration-count:infinite}
@media (prefers-reduced-motion:reduce){g g{animation:none!important}}
"""


@dataclass(frozen=True)
class Piece:
    """Some characters of one row that came at one moment in one colour."""

    moment_s: float
    row: int
    column: int
    colour: str
    text: str


def pieces(printed: Printed) -> Iterator[Piece]:
    """Put what was printed into rows, as a terminal does that knows colours, new lines, and where a row ends."""
    row = column = 0
    colour = PLAIN
    for moment_s, text in printed:
        for part in re.findall(r"\x1b\[\d+m|\r\n|[^\x1b\r\n]+", text):
            if part in CLASSES:
                colour = part
            elif part == "\r\n":
                row, column = row + 1, 0
            else:
                rest = part
                while rest:
                    if column == COLUMNS:
                        row, column = row + 1, 0
                    shown, rest = rest[: COLUMNS - column], rest[COLUMNS - column :]
                    yield Piece(moment_s, row, column, colour, shown)
                    column += len(shown)


def draw(printed: Printed) -> str:
    """Return the picture of a recording as SVG: every piece is there from the beginning and shown from its moment."""
    found = list(pieces(printed))
    whole_s = printed[-1][0] + END_S
    width, height = round(COLUMNS * CHARACTER + 2 * MARGIN), BAR + ROWS * LINE + 2 * MARGIN
    moments = sorted({piece.moment_s for piece in found})
    groups = "\n".join(_group(number, moment_s, found) for number, moment_s in enumerate(moments))
    frames = "\n".join(
        f"@keyframes k{number}{{0%{{opacity:0}}{100 * moment_s / whole_s:.3f}%{{opacity:1}}}}"
        for number, moment_s in enumerate(moments)
    )
    last = max(0, found[-1].row + 1 - ROWS) * LINE
    scrolled = "".join(
        f"{100 * moment_s / whole_s:.3f}%{{transform:translateY(-{up}px)}}" for moment_s, up in _up(found)
    )
    dots = "".join(
        f'<circle cx="{MARGIN + 6 + 18 * number}" cy="{BAR / 2}" r="5.5" fill="{fill}"/>'
        for number, fill in enumerate(("#ff5f56", "#ffbd2e", "#27c93f"))
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}">
<title>{escape(TITLE)}</title>
<style>{STYLE}g g{{animation-duration:{whole_s:.2f}s}}
#rows{{transform:translateY(-{last}px);animation-name:up}}
@keyframes up{{0%{{transform:translateY(0)}}{scrolled}}}
{frames}</style>
<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>{dots}
<clipPath id="screen"><rect x="0" y="{BAR + MARGIN - 2}" width="{width}" height="{ROWS * LINE + 4}"/></clipPath>
<g clip-path="url(#screen)"><g id="rows">
{groups}
</g></g>
</svg>
"""


def _group(number: int, moment_s: float, found: list[Piece]) -> str:
    """Return all that came at one moment."""
    texts = "".join(
        f'<text x="{MARGIN + piece.column * CHARACTER:.1f}" y="{BAR + MARGIN + 13 + piece.row * LINE}" '
        f'textLength="{len(piece.text) * CHARACTER:.1f}" class="{CLASSES[piece.colour]}">{escape(piece.text)}</text>'
        for piece in found
        if piece.moment_s == moment_s
    )
    return f'<g style="animation-name:k{number}">{texts}</g>'


def _up(found: list[Piece]) -> Iterator[tuple[float, int]]:
    """Yield when the rows move up, and how far: the last one that is written on stays on the screen."""
    for before, after in pairwise(found):
        if after.row > before.row and after.row >= ROWS:
            yield after.moment_s, (after.row + 1 - ROWS) * LINE


if __name__ == "__main__":
    main()
