"""warm and preflight: before an on-sale, the tables are raised and the account's quotas compared."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from harness.privileges import Privilege, noted
from local import intrinsics
from local.template import TEMPLATE, load
from ops import preflight, quotas
from ops.quotas import Quota
from tests.docs import pages
from tests.ops.aws import DEFAULT_QUOTA, STACK, account
from tests.ops.commands import Commands, Done
from tests.ops.test_rights import BEFORE_A_SALE, listed

LARGE = {"L-AB614373": 200_000.0, "L-CF0CBE56": 600_000.0, "L-8A5B8E43": 40_000.0, "L-CDF5615A": 20_000.0}
LARGE |= {"L-9B653E91": 10_000.0, "L-026ADBA3": 10_000.0}
MANY = {"ConcurrentExecutions": 3_000, "UnreservedConcurrentExecutions": 2_876}
PROD = {"Stage": "prod", "RouteRate": "10000", "PromoteConcurrency": "50", "FollowConcurrency": "20"}
PROD |= {"AnnounceConcurrency": "50", "SweepConcurrency": "2", "ExpireConcurrency": "2", "RequestConcurrency": "0"}

Run = Callable[..., Done]

used: list[set[Privilege]] = [set()]  # by the last command


@pytest.fixture(scope="module")
def database() -> Iterator[Any]:
    """Yield a client of the tables of a stack. They are moto's: the engine has no warm throughput."""
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.delenv("AWS_ENDPOINT_URL_DYNAMODB")
        make: Any = boto3.client
        names = {table.name: {"Value": table.name} for table in load().tables}
        document: dict[str, Any] = {
            "Parameters": {name: {"Type": "String"} for name in PROD},
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {**names, "UserPoolId": {"Value": "pool"}},
        }
        parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in PROD.items()]
        make("cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps(document), Parameters=parameters)
        yield make("dynamodb")


@pytest.fixture
def on_aws(database: Any, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Yield a function that runs a command on that stack, with new tables, in an account with these quotas."""
    for table in load().tables:
        database.create_table(**table.arguments)

    def run(*arguments: str, has: Mapping[str, float] = LARGE, concurrency: Mapping[str, int] = MANY) -> Done:
        with account(has, concurrency), noted() as privileges:
            used[0] = privileges
            return Commands(("--stack", STACK), capsys)(*arguments)

    yield run
    for name in database.list_tables()["TableNames"]:
        database.delete_table(TableName=name)


def _warmth() -> dict[str, tuple[int, int]]:
    """Return the write and read units of each table and index that were raised over those of a new one."""
    make: Any = boto3.client
    found = {}
    for table in load().tables:
        described = make("dynamodb").describe_table(TableName=table.name)["Table"]
        for index in (None, *described.get("GlobalSecondaryIndexes", ())):
            its = (index or described)["WarmThroughput"]
            if (its["WriteUnitsPerSecond"], its["ReadUnitsPerSecond"]) != (4_000, 12_000):
                name = f"{table.name}/{index['IndexName']}" if index else table.name
                found[name] = (its["WriteUnitsPerSecond"], its["ReadUnitsPerSecond"])
    return found


def test_warming_raises_the_tables_whose_work_is_spread_and_their_indexes_once(on_aws: Run) -> None:
    """By the rule of docs/scale.md; the waiting list of an event has few keys, and an event is a single item."""
    assert on_aws("warm", "--bookings-per-second", "1000").code == 0
    assert _warmth() == {}, "a new table is warm enough for a few bookings"
    done = on_aws("warm", "--bookings-per-second", "8000")
    assert done.code == 0
    spread = (160_000, 480_000)
    expected = {"LanesTable": spread, "BookingsTable": spread, "BookingsTable/byUser": spread}
    expected["BookingsTable/holdsByExpiry"] = (64_000, 192_000)
    assert _warmth() == expected | {"WaitingListTable": (5_000, 15_000)}
    cost = "529,000 write and 1,587,000 read units, about $551 in us-east-1"  # 529,000 x 0.00065 + 1,587,000 x 0.00013
    assert f"Charged once, for what is added: {cost}\n" in done.out
    before = _warmth()
    for number in ("8000", "2000"):
        done = on_aws("warm", "--bookings-per-second", number)
        assert (done.code, done.lines[-1]) == (0, "Nothing is changed.")
    assert _warmth() == before, "warm throughput can only rise"


def test_a_dry_run_shows_the_plan_and_changes_nothing(on_aws: Run) -> None:
    """With quotas, units and dollars, as on the page."""
    done = on_aws("warm", "--bookings-per-second", "2000", "--dry-run")
    assert (done.code, _warmth()) == (0, {})
    [shown] = [block for block in pages.blocks("docs/operations-tools.md", "") if "Charged once" in block]
    assert done.lines[:-1] == shown.splitlines()[:-1]
    assert done.lines[-1] == "Nothing is changed."


def test_tables_are_not_warmed_beyond_their_quota(on_aws: Run) -> None:
    """DynamoDB would refuse one table after another was paid for."""
    done = on_aws("warm", "--bookings-per-second", "8000", has={"L-AB614373": 40_000.0, "L-CF0CBE56": 600_000.0})
    assert (done.code, _warmth()) == (1, {})
    assert done.lines[-1].startswith(
        "Request 160,000 write and 480,000 read units for each table first: quotas dynamodb"
    )


def test_an_account_that_is_large_enough_passes_the_preflight(on_aws: Run) -> None:
    """Each line says so."""
    done = on_aws("preflight", "--bookings-per-second", "8000")
    assert done.code == 0
    assert {line.rpartition("  ")[2] for line in done.lines} == {"enough"}
    assert len(done.lines) == 9


def test_a_quota_that_is_too_small_is_named_with_what_to_request(on_aws: Run) -> None:
    """Each in its line."""
    done = on_aws("preflight", "--bookings-per-second", "8000", has=dict.fromkeys(LARGE, 1_250.0))
    assert done.code == 1
    assert [line.rpartition("  ")[2] for line in done.lines if " 1,250 of " in line] == [
        "request 16,000 (apigateway L-8A5B8E43)",
        "AWS raises it with the requests a second",
        "request 160,000 (dynamodb L-AB614373)",
        "request 480,000 (dynamodb L-CF0CBE56)",
        "request 8,000 (events L-9B653E91)",
        "request 8,000 (cognito-idp L-026ADBA3)",
    ]


def test_the_concurrency_that_the_stack_reserves_is_added_up(on_aws: Run) -> None:
    """A new account may have ten."""
    small = {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}
    done = on_aws("preflight", "--bookings-per-second", "8000", concurrency=small)
    assert done.code == 1
    line = "Lambda, concurrency 10 of 924 needed request 924 (lambda L-B99A9384)"
    assert " ".join(done.lines[0].split()) == line
    assert done.lines[1].startswith("  besides the stack's reserved 124")
    others = {"ConcurrentExecutions": 3_000, "UnreservedConcurrentExecutions": 500}
    taken = on_aws("preflight", "--bookings-per-second", "8000", concurrency=others)
    assert taken.lines[1].endswith("other functions of the account reserve too much")


def test_the_preflight_knows_every_parameter_that_reserves_concurrency() -> None:
    """One that is added must be in the sum."""
    declared = {name for name in intrinsics.read(TEMPLATE)["Parameters"] if name.endswith("Concurrency")}
    assert set(preflight._BACKGROUND.values()) | {"RequestConcurrency"} == declared  # noqa: SLF001


def test_a_route_with_a_smaller_rate_than_the_sale_is_named(on_aws: Run) -> None:
    """It is a parameter of the stack, not a quota."""
    done = on_aws("preflight", "--bookings-per-second", "12000", has=dict.fromkeys(LARGE, 1e9))
    assert [line for line in done.lines if line.endswith("deploy with RouteRate=12000")]


@pytest.mark.parametrize("row", BEFORE_A_SALE)
def test_a_command_needs_what_the_page_lists_and_nothing_more(on_aws: Run, row: str) -> None:
    """For quotas that were changed and for those that were not, two actions."""
    needed = set()
    for quotas_of_account in (LARGE, {}):
        on_aws(*row.split(), "--bookings-per-second", "8000", has=quotas_of_account)
        needed |= used[0]
    names = {STACK: "the stack", "?": "any"}
    assert {(action, names.get(resource, resource)) for action, resource in needed} == listed()[row]


def test_a_quota_that_was_never_changed_has_the_default_of_aws() -> None:
    """Service Quotas knows no value of the account then."""
    with account({"L-8A5B8E43": 7.0}, {}):
        assert quotas.of_account(Quota.API_RATE) == 7
        assert quotas.of_account(Quota.API_BURST) == int(DEFAULT_QUOTA)


@pytest.mark.parametrize("number", ["0", "-1", "many", "100001"])
def test_a_number_that_no_sale_has_is_reported_in_one_line(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any request is sent."""
    done = Commands(("--stack", STACK), capsys)("warm", "--bookings-per-second", number)
    assert done.code == 2
    assert "a number from 1 to 100000" in done.err
