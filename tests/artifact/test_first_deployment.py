"""docs/first-deployment.md, followed as a reader does: block by block, in one shell, as far as the emulator goes.

Then the stack that it leaves is used. What this shows and nothing else here does: that the template can be deployed as
a whole, that functions, layer, roles, routes, aliases and event source mapping find each other by the names
CloudFormation gives them, and that the functions work with the privileges of their roles.

What the page itself says that only AWS can do is left out. What the emulator does unlike AWS is not tested here:
- it has neither CodeDeploy nor alarms over several metrics: what is deployed is the template without them;
- it does not read the OpenAPI body of an HTTP API: routes and authorizer are made from it by the emulator's own calls;
- its event source mapping knows neither ReportBatchItemFailures nor OnFailure.
The artifacts are those that all tests share.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.deployment import stand_in
from local import intrinsics
from local.template import TEMPLATE
from shared.telemetry import Metric
from tests.artifact import emulator
from tests.artifact.emulator import ROOT, Deployed, Emulator, User
from tests.artifact.shell import Shell, shell
from tests.docs import pages
from tests.template.stack import deployed

PAGE, RUNBOOK = "docs/first-deployment.md", "docs/operations.md"
ONLY_AWS = "# AWS only\n"
PRINTED_MAX = 2_000  # characters of an output that a failure shows
ACCOUNT = re.compile(r"\b\d{12}\b")
PROD = {"Stage": "prod", "OrganiserClient": "true", "ShopClient": "true", "AlarmTopicArn": "arn:aws:sns:r:1:t"}
PROMOTE_S_MAX = 10
HEARD_S_MAX = 10
CONCERT = {"name": "The concert", "totalTickets": 1}

SCHEDULE = 'aws scheduler get-schedule --name "$(physical SweepFunctionSchedule)"'
DISABLE = f"""aws scheduler update-schedule --cli-input-json "$({SCHEDULE} --query '{{Name: Name, State: `"DISABLED"`,
  ScheduleExpression: ScheduleExpression, FlexibleTimeWindow: FlexibleTimeWindow, Target: Target}}')"
{SCHEDULE} --query State"""

pytestmark = pytest.mark.timeout(600)  # a build and four deployments, on a machine with other work


@dataclass(frozen=True)
class Step:
    """A block of the page, what the page says that it prints, and what it printed."""

    block: str
    expected: str
    output: str


@dataclass(frozen=True)
class Followed:
    """The steps that were followed, the shell afterwards, and the emulator with the stacks."""

    steps: list[Step]
    reader: Shell
    emulator: Emulator


@pytest.fixture(scope="module")
def followed(build: Path, architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """Paste the blocks of the page, and those of the runbook where the page asks for them."""
    folder = tmp_path_factory.mktemp("reader")
    [built] = re.findall(r'^build:.*\n.*\n\techo "(.+)"', (ROOT / "Makefile").read_text(), re.MULTILINE)
    with (
        emulator.running(tmp_path_factory.mktemp("emulator")) as aws,
        stand_in() as codedeploy,
        shell(aws, folder / "tickets", build, built.replace("$(ARCH)", "arm64")) as reader,
    ):
        template = emulator.without_what_it_lacks(build / "template.yaml", codedeploy.url)
        (folder / "tickets/.aws-sam/build/template.yaml").write_text(yaml.safe_dump(template))
        reader.paste(f"ARCH={architecture}")  # the page's is that of Lambda's cheaper machines
        yield Followed(list(_steps(aws, reader)), reader, aws)


def _steps(aws: Emulator, reader: Shell) -> Iterator[Step]:
    [functions] = [block for block in pages.blocks(RUNBOOK, "sh") if "deploy()" in block]
    for number, (block, expected) in enumerate(pages.steps(PAGE)):
        if block.startswith(ONLY_AWS):
            continue
        yield Step(block, expected, reader.paste(block))
        if number == 0:
            assert reader.paste(functions).strip() == ""
        if block.startswith("deploy OrganiserClient=true"):
            Deployed(aws, "tickets-dev").add_routes()


def test_each_block_prints_what_the_page_shows(followed: Followed) -> None:
    """In the page's order; the reader knows nothing else."""
    differs = []
    for step in followed.steps:
        expected, output = (ACCOUNT.sub("ACCOUNT", text) for text in (step.expected, step.output))
        if not pages.shows(expected, output):
            differs.append(f"{step.block}\nprinted\n{step.output[-PRINTED_MAX:]}")
    assert not differs, "\n".join(differs)


