"""With tracing on, the X-Ray daemon receives a subsegment for each request to the database."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.running import free_port
from harness.watching import template
from shared.store import items
from shared.store.aws_client import NoResponse, RequestFailed
from shared.store.tracing import Traced

ROOT = "1-68000000-0123456789abcdef01234567"
PARENT = "53995c3f42cd8ad8"

Received = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    """Stand in for the daemon in a sampled invocation; return what it has received."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.setblocking(False)
        monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", f"127.0.0.1:{daemon.getsockname()[1]}")
        monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={ROOT};Parent={PARENT};Sampled=1")

        def read() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            while True:
                try:
                    datagram = daemon.recv(65_536)
                except BlockingIOError:
                    return found
                header, _, document = datagram.partition(b"\n")
                assert json.loads(header) == {"format": "json", "version": 1}
                found.append(json.loads(document))

        yield read


def _reads(table: str = items.EVENTS) -> None:
    client = Traced.of_environment()
    try:
        client.call("GetItem", {"TableName": table, "Key": items.event_key("nowhere")})
    finally:
        client.connection.close()


def test_a_request_is_a_subsegment_of_the_invocation(received: Received) -> None:
    """Trace and parent are Lambda's; X-Ray draws DynamoDB from the rest."""
    _reads()
    [subsegment] = received()
    assert (subsegment["trace_id"], subsegment["parent_id"]) == (ROOT, PARENT)
    assert (subsegment["type"], subsegment["namespace"], subsegment["name"]) == ("subsegment", "aws", "DynamoDB")
    assert (subsegment["aws"], subsegment["http"]) == ({"operation": "GetItem"}, {"response": {"status": 200}})
    assert re.fullmatch("[0-9a-f]{16}", subsegment["id"])
    assert 0 < subsegment["end_time"] - subsegment["start_time"] < 5
    assert not {"error", "fault"} & subsegment.keys()


def test_a_refusal_is_an_error_and_a_missing_answer_is_a_fault(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X-Ray distinguishes our errors from the database's."""
    with pytest.raises(RequestFailed):
        _reads("nowhere")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NoResponse):
        _reads()
    refused, unanswered = received()
    assert (refused["error"], unanswered["fault"]) == (True, True)
    assert unanswered["aws"] == {"operation": "GetItem"}


def test_an_invocation_that_is_not_sampled_sends_nothing(received: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    """X-Ray bills what it receives."""
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={ROOT};Parent={PARENT};Sampled=0")
    _reads()
    assert received() == []


def test_a_missing_daemon_is_ignored(received: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none on one machine."""
    monkeypatch.delenv("AWS_XRAY_DAEMON_ADDRESS")
    _reads()
    assert received() == []


def test_one_parameter_switches_lambdas_segments_and_our_subsegments() -> None:
    """With Active, Lambda creates the segments that ours belong to, and SAM adds the privilege."""
    parameter, settings = template()["Parameters"]["Tracing"], template()["Globals"]["Function"]
    assert (parameter["AllowedValues"], parameter["Default"]) == (["Active", "Disabled"], "Disabled")
    assert settings["Tracing"] == settings["Environment"]["Variables"]["TRACING"] == {"Ref": "Tracing"}


def test_tracing_leaves_no_socket_open(received: Received) -> None:
    """Python reports sockets that are open when the process ends."""
    program = """
import sys
sys.path.insert(0, ".")
from tests.operations.test_tracing import _reads
_reads()
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    assert len(received()) == 1
