"""The API description (OpenAPI 3.1), made from the table of routes and the models of requests and responses."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import ModelField, WithDefaultSchema

from openapi import errors
from openapi.errors import CALLER_ERRORS, JSON
from openapi.examples import PARAMETERS
from openapi.routes import ROUTES, TAGS, Route, Success
from shared.model import TryAgain
from shared.version import VERSION

TOKEN: Final = "Token"  # noqa: S105  # the name of the security scheme
_REFERENCE: Final = "#/components/schemas/{model}"
_DESCRIPTION: Final = """\
An event ticket office that never oversells.

Ids are strings; in requests, integers are accepted, too. Times are ISO 8601 in UTC. Unknown fields, unknown or repeated
parameters, and a body where none is described are refused. Errors are RFC 9457 problems: decide by their `code`. Every
request is safe to repeat when its response was lost."""

Json = dict[str, Any]


class Schemas(GenerateJsonSchema):
    """JSON schemas of fields without generated titles, and without null where a field is left out instead."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's signature
        """Leave out titles that only repeat the name of a field."""
        return False

    def model_field_schema(self, schema: ModelField) -> Json:
        """Describe a LeftOutIfNone field by its value: it is never null."""
        inner: Any = schema["schema"]
        if "serialization_exclude_if" in schema:
            inner = inner["schema"]["schema"]  # of the default, and of what may be None
        return self.generate_inner(inner)

    def default_schema(self, schema: WithDefaultSchema) -> Json:
        """Leave out None, which says nothing, and 1: openapi-typescript takes a field with a default as required."""
        is_left_out = schema.get("default", ...) in {None, 1}
        return self.generate_inner(schema["schema"]) if is_left_out else super().default_schema(schema)


def description(*, is_open: bool) -> Json:
    """Return the description of an office; of an open one, which takes no tokens, without all that is about them."""
    models: list[Any] = [route.body for route in ROUTES if route.body]
    shown: list[Any] = [success.model for route in ROUTES for success in route.responses.values()]
    schemas, definitions = TypeAdapter.json_schemas(
        [(model, "validation", TypeAdapter(model)) for model in models]
        + [(str(model), "serialization", TypeAdapter(model)) for model in (*shown, *errors.MODELS)],
        ref_template=_REFERENCE,
        schema_generator=Schemas,
    )
    shared: dict[str, Json] = {}
    paths: dict[str, Json] = {}
    for route in ROUTES:
        method, path = route.route.split(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(route, path, schemas, shared, is_open=is_open)
    token = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Of the office's OpenID issuer."}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ticket office",
            "version": VERSION,
            "description": _DESCRIPTION,
            "contact": {"name": "The Ticket Office authors"},
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [] if is_open else [{TOKEN: []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(definitions["$defs"].items())),
            "responses": dict(sorted(shared.items())),
            **({} if is_open else {"securitySchemes": {TOKEN: token}}),
        },
    }


def operations(document: Json) -> dict[str, Json]:
    """Return the operations by route: "GET /status/{eventId}"."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def _operation(route: Route, path: str, schemas: Mapping[Any, Json], shared: dict[str, Json], *, is_open: bool) -> Json:
    """Describe one route. Error responses go into `shared`, by name, because many routes have the same."""
    takes_token = not (route.public or is_open)
    kinds = {Exception, *route.errors, *(() if route.public else (TryAgain,))} - (CALLER_ERRORS if is_open else set())
    responses: Json = {str(status): _success(one, schemas) for status, one in route.responses.items()}
    for status, response in errors.responses(kinds, takes_token=takes_token).items():
        name = errors.name_of(status, response)
        shared[name] = response
        responses[status] = {"$ref": f"#/components/responses/{name}"}
    parameters = [*(_parameters(route.parameters, path) if route.parameters else []), *route.headers]
    operation: Json = {
        "tags": [route.tag],
        "summary": route.summary,
        "description": route.description,
        "operationId": route.name,
    }
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        examples = {name: {"value": body} for name, body in route.bodies.items()}
        content = {"schema": schemas[route.body, "validation"], "examples": examples}
        operation["requestBody"] = {"required": True, "content": {JSON: content}}
    operation["responses"] = responses
    if route.public and not is_open:
        operation["security"] = []
    return operation


def _parameters(model: type[BaseModel], path: str) -> list[Json]:
    """Describe the fields of a model as the parameters of a path and its query."""
    schema = model.model_json_schema(ref_template=_REFERENCE, schema_generator=Schemas)
    found = []
    for name, its in schema["properties"].items():
        about = {"description": its.pop("description")}
        if name in PARAMETERS:
            about["example"] = PARAMETERS[name]
        place = "path" if f"{{{name}}}" in path else "query"
        found.append(
            {"name": name, "in": place, "required": name in schema.get("required", ()), **about, "schema": its}
        )
    return found


def _success(success: Success, schemas: Mapping[Any, Json]) -> Json:
    content: Json = {"schema": schemas[str(success.model), "serialization"]}
    if success.examples:
        content["examples"] = {
            name: {"value": shown.model_dump(mode="json", by_alias=True)} for name, shown in success.examples.items()
        }
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in success.headers.items()}
    return {
        "description": success.when,
        **({"headers": headers} if headers else {}),
        "content": {success.media_type: content},
    }
