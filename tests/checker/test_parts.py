"""The parts of the checker: it knows no code, its faults work, its decisions follow from the seed."""

import ast
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from checker.__main__ import plans
from checker.faults import Clock, Disk
from checker.program import descendants
from harness.running import PROJECT

OURS = {"bench", "examples", "functions", "harness", "local", "ops", "proof", "scripts", "shared", "tests"}


def test_the_checker_knows_nothing_of_the_code() -> None:
    """It imports nothing else from the project: its checks rest on the documentation alone."""
    for path in (PROJECT / "checker").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not OURS & {name.partition(".")[0] for name in names}, path


def test_a_seed_repeats_the_decisions() -> None:
    """The same events and faults in the same order."""
    assert plans(7) == plans(7)
    assert plans(7) != plans(8)


def test_only_the_wall_clock_jumps(tmp_path: Path) -> None:
    """Running programs see the jump; the monotonic clock does not move."""
    clock = Clock(tmp_path)
    clock.build()
    if clock.why_not:  # the round prints this
        assert "compiler" in clock.why_not
        return
    code = "import time; a = time.monotonic(); input(); print(time.time(), time.monotonic() - a)"
    with subprocess.Popen(
        [sys.executable, "-c", code], env=clock.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        clock.set(86_400)
        told, waited = map(float, program.communicate("\n")[0].split())
    assert told - time.time() == pytest.approx(86_400, abs=3_600)
    assert waited < 3_600


def test_a_full_disk_refuses_every_byte_and_has_room_again(tmp_path: Path) -> None:
    """The disk is a small tmpfs; where none can be mounted, the round says so."""
    disk = Disk(tmp_path / "disk")
    disk.mount()
    if disk.why_not:
        assert "mount" in disk.why_not
        return
    try:
        filling = threading.Thread(target=disk.fill, args=(1.0,))
        filling.start()
        refused = False
        while filling.is_alive() and not refused:
            try:
                (tmp_path / "disk" / "one").write_bytes(b"1")
            except OSError:
                refused = True
        filling.join()
        assert refused
        (tmp_path / "disk" / "one").write_bytes(b"1")
    finally:
        disk.unmount()


def test_all_processes_below_one_are_found() -> None:
    """Children and theirs."""
    script = "sh -c 'sleep 60 & echo $!; wait' & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        below = {int(shell.stdout.readline()), int(shell.stdout.readline())}
        found = descendants(shell.pid)
        subprocess.run(["kill", *map(str, below)], check=True)
        assert set(found) == below
