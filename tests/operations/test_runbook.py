"""The commands for operators exist: what they name is in the stack, and their options are those of AWS."""

import json
import os
import re
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import jmespath  # type: ignore[import-untyped]  # as in tests/artifact/aws_cli.py
import pytest
from botocore import xform_name

from harness.office import Office
from harness.watching import sections
from local import intrinsics
from local.template import TEMPLATE, load
from shared.store import items
from tests.artifact import aws_cli
from tests.docs import pages
from tests.template.stack import ROOT, deployed

PAGES = (
    "docs/first-deployment.md",
    "docs/operations.md",
    "docs/operations-tools.md",
    "docs/deployments.md",
    "docs/events.md",
    "docs/organisers.md",
)
OF_THE_CLI = {"output", "query", "cli-binary-format", "max-items", "template-body", "payload", "cli-input-json"}
# A command of the CLI itself.
NOT_AN_OPERATION = {"wait"}
PROMOTES = ("dynamodb:BatchGetItem", "WaitingListTable")  # what only those do who read the head of the waiting list
COMMAND = re.compile(r"\baws ((?:[^\"'|;()\n]|\"[^\"]*\"|'[^']*'|\$\([^()]*\)|\\\n)+)")


def _blocks() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        yield from ((page, block) for block in pages.blocks(page, "sh"))


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_valid_shell(page: str) -> None:
    """It can be pasted."""
    for block in pages.blocks(page, "sh"):
        checked = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, f"{block}\n{checked.stderr}"


def test_everything_that_a_command_names_is_in_the_stack() -> None:
    """Resources after the SAM transform, outputs, and parameters."""
    source, text = intrinsics.read(TEMPLATE), "\n".join(block for _, block in _blocks())
    physical = re.findall(r"(?:physical|stop|start|stream|roll_back|enable_schedule) ([A-Z]\w+)", text)
    assert physical
    assert set(physical) <= deployed().resources.keys()
    assert set(re.findall(r"\boutput ([A-Z]\w+)", text)) <= source["Outputs"].keys()
    named = re.findall(r"\bparameter ([A-Z]\w+)|\bstart \w+ (\w+)", text)
    assert {one or other for one, other in named} <= source["Parameters"].keys()


def test_the_template_accepts_each_parameter_that_a_command_deploys() -> None:
    """Names and values. A value that the reader must set is any."""
    deployed_with = [
        one
        for _, block in _blocks()
        for command in re.findall(r"^ *deploy (.+(?:\n {2,}.+)*)", block, re.MULTILINE)
        for one in re.findall(r"\b([A-Z]\w+)=(\"[^\"]*\"|\S*)", command)
    ]
    known = {name: value for name, value in deployed_with if "$" not in value}
    assert {"SweepTimeout", "DeploymentAlarms", "PromoteConcurrency", "RouteRate"} <= known.keys()
    document = intrinsics.read(TEMPLATE)
    intrinsics.Values(document, known)  # raises TemplateError
    assert {name for name, _ in deployed_with} <= document["Parameters"].keys()


