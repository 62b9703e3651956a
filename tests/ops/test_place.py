"""The commands find the office on AWS and on this machine, or say in one line why not."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from harness.office import Event
from harness.running import free_port
from local import folder
from local.database import Database
from local.template import load
from ops import program
from tests.local.programs import opened, post
from tests.ops.aws import BUCKET, STACK, stack
from tests.ops.commands import PROJECT, Commands, Done, announced, ops

NO_AWS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

PROFILE = """
[default]
region = eu-west-3
services = of-the-tests
[services of-the-tests]
dynamodb =
  endpoint_url = {endpoint}
"""

# Runs a command beside a stack of the tests whose tables have names of their own, as on AWS. Where they are, only the
# user's profile tells.
ON_A_STACK = """
import json, os, sys
from ops import program
from tests.ops.aws import stack
tables, *arguments = sys.argv[1:]
with stack(json.loads(tables)):
    del os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    sys.exit(program.run(arguments))
"""


def aws(capsys: pytest.CaptureFixture[str]) -> Commands:
    """Return commands on the stack."""
    return Commands(("--stack", STACK), capsys)


def test_tables_region_and_endpoint_are_set_before_shared_is_imported(database: Any, tmp_path: Path) -> None:
    """CloudFormation generated the tables' names; region and endpoint may be in the user's profile."""
    tables = {}
    for table in load().tables:
        tables[table.name] = f"tickets-{table.name}-1ABCDEF"
        database.create_table(**{**table.arguments, "TableName": tables[table.name]})
    item = {"eventId": {"S": "there"}, "name": {"S": "Only there"}, "totalTickets": {"N": "1"}, "lanes": {"N": "1"}}
    item |= {"stripes": {"N": "1"}, "createdAt": {"S": "x"}, "requestFingerprint": {"S": "x"}, "revision": {"N": "0"}}
    item |= {"ticketsInLanes": {"N": "1"}, "steps": {"N": "0"}}
    database.put_item(TableName=tables["EventsTable"], Item=item)
    numbers = {"tickets": 1, "available": 1, "waiting": 0, "changes": 0, "revision": 0}
    lane = {"laneId": {"S": "there#0"}, **{name: {"N": str(value)} for name, value in numbers.items()}}
    database.put_item(TableName=tables["LanesTable"], Item=lane)
    command = [sys.executable, "-c", ON_A_STACK, json.dumps(tables), "audit", "there", "--stack", STACK]
    # As a user's shell: nothing of the office is in it.
    environment = {
        name: value for name, value in os.environ.items() if not name.endswith(("_TABLE", "_INDEX", "_REGION"))
    }
    profile = tmp_path / "config"
    profile.write_text(PROFILE.format(endpoint=os.environ["AWS_ENDPOINT_URL_DYNAMODB"]))
    environment["AWS_CONFIG_FILE"] = str(profile)
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("there Only there\nP1 holds   1 left + 0 confirmed + 0 held, of 1")


def test_an_unknown_stack_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With the given name."""
    with stack():
        done = Commands(("--stack", "other"), capsys)("redrive")
    assert (done.code, done.out, done.err) == (2, "", "there is no stack other in this account and region\n")


def test_a_stack_that_is_no_ticket_office_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """It has other outputs."""
    with stack():
        make: Any = boto3.client
        make("cloudformation").create_stack(
            StackName="other", TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
        )
        done = Commands(("--stack", "other"), capsys)("redrive")
    assert (done.code, done.err) == (2, "the stack other is no ticket office: it has no output BookingsTable\n")


def test_a_bucket_that_is_gone_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """In AWS's words."""
    with stack() as s3:
        s3.delete_bucket(Bucket=BUCKET)
        done = aws(capsys)("redrive")
    assert done.code == 2
    assert done.err.startswith("AWS refused: An error occurred (NoSuchBucket)")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        (
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            "no AWS credentials: set AWS_PROFILE, log in as usual, or use --local\n",
        ),
        (("AWS_DEFAULT_REGION",), "no AWS region: set AWS_DEFAULT_REGION, or use --local\n"),
    ],
)
def test_missing_credentials_or_region_are_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: tuple[str, ...], line: str
) -> None:
    """The line says what to do."""
    for name in missing:
        monkeypatch.delenv(name)
    for name, value in NO_AWS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    done = aws(capsys)("audit", "x")
    assert (done.code, done.out, done.err) == (2, "", line)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def test_an_aws_that_does_not_answer_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no network, or a proxy refuses."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    done = aws(capsys)("audit", "x")
    assert done.code == 2
    assert done.err.startswith("no connection to AWS: Could not connect to the endpoint URL")
    assert done.err.count("\n") == 1