def test_no_block_fails(followed: Followed) -> None:
    """Also where the page shows no output."""
    wrong = re.compile(r"command not found|^Error|Traceback|An error occurred", re.MULTILINE)
    assert [f"{step.block}\n{step.output}" for step in followed.steps if wrong.search(step.output)] == []


@pytest.mark.parametrize(
    ("stack", "command", "printed"),
    [
        ("tickets", "stop SweepFunction", '"ReservedConcurrentExecutions": 0'),
        ("tickets", "start SweepFunction SweepConcurrency", '"ReservedConcurrentExecutions": 2'),
        ("tickets", "stream PromoteFunctionBookings --no-enabled", '"State": "Disabl...'),
        ("tickets", "stream PromoteFunctionBookings --enabled", '"State": "Enabl...'),
        (
            "tickets",
            f"{DISABLE}\nenable_schedule SweepFunctionSchedule\n{SCHEDULE} --query State",
            '"DISABLED"\n"ENABLED"',
        ),
        ("tickets-dev", "! roll_back BookFunction", "BookFunction has no version before 1"),
    ],
)
def test_the_runbooks_functions_do_their_work(followed: Followed, stack: str, command: str, printed: str) -> None:
    """At night, on a stack that is deployed: tests/operations/test_runbook.py looks only at what they ask for."""
    output = followed.reader.paste(f"STACK={stack}\n{command}")
    assert pages.shows(f"...{printed}...", output), output


def test_a_rehearsal_on_a_deployed_stack_ends_well(followed: Followed) -> None:
    """The page's command with a crowd of eight, which the emulator can take: tokens, report, and audit."""
    [(block, expected)] = [(block, shown) for block, shown in pages.steps(PAGE) if "make rehearsal" in block]
    small = block.replace("--tickets 500 --buyers 2000", "--tickets 5 --buyers 8 --opens-in 5")
    output = followed.reader.paste(f"STACK=tickets-dev\n{small}")
    masked = pages.masked(expected.replace("500 tickets, 2000 buyers, on sale in 15 s", "5 tickets, 8 buyers, ..."))
    assert pages.shows(masked, pages.masked(output)), output


def test_the_blocks_that_are_left_out_ask_for_what_the_emulator_lacks(followed: Followed) -> None:
    """Quotas, alarms that stop a deployment, and a crowd."""
    left_out = [block for block, _ in pages.steps(PAGE) if block.startswith(ONLY_AWS)]
    assert len(left_out) + len(followed.steps) == len(pages.steps(PAGE))
    only_there = ("service-quotas", "ring ALARM", "revert_drift", "ops preflight", "make rehearsal")
    assert [block for block in left_out if not any(one in block for one in only_there)] == []


def test_the_numbers_of_the_page_are_those_of_the_template() -> None:
    """What prod reserves, what remains, what watching costs, and how many resources there are, about."""
    text = pages.text(PAGE)
    parameters = intrinsics.read(TEMPLATE)["Parameters"]
    background = ("Promote", "Follow", "Announce", "Sweep", "Expire")
    reserved = sum(parameters[f"{name}Concurrency"]["Default"] for name in background)
    assert f"| {reserved + 100} or more |" in text
    assert f"`prod` reserves {reserved} for" in text
    assert f"\n{len(deployed().functions)} 2\n" in text
    assert f"\n1 1\n{len(deployed().functions) - 1} 2\n" in text
    watched = [json.dumps(alarm["Metrics"]) for alarm in deployed().of_type("AWS::CloudWatch::Alarm").values()]
    in_alarms, own = sum(one.count('"MetricStat"') + one.count("SELECT") for one in watched), len(Metric)
    assert f"{in_alarms} metrics in alarms at $0.10, {own} metrics of its own at $0.30" in " ".join(text.split())
    assert f"about ${0.1 * in_alarms + 0.3 * own + 3:.0f} a month" in " ".join(text.split())
    [rows] = re.findall(r"about (\d+) rows", text)
    without = [one for one in deployed().resources.values() if "Condition" not in one]
    assert abs(int(rows) - len(without)) < 15


# ---------------------------------------------------------------- the stack, in use


@pytest.fixture(scope="module")
def stack(followed: Followed) -> Deployed:
    """Return the office that the page deployed first."""
    return Deployed(followed.emulator, "tickets-dev")


@pytest.fixture(scope="module")
def olga(stack: Deployed) -> User:
    """Return an organiser."""
    return stack.sign_up("olga@example.org", group="organiser")


