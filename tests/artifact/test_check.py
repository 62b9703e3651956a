"""The check of a deployment finds mistakes, leaves nothing behind, and reports to CodeDeploy.

What it says of an office in order is in test_events.py (its policy, too) and test_first_deployment.py.
"""

import importlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from functions.check import app
from functions.check import aws as client
from harness import promises
from harness.deployment import StandIn, stand_in
from harness.gateway import Context
from local.template import load

BUDGET_S = 2.5  # the check waits until a status is as it should be, which takes a second
EXECUTION = "execution-1"
PAYLOAD = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": EXECUTION}
DISTURBED = "DISTURBED"

Response = dict[str, Any]
Disturbance = Callable[[str, dict[str, Any], Response], Response]


class Office:
    """The functions of the office in this process, and what disturbs them."""

    def __init__(self) -> None:
        self.disturb: Disturbance = lambda _name, _request, answer: answer
        self.promotes = True
        self.event_id = ""

    def invoke(self, name: str, request: dict[str, Any]) -> Response:
        """Answer as a function; after a cancellation the promoter comes, as by the stream."""
        module = importlib.import_module(load().functions[name].handler.rpartition(".")[0])
        answer: Response = module.handler(request, Context())
        if name == "InitializeFunction":
            self.event_id = json.loads(answer["body"])["eventId"]
        if name == "CancelFunction" and self.promotes:
            keys = {"laneId": {"S": f"{self.event_id}#0"}}
            promoter = importlib.import_module("functions.promote.app")
            promoter.handler({"Records": [{"dynamodb": {"Keys": keys, "SequenceNumber": "1"}}]}, Context())
        return self.disturb(name, request, answer)


@pytest.fixture(scope="module")
def amazon() -> Iterator[tuple[StandIn, list[Office]]]:
    """Yield CodeDeploy and Lambda, and the office behind Lambda. The check's clients are made once: that takes long."""
    behind: list[Office] = []

    def invoke(name: str, request: dict[str, Any]) -> Response:
        return behind[-1].invoke(name, request)

    with stand_in(invoke) as aws, pytest.MonkeyPatch.context() as patch:
        environment = load().functions["CheckFunction"].environment
        endpoints = {f"AWS_ENDPOINT_URL_{service}": aws.url for service in ("LAMBDA", "CODEDEPLOY")}
        for name, value in {**environment, **endpoints}.items():
            patch.setenv(name, value)
        vars(client)["_client"].cache_clear()  # the next ones find this address
        yield aws, behind
        vars(client)["_client"].cache_clear()


@pytest.fixture
def deployed_office(amazon: tuple[StandIn, list[Office]]) -> Office:
    """Return a working office, which is now the one behind Lambda."""
    _, behind = amazon
    behind.append(Office())
    return behind[-1]


@pytest.fixture
def aws(amazon: tuple[StandIn, list[Office]], deployed_office: Office) -> StandIn:
    """Return CodeDeploy, which was told nothing yet."""
    aws, _ = amazon
    aws.told.clear()
    return aws


def _check(time_left_s: float = 25) -> str | None:
    wrong: str | None = app.handler(PAYLOAD, Context(time_left_s))["wrong"]
    return wrong


def _instead(at: str, body: str, status: int, changed: Response) -> Disturbance:
    """Return a disturbance: one function answers otherwise when the request or its answer holds a text."""

    def disturb(name: str, request: dict[str, Any], answer: Response) -> Response:
        if name != at or body not in json.dumps(request) + answer["body"]:
            return answer
        return {"statusCode": status, "body": json.dumps(json.loads(answer["body"]) | changed)}

    return disturb


@pytest.mark.parametrize(
    ("disturbance", "found"),
    [
        (_instead("InitializeFunction", "", 500, {}), "POST /initialize returned 500"),
        (_instead("BookFunction", "check-1", 500, {}), "POST /book returned 500"),
        (_instead("BookFunction", "check-1", 201, {"status": "WAITING"}), "CONFIRMED"),
        (_instead("BookFunction", "check-2", 201, {"status": "CONFIRMED"}), "POST /book returned 201, not [202]"),  # P1
        (_instead("BookFunction", "check-2", 202, {"position": 2}), "position"),
        (_instead("StatusFunction", "", 200, {"availableTickets": 1}), "availableTickets"),
        (_instead("StatusFunction", "", 200, {"waitingListCount": 0}), "waitingListCount"),
        (_instead("StatusFunction", "CONFIRMED", 404, {}), "returned 404"),
        (_instead("CancelFunction", "CANCELLED", 200, {"was": "WAITING"}), "was"),
        (_instead("CancelFunction", "CANCELLED", 503, {}), "503 until the time was up"),
    ],
)
def test_a_wrong_response_fails_the_deployment(
    aws: StandIn, deployed_office: Office, disturbance: Disturbance, found: str
) -> None:
    """P1, P3, P6, P7: the check verifies each response."""
    deployed_office.disturb = disturbance
    wrong = _check(10 + BUDGET_S)
    assert wrong is not None
    assert found in wrong
    assert aws.told == [(EXECUTION, "Failed")]


def test_a_promoter_that_never_runs_fails_the_deployment(aws: StandIn, deployed_office: Office) -> None:
    """P6: the check waits for the stream, for a bounded time. The next check removes what this one left."""
    deployed_office.promotes = False
    assert "was not promoted" in str(_check(10 + BUDGET_S))
    deployed_office.promotes = True
    assert _check() is None
    assert [status for _, status in aws.told] == ["Failed", "Succeeded"]


def test_a_function_that_dies_fails_the_deployment(aws: StandIn, deployed_office: Office) -> None:
    """CodeDeploy always gets a report; without one it would wait for an hour."""

    def die(*_: Any) -> Response:
        return {"errorMessage": "no statusCode here"}

    deployed_office.disturb = die
    assert "KeyError" in str(_check())
    assert aws.told == [(EXECUTION, "Failed")]


def test_try_again_is_no_failure(aws: StandIn, deployed_office: Office) -> None:
    """P7: the check retries after 503, as a client would."""
    refused: list[str] = []

    def busy(name: str, _request: dict[str, Any], answer: Response) -> Response:
        if name in refused:
            return answer
        refused.append(name)
        return {"statusCode": 503, "body": "{}"}

    deployed_office.disturb = busy
    assert _check() is None
    assert set(refused) == {"InitializeFunction", "CancelFunction", "BookFunction", "StatusFunction"}


def test_the_check_leaves_the_ticket_and_the_list_as_they_were(
    aws: StandIn, deployed_office: Office, database: Any
) -> None:
    """After any number of runs: one event per deployment group, its ticket free, no waiting user, two bookings."""
    for _ in range(3):
        assert _check() is None
    found = promises.read(database, deployed_office.event_id)
    assert promises.violations(found, drained=True) == []
    assert (found.tickets_left, found.waiting, len(found.bookings)) == (1, [], 2)
