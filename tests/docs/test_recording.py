"""The recording on the README's first screen is of a real session, and the picture is of the recording."""

import re
from pathlib import Path

from harness.running import free_port
from scripts.draw_recording import (
    CAST,
    COLUMNS,
    COMMENT,
    FOLDER,
    PICTURE,
    PLAIN,
    PORT,
    Piece,
    Printed,
    draw,
    from_cast,
    pieces,
    record,
    to_cast,
)
from tests.docs import pages


def _told(printed: Printed, port: int, folder: Path) -> str:
    """Return what a session shows, without what differs from run to run."""
    text = pages.masked("".join(shown for _, shown in printed)).replace(str(folder), str(FOLDER))
    text = text.replace(f"--port {port} ", "").replace(f":{port}", f":{PORT}")
    return re.sub(r"\(\d+ workers\)", "(N workers)", text)


def test_the_recording_is_what_the_commands_show(tmp_path: Path) -> None:
    """The session runs again: nobody gets a ticket too many, and every promise holds."""
    port, folder = free_port(), tmp_path / "office"
    shown = _told(record(port, folder), port, folder)
    assert shown == _told(from_cast(CAST.read_text(encoding="utf-8")), PORT, FOLDER)
    assert "     99 201\r\n    150 202\r\n" in shown
    assert shown.endswith("All promises hold.\r\n")


def test_the_picture_is_drawn_from_the_recording() -> None:
    """Whoever records anew draws anew: make recording."""
    assert PICTURE.read_text(encoding="utf-8") == draw(from_cast(CAST.read_text(encoding="utf-8")))


def test_a_recording_is_read_as_it_was_written() -> None:
    """In asciinema's format, the second version."""
    printed = [(0.5, "$ "), (1.25, "ls\r\n")]
    assert from_cast(to_cast(printed)) == printed
    assert to_cast(printed).startswith(f'{{"version": 2, "width": {COLUMNS}')


def test_a_long_line_goes_on_in_the_next_row() -> None:
    """As in a terminal; colours and moments stay with their characters."""
    printed = [(1.0, f"{COMMENT}#{PLAIN}" + "a" * COLUMNS), (2.0, "b\r\nc")]
    assert list(pieces(printed)) == [
        Piece(1.0, 0, 0, COMMENT, "#"),
        Piece(1.0, 0, 1, PLAIN, "a" * (COLUMNS - 1)),
        Piece(1.0, 1, 0, PLAIN, "a"),
        Piece(2.0, 1, 1, PLAIN, "b"),
        Piece(2.0, 2, 0, PLAIN, "c"),
    ]


def test_the_picture_moves_and_stands_still_for_those_who_ask_for_it() -> None:
    """Each moment is shown from its share of the whole on; rows that are full move up; markup is escaped."""
    printed = [(float(n), f"<{n}>\r\n") for n in range(40)]
    picture = draw(printed)
    assert "@keyframes k20{0%{opacity:0}44.444%{opacity:1}}" in picture  # 20 s of 39 s and the last screen
    assert "57.778%{transform:translateY(-18px)}" in picture  # the 27th row, of 26
    assert picture.count("<text ") == 40
    assert "&lt;39&gt;" in picture
    assert "prefers-reduced-motion" in picture
