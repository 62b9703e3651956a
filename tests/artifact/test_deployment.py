"""The built artifacts, deployed with `sam deploy` into an emulator of AWS, and used.

What this shows and nothing else here does: that the template can be deployed as a whole, that functions, layer,
roles, routes, aliases and event source mapping find each other by the names CloudFormation gives them, and that the
functions work with the privileges of their roles. What the emulator does unlike AWS is not tested here:
- it has neither CodeDeploy nor alarms over several metrics: what is deployed is the template without them;
- it does not read the OpenAPI body of an HTTP API: routes and authorizer are made from it by the emulator's own calls;
- its event source mapping knows neither ReportBatchItemFailures nor OnFailure.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.deployment import stand_in
from local import intrinsics
from local.template import TEMPLATE
from tests.artifact import emulator
from tests.artifact.emulator import Deployed, User

PROMOTE_S_MAX = 10
HEARD_S_MAX = 10
PARAMETERS = {"OrganiserClient": "true"}  # no webhook: the emulator has no API destinations
CONCERT = {"name": "The concert", "totalTickets": 1}

pytestmark = pytest.mark.timeout(180)  # the first test waits for the build and the deployment, some 25 s


@pytest.fixture(scope="module")
def stack(build: Path, architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Yield the office as it was deployed."""
    with emulator.running(tmp_path_factory.mktemp("emulator")) as aws, stand_in() as codedeploy:
        template = build.with_name("emulator.yaml")  # beside the build, for SAM finds the artifacts from there
        template.write_text(yaml.safe_dump(_built(build / "template.yaml", codedeploy.url)))
        deployed = aws.deploy(template, "office", Architecture=architecture, **PARAMETERS)
        deployed.add_routes()
        yield deployed


def _built(path: Path, codedeploy: str) -> dict[str, Any]:
    """Read the built template for the emulator, with artifacts named from its folder's parent."""
    template = emulator.without_what_it_lacks(path, codedeploy)
    for resource in template["Resources"].values():
        for code in {"CodeUri", "ContentUri"} & resource["Properties"].keys():
            resource["Properties"][code] = f"{path.parent.name}/{resource['Properties'][code]}"
    return template


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
    while (status := _status(stack, event_id, ben))["booking"]["status"] != "CONFIRMED":
        assert time.monotonic() < until, stack.emulator.log.read_text()
        time.sleep(0.1)
    assert status["booking"]["bookingId"] == place["bookingId"]
    assert (status["availableTickets"], status["bookedTickets"], status["waitingListCount"]) == (0, 1, 0)


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


def test_an_organisers_program_opens_an_event_by_its_scope(stack: Deployed) -> None:
    """It has a secret, and no user."""
    assert stack.ask("POST", "/initialize", CONCERT, stack.program()).status_code == 201


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


def test_every_resource_of_the_template_is_there(stack: Deployed) -> None:
    """Nothing was left out or has failed, of what the parameters ask for."""
    resources, template = stack.resources(), stack.template()
    assert {resource["ResourceStatus"] for resource in resources.values()} == {"CREATE_COMPLETE"}
    values = intrinsics.Values(intrinsics.read(TEMPLATE), PARAMETERS)
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


def test_the_emulator_listens_on_this_machine_only(stack: Deployed) -> None:
    """It has one port, on 127.0.0.1, so the network cannot reach it."""
    assert _listening(stack.emulator.process.pid) == [("127.0.0.1", stack.emulator.port)]


def _listening(pid: int) -> list[tuple[str, int]]:
    """Return the addresses that a process listens on, as Linux tells."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed in between
            sockets.add(str(entry.readlink()))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:  # 0A: listening
                host, port = fields[1].split(":")
                name = ".".join(str(part) for part in reversed(bytes.fromhex(host))) if table == "tcp" else host
                found.append((name, int(port, 16)))
    return sorted(found)
