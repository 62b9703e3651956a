"""Check what no linter does: the stack has everything that the promises and the operators rely on.

The tests look at the template after the SAM transform. For alarms see tests/operations/test_pairs.py.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from functions.announce import bus
from local import intrinsics
from local.template import load
from shared.booking.event_cancellation import BOOKINGS_PER_S_MAX
from shared.edge import caller
from shared.model import BACKGROUND_RESERVE_S, REQUEST_BUDGET_S, TICKETS_MAX
from tests.template import changes
from tests.template.stack import ROOT, deployed, folder_of

ROUTES = {f"{route.method} {route.path}": route.function for route in load().routes}  # as `python -m local` reads them
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


@cache
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
        assert 1 <= len(group["AlarmConfiguration"]["Fn::If"][1]["Alarms"]) <= 10
    for alarm in stack.of_type("AWS::CloudWatch::Alarm").values():
        assert len(alarm["AlarmDescription"]["Fn::Sub"]) <= 800  # with RunbookUrl at most 1,024
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


def test_the_pool_identifies_users_by_what_they_cannot_change() -> None:
    """A change of the email is verified before it takes effect; UserClaim must be sub."""
    pool = deployed().resources["UserPool"]["Properties"]
    assert pool["UserAttributeUpdateSettings"] == {"AttributesRequireVerificationBeforeUpdate": ["email"]}
    rule = _source()["Rules"]["PoolIdentifiesUsersBySub"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "JwtIssuer"}, ""]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Equals": [{"Ref": "UserClaim"}, "sub"]}


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        ({}, set()),
        ({"JwtIssuer": "https://id.example"}, {"IssuerHasAudiences"}),
        ({"JwtIssuer": "https://id.example", "JwtAudience": "shop", "UserClaim": "email"}, set()),
        ({"UserClaim": "email"}, {"PoolIdentifiesUsersBySub"}),
        ({"SesIdentityArn": "arn:aws:ses:r:1:identity/a.example"}, {"MailHasSender"}),
        ({"DomainName": "api.a.example"}, {"DomainHasCertificate"}),
        ({"WebhookUrl": "https://a.example/"}, {"WebhookHasSecret"}),
    ],
)
def test_parameters_that_need_each_other_are_refused_alone(given: dict[str, str], broken: set[str]) -> None:
    """Before anything is created. The defaults are accepted."""
    values, rules = intrinsics.Values(_source(), given), _source()["Rules"]
    assert broken == {
        name
        for name, rule in rules.items()
        if values.resolve(rule["RuleCondition"], name)
        and not all(values.resolve(one["Assert"], name) for one in rule["Assertions"])
    }


def test_parameters_decide_on_sign_up_second_factor_price_and_mail() -> None:
    """Cognito's own mail sender stops at 50 messages a day."""
    pool = deployed().resources["UserPool"]["Properties"]
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": {"Fn::If": ["SignUpIsClosed", True, False]}}
    assert pool["MfaConfiguration"] == {"Ref": "Mfa"}
    assert pool["EnabledMfas"] == {"Fn::If": ["HasMfa", ["SOFTWARE_TOKEN_MFA"], NO_VALUE]}
    assert pool["UserPoolTier"] == {"Ref": "UserPoolTier"}
    [cost] = re.findall(r"[^\n]*active within a month.*?\n\n", (ROOT / "docs/benchmark.md").read_text(), re.DOTALL)
    assert all(f"`{tier}`" in cost for tier in _source()["Parameters"]["UserPoolTier"]["AllowedValues"])
    ses = {"EmailSendingAccount": "DEVELOPER", "SourceArn": {"Ref": "SesIdentityArn"}, "From": {"Ref": "MailFrom"}}
    assert pool["EmailConfiguration"] == {"Fn::If": ["HasSes", ses, NO_VALUE]}


