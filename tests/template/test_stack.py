"""What no linter sees: that the stack has all that the promises and the operators rely on.

Looked at after the SAM transform, as CloudFormation sees it. `make lint` runs cfn-lint and `sam validate --lint`.
"""

import json
import re
from functools import cache
from typing import Any

import pytest

from local import intrinsics
from shared.booking.background import RESERVE_S
from shared.booking.event_cancellation import BOOKINGS_PER_S_MAX
from shared.edge import caller
from shared.model import REQUEST_BUDGET_S, TICKETS_MAX
from tests.template.stack import ROOT, deployed, room_of

FUNCTIONS = {
    "InitializeFunction",
    "BookFunction",
    "CancelFunction",
    "StatusFunction",
    "BookingsFunction",
    "EventsFunction",
    "EventBookingsFunction",
    "WaitingListFunction",
    "DescribeFunction",
    "ChangeFunction",
    "CancelEventFunction",
    "PromoteFunction",
    "FollowFunction",
    "AnnounceFunction",
    "SweepFunction",
    "CheckFunction",
}
DEPLOYED_GRADUALLY = FUNCTIONS - {"CheckFunction"}
BACKGROUND = {"PromoteFunction", "FollowFunction", "AnnounceFunction", "SweepFunction"}
TABLES = {"EventsTable", "LanesTable", "BookingsTable", "WaitingListTable"}
DEPLOYMENTS = "deploymentgroup:${AWS::StackName}-*/*"
LAMBDA_TIMEOUT_S_MAX = 900  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
API_TIMEOUT_S = 30  # of an HTTP API's integration; the most that API Gateway waits


NO_VALUE = {"Ref": "AWS::NoValue"}


def _if_prod(prod: Any, dev: Any) -> dict[str, list[Any]]:
    return {"Fn::If": ["IsProd", prod, dev]}


def _source() -> dict[str, Any]:
    return intrinsics.read(ROOT / "template.yaml")


def test_the_system_has_these_functions_and_tables() -> None:
    """What the tests below go through is all there is."""
    assert deployed().functions.keys() == FUNCTIONS
    assert deployed().of_type("AWS::DynamoDB::Table").keys() == TABLES


