"""docs/first-deployment.md, followed as a reader does: block by block, in one shell, as far as the emulator goes.

What the page itself says that only AWS can do is left out. Two things differ: the emulator does not read the routes of
the API, which are made as in test_deployment.py, and the artifacts are those that all tests share.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from harness.deployment import stand_in
from local import intrinsics
from local.template import TEMPLATE
from shared.telemetry import Metric
from tests.artifact import emulator
from tests.artifact.emulator import ROOT, Deployed, Emulator
from tests.artifact.shell import Shell, shell
from tests.docs import pages
from tests.template.stack import deployed

PAGE, RUNBOOK = "docs/first-deployment.md", "docs/operations.md"
ONLY_AWS = "# AWS only\n"
PRINTED_MAX = 2_000  # characters of an output that a failure shows
ACCOUNT = re.compile(r"\b\d{12}\b")

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
    """The steps that were followed, and the shell afterwards."""

    steps: list[Step]
    reader: Shell


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
        yield Followed(list(_steps(aws, reader)), reader)


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