@pytest.fixture(scope="module")
def anna(stack: Deployed) -> User:
    """Return a buyer."""
    return stack.sign_up("anna@example.org")


@pytest.fixture(scope="module")
def ben(stack: Deployed) -> User:
    """Return another buyer."""
    return stack.sign_up("ben@example.org")


@pytest.fixture
def event_id(stack: Deployed, olga: User) -> str:
    """Return an event with one ticket."""
    opened = stack.ask("POST", "/initialize", CONCERT, olga)
    assert opened.status_code == 201, opened.text
    return str(opened.json()["eventId"])


def _book(stack: Deployed, event_id: str, user: User) -> tuple[int, dict[str, Any]]:
    answer = stack.ask("POST", "/book", {"userId": user.user_id, "eventId": event_id}, user)
    return answer.status_code, answer.json()


def _status(stack: Deployed, event_id: str, user: User) -> dict[str, Any]:
    status: dict[str, Any] = stack.ask("GET", f"/status/{event_id}?userId={user.user_id}", user=user).json()
    return status


def test_the_stream_gives_a_cancelled_ticket_to_the_first_in_line(
    stack: Deployed, event_id: str, anna: User, ben: User
) -> None:
    """P1, P3, P6: only the event source mapping calls the promoter."""
    confirmed, booking = _book(stack, event_id, anna)
    assert (confirmed, booking["status"]) == (201, "CONFIRMED")
    waiting, place = _book(stack, event_id, ben)
    assert (waiting, place["status"], place["position"]) == (202, "WAITING", 1)
    assert _status(stack, event_id, ben)["waitingListCount"] == 1

    cancelled = stack.ask("POST", "/cancel", {"userId": anna.user_id, "eventId": event_id}, anna)
    assert (cancelled.status_code, cancelled.json()["was"]) == (200, "CONFIRMED")

    until = time.monotonic() + PROMOTE_S_MAX
    while (status := _status(stack, event_id, ben))["waitingListCount"]:  # counts may be a second old
        assert time.monotonic() < until, stack.emulator.log.read_text()
        time.sleep(0.1)
    assert (status["booking"]["status"], status["booking"]["bookingId"]) == ("CONFIRMED", place["bookingId"])
    assert (status["availableTickets"], status["bookedTickets"]) == (0, 1)


def test_the_lists_show_bookings_and_waiting_users(
    stack: Deployed, event_id: str, olga: User, anna: User, ben: User
) -> None:
    """Through the deployed indexes, routes and roles. A page of one row leads to the next."""
    _, booking = _book(stack, event_id, anna)
    _, place = _book(stack, event_id, ben)
    mine = stack.ask("GET", f"/bookings?userId={ben.user_id}&limit=1", user=ben).json()["bookings"]
    assert mine == [place | {"eventName": CONCERT["name"]}]
    [newest] = stack.ask("GET", "/events?limit=1", user=olga).json()["events"]
    assert newest["eventId"] == event_id
    booked = stack.ask("GET", newest["links"]["bookings"] + "?status=CONFIRMED", user=olga).json()["bookings"]
    assert [one["bookingId"] for one in booked] == [booking["bookingId"]]
    waiting = stack.ask("GET", newest["links"]["waitingList"], user=olga).json()
    assert waiting == {"entries": [place], "nextCursor": None}
    page = stack.ask("GET", newest["links"]["bookings"] + "?limit=1", user=olga).json()
    following = f"{newest['links']['bookings']}?limit=1&cursor={page['nextCursor']}"
    rows = page["bookings"] + stack.ask("GET", following, user=olga).json()["bookings"]
    assert {one["userId"] for one in rows} == {anna.user_id, ben.user_id}
    refused = stack.ask("GET", newest["links"]["bookings"], user=anna)
    assert (refused.status_code, refused.json()["code"]) == (403, "organisers-only")


def test_the_deployed_office_follows_the_contract(stack: Deployed, event_id: str, anna: User) -> None:
    """P7, and the errors: API Gateway's payloads are what the functions expect."""
    _, first = _book(stack, event_id, anna)
    assert _book(stack, event_id, anna) == (200, first)
    unknown = stack.ask("GET", "/status/nowhere", user=anna)
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")
    assert stack.ask("POST", "/book", {"userId": anna.user_id}, anna).status_code == 422