def test_the_stack_is_within_the_limits_that_aws_does_not_lift() -> None:
    """Each of these a deployment would find out, and no linter does. What alarms watch: tests/operations/test_pairs.py.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
    https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_AlarmConfiguration.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    stack = deployed()
    assert len(stack.resources) <= 500
    assert len(json.dumps(stack.resources)) <= 1_000_000  # characters of the template
    assert max(len(_source()[part]) for part in ("Parameters", "Outputs")) <= 200
    for group in stack.of_type("AWS::CodeDeploy::DeploymentGroup").values():
        assert 1 <= len(group["AlarmConfiguration"]["Alarms"]) <= 10
    for alarm in stack.of_type("AWS::CloudWatch::Alarm").values():
        assert len(alarm["AlarmDescription"]) <= 1024
    (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    shown = [len(one["properties"]["metrics"]) for one in json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"]]
    assert max(shown) <= 500
    assert sum(shown) <= 2500
    for name in FUNCTIONS:
        assert len(json.dumps(stack.statements(name))) <= 10_240


def test_every_route_of_the_contract_has_a_function_of_its_own() -> None:
    """One function per route, so that each has its own privileges, logs and limits; one describes them."""
    assert deployed().routes == {
        "POST /initialize": "InitializeFunction",
        "POST /book": "BookFunction",
        "POST /cancel": "CancelFunction",
        "GET /status/{eventId}": "StatusFunction",
        "GET /bookings": "BookingsFunction",
        "GET /events": "EventsFunction",
        "GET /events/{eventId}/bookings": "EventBookingsFunction",
        "GET /events/{eventId}/waiting-list": "WaitingListFunction",
        "GET /openapi.json": "DescribeFunction",
        "GET /docs": "DescribeFunction",
        "PATCH /events/{eventId}": "ChangeFunction",
        "POST /events/{eventId}/cancel": "CancelEventFunction",
    }


PUBLIC = {"GET /openapi.json", "GET /docs"}  # what describes the API is the same for everybody
JWT: list[dict[str, list[str]]] = [{"Jwt": []}]


def _api() -> dict[str, Any]:
    (api,) = deployed().of_type("AWS::ApiGatewayV2::Api").values()
    body: dict[str, Any] = api["Body"]
    return body


def test_every_route_takes_a_token() -> None:
    """Secure by default: a route that is added has the authorizer; one may do without it, by parameter.

    Those that say what the others are take none, and may do nothing.
    """
    security = {
        f"{method.upper()} {path}": operation["security"]
        for path, methods in _api()["paths"].items()
        for method, operation in methods.items()
    }
    assert security.pop("GET /status/{eventId}") == {"Fn::If": ["HasPublicStatus", NO_VALUE, JWT]}
    assert {route for route, its in security.items() if its == [{"NONE": []}]} == PUBLIC
    secured = deployed().routes.keys() - PUBLIC - {"GET /status/{eventId}"}
    assert {route: security[route] for route in secured} == dict.fromkeys(secured, JWT)
    assert all(deployed().privileges(deployed().routes[route]) == set() for route in PUBLIC)
    assert _source()["Parameters"]["PublicStatus"]["Default"] == "false"


def test_the_tokens_are_those_of_the_user_pool_or_of_the_issuer_that_is_named() -> None:
    """With an audience in either case: a token for another application is none for this."""
    authorizer = _api()["components"]["securitySchemes"]["Jwt"]["x-amazon-apigateway-authorizer"]
    assert (authorizer["type"], authorizer["identitySource"]) == ("jwt", "$request.header.Authorization")
    issuer = {"Fn::If": ["MakesUserPool", {"Fn::Sub": "https://${UserPool.ProviderName}"}, {"Ref": "JwtIssuer"}]}
    assert authorizer["jwtConfiguration"]["issuer"] == issuer
    condition, own, others = authorizer["jwtConfiguration"]["audience"]["Fn::If"]
    assert (condition, own[0], others) == (
        "MakesUserPool",
        {"Ref": "UserPoolClient"},
        {"Fn::Split": [",", {"Ref": "JwtAudience"}]},
    )
    rule = _source()["Rules"]["AnotherIssuerHasAudiences"]
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "JwtAudience"}, ""]}]}


def test_who_signs_up_is_no_organiser() -> None:
    """The group is the operators' to give; the people's app client grants no scope at all."""
    stack = deployed()
    people = stack.resources["UserPoolClient"]["Properties"]
    assert not [name for name in people if name.startswith("AllowedOAuth")]
    programs = stack.resources["OrganiserPoolClient"]
    assert programs["Condition"] == "MakesOrganiserClient"
    assert programs["Properties"]["AllowedOAuthFlows"] == ["client_credentials"]
    assert programs["Properties"]["GenerateSecret"] is True
    assert _source()["Parameters"]["OrganiserClient"]["Default"] == "false"
    assert stack.resources["OrganiserGroup"]["Properties"]["GroupName"] == caller.ORGANISER_GROUP
    server = stack.resources["OrganiserScope"]["Properties"]
    assert {f"{server['Identifier']}/{scope['ScopeName']}" for scope in server["Scopes"]} < caller.ORGANISER_SCOPES


def test_each_condition_asks_what_its_name_says() -> None:
    """The tests below and above take conditions by their names."""

    def given(parameter: str, nothing: str | int = "") -> dict[str, Any]:
        return {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, nothing]}]}

    assert _source()["Conditions"] == {
        "IsProd": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
        "MakesUserPool": {"Fn::Equals": [{"Ref": "JwtIssuer"}, ""]},
        "MakesOrganiserClient": {
            "Fn::And": [{"Condition": "MakesUserPool"}, {"Fn::Equals": [{"Ref": "OrganiserClient"}, "true"]}]
        },
        "HasPublicStatus": {"Fn::Equals": [{"Ref": "PublicStatus"}, "true"]},
        "HasCorsOrigins": given("CorsOrigins"),
        "ReservesForRequests": given("RequestConcurrency", 0),
        "ReservesForBackground": given("BackgroundConcurrency", 0),
        "IsWarm": given("WarmWriteUnits", 0),
        "HasAlarmTopic": given("AlarmTopicArn"),
    }
    assert _source()["Parameters"]["Stage"]["Default"] == "dev"


def test_the_people_are_kept_in_production() -> None:
    """As the tables are: their bookings are under the names that the pool gave them."""
    pool = deployed().resources["UserPool"]
    assert pool["DeletionPolicy"] == pool["UpdateReplacePolicy"] == _if_prod("Retain", "Delete")
    assert pool["Properties"]["DeletionProtection"] == _if_prod("ACTIVE", "INACTIVE")


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_no_function_on_aws_is_open_to_all(name: str) -> None:
    """What one machine may do without, and by no parameter."""
    variables = deployed().functions[name]["Environment"]["Variables"]
    assert variables["OPEN_TO_ALL"] == "false"
    assert variables["USER_CLAIM"] == {"Ref": "UserClaim"}


def test_pages_of_other_origins_are_on_a_list_that_is_empty_by_default() -> None:
    """SAM's form of it: a list, also where it has put the parameter's text in its place."""
    two = "https://a.example,https://b.example"
    (api,) = deployed("s3://bucket/layer", f"CorsOrigins={two}").of_type("AWS::ApiGatewayV2::Api").values()
    condition, cors, otherwise = api["Body"]["x-amazon-apigateway-cors"]["Fn::If"]
    assert (condition, otherwise) == ("HasCorsOrigins", NO_VALUE)
    assert cors["allowOrigins"] == {"Fn::Split": [",", two]}
    assert "allowCredentials" not in cors
    assert {"authorization", "content-type", "idempotency-key"} == set(cors["allowHeaders"])
    assert {route.split()[0] for route in deployed().routes} == set(cors["allowMethods"])
    parameter = _source()["Parameters"]["CorsOrigins"]
    assert parameter["Default"] == ""
    for refused in ("*", "https://*", "https://a.example/", "a.example", "https://a.example, https://b.example"):
        assert not re.fullmatch(parameter["AllowedPattern"], refused)
    assert re.fullmatch(parameter["AllowedPattern"], two)


def test_each_route_takes_so_many_requests_and_no_more() -> None:
    """So that who floods one leaves the account's quota to the others."""
    (stage,) = deployed().of_type("AWS::ApiGatewayV2::Stage").values()
    rate = {"Ref": "RouteRate"}
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": rate, "ThrottlingBurstLimit": rate}
    assert stage["RouteSettings"].keys() <= deployed().routes.keys()
    for seldom in ("POST /initialize", *PUBLIC):
        assert stage["RouteSettings"][seldom]["ThrottlingRateLimit"] < 100