def test_with_a_domain_the_api_has_no_other_address() -> None:
    """Otherwise callers could bypass what stands before the domain. A truststore keeps them from the domain, too."""
    stack = deployed()
    (server,) = _api()["servers"]
    off = {"disableExecuteApiEndpoint": {"Fn::If": ["HasDomain", True, False]}}
    assert server["x-amazon-apigateway-endpoint-configuration"] == off
    for name in ("ApiDomain", "ApiDomainMapping"):
        assert stack.resources[name]["Condition"] == "HasDomain"
    mapping = stack.resources["ApiDomainMapping"]["Properties"]
    assert mapping["DomainName"] == {"Ref": "ApiDomain"}
    assert stack.resources[mapping["Stage"]["Ref"]]["Type"] == "AWS::ApiGatewayV2::Stage"
    domain = stack.resources["ApiDomain"]["Properties"]
    (listed,) = domain["DomainNameConfigurations"]
    assert listed["SecurityPolicy"] == "TLS_1_2"
    truststore = {"TruststoreUri": {"Ref": "DomainTruststore"}}
    assert domain["MutualTlsAuthentication"] == {"Fn::If": ["HasTruststore", truststore, NO_VALUE]}


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
    headers = {"authorization", "cache-control", "content-type", "idempotency-key", "if-match"}
    assert set(cors["allowHeaders"]) == headers
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
    if name == "SweepFunction":
        assert timeout_s == {"Ref": "SweepTimeout"}
        timeout_s = min(_source()["Parameters"]["SweepTimeout"]["AllowedValues"])
    if name in REQUESTS:
        assert 1.5 * REQUEST_BUDGET_S <= timeout_s < API_TIMEOUT_S
    else:
        assert timeout_s >= 4 * BACKGROUND_RESERVE_S, "most of an invocation is for the work"


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_snapstart_is_for_functions_that_answer_requests(name: str) -> None:
    """It costs money, so a parameter asks for it; nothing waits for the cold start of a background function."""
    assert deployed().functions[name]["SnapStart"] == {"ApplyOn": {"Ref": "SnapStart"} if name in REQUESTS else "None"}
    assert _source()["Parameters"]["SnapStart"]["Default"] == "None"


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_requests_cannot_starve_a_background_function(name: str) -> None:
    """P6, O3: in prod each one has concurrency of its own; a new account could not deploy dev with it."""
    parameters = _source()["Parameters"]
    reserved = deployed().functions[name]["ReservedConcurrentExecutions"]
    if name in BACKGROUND:
        own = f"{name.removesuffix('Function')}Concurrency"
        assert reserved == _if_prod({"Ref": own}, NO_VALUE)
        assert 1 <= parameters[own]["MinValue"] <= parameters[own]["Default"]
    elif name in REQUESTS:
        assert reserved == {"Fn::If": ["ReservesForRequests", {"Ref": "RequestConcurrency"}, NO_VALUE]}
        assert parameters["RequestConcurrency"]["Default"] == 0
    else:
        assert reserved == NO_VALUE


def test_the_reserved_concurrency_fits_into_a_default_account() -> None:
    """Lambda's default is 1,000, of which 100 cannot be reserved; requests need most of it."""
    own = [f"{name.removesuffix('Function')}Concurrency" for name in BACKGROUND]
    assert sum(_source()["Parameters"][name]["Default"] for name in own) <= 200


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
    """Bookings, the users they belong to, and failed records are kept if the stack is deleted or a table replaced."""
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


def test_warm_throughput_is_not_part_of_the_stack() -> None:
    """It can only rise: a rollback would ask for less, and fail. `python -m ops warm` sets it."""
    assert "WarmThroughput" not in json.dumps(deployed().of_type("AWS::DynamoDB::Table"))


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


# ---------------------------------------------------------------- announcements