def test_a_running_and_a_stopped_office_give_the_same_result(tmp_path: Path) -> None:
    """A running one is used through its own engine. The folder is free afterwards."""
    data = tmp_path / "data"
    where = ("--local", "--data", str(data))
    with opened("--data", str(data), "--workers", "1") as office:
        event_id = post(office, "/initialize", name="Concert", totalTickets=1).json()["eventId"]
        post(office, "/book", userId="ada", eventId=event_id)
        running = ops("audit", event_id, *where)
        assert (running.code, running.err) == (0, "")
        told = ops("history", event_id, "ada", *where).lines
        assert told[-1].split()[-2] == "BookingConfirmed"  # from the log of the worker
        assert post(office, "/book", userId="bob", eventId=event_id).json()["status"] == "WAITING"
        office.interrupt()
    stopped = ops("audit", event_id, *where)
    assert (stopped.code, stopped.err) == (0, "")
    assert stopped.lines[1] == running.lines[1]
    with folder.opened(data):
        pass  # it is not in use


def test_an_office_on_another_database_is_found_while_it_runs(
    sold_out: Event, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m local --endpoint` has its tables elsewhere, and says where as long as it runs."""
    local = Commands(("--local", "--data", str(tmp_path / "data")), capsys)
    with folder.opened(tmp_path / "data") as held:
        held.announce(Database.at(os.environ["AWS_ENDPOINT_URL_DYNAMODB"]).announcement)
        assert local("audit", sold_out.event_id).code == 0
    done = local("audit", sold_out.event_id)
    assert done.code == 2
    assert done.err == f"the ticket office of {tmp_path}/data is not running, and its tables are elsewhere\n"


def test_a_folder_of_a_program_that_is_still_starting_is_reported_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the process that uses it."""
    with folder.opened(tmp_path / "data"):
        done = Commands(("--local", "--data", str(tmp_path / "data")), capsys)("audit", "x")
    assert done.code == 2
    expected = f"the data folder {tmp_path}/data is in use by another ticket office (process {os.getpid()}), which is "
    assert done.err == f"{expected}starting or stopping: try again\n"


def test_an_announcement_ends_with_its_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An old announcement is not taken for one of the next program."""
    with announced(tmp_path / "data", engine="http://127.0.0.1:1"):
        pass
    test_a_folder_of_a_program_that_is_still_starting_is_reported_in_one_line(tmp_path, capsys)


def test_a_missing_folder_is_reported_in_one_line_and_not_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing error must not create an empty office."""
    done = Commands(("--local", "--data", str(tmp_path / "slip")), capsys)("redrive")
    expected = f"{tmp_path}/slip is no data folder of a ticket office: name it with --data DIR\n"
    assert (done.code, done.err) == (2, expected)
    assert not (tmp_path / "slip").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "python -m ops: the following arguments are required: COMMAND"),
        (("audit", "--local"), "python -m ops audit: the following arguments are required: EVENT"),
        (("audit", "x"), "python -m ops audit: one of the arguments --stack --local is required"),
        (("audit", "x", "--local", "--stack", "y"), "python -m ops audit: argument --stack: not allowed with"),
        (("audit", "x", "--stack", "y", "--data", "z"), "python -m ops: --data goes with --local"),
        (("audit", "", "--local"), "python -m ops audit: argument EVENT: an id has 1 to 128 characters"),
        (("history", "x", "u" * 129, "--local"), "python -m ops history: argument USER: an id has 1 to 128 characters"),
        (("export", "x", "--local", "--only", "z"), "python -m ops export: argument --only: invalid choice"),
        (("audit", "x", "--local", "--dry-run"), "python -m ops: unrecognized arguments: --dry-run"),
    ],
)
def test_wrong_use_is_reported_in_one_line(
    arguments: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any request is sent."""
    with pytest.raises(SystemExit) as stopped:
        program.run(arguments)
    told = capsys.readouterr().err
    assert stopped.value.code == 2
    assert told.startswith(line)
    assert told.endswith("; see --help\n")
    assert told.count("\n") == 1


def test_missing_packages_are_reported_in_one_line_with_how_to_get_them(tmp_path: Path) -> None:
    """The system's Python has none of them."""
    for package in ("local", "ops"):
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    done = ops(options=("-S",), cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith("is not installed: `make run` installs what is needed into .venv\n")


def test_a_signal_stops_a_command_with_one_line(sold_out: Event, data: Path) -> None:
    """The line says that a repetition is safe."""
    command = [sys.executable, "-m", "ops", "audit", sold_out.event_id, "--local", "--data", str(data)]
    sold_out.cancels("user-0")  # so that it waits for the promoter
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2.5)
        process.send_signal(signal.SIGTERM)  # Ctrl-C is handled in the same way
        out, err = process.communicate(timeout=10)
    assert Done(process.returncode, out, err) == Done(130, "", "\nStopped. It is safe to run the same command again.\n")
    sold_out.promotes()
