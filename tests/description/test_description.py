"""The description matches the template and what the handlers read, and the deployed files match it."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from local.template import load
from openapi.__main__ import FILES, written
from openapi.document import description, operations
from openapi.errors import CALLER_ERRORS
from shared.edge import contract, pages
from shared.edge.api import PROBLEMS
from shared.model import Status
from shared.version import VERSION
from tests.description import reading
from tests.template.stack import ROOT, deployed

ROUTES = sorted(operations(reading.document()))
HANDLERS = {f"{route.method} {route.path}": load().functions[route.function].handler for route in load().routes}
WRITE = "It is made anew by `make describe`."


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_deployed_description_is_up_to_date(file: Path) -> None:
    """The files are what the routes and models describe."""
    assert file.read_text(encoding="utf-8") == written(description(is_open=FILES[file])), WRITE


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_is_openapi_3_1(file: Path) -> None:
    """By the specification's own schema."""
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["openapi"].startswith("3.1")
    assert not list(OpenAPIV31SpecValidator(document).iter_errors())


def test_there_is_one_version() -> None:
    """The description and the latest release in the changelog have the version of shared/version.py."""
    assert reading.document()["info"]["version"] == VERSION
    releases = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert releases[0] == VERSION


def test_the_routes_are_those_of_the_template() -> None:
    """Both ways: an added route is described, and a removed one is not.

    HEAD, a redirect, and the page with its files need no description.
    """
    routes = {route for route in deployed().routes if "/web/" not in route and not route.endswith("/")}
    served = {route for route in routes if not route.startswith("HEAD ")}
    assert set(ROUTES) == served, "openapi/routes.py describes each route"
    heads = routes - served
    assert heads == {f"HEAD {route.partition(' ')[2]}" for route in ROUTES if _is_public(route)}


def test_an_open_office_describes_no_tokens() -> None:
    """No security scheme, no refusal that depends on the caller; the rest is the same."""
    secured, of_open = description(is_open=False), description(is_open=True)
    assert of_open["security"] == []
    assert "securitySchemes" not in of_open["components"]
    text = json.dumps(of_open["components"]["responses"])
    assert not [code for kind in CALLER_ERRORS if f'"{(code := PROBLEMS[kind][1])}"' in text]
    assert of_open["components"]["schemas"] == secured["components"]["schemas"]
    for route, operation in operations(of_open).items():
        assert "security" not in operation
        assert not {"401", "403"} & operation["responses"].keys()
        its = {name: value for name, value in operations(secured)[route].items() if name != "security"}
        assert operation | {"responses": {}} == its | {"responses": {}}


@pytest.mark.parametrize("route", ROUTES)
def test_each_status_has_one_schema(route: str) -> None:
    """A generated client picks one by the status, and does not look at the media type of the response."""
    for response in reading.responses(route).values():
        assert len({json.dumps(content["schema"]) for content in response["content"].values()}) == 1


def test_unions_have_a_discriminator() -> None:
    """A generated client needs no trial and error to read a booking."""
    unions = {name: its for name, its in reading.document()["components"]["schemas"].items() if "oneOf" in its}
    told_apart = {name: its["discriminator"]["mapping"].keys() for name, its in unions.items()}
    assert told_apart == {
        "BookingResponse": set(Status),
        "UserBooking": set(Status),
        "TicketResponse": {"HELD", "CONFIRMED"},
    }
    assert {union["discriminator"]["propertyName"] for union in unions.values()} == {"status"}


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_needs_a_token_in_the_description_if_it_does_in_the_template(route: str) -> None:
    """If it has the authorizer."""
    is_public = _is_public(route)
    assert reading.document()["security"] == [{"Token": []}]
    assert operations(reading.document())[route].get("security", "token") == ([] if is_public else "token")
    assert ("401" in reading.responses(route)) == (not is_public)


def _is_public(route: str) -> bool:
    method, path = route.split(" ")
    (api,) = deployed().of_type("AWS::ApiGatewayV2::Api").values()
    return bool(api["Body"]["paths"][path][method.lower()]["security"] == [{"NONE": []}])


def _models_read(handler: str) -> dict[str, set[str]]:
    """Return which models of the contract a handler reads, by how: body_as, parameters_as."""
    found: dict[str, set[str]] = {"body_as": set(), "parameters_as": set()}
    source = (ROOT / f"{handler.rpartition('.')[0].replace('.', '/')}.py").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in found:
            (model,) = node.args
            assert isinstance(model, ast.Attribute)
            found[node.func.attr].add(model.attr)
    return found


def _fields(model: str) -> dict[str, bool]:
    """Return the JSON names of a model's fields, and whether they are required."""
    fields = getattr(contract if hasattr(contract, model) else pages, model).model_fields
    return {its.alias or name: its.is_required() for name, its in fields.items()}


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_is_the_model_that_the_handler_reads(route: str) -> None:
    """The description cannot drift from the handlers."""
    operation = operations(reading.document())[route]
    read = _models_read(HANDLERS[route])["body_as"]
    if "requestBody" not in operation:
        assert read == set()
    else:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert {schema["$ref"].rpartition("/")[2]} == read


@pytest.mark.parametrize("route", ROUTES)
def test_parameters_are_the_fields_that_the_handler_reads(route: str) -> None:
    """Those of path and query, required or not; headers are not fields."""
    parameters = operations(reading.document())[route].get("parameters", [])
    described = {one["name"]: one["required"] for one in parameters if one["in"] != "header"}
    read = [_fields(model) for model in _models_read(HANDLERS[route])["parameters_as"]]
    assert described == (read[0] if read else {})
    assert {one["name"] for one in parameters if one["in"] == "path"} == set(re.findall(r"\{(\w+)\}", route))


def test_every_error_belongs_to_a_route() -> None:
    """None is left out, and docs/api.md names them all."""
    described = {kind.said for route in ROUTES for kind in reading.kinds(route)}
    codes = {code for _, code, _ in PROBLEMS.values()}
    assert codes <= described
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("## Errors")[2].partition("\n## ")[0]
    assert {
        code
        for row in re.findall(r"^\| \d+ \|([^|]*)\|", page, re.MULTILINE)
        for code in re.findall(r"`([\w-]+)`", row)
    } == codes


def _examples(part: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield each example with its schema."""
    if isinstance(part, dict):
        if "schema" in part and "examples" in part:
            for name, example in part["examples"].items():
                yield f"{where}/{name}", part["schema"], example["value"]
        for name, its in part.items():
            yield from _examples(its, f"{where}/{name}")


@pytest.mark.parametrize("route", ROUTES)
def test_examples_are_as_described(route: str) -> None:
    """Examples of bodies, parameters and responses; each JSON response has one, except the description itself."""
    operation = operations(reading.document())[route]
    found = [*_examples(operation.get("requestBody")), *_examples(reading.responses(route), route)]
    with_example = [one for one in operation.get("parameters", ()) if "example" in one]
    found += [(one["name"], one["schema"], one["example"]) for one in with_example]
    for where, schema, example in found:
        reading.violations(schema, example, where)
    assert ("requestBody" in operation) == any(where.startswith("/content") for where, _, _ in found)
    for status, answer in reading.responses(route).items():
        for content in answer["content"].values():
            assert content.get("examples") or (route in {"GET /docs", "GET /openapi.json"} and status == "200")