def test_the_access_log_says_why_a_request_was_refused_and_nothing_about_users() -> None:
    """Its lines are kept with less care than the tables are: no booking, no address, no path with its query."""
    (stage,) = deployed().of_type("AWS::ApiGatewayV2::Stage").values()
    assert json.loads(stage["AccessLogSettings"]["Format"]) == {
        "requestId": "$context.requestId",
        "time": "$context.requestTime",
        "route": "$context.routeKey",
        "status": "$context.status",
        "latencyMs": "$context.responseLatency",
        "bytes": "$context.responseLength",
        "error": "$context.error.message",
        "authorizerError": "$context.authorizer.error",
        "integrationError": "$context.integrationErrorMessage",
    }


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_functions_artifact_matches_its_handler(name: str) -> None:
    """The folder that is packaged is the one the handler's name leads to, in the repository and on Lambda."""
    resource = _source()["Resources"][name]
    properties, build = resource["Properties"], resource["Metadata"]["BuildProperties"]
    folder = properties["CodeUri"]
    assert (ROOT / folder / "app.py").is_file()
    assert folder == f"functions/{room_of(name)}"
    assert build == {"ParentPackageMode": "explicit", "ParentPackages": folder.replace("/", ".")}
    assert properties["Handler"] == f"{build['ParentPackages']}.app.handler"


def test_every_folder_of_functions_is_deployed() -> None:
    """No handler is forgotten in the template."""
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert {room_of(name) for name in FUNCTIONS} == folders


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_and_layer_are_of_one_architecture(name: str) -> None:
    """The layer holds machine code: it fits the functions, and the build fits both."""
    layer = _source()["Resources"]["SharedLayer"]
    architecture = {"Ref": "Architecture"}
    assert deployed().functions[name]["Architectures"] == [architecture]
    assert layer["Properties"]["CompatibleArchitectures"] == [architecture]
    assert layer["Metadata"]["BuildArchitecture"] == architecture


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_and_layer_are_of_one_python(name: str) -> None:
    """Runtime, build and layer name one version."""
    stack = deployed()
    layer_name, layer = next(iter(stack.of_type("AWS::Lambda::LayerVersion").items()))
    function = stack.functions[name]
    assert function["Layers"] == [{"Ref": layer_name}]
    assert layer["CompatibleRuntimes"] == [function["Runtime"]]
    for built in (name, "SharedLayer"):
        assert _source()["Resources"][built]["Metadata"]["BuildMethod"] == function["Runtime"]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_writes_to_a_log_group_of_its_own_that_forgets(name: str) -> None:
    """Without one, Lambda makes a group that is kept, and paid for, forever."""
    stack = deployed()
    group = stack.functions[name]["LoggingConfig"]["LogGroup"]["Ref"]
    assert stack.of_type("AWS::Logs::LogGroup")[group]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    others = FUNCTIONS - {name}
    assert group not in {stack.functions[other]["LoggingConfig"]["LogGroup"]["Ref"] for other in others}


