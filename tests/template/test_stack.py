"""Check what no linter does: the stack has everything that the promises and the operators rely on.

The tests look at the template after the SAM transform. For alarms see tests/operations/test_pairs.py.
"""

import json
import re
from typing import Any

import pytest

from local import intrinsics
from shared.booking.background import RESERVE_S
from shared.booking.event_cancellation import BOOKINGS_PER_S_MAX
from shared.edge import caller
from shared.model import REQUEST_BUDGET_S, TICKETS_MAX
from tests.template.stack import ROOT, deployed, folder_of

ROUTES = {
    "POST /initialize": "InitializeFunction",
    "POST /book": "BookFunction",
    "POST /confirm": "ConfirmFunction",
    "POST /cancel": "CancelFunction",
    "GET /status/{eventId}": "StatusFunction",
    "GET /bookings": "BookingsFunction",
    "GET /events": "EventsFunction",
    "GET /events/{eventId}/bookings": "EventBookingsFunction",
    "GET /events/{eventId}/waiting-list": "WaitingListFunction",
    "GET /openapi.json": "DescribeFunction",
    "HEAD /openapi.json": "DescribeFunction",
    "GET /docs": "DescribeFunction",
    "HEAD /docs": "DescribeFunction",
    "GET /docs/": "DescribeFunction",
    "GET /health": "DescribeFunction",
    "HEAD /health": "DescribeFunction",
    "GET /": "DescribeFunction",
    "HEAD /": "DescribeFunction",
    "GET /web/{version}/{file}": "DescribeFunction",
    "GET /web/{version}/vendor/{file}": "DescribeFunction",
    "PATCH /events/{eventId}": "ChangeFunction",
    "POST /events/{eventId}/cancel": "CancelEventFunction",
}
PUBLIC = {route for route, function in ROUTES.items() if function == "DescribeFunction"}
REQUESTS = set(ROUTES.values())
BACKGROUND = {"PromoteFunction", "FollowFunction", "AnnounceFunction", "ExpireFunction", "SweepFunction"}
DEPLOYED_GRADUALLY = REQUESTS | BACKGROUND
FUNCTIONS = DEPLOYED_GRADUALLY | {"CheckFunction"}
TABLES = {"EventsTable", "LanesTable", "BookingsTable", "WaitingListTable"}
KEPT = TABLES | {"UserPool", "FailedRecordsBucket"}
MAPPINGS = {  # by logical id: the function that reads, and the table whose stream it reads
    "PromoteFunctionBookings": ("PromoteFunction", "BookingsTable"),
    "FollowFunctionEvents": ("FollowFunction", "EventsTable"),
    "AnnounceFunctionBookings": ("AnnounceFunction", "BookingsTable"),
    "AnnounceFunctionEvents": ("AnnounceFunction", "EventsTable"),
}
DEPLOYMENTS = "deploymentgroup:${AWS::StackName}-ServerlessDeploymentApplication-*/*"
LAMBDA_TIMEOUT_S_MAX = 900  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
API_TIMEOUT_S = 30  # of an HTTP API's integration, API Gateway's maximum
READERS_MAX = 2  # of a stream; DynamoDB throttles more
PATTERNS_MAX = 5  # of a mapping, Lambda's limit
NO_VALUE = {"Ref": "AWS::NoValue"}
JWT: list[dict[str, list[str]]] = [{"Jwt": []}]

# Values that differ from the defaults, by what a change of the parameter does to the functions' published versions.
IN_A_VERSION = (
    "Architecture=x86_64", "LogLevel=DEBUG", "UserClaim=email", "Tracing=Active", "SnapStart=PublishedVersions",
)  # fmt: skip
OF_THE_PAGE = ("PageUrl=https://a.example/", "PageClientId=page")  # only in the versions of the function that serves it
NOT_IN_A_VERSION = (
    "Stage=prod", "LogRetentionDays=7", "JwtIssuer=https://id.example", "JwtAudience=shop", "PublicStatus=true",
    "OrganiserClient=true", "ShopClient=true", "CorsOrigins=https://a.example", "RouteRate=7",
    "AlarmTopicArn=arn:aws:sns:r:1:t", "Rollout=AllAtOnce", "RequestConcurrency=5", "BackgroundConcurrency=5",
    "WarmWriteUnits=9000", "WarmReadUnits=13000",
)  # fmt: skip


