"""Schemathesis generates requests from the description, and every response is one that is described.

What is as described is taken, what is not is refused, and nothing is answered with 500. The seed is fixed: a failure
is found again, and a run never waits for luck.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.running import PROJECT, RunningOffice, running
from local import issuer
from openapi.document import operations
from tests.description.reading import FILE, document

OF_OPEN = FILE.with_name("openapi-open.json")
SEED, EXAMPLES_MAX = "1", "50"
ALL, COVERAGE = "examples,coverage,fuzzing", "examples,coverage"
RUN_S_MAX = 270  # it takes about 50 on two idle processors
# API Gateway answers 404 where a path has no such method; Schemathesis wants 405.
NOT_CHECKED = ["unsupported_method"]
# No schema says that a key was used with another body before, or which cursor or ETag another response had.
NOT_MADE_UP = {"Idempotency-Key", "If-Match", "cursor"}

pytestmark = pytest.mark.timeout(300)


def _run(
    office: RunningOffice, folder: Path, description: Any, *options: str, phases: str = COVERAGE
) -> subprocess.CompletedProcess[str]:
    """Run Schemathesis against an office, with a description that may not be its own."""
    file = folder / "openapi.json"
    file.write_text(json.dumps(description), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", str(file), "--url", office.url]
    command += ["--seed", SEED, "--max-examples", EXAMPLES_MAX, "--phases", phases]
    command += ["--checks", "all", "--exclude-checks", ",".join(NOT_CHECKED), "--request-timeout", "20", "--no-color"]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.description.hooks", "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        [*command, *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )


def _described(file: Path) -> Any:
    """Return a description without the parameters that Schemathesis cannot generate."""
    description = json.loads(file.read_text(encoding="utf-8"))
    for operation in operations(description).values():
        operation["parameters"] = [one for one in operation.get("parameters", ()) if one["name"] not in NOT_MADE_UP]
    return description


def _what_came(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout[-8000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def office() -> Any:
    """Yield an open office."""
    with running(None, 1) as office:
        yield office


def test_an_open_office_matches_its_description(office: RunningOffice, tmp_path: Path) -> None:
    """It opens events, books, cancels and looks, as anybody."""
    done = _run(office, tmp_path, _described(OF_OPEN), phases=ALL)
    assert done.returncode == 0, _what_came(done)
    assert f"Tested: {len(operations(document()))}" in done.stdout


def test_an_office_that_requires_tokens_matches_its_description(tmp_path: Path) -> None:
    """As an organiser, and without a token or with a bad one, which is refused. Bodies are the open office's."""
    with running(tmp_path / "data", 1, "--auth") as office:
        token = issuer.token(tmp_path / "data" / issuer.FILE, {"sub": "anna", "cognito:groups": ["organiser"]})
        description = _described(FILE)
        done = _run(office, tmp_path, description, "--header", f"Authorization: Bearer {token}")
    assert done.returncode == 0, _what_came(done)


def _longer_names(description: Any) -> None:
    description["components"]["schemas"]["InitializeRequest"]["properties"]["name"]["maxLength"] += 100


def _fewer_tickets(description: Any) -> None:
    description["components"]["schemas"]["InitializeRequest"]["properties"]["totalTickets"]["maximum"] -= 1


def _no_422(description: Any) -> None:
    del operations(description)["POST /book"]["responses"]["422"]


def _count_as_text(description: Any) -> None:
    description["components"]["schemas"]["EventResponse"]["properties"]["bookedTickets"]["type"] = "string"


def _no_need_to_name_anything(description: Any) -> None:
    del description["components"]["schemas"]["ChangeRequest"]["minProperties"]


def _any_text_for_a_time(description: Any) -> None:
    for kind in description["components"]["schemas"]["ChangeRequest"]["properties"]["opensAt"]["anyOf"]:
        kind.pop("pattern", None)
        kind.pop("format", None)


def _longer_pages(description: Any) -> None:
    [limit] = [one for one in operations(description)["GET /bookings"]["parameters"] if one["name"] == "limit"]
    limit["schema"]["maximum"] += 1


def _one_more_status(description: Any) -> None:
    description["components"]["schemas"]["Status"]["enum"].append("BOOKED")


DRIFTS = (  # by operation; each group is one run
    {
        "POST /initialize": _longer_names,
        "PATCH /events/{eventId}": _no_need_to_name_anything,
        "GET /bookings": _longer_pages,
        "GET /events/{eventId}/bookings": _one_more_status,
    },
    {"POST /initialize": _fewer_tickets, "PATCH /events/{eventId}": _any_text_for_a_time},
    {"POST /initialize": _count_as_text, "POST /book": _no_422},
)


@pytest.mark.parametrize("drifts", DRIFTS, ids=lambda drifts: " and ".join(one.__name__ for one in drifts.values()))
def test_a_description_that_drifts_is_detected(office: RunningOffice, drifts: dict[str, Any], tmp_path: Path) -> None:
    """The control of the tests above: these bounds, responses and types are not the office's."""
    description = _described(OF_OPEN)
    for drift in drifts.values():
        drift(description)
    paths = [option for operation in drifts for option in ("--include-path", operation.partition(" ")[2])]
    done = _run(office, tmp_path, description, *paths)
    assert done.returncode == 1, _what_came(done)
    _, _, failures = done.stdout.partition("FAILURES")
    failed = set(re.findall(r"^_+ (\S+ \S+) _+$", failures, re.MULTILINE))
    assert failed >= drifts.keys(), _what_came(done)
