"""A failed start prints one line and exits with 1; a wrong argument shows the usage."""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.running import free_port
from local import engine
from tests.local.programs import PROJECT, echo_template, opened, refused


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the program without engine and packages, as in a fresh clone."""
    clone = tmp_path_factory.mktemp("clone")
    shutil.copytree(PROJECT / "local", clone / "local", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "template.yaml", clone)
    return clone


def test_a_port_in_use_is_refused(echo: str) -> None:
    """By another program."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        line = refused("--template", echo, "--memory", "--port", str(port))
    assert line == f"port {port} is in use: choose another with --port"


def test_the_port_and_data_of_another_office_are_refused(tmp_path: Path, echo: str) -> None:
    """The first office goes on."""
    data = str(tmp_path / "data")
    with opened("--template", echo, "--data", data, "--workers", "1") as program:
        line = refused("--template", echo, "--memory", "--port", str(program.port))
        assert line == f"port {program.port} is in use: choose another with --port"
        line = refused("--template", echo, "--data", data, "--port", "0")
        assert line == f"the data folder {data} is in use by another ticket office (process {program.process.pid})"
        assert httpx.get(f"{program.url}/do/nothing").status_code == 200


@pytest.mark.parametrize(
    ("installer", "command"),
    [
        ("npm", "`npm ci`" if platform.machine() == "x86_64" else "`npm install --no-save dynoxide@1.2.1`"),
        ("brew", "`brew install nubo-db/tap/dynoxide`"),
        ("cargo", "`cargo install dynoxide-rs`"),
        ("nothing", "`docker run --rm -p 127.0.0.1:8000:8000 ghcr.io/nubo-db/dynoxide` and start with --endpoint"),
    ],
)
def test_a_missing_engine_is_reported_with_the_command_that_installs_it(
    elsewhere: Path, tmp_path: Path, installer: str, command: str
) -> None:
    """One line with one command, chosen by what the machine has."""
    _put(tmp_path / installer)
    line = refused("--port", "0", cwd=elsewhere, PATH=str(tmp_path))
    assert line.startswith(f"the database engine is missing: run {command}")
    assert line.endswith("or give --endpoint URL of another DynamoDB")


def test_npm_installs_the_locked_version_of_the_engine(elsewhere: Path) -> None:
    """The message for other machines and package.json agree."""
    [version] = json.loads((PROJECT / "package.json").read_text())["optionalDependencies"].values()
    assert f"dynoxide@{version}" in (elsewhere / "local" / "engine.py").read_text()


def test_make_goes_on_if_npm_has_no_engine(elsewhere: Path, tmp_path: Path) -> None:
    """As on a Mac, where `npm ci` installs nothing; the program then prints what to do."""
    _put(tmp_path / "npm")
    for name in ("Makefile", "package.json", "package-lock.json"):
        shutil.copy(PROJECT / name, elsewhere)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["make", "node_modules/.engine"], cwd=elsewhere, env=environment, check=True, timeout=30)
    assert not list(elsewhere.glob("node_modules/*/*"))


def _put(program: Path) -> None:
    """Make a program that does nothing."""
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)


def test_missing_packages_are_reported_with_how_to_get_them(elsewhere: Path) -> None:
    """The system's Python has none of them."""
    line = refused(cwd=elsewhere, options=("-S",))
    assert line.endswith("is not installed: `make run` installs it and starts the ticket office")


def test_a_corrupt_data_folder_is_refused(tmp_path: Path, echo: str) -> None:
    """A bad database, a bad checkpoint, a file in place of the folder."""
    data = tmp_path / "data"
    data.mkdir()
    for content in (b"this is no database " * 500, b"SQLite format 3\0" + b"\xff" * 5000):
        (data / "tickets.db").write_bytes(content)
        line = refused("--template", echo, "--data", str(data), "--port", "0")
        assert line.startswith(f"the data folder is corrupt: {data}/tickets.db: ")
    (data / "tickets.db").unlink()
    checkpoint = data / "checkpoints" / "PromoteFunction.json"
    checkpoint.write_text("{")
    line = refused("--data", str(data), "--port", "0")
    assert line.startswith(f"the data folder is corrupt: {checkpoint}: ")
    file = tmp_path / "file"
    file.write_text("")
    line = refused("--template", echo, "--data", str(file), "--port", "0")
    assert line.startswith(f"the data folder {file} cannot be used: ")


def test_a_damaged_page_of_the_database_is_noticed_before_the_start(tmp_path: Path) -> None:
    """The header of the file is intact."""
    with engine.running(tmp_path):
        pass
    database = bytearray((tmp_path / "tickets.db").read_bytes())
    if not database[4096 * 3 :]:
        pytest.fail("the database is too small for this test")
    database[4096 * 2 : 4096 * 3] = os.urandom(4096)
    (tmp_path / "tickets.db").write_bytes(database)
    assert "the data folder is corrupt" in refused("--data", str(tmp_path), "--port", "0")


def test_tables_that_differ_from_the_template_are_refused(tmp_path: Path, echo: str) -> None:
    """The data folder belongs to another template."""
    table = """
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: NAME, AttributeType: S}]
      KeySchema: [{AttributeName: NAME, KeyType: HASH}]
"""
    base = Path(echo).read_text()
    template = echo_template(tmp_path, template=base + table.replace("NAME", "one"))
    with opened("--template", template, "--data", str(tmp_path / "data"), "--workers", "1"):
        pass
    echo_template(tmp_path, template=base + table.replace("NAME", "other"))
    line = refused("--template", template, "--data", str(tmp_path / "data"), "--port", "0")
    assert line == "the table Things exists, but differs from template.yaml: use another data folder"


def test_a_handler_that_cannot_be_loaded_is_reported(tmp_path: Path) -> None:
    """The reason is the last line of the worker's log."""
    for handler, reason in (
        ("import nowhere", "EchoFunction: cannot import echo: No module named 'nowhere'"),
        ("", "EchoFunction: echo has no handler"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ):
        template = echo_template(tmp_path, handler)
        line = refused("--template", template, "--memory", "--workers", "1", "--port", "0")
        assert line == f"the worker-1 does not start: {reason}"


def test_a_rate_of_expiry_needs_a_schedule(echo: str) -> None:
    """The template of this test has none."""
    line = refused("--template", echo, "--memory", "--port", "0", "--expire-every", "1")
    assert line == "--expire-every needs a schedule of ExpireFunction, and the template has none"


def test_a_dynamodb_that_does_not_answer_is_reported() -> None:
    """So is an endpoint that is no URL."""
    template = str(PROJECT / "template.yaml")
    line = refused("--template", template, "--endpoint", f"http://127.0.0.1:{free_port()}", "--memory", "--port", "0")
    assert line.startswith("the database at http://127.0.0.1:")
    assert refused("--endpoint", "nonsense", "--memory", "--port", "0").startswith("--endpoint takes a URL")
    elsewhere = refused("--endpoint", "http://10.0.0.1:8000", "--memory", "--port", "0")
    assert elsewhere == "--endpoint takes https for a database on another machine, not http://10.0.0.1:8000"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "99999"], ["--workers", "0"], ["--port", "x"], ["--data", "a", "--memory"],
        ["--expire-every", "0"], ["--expire-every", "61"], ["--expire-every", "0.5"],
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    """The usage is printed."""
    result: Any = subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 2
    assert "usage: python -m local" in result.stderr