def _source() -> dict[str, Any]:
    return intrinsics.read(ROOT / "template.yaml")


def _if_prod(prod: Any, dev: Any) -> dict[str, list[Any]]:
    return {"Fn::If": ["IsProd", prod, dev]}


def _api() -> dict[str, Any]:
    (api,) = deployed().of_type("AWS::ApiGatewayV2::Api").values()
    body: dict[str, Any] = api["Body"]
    return body


def _stage() -> dict[str, Any]:
    (stage,) = deployed().of_type("AWS::ApiGatewayV2::Stage").values()
    return stage


def _mapping(name: str) -> dict[str, Any]:
    return deployed().of_type("AWS::Lambda::EventSourceMapping")[name]


def _filters(name: str) -> list[Any]:
    return [json.loads(one["Pattern"]) for one in _mapping(name)["FilterCriteria"]["Filters"]]


def test_the_lists_above_name_everything_there_is() -> None:
    """The other tests go through these lists."""
    stack = deployed()
    assert stack.functions.keys() == FUNCTIONS
    assert stack.of_type("AWS::DynamoDB::Table").keys() == TABLES
    assert stack.of_type("AWS::Lambda::EventSourceMapping").keys() == MAPPINGS.keys()
    assert stack.routes == ROUTES
    named = {one.partition("=")[0] for one in IN_A_VERSION + OF_THE_PAGE + NOT_IN_A_VERSION}
    assert named == _source()["Parameters"].keys()
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert {folder_of(name) for name in FUNCTIONS} == folders


def test_the_stack_is_within_the_limits_that_aws_does_not_raise() -> None:
    """No linter checks these; a deployment would fail.

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


# ---------------------------------------------------------------- the API


def test_every_route_needs_a_token() -> None:
    """Secure by default: a new route gets the authorizer. Public routes have no privileges; one can be made public."""
    security = {
        f"{method.upper()} {path}": operation["security"]
        for path, methods in _api()["paths"].items()
        for method, operation in methods.items()
    }
    assert security.pop("GET /status/{eventId}") == {"Fn::If": ["HasPublicStatus", NO_VALUE, JWT]}
    assert {route for route, its in security.items() if its == [{"NONE": []}]} == PUBLIC
    secured = ROUTES.keys() - PUBLIC - {"GET /status/{eventId}"}
    assert {route: security[route] for route in secured} == dict.fromkeys(secured, JWT)
    assert all(deployed().privileges(ROUTES[route]) == set() for route in PUBLIC)
    assert _source()["Parameters"]["PublicStatus"]["Default"] == "false"


def test_tokens_are_from_the_user_pool_or_the_named_issuer_and_for_this_audience() -> None:
    """A token for another application is not accepted."""
    authorizer = _api()["components"]["securitySchemes"]["Jwt"]["x-amazon-apigateway-authorizer"]
    assert (authorizer["type"], authorizer["identitySource"]) == ("jwt", "$request.header.Authorization")
    issuer = {"Fn::If": ["MakesUserPool", {"Fn::Sub": "https://${UserPool.ProviderName}"}, {"Ref": "JwtIssuer"}]}
    assert authorizer["jwtConfiguration"]["issuer"] == issuer
    condition, own, others = authorizer["jwtConfiguration"]["audience"]["Fn::If"]
    assert (condition, own[0]) == ("MakesUserPool", {"Ref": "UserPoolClient"})
    assert others == {"Fn::Split": [",", {"Ref": "JwtAudience"}]}
    rule = _source()["Rules"]["IssuerHasAudiences"]
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "JwtAudience"}, ""]}]}


def test_signing_up_makes_no_user_an_organiser_or_a_shop() -> None:
    """Operators assign the group; the app clients for people grant no scope of ours."""
    stack = deployed()
    people = stack.resources["UserPoolClient"]["Properties"]
    assert not [name for name in people if name.startswith("AllowedOAuth")]
    page = stack.resources["PagePoolClient"]
    assert page["Condition"] == "MakesPageClient"
    assert page["Properties"]["AllowedOAuthFlows"] == ["code"]
    assert set(page["Properties"]["AllowedOAuthScopes"]) == {"openid", "email"}
    assert page["Properties"]["CallbackURLs"] == [{"Ref": "PageUrl"}]


@pytest.mark.parametrize("role", [caller.ORGANISER, caller.SHOP])
def test_a_program_of_a_role_gets_its_own_client_and_scope(role: str) -> None:
    """Only if a parameter asks for it, with a secret, and with no other role's scope. People have a group instead."""
    stack, name = deployed(), role.capitalize()
    program = stack.resources[f"{name}PoolClient"]
    assert program["Condition"] == f"Makes{name}Client"
    assert program["Properties"]["AllowedOAuthFlows"] == ["client_credentials"]
    assert program["Properties"]["AllowedOAuthScopes"] == [{"Fn::Sub": f"${{Scopes}}/{role}"}]
    assert program["Properties"]["GenerateSecret"] is True
    assert _source()["Parameters"][f"{name}Client"]["Default"] == "false"
    assert stack.resources[f"{name}Group"]["Properties"]["GroupName"] == role
    server = stack.resources["Scopes"]["Properties"]
    assert f"{server['Identifier']}/" == caller.RESOURCE_SERVER
    assert role in {scope["ScopeName"] for scope in server["Scopes"]}
    client = {"Fn::If": [f"Makes{name}Client", {"Ref": f"{name}PoolClient"}, NO_VALUE]}
    authorizer = _api()["components"]["securitySchemes"]["Jwt"]["x-amazon-apigateway-authorizer"]
    assert client in authorizer["jwtConfiguration"]["audience"]["Fn::If"][1]


