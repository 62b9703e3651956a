"""The description says what the template has and what the handlers read, and is what is deployed."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from local.template import load
from scripts import describe
from scripts.describe import operations
from shared.edge import contract, pages
from shared.edge.api import PROBLEMS
from tests.description import reading
from tests.template.stack import ROOT, deployed

ROUTES = sorted(operations(reading.document()))
HANDLERS = {f"{route.method} {route.path}": load().functions[route.function].handler for route in load().routes}
WRITE = "It is made anew by `make describe`."


def test_what_is_deployed_is_what_the_modules_describe() -> None:
    """Nobody writes it by hand, and nobody forgets to write it."""
    assert describe.FILE.read_text(encoding="utf-8") == describe.written(describe.description()), WRITE


def test_it_is_openapi_3_1() -> None:
    """By the specification's own schema."""
    assert reading.document()["openapi"].startswith("3.1")
    assert not list(OpenAPIV31SpecValidator(reading.document()).iter_errors())


def test_the_routes_are_those_of_the_template() -> None:
    """Both ways: a route that is added is described, one that is gone is not."""
    assert set(ROUTES) == deployed().routes.keys(), "functions/<name>/description.py describes a route"


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_is_said_to_take_a_token_where_it_does(route: str) -> None:
    """As the authorizer of the template has it."""
    method, path = route.split(" ")
    (api,) = deployed().of_type("AWS::ApiGatewayV2::Api").values()
    is_public = api["Body"]["paths"][path][method.lower()]["security"] == [{"NONE": []}]
    assert reading.document()["security"] == [{"Token": []}]
    assert operations(reading.document())[route].get("security", "token") == ([] if is_public else "token")
    assert ("401" in reading.responses(route)) == (not is_public)


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
    """Return the fields of a model as the wire has them, and whether they must be there."""
    fields = getattr(contract if hasattr(contract, model) else pages, model).model_fields
    return {its.alias or name: its.is_required() for name, its in fields.items()}


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_is_the_model_that_the_handler_reads(route: str) -> None:
    """It cannot drift: what is read is what is described."""
    operation = operations(reading.document())[route]
    read = _models_read(HANDLERS[route])["body_as"]
    if "requestBody" not in operation:
        assert read == set()
    else:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert {schema["$ref"].rpartition("/")[2]} == read


@pytest.mark.parametrize("route", ROUTES)
def test_parameters_are_the_fields_that_the_handler_reads(route: str) -> None:
    """Those of path and query, required or not; a header is no field."""
    parameters = operations(reading.document())[route].get("parameters", [])
    described = {one["name"]: one["required"] for one in parameters if one["in"] != "header"}
    read = [_fields(model) for model in _models_read(HANDLERS[route])["parameters_as"]]
    assert described == (read[0] if read else {})
    assert {one["name"] for one in parameters if one["in"] == "path"} == set(re.findall(r"\{(\w+)\}", route))


def test_every_error_of_the_office_is_some_routes() -> None:
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
    """Of bodies and of answers; there is one of each answer that is JSON but the description itself."""
    operation = operations(reading.document())[route]
    found = [*_examples(operation.get("requestBody")), *_examples(reading.responses(route), route)]
    for parameter in operation.get("parameters", ()):
        found += _examples(parameter, parameter["name"])
    for where, schema, example in found:
        reading.violations(schema, example, where)
    assert ("requestBody" in operation) == any(where.startswith("/content") for where, _, _ in found)
    for status, answer in reading.responses(route).items():
        for content in answer["content"].values():
            assert content.get("examples") or (route in {"GET /docs", "GET /openapi.json"} and status == "200")


def test_every_function_with_a_route_has_its_description_beside_it() -> None:
    """So that who changes the one sees the other."""
    rooms = {handler.split(".")[1] for handler in HANDLERS.values()}
    assert {path.parent.name for path in Path(ROOT / "functions").glob("*/description.py")} == rooms


# ---------------------------------------------------------------- what the tidying does


def _document() -> dict[str, Any]:
    refusal = {"description": "no", "content": {"application/json": {"schema": {}, "examples": {"gone": {}}}}}
    own = {"description": "other", "content": {}}
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing", "title": "Return"}}}}
    parameter = {"schema": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "what the parameter says"}}
    get = {"parameters": [parameter], "responses": {"200": answer, "404": refusal}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewThing"}}}}
    responses = {"200": answer, "404": json.loads(json.dumps(refusal)), "409": own}
    post = {"requestBody": body, "responses": responses}
    thing = {
        "title": "Thing",
        "properties": {
            "kind": {"title": "Kind", "const": "THING", "default": "THING"},
            "title": {"type": "string"},
            "part": {"$ref": "#/components/schemas/Part"},
            "endsAt": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "goneAt": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "madeAt": {"type": "string"},
        },
        "required": ["title", "goneAt"],
    }
    new = {"properties": {"endsAt": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}
    schemas = {
        "Thing": thing,
        "NewThing": new,
        "Unused": {"$ref": "#/components/schemas/Unused"},
        "Part": {"type": "object"},
    }
    return {"paths": {"/things": {"get": get, "post": post}}, "components": {"schemas": schemas}}


def test_what_the_merge_leaves_is_made_shorter() -> None:
    """Refusals in common once; no null that no client sends, no made-up title, nothing that is not referred to.

    What has one value only is required, and times are said to be such. Null is said of bodies, and of what an answer
    always has.
    """
    tidied = describe.tidied(_document())
    get, post = tidied["paths"]["/things"]["get"], tidied["paths"]["/things"]["post"]
    assert get["parameters"] == [{"schema": {"type": "string"}}]
    assert get["responses"]["404"] == post["responses"]["404"] == {"$ref": "#/components/responses/404-gone"}
    assert post["responses"]["409"]["description"] == "other"
    assert tidied["components"]["responses"]["404-gone"]["description"] == "no"
    assert tidied["components"]["schemas"] == {
        "NewThing": {
            "properties": {"endsAt": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}}
        },
        "Part": {"type": "object"},
        "Thing": {
            "properties": {
                "kind": {"const": "THING"},
                "title": {"type": "string"},
                "part": {"$ref": "#/components/schemas/Part"},
                "endsAt": {"type": "string", "format": "date-time"},
                "goneAt": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
                "madeAt": {"type": "string", "format": "date-time"},
            },
            "required": ["kind", "title", "goneAt"],
        },
    }
    assert get["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Thing"}
