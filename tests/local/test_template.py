"""template.yaml is read as AWS reads it; anything that one machine does not support is refused."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import PROJECT, intrinsics, template
from local.errors import TemplateError
from local.system import Cors, Route, Schedule, Stream, System

SMALL = """
Parameters:
  Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Size: {Type: Number, Default: 128}
  Origins: {Type: String, Default: "https://a.example,https://b.example", AllowedPattern: "[^*]+"}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
Globals:
  Function:
    Timeout: 5
    Environment: {Variables: {TABLE: !Ref Things, STAGE: !Ref Stage, COLOUR: red}}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Jwt
        Authorizers:
          Jwt:
            IdentitySource: $request.header.Authorization
            JwtConfiguration: {issuer: !GetAtt Pool.Url, audience: [x]}
      DefinitionBody:
        paths: {"/things/{id}": {get: {security: !If [IsProd, !Ref AWS::NoValue, [{Jwt: []}]]}}}
      CorsConfiguration: !If
        - IsProd
        - {AllowOrigins: !Split [",", !Ref Origins], AllowMethods: [GET], AllowHeaders: [authorization]}
        - !Ref AWS::NoValue
      DefaultRouteSettings: {ThrottlingRateLimit: 1}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: some.module.handler
      MemorySize: !Ref Size
      Environment:
        Variables:
          COLOUR: !Sub "dark ${Stage}"
          SIZE: !If [IsProd, 1, !Ref AWS::NoValue]
          LOUD: true
      Events:
        Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: get, Path: "/things/{id}"}}
        Things:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Things.StreamArn
            StartingPosition: TRIM_HORIZON
            FilterCriteria: {Filters: [{Pattern: '{"eventName": ["INSERT"]}'}]}
        Often: {Type: Schedule, Properties: {Schedule: rate(2 hours)}}
  Extra:
    Type: AWS::Serverless::Function
    Condition: IsProd
    Properties: {Handler: extra.handler}
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  Alarm: {Type: AWS::CloudWatch::Alarm, Properties: {Anything: !GetAtt Worker.Arn}}
"""
CORS = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "AllowHeaders": []}


def load(tmp_path: Path, text: str, **parameters: str) -> System:
    """Load a template from text."""
    path = tmp_path / "template.yaml"
    path.write_text(text)
    return template.load(path, parameters)


def test_the_whole_template_of_the_project_is_read() -> None:
    """Routes, streams, schedules and tables are complete, and every handler exists."""
    system = template.load()

    assert {f"{route.method} {route.path}" for route in system.routes} == {
        "POST /initialize", "POST /book", "POST /cancel", "POST /confirm", "POST /transfer", "POST /check-in",
        "GET /status/{eventId}", "PATCH /events/{eventId}", "POST /events/{eventId}/cancel", "GET /bookings",
        "GET /events", "GET /events/{eventId}/bookings", "GET /events/{eventId}/waiting-list", "GET /openapi.json",
        "HEAD /openapi.json", "GET /docs", "HEAD /docs", "GET /docs/", "GET /health", "HEAD /health", "GET /",
        "HEAD /", "GET /web/{version}/{file}", "GET /web/{version}/vendor/{file}",
    }  # fmt: skip
    page = {"/", "/web/{version}/{file}", "/web/{version}/vendor/{file}"}
    public = {"/openapi.json", "/docs", "/docs/", "/health"} | page
    assert {route.path for route in system.routes if not route.takes_token} == public
    assert all(
        (PROJECT / function.handler.replace(".handler", "").replace(".", "/")).with_suffix(".py").is_file()
        for function in system.functions.values()
    )
    assert {(stream.function, stream.table) for stream in system.streams} == {
        ("PromoteFunction", "BookingsTable"),
        ("FollowFunction", "EventsTable"),
        ("AnnounceFunction", "BookingsTable"),
        ("AnnounceFunction", "EventsTable"),
    }
    assert all(stream.patterns and stream.reports_failures for stream in system.streams)
    # Only announcements may wait for fuller batches.
    assert {(stream.function, stream.window_s) for stream in system.streams} == {
        ("PromoteFunction", 0),
        ("FollowFunction", 0),
        ("AnnounceFunction", 1),
    }
    assert [system.functions[schedule.function].handler for schedule in system.schedules] == [
        "functions.expire.app.handler",
        "functions.sweep.app.handler",
    ]
    names = {table.name for table in system.tables}
    for function in system.functions.values():
        assert {value for name, value in function.environment.items() if name.endswith("_TABLE")} == names


def test_a_function_overrides_the_globals(tmp_path: Path) -> None:
    """SAM merges maps and replaces other values."""
    worker = load(tmp_path, SMALL).functions["Worker"]

    assert worker.handler == "some.module.handler"
    assert worker.timeout_s == 5
    assert worker.environment == {"TABLE": "Things", "STAGE": "dev", "COLOUR": "dark dev", "LOUD": "true"}


def test_parameters_override_their_defaults(tmp_path: Path) -> None:
    """Conditions, and the resources that depend on them, follow."""
    dev = load(tmp_path, SMALL, Size="256")
    prod = load(tmp_path, SMALL, Size="256", Stage="prod")

    assert dev.functions["Worker"].memory_mb == 256
    assert set(dev.functions) == {"Worker"}
    assert set(prod.functions) == {"Worker", "Extra"}
    assert prod.functions["Worker"].environment["SIZE"] == "1"


def test_triggers_have_the_defaults_of_lambda(tmp_path: Path) -> None:
    """For example, a stream without limits retries forever."""
    system = load(tmp_path, SMALL)

    assert system.routes == (Route("GET", "/things/{id}", "Worker", takes_token=True),)
    assert system.cors is None
    assert system.streams == (
        Stream(
            name="WorkerThings",
            table="Things",
            function="Worker",
            patterns=({"eventName": ["INSERT"]},),
            batch_size=100,
            window_s=0,
            retries=-1,
            max_age_s=-1,
            bisect=False,
            reports_failures=False,
        ),
    )
    assert system.schedules == (Schedule("Worker", 7200),)
    assert system.tables[0].arguments["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}


def test_authorizer_and_cors_follow_the_parameters(tmp_path: Path) -> None:
    """A route may need no token, and web pages of other origins may call."""
    system = load(tmp_path, SMALL, Stage="prod")

    assert [route.takes_token for route in system.routes] == [False]
    assert system.cors == Cors(
        origins=("https://a.example", "https://b.example"),
        methods=("GET",),
        headers=("authorization",),
        exposed=(),
        max_age_s=0,
    )


def test_a_route_is_behind_the_default_authorizer_unless_it_opts_out(tmp_path: Path) -> None:
    """Without an authorizer no route takes a token."""
    base = SMALL[: SMALL.index("      DefinitionBody:")] + SMALL[SMALL.index("      CorsConfiguration:") :]
    assert [route.takes_token for route in load(tmp_path, base).routes] == [True]
    without = base[: base.index("      Auth:")] + base[base.index("      CorsConfiguration:") :]
    assert [route.takes_token for route in load(tmp_path, without).routes] == [False]
    public = base.replace('Path: "/things/{id}"', 'Path: "/things/{id}", Auth: {Authorizer: NONE}')
    assert [route.takes_token for route in load(tmp_path, public).routes] == [False]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Stage": "test"}, "the parameter Stage cannot be test"),
        ({"Colour": "red"}, "no parameter Colour"),
        ({"Origins": "*"}, "the parameter Origins cannot be *"),
    ],
)
def test_a_wrong_parameter_is_refused(tmp_path: Path, parameters: dict[str, str], message: str) -> None:
    """Its name must exist, and its value be allowed."""
    with pytest.raises(TemplateError, match=re.escape(message)):
        load(tmp_path, SMALL, **parameters)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("Worker.Properties.Events.Get.Type", "Api", "Worker.Events.Get: events of the type Api"),
        ("Worker.Properties.Events.Get.Properties.Path", "/{proxy+}", "a path of fixed length"),
        ("Worker.Properties.Events.Get.Properties.Method", "ANY", "one method"),
        ("Worker.Properties.Events.Get.Properties.Auth", {"Authorizer": "X"}, "the default authorizer or none"),
        ("Worker.Properties.Events.Things.Properties.TumblingWindowInSeconds", 5, "TumblingWindowInSeconds"),
        ("Worker.Properties.Events.Things.Properties.StartingPosition", "LATEST", "only TRIM_HORIZON"),
        ("Worker.Properties.Events.Things.Properties.Stream", "arn:aws:dynamodb:x", "!GetAtt Table.StreamArn"),
        ("Worker.Properties.Events.Things.Properties.BatchSize", "many", "many is not a whole number"),
        ("Worker.Properties.Events.Things.Properties.FilterCriteria.Filters", [{"Pattern": "{"}], "Pattern in JSON"),
        ("Worker.Properties.Events.Things.Properties.FunctionResponseTypes", ["Other"], "Other"),
        ("Worker.Properties.Events.Often.Properties.Schedule", "cron(0 12 * * ? *)", "a schedule is rate"),
        ("Worker.Properties.Events.Often.Properties.Input", "{}", "Input is not supported"),
        ("Worker.Properties.Environment.Variables.ARN", {"Fn::GetAtt": "Worker.Arn"}, "only after deployment"),
        ("Worker.Properties.Environment.Variables.ARN", {"Fn::Sub": "${Worker.Arn}"}, "only after deployment"),
        ("Worker.Properties.Environment.Variables.ARN", {"Fn::ImportValue": "x"}, "Fn::ImportValue"),
        ("Worker.Properties.Environment.Variables.ARN", {"Ref": "Nobody"}, "is not in the template"),
        ("Worker.Properties.Handler", None, "Worker has no Handler"),
        ("Things.Properties.BillingMode", "PROVISIONED", "only PAY_PER_REQUEST"),
        ("Things.Properties.TimeToLiveSpecification", {}, "TimeToLiveSpecification"),
        ("Things.Properties.TableName", "mine", "TableName"),
        ("Things.Properties.StreamSpecification", None, "stream of Things, which has none"),
        ("Things.Type", "AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::GlobalTable"),
        ("Things.Condition", "Never", "no condition Never"),
        ("Api.Properties.Auth", {"DefaultAuthorizer": "X"}, "Api.Auth: exactly one authorizer"),
        ("Api.Properties.Auth.EnableIamAuthorizer", True, "EnableIamAuthorizer is not supported"),
        ("Api.Properties.Auth.DefaultAuthorizer", None, "Api.Auth: exactly one authorizer"),
        ("Api.Properties.Auth.Authorizers.Other", {"FunctionArn": "x"}, "Api.Auth: exactly one authorizer"),
        ("Api.Properties.Auth.Authorizers.Jwt.AuthorizationScopes", ["a"], "AuthorizationScopes is not supported"),
        ("Api.Properties.Auth.Authorizers.Jwt.IdentitySource", "$request.querystring.token", "IdentitySource"),
        ("Api.Properties.Auth.Authorizers.Jwt.JwtConfiguration", None, "a JwtConfiguration"),
        ("Api.Properties.DefinitionBody.security", [], "security is not supported"),
        ("Api.Properties.DefinitionBody.paths./nowhere", {"get": {"security": []}}, "security is Jwt without scopes"),
        ("Api.Properties.DefinitionBody.paths./nowhere", {"get": {"security": [{"Jwt": []}]}}, "no function answers"),
        ("Api.Properties.DefinitionBody.paths./things/{id}.get", {}, "only the security of a route"),
        ("Api.Properties.DefinitionBody.paths./things/{id}.get.security", [{"Jwt": ["a"]}], "Jwt without scopes"),
        ("Api.Properties.DefinitionBody.paths./things/{id}.get.tags", [], "tags is not supported"),
        ("Api.Properties.DefinitionUri", "s3://a/b", "DefinitionUri is not supported"),
        ("Api.Properties.StageName", "v1", "StageName is not supported"),
        ("Api.Properties.CorsConfiguration", True, "CorsConfiguration"),
        ("Api.Properties.CorsConfiguration", {"AllowOrigins": ["https://a.example"]}, "AllowHeaders is missing"),
        ("Api.Properties.CorsConfiguration", {"AllowCredentials": True}, "AllowCredentials is not supported"),
        ("Api.Properties.CorsConfiguration", {**CORS, "AllowOrigins": ["https://*"]}, "an origin without *"),
        ("Second", {"Type": "AWS::Serverless::HttpApi"}, "one HTTP API is read here, the template has 2"),
        ("Alarm.Type", "AWS::Lambda::EventSourceMapping", "EventSourceMapping"),
    ],
)
def test_anything_unsupported_is_refused_in_one_line(tmp_path: Path, path: str, value: Any, message: str) -> None:
    """A partly read template would give another office than the one on AWS."""
    (tmp_path / "base.yaml").write_text(SMALL)
    document = intrinsics.read(tmp_path / "base.yaml")
    *parents, last = path.split(".")
    place = document["Resources"]
    for key in parents:
        place = place.setdefault(key, {})
    if value is None:
        del place[last]
    else:
        place[last] = value

    with pytest.raises(TemplateError, match=re.escape(message)) as refused:
        load(tmp_path, yaml.safe_dump(document))
    assert "\n" not in str(refused.value)


def test_two_functions_cannot_answer_the_same_request(tmp_path: Path) -> None:
    """Routes that differ only in the names of their parameters are the same."""
    second = '        Also: {Type: HttpApi, Properties: {Method: GET, Path: "/things/{name}"}}\n        Things:'
    with pytest.raises(TemplateError, match="both answer GET /things"):
        load(tmp_path, SMALL.replace("        Things:", second, 1))


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("a: 1", "no Resources"), ("", "no Resources")]
)
def test_a_file_that_is_no_template_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    """YAML explains a syntax error in many lines."""
    with pytest.raises(TemplateError, match=message) as refused:
        load(tmp_path, text)
    assert "\n" not in str(refused.value)


def test_a_missing_template_is_refused(tmp_path: Path) -> None:
    """The message names its path."""
    with pytest.raises(TemplateError, match=r"cannot read the template .*nowhere"):
        template.load(tmp_path / "nowhere.yaml")