def test_cors_is_a_list_of_origins_that_is_empty_by_default() -> None:
    """The list must arrive as a list, although SAM inserts the parameter's text."""
    two = "https://a.example,https://b.example"
    (api,) = deployed("s3://bucket/layer", f"CorsOrigins={two}").of_type("AWS::ApiGatewayV2::Api").values()
    condition, cors, otherwise = api["Body"]["x-amazon-apigateway-cors"]["Fn::If"]
    assert (condition, otherwise) == ("HasCorsOrigins", NO_VALUE)
    assert cors["allowOrigins"] == {"Fn::Split": [",", two]}
    assert "allowCredentials" not in cors
    assert {"authorization", "content-type", "idempotency-key", "if-match"} == set(cors["allowHeaders"])
    assert {route.split()[0] for route in ROUTES} - {"HEAD"} == set(cors["allowMethods"])  # browsers always allow HEAD
    parameter = _source()["Parameters"]["CorsOrigins"]
    assert parameter["Default"] == ""
    for refused in ("*", "https://*", "https://a.example/", "a.example", "https://a.example, https://b.example"):
        assert not re.fullmatch(parameter["AllowedPattern"], refused)
    assert re.fullmatch(parameter["AllowedPattern"], two)


def test_each_route_has_its_own_rate_limit() -> None:
    """A flood on one route leaves the account's quota to the others."""
    rate = {"Ref": "RouteRate"}
    assert _stage()["DefaultRouteSettings"] == {"ThrottlingRateLimit": rate, "ThrottlingBurstLimit": rate}
    assert _stage()["RouteSettings"].keys() <= ROUTES.keys()
    page = {route for route in PUBLIC if route == "GET /" or "/web/" in route}  # for all buyers of an on-sale
    for seldom in ("POST /initialize", *PUBLIC - page):
        assert _stage()["RouteSettings"][seldom]["ThrottlingRateLimit"] < 100