@pytest.mark.parametrize("name", sorted(DEPLOYED_GRADUALLY - BACKGROUND))
def test_a_request_is_answered_before_lambda_and_the_gateway_give_up(name: str) -> None:
    """503 try-again is ours to say: the protocol stops first, then the function, then API Gateway."""
    assert 1.5 * REQUEST_BUDGET_S <= deployed().functions[name]["Timeout"] < API_TIMEOUT_S


@pytest.mark.parametrize("name", sorted(BACKGROUND))
def test_background_work_has_time_beside_its_reserve(name: str) -> None:
    """Most of an invocation's time is for the work."""
    assert deployed().functions[name]["Timeout"] >= 4 * RESERVE_S


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_can_be_restored_and_not_be_lost(name: str) -> None:
    """P1 to P8 hold for data that is there: backups, encryption, and in production no deletion."""
    resource = deployed().resources[name]
    table = resource["Properties"]
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["DeletionProtectionEnabled"] == _if_prod(True, False)
    assert resource["DeletionPolicy"] == _if_prod("Retain", "Delete")
    assert resource["UpdateReplacePolicy"] == _if_prod("Retain", "Delete")


@pytest.mark.parametrize("name", ["BookingsTable", "LanesTable", "WaitingListTable"])
def test_tables_whose_work_spreads_can_be_warmed(name: str) -> None:
    """By parameters, unless left alone. An event's own item is hot by itself: more partitions do not help it."""
    tables = deployed().of_type("AWS::DynamoDB::Table")
    units = {"WriteUnitsPerSecond": {"Ref": "WarmWriteUnits"}, "ReadUnitsPerSecond": {"Ref": "WarmReadUnits"}}
    assert tables[name]["WarmThroughput"] == {"Fn::If": ["IsWarm", units, NO_VALUE]}
    for index in tables[name].get("GlobalSecondaryIndexes", []):
        assert index["WarmThroughput"] == tables[name]["WarmThroughput"], "it throttles its table, where it is not warm"
    assert "WarmThroughput" not in tables["EventsTable"]
    assert _source()["Parameters"]["WarmWriteUnits"]["Default"] == 0


MAPPINGS = {  # by their logical ids: which function reads which table's stream
    "PromoteFunctionBookings": ("PromoteFunction", "BookingsTable"),
    "FollowFunctionEvents": ("FollowFunction", "EventsTable"),
    "AnnounceFunctionBookings": ("AnnounceFunction", "BookingsTable"),
    "AnnounceFunctionEvents": ("AnnounceFunction", "EventsTable"),
}
READERS_MAX = 2  # of a stream, by DynamoDB: more are throttled
PATTERNS_MAX = 5  # of a mapping, by Lambda


@cache
def _mapping(name: str) -> dict[str, Any]:
    return deployed().of_type("AWS::Lambda::EventSourceMapping")[name]


def test_the_streams_are_read_by_these_functions_and_by_no_more_than_can_be() -> None:
    """What the tests below go through is all there is."""
    found = deployed().of_type("AWS::Lambda::EventSourceMapping")
    assert found.keys() == MAPPINGS.keys()
    tables = [table for _, table in MAPPINGS.values()]
    assert all(tables.count(table) <= READERS_MAX for table in tables)