def test_no_other_account_puts_events_on_the_bus() -> None:
    """A Deny wins over anything that is allowed later."""
    policy = deployed().resources["EventBusPolicy"]["Properties"]
    assert policy["EventBusName"] == {"Ref": "EventBus"}
    statement = policy["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "events:PutEvents")
    assert statement["Condition"] == {"StringNotEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}


def test_a_webhook_gets_each_announcement_with_the_secret_and_loses_none() -> None:
    """What it does not accept within a day is kept in a queue that only this rule can write to."""
    stack = deployed()
    made = {name: one for name, one in stack.resources.items() if name.startswith("Webhook")}
    assert len(made) == 6
    assert {one["Condition"] for one in made.values()} == {"HasWebhook"}
    key = made["WebhookConnection"]["Properties"]["AuthParameters"]["ApiKeyAuthParameters"]
    assert key == {"ApiKeyName": "X-Webhook-Secret", "ApiKeyValue": {"Ref": "WebhookSecret"}}
    assert _source()["Parameters"]["WebhookSecret"]["NoEcho"] is True
    rule = made["WebhookRule"]["Properties"]
    assert (rule["EventBusName"], rule["EventPattern"]) == ({"Ref": "EventBus"}, {"source": [bus.SOURCE]})
    (target,) = rule["Targets"]
    assert target["InputPath"] == "$.detail", "the CloudEvent, as on the bus"
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["WebhookDeadLetters", "Arn"]}}
    (writes,) = made["WebhookDeadLettersPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert writes["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["WebhookRule", "Arn"]}}}
    (invokes,) = made["WebhookRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert invokes["Resource"] == {"Fn::GetAtt": ["WebhookDestination", "Arn"]}


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
    if (
        function == "AnnounceFunction"
    ):  # only its age ends a record; functions/announce/unreadable.py takes out bad ones
        assert mapping["MaximumRetryAttempts"] == -1
    else:
        assert 1 <= mapping["MaximumRetryAttempts"] <= 100
    assert 60 <= mapping["MaximumRecordAgeInSeconds"] <= 24 * 3600, "the stream itself keeps a day"
    # An S3 object holds the whole batch. Lambda writes it with the function's role:
    # https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["FailedRecordsBucket", "Arn"]}
    needed = {("s3:PutObject", "FailedRecordsBucket/*"), ("s3:ListBucket", "FailedRecordsBucket")}
    assert needed <= stack.privileges(function)


def test_the_promoter_runs_only_for_a_release_a_join_a_wish_for_fewer_and_a_note() -> None:
    """P6; a held or confirmed booking, the most frequent record, costs no invocation."""
    owned, ended = ({"status": {"S": names}} for names in (["HELD", "CONFIRMED"], ["CANCELLED", "EXPIRED"]))
    waited = {"status": {"S": ["WAITING"]}}
    insisted = {**waited, "atLeast": {"N": [{"exists": True}]}}
    assert _filters("PromoteFunctionBookings") == [
        {"dynamodb": {"OldImage": owned, "NewImage": ended}},
        {"dynamodb": {"OldImage": owned, "NewImage": {**owned, "reducedAt": {"S": [{"exists": True}]}}}},
        {"dynamodb": {"NewImage": waited}},
        {"dynamodb": {"OldImage": insisted, "NewImage": {"status": {"S": ["CANCELLED"]}}}},
        {"dynamodb": {"NewImage": {"askedAt": {"S": [{"exists": True}]}}}},
    ]


def test_notes_are_not_announced() -> None:
    """A note is no booking: its records cost the announcer no invocation."""
    booking = {"dynamodb": {"NewImage": {"bookingId": {"S": [{"exists": True}]}}}}
    assert _filters("AnnounceFunctionBookings") == [{"eventName": ["INSERT", "MODIFY"], **booking}]


def test_the_follower_runs_only_for_cancelled_and_sold_out_events_and_for_requested_changes() -> None:
    """The steps of a change cost no invocation."""
    exists, absent = {"S": [{"exists": True}]}, {"S": [{"exists": False}]}
    assert _filters("FollowFunctionEvents") == [
        {"dynamodb": {"OldImage": {name: absent}, "NewImage": {name: exists}}}
        for name in ("cancelledAt", "soldOutAt", "requestedAt")
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
    assert max(_source()["Parameters"]["SweepTimeout"]["AllowedValues"]) < 300


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
    condition, with_alarms, without = group["AlarmConfiguration"]["Fn::If"]
    assert (condition, without) == ("HasDeploymentAlarms", {})
    alarms = {alarm["Name"]["Ref"] for alarm in with_alarms["Alarms"]}
    errors = {one for one in stack.of_type("AWS::CloudWatch::Alarm") if one.endswith("ErrorsAlarm")}
    assert alarms == {"PromiseAlarm", "StrandedAlarm", "TryAgainAlarm", "InternalErrorAlarm"} | errors


def test_a_replaced_version_is_kept_for_a_rollback_by_hand() -> None:
    """roll_back in docs/operations.md goes to it."""
    versions = [one for one in deployed().resources.values() if one["Type"] == "AWS::Lambda::Version"]
    assert [one["DeletionPolicy"] for one in versions] == ["Retain"] * len(FUNCTIONS)


def test_codedeploy_may_invoke_the_check() -> None:
    """SAM gives it AWSCodeDeployRoleForLambda, which allows only functions of such a name."""
    role = deployed().of_type("AWS::IAM::Role")["CodeDeployServiceRole"]
    assert "AWSCodeDeployRoleForLambda" in json.dumps(role["ManagedPolicyArns"])
    assert deployed().functions["CheckFunction"]["FunctionName"] == {"Fn::Sub": "CodeDeployHook_${AWS::StackName}"}


def test_each_condition_holds_when_its_name_says() -> None:
    """The other tests refer to conditions by name. Which parameter each depends on, the page of deployments shows."""
    every = _source()["Conditions"].keys()

    def held(parameters: Mapping[str, str]) -> set[str]:
        values = intrinsics.Values(_source(), parameters)
        return {name for name in every if values.holds(name, name)}

    of_the_pool = {"MakesUserPool", "MakesOrganiserClient", "MakesShopClient", "HasPrograms", "MakesPageClient"}
    assert held({}) == {"MakesUserPool", "HasDeploymentAlarms"}
    assert held(changes.WITH_POOL) == every - {"HasDeploymentAlarms"}
    assert held(changes.WITH_ISSUER) == every - {"HasDeploymentAlarms", "HasPoolDomain", *of_the_pool}


@pytest.mark.parametrize(
    "kind",
    ["Lambda::Function", "DynamoDB::Table", "S3::Bucket", "SQS::Queue", "Logs::LogGroup", "Events::EventBus"],
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