def test_the_access_log_says_why_a_request_was_refused_and_nothing_about_users() -> None:
    """No booking, no address, no path with its query. Its group is one for which AWS needs no resource policy."""
    assert json.loads(_stage()["AccessLogSettings"]["Format"]) == {
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
    group = deployed().resources["ApiLogs"]["Properties"]["LogGroupName"]
    assert group == {"Fn::Sub": "/aws/vendedlogs/${AWS::StackName}-api"}


# ---------------------------------------------------------------- functions


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_is_packaged_and_configured_as_all_are(name: str) -> None:
    """Folder and handler match; function and layer share architecture and Python; AWS verifies tokens, always."""
    source, function = _source()["Resources"][name], deployed().functions[name]
    build, folder = source["Metadata"]["BuildProperties"], f"functions/{folder_of(name)}"
    assert source["Properties"]["CodeUri"] == folder
    assert build == {"ParentPackageMode": "explicit", "ParentPackages": folder.replace("/", ".")}
    assert function["Handler"] == f"{build['ParentPackages']}.app.handler"
    layer_name, layer = next(iter(deployed().of_type("AWS::Lambda::LayerVersion").items()))
    layer_source = _source()["Resources"]["SharedLayer"]["Metadata"]
    assert function["Layers"] == [{"Ref": layer_name}]
    architecture = {"Ref": "Architecture"}
    assert function["Architectures"] == layer["CompatibleArchitectures"] == [architecture]
    assert layer_source["BuildArchitecture"] == architecture
    assert layer["CompatibleRuntimes"] == [function["Runtime"]]
    assert source["Metadata"]["BuildMethod"] == layer_source["BuildMethod"] == function["Runtime"]
    assert function["Environment"]["Variables"]["OPEN_TO_ALL"] == "false"
    assert function["Environment"]["Variables"]["USER_CLAIM"] == {"Ref": "UserClaim"}
    assert function["LoggingConfig"] == {"LogGroup": {"Ref": "FunctionLogs"}}


def test_every_log_group_expires() -> None:
    """A group that Lambda creates is kept, and paid for, forever."""
    groups = deployed().of_type("AWS::Logs::LogGroup")
    assert groups.keys() == {"FunctionLogs", "ApiLogs"}
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


@pytest.mark.parametrize("name", sorted(DEPLOYED_GRADUALLY))
def test_time_outs_are_in_order(name: str) -> None:
    """503 try-again is our response: retries end before the function does, and the function before API Gateway."""
    timeout_s = deployed().functions[name]["Timeout"]
    if name in REQUESTS:
        assert 1.5 * REQUEST_BUDGET_S <= timeout_s < API_TIMEOUT_S
    else:
        assert timeout_s >= 4 * RESERVE_S, "most of an invocation is for the work"


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_snapstart_and_concurrency_are_off_unless_a_parameter_asks_for_them(name: str) -> None:
    """Both cost money or take from other functions; nothing waits for the cold start of a background function."""
    function = deployed().functions[name]
    parameters = _source()["Parameters"]
    assert function["SnapStart"] == {"ApplyOn": {"Ref": "SnapStart"} if name in REQUESTS else "None"}
    kind, condition = (
        ("Request", "ReservesForRequests") if name in REQUESTS else ("Background", "ReservesForBackground")
    )
    reserved = {"Fn::If": [condition, {"Ref": f"{kind}Concurrency"}, NO_VALUE]}
    assert function["ReservedConcurrentExecutions"] == (reserved if name in DEPLOYED_GRADUALLY else NO_VALUE)
    assert (parameters["SnapStart"]["Default"], parameters[f"{kind}Concurrency"]["Default"]) == ("None", 0)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_privileges_name_actions_and_resources(name: str) -> None:
    """No wildcards, except for names that do not exist yet. What the functions need is in tests/artifact."""
    privileges = deployed().privileges(name)
    assert privileges or name == "DescribeFunction"
    for action, resource in privileges:
        assert "*" not in action
        known = {*TABLES, *FUNCTIONS, "EventBus", "FailedRecordsBucket"}
        assert re.split("[/:]", resource)[0] in known or resource == DEPLOYMENTS
        assert "*" not in resource or resource in {"FailedRecordsBucket/*", DEPLOYMENTS}


# ---------------------------------------------------------------- data


@pytest.mark.parametrize("name", sorted(KEPT))
def test_data_outlives_its_stack(name: str) -> None:
    """Bookings, the users they belong to, and records not yet settled are kept, whoever deletes or replaces what."""
    resource = deployed().resources[name]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    protection = {"UserPool": ("DeletionProtection", _if_prod("ACTIVE", "INACTIVE"))}
    protection |= {table: ("DeletionProtectionEnabled", _if_prod(True, False)) for table in TABLES}
    if name in protection:  # S3 itself refuses to delete a bucket that is not empty
        key, value = protection[name]
        assert resource["Properties"][key] == value


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_can_be_restored(name: str) -> None:
    """Backups and encryption; capacity on demand."""
    table = deployed().resources[name]["Properties"]
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_tables_whose_work_is_spread_can_be_warmed() -> None:
    """With their indexes, which throttle their tables. More partitions do not help an event's single item."""
    tables = deployed().of_type("AWS::DynamoDB::Table")
    units = {"WriteUnitsPerSecond": {"Ref": "WarmWriteUnits"}, "ReadUnitsPerSecond": {"Ref": "WarmReadUnits"}}
    for name in TABLES - {"EventsTable"}:
        for warmed in (tables[name], *tables[name].get("GlobalSecondaryIndexes", [])):
            assert warmed["WarmThroughput"] == {"Fn::If": ["IsWarm", units, NO_VALUE]}
    assert "WarmThroughput" not in tables["EventsTable"]
    assert _source()["Parameters"]["WarmWriteUnits"]["Default"] == 0


def test_the_bucket_of_failed_records_is_private_and_encrypted() -> None:
    """The records name users; they are encrypted in the bucket and on the way to it."""
    (bucket,) = deployed().of_type("AWS::S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    (policy,) = deployed().of_type("AWS::S3::BucketPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


# ---------------------------------------------------------------- streams and schedule


@pytest.mark.parametrize("name", sorted(MAPPINGS))
def test_a_stream_is_read_completely_and_a_failing_record_is_isolated_and_kept(name: str) -> None:
    """P6, O3: every record arrives with both images; a bad one neither blocks the stream nor disappears."""
    stack, mapping = deployed(), _mapping(name)
    function, table = MAPPINGS[name]
    assert stack.behind(mapping["FunctionName"]["Ref"]) == function
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": [table, "StreamArn"]}
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert stack.resources[table]["Properties"]["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert [its for _, its in MAPPINGS.values()].count(table) <= READERS_MAX
    assert 1 <= len(_filters(name)) <= PATTERNS_MAX
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert 1 <= mapping["MaximumRetryAttempts"] <= 100
    assert 60 <= mapping["MaximumRecordAgeInSeconds"] <= 24 * 3600, "the stream itself keeps a day"
    # An S3 object holds the whole batch. Lambda writes it with the function's role:
    # https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["FailedRecordsBucket", "Arn"]}
    needed = {("s3:PutObject", "FailedRecordsBucket/*"), ("s3:ListBucket", "FailedRecordsBucket")}
    assert needed <= stack.privileges(function)


def test_the_promoter_runs_only_for_a_release_and_for_a_join() -> None:
    """P6; a held or confirmed booking, the most frequent record, costs no invocation."""
    owned, ended = ({"status": {"S": names}} for names in (["HELD", "CONFIRMED"], ["CANCELLED", "EXPIRED"]))
    assert _filters("PromoteFunctionBookings") == [
        {"dynamodb": {"OldImage": owned, "NewImage": ended}},
        {"dynamodb": {"NewImage": {"status": {"S": ["WAITING"]}}}},
    ]


def test_the_follower_runs_only_for_cancelled_events_and_for_requested_changes() -> None:
    """The steps of a change cost no invocation, nor does an event that sells out."""
    exists, absent = {"S": [{"exists": True}]}, {"S": [{"exists": False}]}
    assert _filters("FollowFunctionEvents") == [
        {"dynamodb": {"OldImage": {name: absent}, "NewImage": {name: exists}}}
        for name in ("cancelledAt", "requestedAt")
    ]


def test_emptying_a_large_event_has_enough_time_and_holds_up_no_other() -> None:
    """O3: a million bookings take several of the longest invocations; each handles one record, others run beside it."""
    mapping = _mapping("FollowFunctionEvents")
    assert deployed().functions["FollowFunction"]["Timeout"] == LAMBDA_TIMEOUT_S_MAX
    needed_s = TICKETS_MAX / BOOKINGS_PER_S_MAX
    assert 2 * needed_s < mapping["MaximumRecordAgeInSeconds"]
    assert 2 * needed_s < mapping["MaximumRetryAttempts"] * LAMBDA_TIMEOUT_S_MAX
    assert (mapping["BatchSize"], mapping["ParallelizationFactor"]) == (1, 10)


def test_the_sweep_and_expiry_are_scheduled_without_retries() -> None:
    """P6: what a lost record left behind is found soon. H3: a hold ends within two minutes; runs do not overlap."""
    found = {
        deployed().behind(schedule["Target"]["Arn"]["Ref"]): schedule["ScheduleExpression"]
        for schedule in deployed().of_type("AWS::Scheduler::Schedule").values()
    }
    assert found == {"SweepFunction": "rate(5 minutes)", "ExpireFunction": "rate(1 minute)"}
    for schedule in deployed().of_type("AWS::Scheduler::Schedule").values():
        assert schedule["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 0}
    assert deployed().functions["ExpireFunction"]["Timeout"] < 60


# ---------------------------------------------------------------- deployments


@pytest.mark.parametrize("name", sorted(DEPLOYED_GRADUALLY))
def test_codedeploy_moves_traffic_to_a_new_version_and_takes_it_back(name: str) -> None:
    """Step by step in prod, at once in dev; alarms and the check roll back."""
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
    assert group["DeploymentConfigName"]["Fn::If"][0] == "IsProd"
    assert rollouts == ["Canary10Percent10Minutes", "AllAtOnce"]
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    alarms = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    errors = {one for one in stack.of_type("AWS::CloudWatch::Alarm") if one.endswith("ErrorsAlarm")}
    assert alarms == {"PromiseAlarm", "StrandedAlarm", "TryAgainAlarm", "InternalErrorAlarm"} | errors


def test_codedeploy_may_invoke_the_check() -> None:
    """SAM gives it AWSCodeDeployRoleForLambda, which allows only functions of such a name."""
    role = deployed().of_type("AWS::IAM::Role")["CodeDeployServiceRole"]
    assert "AWSCodeDeployRoleForLambda" in json.dumps(role["ManagedPolicyArns"])
    assert deployed().functions["CheckFunction"]["FunctionName"] == {"Fn::Sub": "CodeDeployHook_${AWS::StackName}"}


def _versions(*parameters: str, layer: str = "layer") -> dict[str, str]:
    """Return for each function what makes CloudFormation publish: the version's logical id and its description."""
    found = {}
    values = dict(one.split("=", 1) for one in parameters)
    for logical_id, version in deployed(f"s3://bucket/{layer}", *parameters).of_type("AWS::Lambda::Version").items():
        names = re.findall(r"\$\{(\w+)\}", version["Description"]["Fn::Sub"])
        found[version["FunctionName"]["Ref"]] = " ".join([logical_id, *(values.get(name, "default") for name in names)])
    return found


def _republished(*parameters: str, layer: str = "layer") -> set[str]:
    before, after = _versions(), _versions(*parameters, layer=layer)
    assert before.keys() == after.keys() == FUNCTIONS
    return {name for name in FUNCTIONS if before[name] != after[name]}


def test_a_change_of_the_layer_publishes_every_function() -> None:
    """The layer holds the protocol; an alias on an old version would run the old protocol."""
    assert _republished(layer="another") == FUNCTIONS


@pytest.mark.parametrize("parameter", IN_A_VERSION)
def test_a_parameter_that_a_version_contains_publishes_a_new_one(parameter: str) -> None:
    """Otherwise the alias would keep the old value."""
    assert _republished(parameter) == (REQUESTS if parameter.startswith("SnapStart") else FUNCTIONS)


@pytest.mark.parametrize("parameter", OF_THE_PAGE)
def test_where_people_sign_in_on_the_page_publishes_the_function_that_says_so(parameter: str) -> None:
    """The other functions do not know."""
    assert _republished(parameter) == {"DescribeFunction"}


@pytest.mark.parametrize("parameter", NOT_IN_A_VERSION)
def test_any_other_parameter_publishes_nothing(parameter: str) -> None:
    """Lambda refuses to publish an unchanged function, and CloudFormation would roll the change back."""
    assert _republished(parameter) == set()


def test_each_condition_tests_what_its_name_says() -> None:
    """The other tests refer to conditions by name."""

    def given(parameter: str, nothing: str | int = "") -> dict[str, Any]:
        return {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, nothing]}]}

    assert _source()["Conditions"] == {
        "IsProd": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
        "MakesUserPool": {"Fn::Equals": [{"Ref": "JwtIssuer"}, ""]},
        "MakesOrganiserClient": {
            "Fn::And": [{"Condition": "MakesUserPool"}, {"Fn::Equals": [{"Ref": "OrganiserClient"}, "true"]}]
        },
        "MakesShopClient": {
            "Fn::And": [{"Condition": "MakesUserPool"}, {"Fn::Equals": [{"Ref": "ShopClient"}, "true"]}]
        },
        "HasPrograms": {"Fn::Or": [{"Condition": "MakesOrganiserClient"}, {"Condition": "MakesShopClient"}]},
        "MakesPageClient": {"Fn::And": [{"Condition": "MakesUserPool"}, given("PageUrl")]},
        "HasDomain": {"Fn::Or": [{"Condition": "HasPrograms"}, {"Condition": "MakesPageClient"}]},
        "HasPageClient": given("PageClientId"),
        "HasPublicStatus": {"Fn::Equals": [{"Ref": "PublicStatus"}, "true"]},
        "HasCorsOrigins": given("CorsOrigins"),
        "ReservesForRequests": given("RequestConcurrency", 0),
        "ReservesForBackground": given("BackgroundConcurrency", 0),
        "IsWarm": given("WarmWriteUnits", 0),
        "HasAlarmTopic": given("AlarmTopicArn"),
    }
    assert _source()["Parameters"]["Stage"]["Default"] == "dev"


@pytest.mark.parametrize(
    "kind", ["Lambda::Function", "DynamoDB::Table", "S3::Bucket", "Logs::LogGroup", "Events::EventBus"]
)
def test_what_costs_money_is_tagged(kind: str) -> None:
    """The bill can be divided by application and stage."""
    found = deployed().of_type(f"AWS::{kind}")
    assert found
    for name, resource in found.items():
        tags = {tag["Key"]: tag["Value"] for tag in resource["Tags"]}
        assert (tags["application"], tags["stage"]) == ("ticket-office", {"Ref": "Stage"}), name


def test_several_stacks_fit_into_one_account() -> None:
    """No fixed names: CloudFormation generates them, or they contain the stack's name."""
    named = re.compile(r"(Table|Function|Bucket|LogGroup|Role|Dashboard|Layer|Alarm)?Name")
    fixed = {
        f"{name}.{key}"
        for name, resource in deployed().resources.items()
        for key, value in resource.get("Properties", {}).items()
        if named.fullmatch(key) and isinstance(value, str) and resource["Type"] != "AWS::Lambda::Alias"
    }
    assert fixed == set()