def test_the_page_says_how_old_a_record_may_be_when_a_stream_is_read_again() -> None:
    """Older ones go to the failed records."""
    ages = {
        name: mapping["MaximumRecordAgeInSeconds"]
        for name, mapping in deployed().of_type("AWS::Lambda::EventSourceMapping").items()
    }
    assert ages.pop("FollowFunctionEvents") == 4 * 3600
    assert set(ages.values()) == {3600}
    text = " ".join(pages.text("docs/operations.md").split())
    assert "older than an hour when it is read again (four hours for `FollowFunctionEvents`)" in text
    rules = deployed().resources["FailedRecordsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert f"keeps them, {rules[0]['ExpirationInDays']} days" in text


# An AWS CLI for the functions of the page: it shows what it is asked, and knows one stack.
AWS = """
aws() {
  echo "aws $*" >&2
  case "$*" in
    *Stage*ParameterValue*) echo "$STAGE";;
    *SweepConcurrency*ParameterValue*) echo 2;;
    *RequestConcurrency*ParameterValue*) echo 0;;
    *get-alias*) echo "$LIVE";;
    *list-versions-by-function*) printf '$LATEST\\t8\\t9\\n10\\t11\\n';;
    *--logical-resource-id*) echo "tickets-$6";;
  esac
}
"""


@pytest.mark.parametrize(("stage", "parameter"), [("prod", "RequestConcurrency"), ("dev", "SweepConcurrency")])
def test_a_function_that_reserves_nothing_is_started_without_a_limit(stage: str, parameter: str) -> None:
    """By its parameter, or because only prod reserves. tests/artifact starts one that has a limit again."""
    command = f"{_setup()}\n{AWS}\nSTAGE={stage}\nstart SweepFunction {parameter}"
    done = subprocess.run(["bash", "-c", command], text=True, capture_output=True, check=True)
    asked = done.stderr.splitlines()[-1]
    assert asked == "aws lambda delete-function-concurrency --function-name tickets-SweepFunction"


@pytest.mark.parametrize(("live", "previous"), [("11", "10"), ("10", "9"), ("8", "")])
def test_a_rollback_goes_to_the_version_before_that_of_the_alias(live: str, previous: str) -> None:
    """Not to the latest but one, which may be the alias's own after a failed deployment, and never to $LATEST."""
    command = ["bash", "-c", f"{_setup()}\n{AWS}\nLIVE={live}\nroll_back SweepFunction"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    update = "aws lambda update-alias --function-name tickets-SweepFunction --name live --function-version"
    expected = f"{update} {previous}" if previous else f"SweepFunction has no version before {live}"
    assert (done.stderr.splitlines()[-1], done.returncode) == (expected, 0 if previous else 1)


@pytest.mark.parametrize(("versions", "deleted"), [(0, []), (2, []), (3, ["1"]), (12, list(map(str, range(1, 11))))])
def test_old_versions_are_deleted_except_the_latest_two(versions: int, deleted: list[str]) -> None:
    """Each costs a snapshot with SnapStart. $LATEST and what `roll_back` needs stay; a refusal ends nothing."""
    [block] = [block for block in pages.blocks("docs/deployments.md", "sh") if "delete-function" in block]
    [query] = re.findall(r"'(Versions.*?)'", block)
    listed = {"Versions": [{"Version": "$LATEST"}, *({"Version": str(n)} for n in range(1, versions + 1))]}
    found = json.dumps(jmespath.search(query, listed), indent=4)
    aws = f"""aws() {{ case "$*" in
      *list-stack-resources*) echo book;; *list-versions*) echo '{found}';; *) echo "$*" >&2; [[ "$*" != *" 1" ]];;
    esac; }}"""
    done = subprocess.run(["bash", "-c", f"{aws}\n{block}"], text=True, capture_output=True, check=True)
    asked = [f"lambda delete-function --function-name book --qualifier {version}" for version in deleted]
    assert done.stderr.splitlines() == asked
    assert done.stdout == ("kept book:1\n" if deleted else "")


def _setup() -> str:
    return next(block for page, block in _blocks() if "roll_back()" in block)


@pytest.mark.parametrize("clients", ["OrganiserClientId ShopClientId", "ShopClientId", ""])
def test_signing_in_gets_a_token_of_each_app_client_that_the_stack_has(clients: str) -> None:
    """Without one of them, nothing is asked for it and nothing fails."""
    stack = f"""
    aws() {{ case "$*" in
      *TokenUrl*) echo https://tokens;; *ApiUrl*) echo https://api;; *ClientSecret*) echo secret;;
      *OutputKey*) for one in {clients}; do [[ "$*" = *"'$one'"* ]] && echo "$one"; done; true;;
    esac; }}
    curl() {{ echo "{{\\"access_token\\": \\"of $4\\"}}"; }}
    sign_in; echo "$API,$ORGANISER_TOKEN,$SHOP_TOKEN"
    """
    done = subprocess.run(["bash", "-c", f"{_setup()}\n{stack}"], text=True, capture_output=True, check=True)
    tokens = [f"of {one}:secret" if one in clients else "" for one in ("OrganiserClientId", "ShopClientId")]
    assert (done.stdout, done.stderr) == (",".join(("https://api", *tokens)) + "\n", "")


def test_logs_are_shown_when_the_query_is_complete(tmp_path: Path) -> None:
    """A query of a busy day takes longer than a pause, and its first results are not all."""
    cloudwatch = f"""
    sleep() {{ echo x >> {tmp_path}/pauses; }}
    aws() {{ case "$*" in
      *start-query*) echo 7;;
      *"query status"*) [ "$(wc -l < {tmp_path}/pauses)" -lt 3 ] && echo Running || echo Complete;;
      *get-query-results*) echo "all after $(wc -l < {tmp_path}/pauses) pauses";;
    esac; }}
    logs 'filter level = "ERROR"'
    """
    done = subprocess.run(["bash", "-c", f"{_setup()}\n{cloudwatch}"], text=True, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == ("all after 3 pauses\n", "")


def test_the_template_of_an_import_holds_the_kept_resources(tmp_path: Path) -> None:
    """CloudFormation imports resources that have a deletion policy, by their names, without the SAM transform."""
    [block] = [block for block in pages.blocks("docs/deployments.md", "sh") if "resources.json" in block]
    script = block.replace("kept.json", f"{tmp_path}/kept.json").replace("resources.json", f"{tmp_path}/resources.json")
    names = "TABLES=$'events\\nlanes\\nbookings\\nwaiting' BUCKET=records STACK=tickets"
    none = "aws() { :; }; deploy() { :; }"
    subprocess.run(["bash", "-ec", f"{names}\n{none}\n{script}"], cwd=ROOT, check=True, capture_output=True)
    kept = json.loads((tmp_path / "kept.json").read_text())["Resources"]
    listed = json.loads((tmp_path / "resources.json").read_text())
    identified = {one["LogicalResourceId"]: list(one["ResourceIdentifier"].values()) for one in listed}
    assert identified == {
        "EventsTable": ["events"], "LanesTable": ["lanes"], "BookingsTable": ["bookings"],
        "WaitingListTable": ["waiting"], "FailedRecordsBucket": ["records"],
    }  # fmt: skip
    assert kept.keys() == identified.keys()
    assert all(resource["DeletionPolicy"] == "RetainExceptOnCreate" for resource in kept.values())


def test_before_a_broken_promise_is_repaired_all_that_gives_tickets_away_is_stopped() -> None:
    """And started again afterwards: BookFunction, and what reads entries of the waiting list to promote them."""
    gives = {name for name in deployed().functions if PROMOTES in deployed().privileges(name)} | {"BookFunction"}
    section = sections()["a-promise-is-broken"]
    stopped = set(re.findall(r"\bstop ([A-Z]\w+)|\bstream (\w+Function)\w+ --no-enabled", section))
    started = set(re.findall(r"\bstart ([A-Z]\w+)|\bstream (\w+Function)\w+ --enabled", section))
    assert {one or other for one, other in stopped} == {one or other for one, other in started} == gives
    assert section.index("--no-enabled") < section.index("update-item") < section.index("--enabled")


def test_a_lane_is_compared_and_repaired_as_the_page_says(office: Office) -> None:
    """P1: the commands of the page, on the real engine, after someone added a ticket to a lane."""
    event = office.opens(tickets=1)
    event.books("anna")
    before = {"TableName": "lanes-before", "BillingMode": "PAY_PER_REQUEST"}
    [lanes] = [table for table in load().tables if table.name == items.LANES]
    office.database.create_table(**{**lanes.arguments, **before})
    key = items.lane_key(event.event_id, 0)
    seen = office.database.get_item(TableName=items.LANES, Key=key)["Item"]
    office.database.put_item(TableName="lanes-before", Item=seen)
    office.database.put_item(TableName=items.LANES, Item=seen | {"available": items.number(1)})
    compare, repair = (
        textwrap.dedent(block)
        for block in re.findall(r"^ *```sh\n(.*?)^ *```", sections()["a-promise-is-broken"], re.DOTALL | re.MULTILINE)
        if "aws dynamodb" in block
    )
    with aws_cli.running(os.environ["AWS_ENDPOINT_URL_DYNAMODB"]) as aws:
        cli = f"""EVENT={event.event_id}; output() {{ echo {items.LANES}; }}
        aws() {{ case "$2" in restore*|wait|delete*) ;; *) {aws};; esac; }}"""

        def paste(block: str) -> str:
            command = ["bash", "-c", f"{cli}\n{block}"]
            done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
            return done.stdout + done.stderr

        lane = f"{event.event_id}#0"
        assert [line for line in paste(compare).splitlines() if line[0] in "<>"] == [
            f"< {lane}\t0\t1",
            f"> {lane}\t1\t1",
        ]
        assert paste(repair) == ""
        assert paste(compare) == ""
        assert "ConditionalCheckFailedException" in paste(repair), "it is no longer as it was seen"
    office.database.delete_table(TableName="lanes-before")


def test_every_command_of_the_aws_cli_exists_with_its_options() -> None:
    """As botocore's models describe them, on which the CLI is built."""
    session = botocore.session.get_session()
    found = 0
    for page, block in _blocks():
        for command in COMMAND.findall(block.replace("\\\n", " ")):
            service, name, *_ = command.split()
            if name in NOT_AN_OPERATION:
                continue
            model = session.get_service_model(service.removesuffix("api"))  # s3api
            operations = {xform_name(operation, "-"): operation for operation in model.operation_names}
            assert name in operations, f"{page}: aws {service} {name}"
            shape = model.operation_model(operations[name]).input_shape
            options = {xform_name(member, "-") for member in shape.members} if shape else set()
            given = {one.removeprefix("no-") for one in re.findall(r" --([\w-]+)", command)} - OF_THE_CLI
            given = {aws_cli.RENAMED.get(one, one) for one in given}
            assert given <= options, f"{page}: aws {service} {name} {sorted(given - options)}"
            found += 1
    assert found > 20
