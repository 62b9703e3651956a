"""The README's recording is of a real session, and that session still goes as recorded."""

import json
import os
import re
import subprocess
from pathlib import Path

from harness.running import PROJECT, free_port
from tests.docs import pages

CAST = PROJECT / "docs" / "recording.cast"
SESSION_S_MAX = 100


def _shown(output: str) -> str:
    """Return what a session shows, without what differs from run to run."""
    output = re.sub(r"[^\n]*\r", "", output.replace("\r\n", "\n"))  # a progress bar, which only a terminal shows
    output = re.sub(r"listens at http://127\.0\.0\.1:\d+", "listens at URL", output)
    output = re.sub(r"\(\d+ workers\)", "(N workers)", pages.masked(output))
    return output.partition("\nStopping")[0].strip()


def test_the_session_goes_as_recorded(tmp_path: Path) -> None:
    """99 of the 249 others get a ticket, 150 wait, and every promise holds."""
    port, data = free_port(), str(tmp_path / "office")
    done = subprocess.run(
        [PROJECT / "scripts" / "record-session"],
        env=os.environ | {"PORT": str(port), "DATA": data, "TYPING": "off"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SESSION_S_MAX,
        check=True,
    )
    recorded = "".join(json.loads(line)[2] for line in CAST.read_text(encoding="utf-8").splitlines()[1:])
    shown = done.stdout.replace(data, "/tmp/ticket-office").replace(f"127.0.0.1:{port}", "127.0.0.1:3000")  # noqa: S108
    assert _shown(shown) == _shown(recorded)
    assert "     99 201\n    150 202\n" in shown
    assert _shown(shown).endswith("All promises hold.")
