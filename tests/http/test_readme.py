"""What the README shows is what happens: its commands are run, its answers compared."""

import json
import os
import re
import signal
import subprocess

from harness.crowd import open_event
from harness.running import PROJECT, STOP_S_MAX, free_port, running
from local import intrinsics

README = (PROJECT / "README.md").read_text(encoding="utf-8")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def _shown() -> list[tuple[str, str]]:
    """Return each command of the README's console blocks, with the output shown below it."""
    shown: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                shown.append((line[2:], ""))
            else:
                shown[-1] = (shown[-1][0], shown[-1][1] + line)
    return shown


def _as_shown(output: str) -> object:
    """Return an answer without what differs from run to run."""
    return json.loads(TIME.sub("TIME", UUID.sub("ID", output)))


def test_every_answer_of_the_readme_is_the_real_one() -> None:
    """The commands run in their order; ids and times are those of this run."""
    shown = _shown()
    answered = []
    with running() as office:
        event_id = ""
        for command, expected in shown:
            if command.startswith("EVENT="):
                continue
            here = command.replace("localhost:3000", f"127.0.0.1:{office.port}")
            output = _run(f"EVENT={event_id}; {here}")
            event_id = event_id or json.loads(output)["eventId"]
            answered.append((command, _as_shown(output)))
            assert answered[-1] == (command, _as_shown(expected))
    assert len(answered) == 7


def test_the_ids_in_the_readme_belong_together() -> None:
    """A reader who follows one id through the page always finds the same event and booking."""
    ids = {name: set(re.findall(rf'"{name}":"([^"]+)"', README)) for name in ("eventId", "bookingId")}
    assert (len(ids["eventId"]), len(ids["bookingId"])) == (1, 2)
    assert re.findall(r"^\$ EVENT=(.+)$", README, re.MULTILINE) == list(ids["eventId"])


def test_the_parameters_of_the_template_are_listed() -> None:
    """The page about deployments names each of them with its default."""
    declared = intrinsics.read(PROJECT / "template.yaml")["Parameters"]
    page = (PROJECT / "docs/deployments.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", page, re.MULTILINE))
    assert listed == {name: str(parameter["Default"]) or '""' for name, parameter in declared.items()}


def _run(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def test_make_knows_the_commands_of_the_readme() -> None:
    """Make run and make test are there, and make help lists them."""
    listed = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert {"run", "test"} <= set(re.findall(r"^\s*(?:make )?(\w+)", listed, re.MULTILINE))


def test_make_run_sells_tickets_and_ends_with_ctrl_c() -> None:
    """The first of the two commands, as a user types it: it starts, answers, and stops."""
    port = free_port()
    command = ["make", "run", f"ARGS=--memory --port {port}"]
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout
            printed = ""
            while f"http://127.0.0.1:{port}" not in printed:
                line = process.stdout.readline()
                assert line, printed
                printed += line
            assert open_event(f"http://127.0.0.1:{port}", tickets=1)
        finally:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=STOP_S_MAX)