def test_only_tokens_of_the_user_pool_are_accepted(stack: Deployed, event_id: str, anna: User, ben: User) -> None:
    """The tokens are Cognito's, and the functions get their claims as API Gateway writes them."""
    booking = {"userId": anna.user_id, "eventId": event_id}
    assert stack.ask("POST", "/book", booking).status_code == 401
    assert stack.ask("GET", f"/status/{event_id}").status_code == 401
    assert stack.ask("POST", "/book", booking, User("anna", f"{anna.token}x")).status_code == 401
    refused = stack.ask("POST", "/book", booking, ben)
    assert (refused.status_code, refused.json()["code"]) == (403, "not-your-booking")
    refused = stack.ask("POST", "/initialize", CONCERT, anna)
    assert (refused.status_code, refused.json()["code"]) == (403, "organisers-only")
    assert _status(stack, event_id, anna)["availableTickets"] == 1


def test_a_rule_on_the_stacks_bus_gets_a_booking(stack: Deployed, event_id: str, anna: User) -> None:
    """From the table's stream to the target of a rule, with the role that the function has on AWS."""
    events, sqs = stack.emulator.client("events"), stack.emulator.client("sqs")
    queue = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = stack.outputs()["EventBus"]
    pattern = json.dumps({"detail-type": ["booking.confirmed"], "detail": {"data": {"eventId": [event_id]}}})
    events.put_rule(Name="confirmed", EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule="confirmed", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    _, booking = _book(stack, event_id, anna)

    [message] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=HEARD_S_MAX)["Messages"]
    heard = json.loads(message["Body"])["detail"]
    assert (heard["id"], heard["source"]) == (
        f"booking.confirmed:{booking['bookingId']}",
        f"/ticket-office/{stack.name}",
    )


def test_the_description_of_the_api_is_public(stack: Deployed) -> None:
    """Without a token, from the artifact and the layer: Swagger UI's files are in it, and those of the page."""
    described = stack.ask("GET", "/openapi.json")
    assert (described.status_code, described.json()["openapi"]) == (200, "3.1.0")
    page = stack.ask("GET", "/docs")
    assert page.status_code == 200
    assert "SwaggerUIBundle" in page.text
    files = re.findall(r'"(web/[^"]+)"', stack.ask("GET", "/").text)
    assert len(files) > 5
    assert {stack.ask("GET", f"/{file}").status_code for file in files} == {200}


def test_the_sweep_runs_as_deployed(stack: Deployed, event_id: str, anna: User, ben: User) -> None:
    """P6: its role, table names and index are right. AWS keeps the schedule."""
    _book(stack, event_id, anna)
    _book(stack, event_id, ben)
    answer = stack.emulator.client("lambda").invoke(FunctionName=stack.physical_id("SweepFunction"))
    assert "FunctionError" not in answer
    assert json.loads(answer["Payload"].read())["swept"] >= 1


def test_the_check_of_a_deployment_passes(stack: Deployed) -> None:
    """P6: through the aliases and with its role on AWS. It waits until the stream has called the promoter."""
    payload = (emulator.ROOT / "events" / "check.json").read_bytes()
    answer = stack.emulator.client("lambda").invoke(FunctionName=stack.physical_id("CheckFunction"), Payload=payload)
    assert json.loads(answer["Payload"].read()) == {"wrong": None}


def test_every_resource_of_the_template_is_there(followed: Followed) -> None:
    """Nothing was left out or has failed, of what the page's parameters for prod ask for."""
    prod = Deployed(followed.emulator, "tickets")
    resources, template = prod.resources(), prod.template()
    assert {resource["ResourceStatus"] for resource in resources.values()} == {"CREATE_COMPLETE"}
    values = intrinsics.Values(intrinsics.read(TEMPLATE), PROD)
    assert resources.keys() == {
        name
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or values.holds(resource["Condition"], name)
    }


def test_a_function_can_do_only_what_its_role_allows(stack: Deployed, event_id: str, anna: User) -> None:
    """The control of all of the above: the emulator refuses what a role does not allow."""
    iam, role = stack.emulator.client("iam"), stack.physical_id("StatusFunctionRole")
    (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    assert stack.ask("GET", f"/status/{event_id}", user=anna).status_code == 200
    iam.delete_role_policy(RoleName=role, PolicyName=policy)
    try:
        time.sleep(1.5)  # seconds: a function may still have the counts
        assert stack.ask("GET", f"/status/{event_id}", user=anna).status_code == 500
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))
    assert stack.ask("GET", f"/status/{event_id}", user=anna).status_code == 200