@pytest.mark.parametrize("name", sorted(MAPPINGS))
def test_a_stream_is_read_whole(name: str) -> None:
    """P6, O3: each release, join and change of an event arrives, from the first record on, and with both images."""
    function, table = MAPPINGS[name]
    assert deployed().behind(_mapping(name)["FunctionName"]["Ref"]) == function
    assert _mapping(name)["EventSourceArn"] == {"Fn::GetAtt": [table, "StreamArn"]}
    assert _mapping(name)["StartingPosition"] == "TRIM_HORIZON"
    streamed = deployed().resources[table]["Properties"]
    assert streamed["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert 1 <= len(_mapping(name)["FilterCriteria"]["Filters"]) <= PATTERNS_MAX


def test_the_stream_wakes_the_promoter_for_a_release_and_for_a_join_only() -> None:
    """P6, and no more: a confirmed booking, most of all records, costs no invocation."""
    mapping = _mapping("PromoteFunctionBookings")
    status = {"confirmed": {"status": {"S": ["CONFIRMED"]}}, "cancelled": {"status": {"S": ["CANCELLED"]}}}
    assert [json.loads(one["Pattern"]) for one in mapping["FilterCriteria"]["Filters"]] == [
        {"dynamodb": {"OldImage": status["confirmed"], "NewImage": status["cancelled"]}},
        {"dynamodb": {"NewImage": {"status": {"S": ["WAITING"]}}}},
    ]


def test_a_long_emptying_has_the_time_that_it_needs_and_holds_up_no_other() -> None:
    """O3: a million bookings take several invocations of the longest; each has one record, and others have theirs."""
    mapping, function = _mapping("FollowFunctionEvents"), deployed().functions["FollowFunction"]
    assert function["Timeout"] == LAMBDA_TIMEOUT_S_MAX
    needed_s = TICKETS_MAX / BOOKINGS_PER_S_MAX
    assert 2 * needed_s < mapping["MaximumRecordAgeInSeconds"]
    assert 2 * needed_s < mapping["MaximumRetryAttempts"] * LAMBDA_TIMEOUT_S_MAX
    assert (mapping["BatchSize"], mapping["ParallelizationFactor"]) == (1, 10)


def test_the_stream_of_events_wakes_for_cancelled_and_for_sold_out_events_only() -> None:
    """What happens to an event on sale, where nobody waits, costs no invocation."""
    exists, absent = {"S": [{"exists": True}]}, {"S": [{"exists": False}]}
    appears = {"OldImage": {"cancelledAt": absent}, "NewImage": {"cancelledAt": exists}}
    filters = _mapping("FollowFunctionEvents")["FilterCriteria"]["Filters"]
    assert [json.loads(one["Pattern"]) for one in filters] == [
        {"dynamodb": appears},
        {"dynamodb": {"OldImage": {"soldOutAt": exists}, "NewImage": {"cancelledAt": absent}}},
    ]


@pytest.mark.parametrize("name", sorted(MAPPINGS))
def test_a_failing_record_is_retried_alone_within_bounds_and_then_kept(name: str) -> None:
    """P6: one bad record neither blocks the stream nor disappears; the S3 object holds the whole batch."""
    stack, mapping = deployed(), _mapping(name)
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert 1 <= mapping["MaximumRetryAttempts"] <= 100
    assert 60 <= mapping["MaximumRecordAgeInSeconds"] <= 24 * 3600, "the stream itself keeps a day"
    destination = mapping["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"]
    assert destination == ["FailedRecordsBucket", "Arn"]
    assert stack.resources[destination[0]]["Type"] == "AWS::S3::Bucket"
    # https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html: Lambda writes with the
    # function's role
    needed = {("s3:PutObject", "FailedRecordsBucket/*"), ("s3:ListBucket", "FailedRecordsBucket")}
    assert needed <= stack.privileges(MAPPINGS[name][0])


def test_the_bucket_of_failed_records_is_private_encrypted_and_kept_in_production() -> None:
    """The records name users; and each stands for an event that may not be settled."""
    resource = deployed().resources["FailedRecordsBucket"]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == _if_prod("Retain", "Delete")
    (bucket,) = deployed().of_type("AWS::S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"


def test_the_sweep_runs_every_few_minutes_and_is_not_repeated() -> None:
    """P6: what a lost record left is found soon."""
    (schedule,) = deployed().of_type("AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "rate(5 minutes)"
    assert deployed().behind(schedule["Target"]["Arn"]["Ref"]) == "SweepFunction"
    assert schedule["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 0}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_functions_privileges_name_actions_and_resources(name: str) -> None:
    """No wildcard: neither for actions nor for tables. What the functions need of it is in tests/artifact."""
    privileges = deployed().privileges(name)
    assert privileges or name == "DescribeFunction"
    for action, resource in privileges:
        assert "*" not in action
        assert (
            re.split("[/:]", resource)[0] in {*TABLES, *FUNCTIONS, "EventBus", "FailedRecordsBucket"}
            or resource == DEPLOYMENTS
        )
        # Objects of the bucket have no names yet, and those of the deployment groups are CloudFormation's to give.
        assert "*" not in resource or resource in {"FailedRecordsBucket/*", DEPLOYMENTS}


@pytest.mark.parametrize("name", sorted(DEPLOYED_GRADUALLY))
def test_a_new_version_gets_its_traffic_by_codedeploy(name: str) -> None:
    """In prod step by step, in dev at once; an alarm of its own, a broken promise or the check takes it back."""
    stack = deployed()
    (alias,) = [
        resource
        for resource in stack.resources.values()
        if resource["Type"] == "AWS::Lambda::Alias" and resource["Properties"]["FunctionName"] == {"Ref": name}
    ]
    policy = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert policy["AfterAllowTrafficHook"] == {"Ref": "CheckFunction"}
    group = stack.resources[policy["DeploymentGroupName"]["Ref"]]["Properties"]
    rollouts = [value["Fn::Sub"][1]["ConfigName"] for value in group["DeploymentConfigName"]["Fn::If"][1:]]
    assert (group["DeploymentConfigName"]["Fn::If"][0], rollouts) == (
        "IsProd",
        ["Canary10Percent10Minutes", "AllAtOnce"],
    )
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    alarms = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    own = f"{name.removesuffix('Function')}ErrorsAlarm"
    assert alarms == {"PromiseAlarm", "StrandedAlarm", "TryAgainAlarm", "InternalErrorAlarm", own}
    assert alarms <= stack.of_type("AWS::CloudWatch::Alarm").keys()


def test_codedeploy_may_invoke_the_check() -> None:
    """AWSCodeDeployRoleForLambda, which SAM gives it, allows functions of such a name only."""
    (role,) = [role for name, role in deployed().of_type("AWS::IAM::Role").items() if name == "CodeDeployServiceRole"]
    assert "AWSCodeDeployRoleForLambda" in json.dumps(role["ManagedPolicyArns"])
    assert deployed().functions["CheckFunction"]["FunctionName"] == {"Fn::Sub": "CodeDeployHook_${AWS::StackName}"}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_change_of_the_layer_is_a_new_version_of_every_function(name: str) -> None:
    """The layer holds the protocol; an alias that stayed on a version with the old one would run the old one."""

    def versions(layer: str) -> set[str]:
        found = deployed(f"s3://bucket/{layer}").of_type("AWS::Lambda::Version")
        return {version for version, its in found.items() if its["FunctionName"] == {"Ref": name}}

    assert len(versions("one") | versions("two")) == 2


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_snapstart_and_concurrency_are_parameters(name: str) -> None:
    """Both cost, or take from others, so both are off unless asked for."""
    function = deployed().functions[name]
    assert function["SnapStart"] == {"ApplyOn": {"Ref": "SnapStart"}}
    assert _source()["Parameters"]["SnapStart"]["Default"] == "None"
    kind = "Background" if name in BACKGROUND else "Request"
    condition = "ReservesForBackground" if name in BACKGROUND else "ReservesForRequests"
    reserved = {"Fn::If": [condition, {"Ref": f"{kind}Concurrency"}, NO_VALUE]}
    assert function.get("ReservedConcurrentExecutions") == (reserved if name in DEPLOYED_GRADUALLY else None)
    assert _source()["Parameters"][f"{kind}Concurrency"]["Default"] == 0


@pytest.mark.parametrize(
    "kind", ["Lambda::Function", "DynamoDB::Table", "S3::Bucket", "Logs::LogGroup", "Events::EventBus"]
)
def test_what_costs_money_says_whose_it_is(kind: str) -> None:
    """The bill can be divided by application and stage."""
    found = deployed().of_type(f"AWS::{kind}")
    assert found
    for name, resource in found.items():
        tags = {tag["Key"]: tag["Value"] for tag in resource["Tags"]}
        assert (tags["application"], tags["stage"]) == ("ticket-office", {"Ref": "Stage"}), name


def test_nothing_has_a_name_that_a_second_stack_would_want_too() -> None:
    """dev, prod and a colleague's copy live in one account; names are CloudFormation's to give."""
    named = {
        "Name",
        "TableName",
        "FunctionName",
        "BucketName",
        "LogGroupName",
        "RoleName",
        "DashboardName",
        "LayerName",
        "AlarmName",
    }
    fixed = {
        f"{name}.{key}"
        for name, resource in deployed().resources.items()
        for key in named & resource.get("Properties", {}).keys()
        if isinstance(resource["Properties"][key], str)
        and resource["Type"] != "AWS::Lambda::Alias"  # its function's own
    }
    assert fixed == set()
