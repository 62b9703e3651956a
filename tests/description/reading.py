"""The API description as a client reads it, and checks of responses against it."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from openapi.document import operations

FILE = Path(__file__).resolve().parents[2] / "functions" / "describe" / "openapi.json"

PROBLEM = "application/problem+json"


class NotDescribed(AssertionError):
    """A response that the description does not allow."""


@dataclass(frozen=True, order=True)
class Kind:
    """One kind of response of a route: an error of the office by its code, any other by its media type."""

    route: str
    status: int
    said: str


@cache
def document() -> Any:
    """Return the description that is deployed."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def responses(route: str) -> dict[str, Any]:
    """Return the responses of a route, by status."""
    return {status: resolved(answer) for status, answer in operations(document())[route]["responses"].items()}


def resolved(part: Any) -> Any:
    """Follow a reference within the description."""
    if "$ref" not in part:
        return part
    found = document()
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def kinds(route: str) -> set[Kind]:
    """Return all kinds of responses that are described for a route."""
    return {
        Kind(route, int(status), said)
        for status, answer in responses(route).items()
        for content_type, content in answer["content"].items()
        for said in (content["examples"] if content_type == PROBLEM else [content_type])
    }


def check(route: str, answer: httpx.Response) -> Kind:
    """Return the kind of a response. Raises NotDescribed."""
    described = responses(route).get(str(answer.status_code))
    if described is None:
        raise NotDescribed(f"{route}: {answer.status_code} {answer.text}")
    content_type = answer.headers["content-type"].partition(";")[0]
    if content_type not in described["content"]:
        raise NotDescribed(f"{route}: {answer.status_code} is {content_type}: {answer.text}")
    shown: Any = answer.text if content_type.startswith("text/") else answer.json()
    content = described["content"][content_type]
    violations(content["schema"], shown, f"{route}: {answer.status_code}")
    if content_type == PROBLEM:
        _as_its_example(content["examples"], shown, f"{route}: {answer.status_code} {shown['code']}")
    # API Gateway's own responses have none of the office's headers.
    wanted = described.get("headers", {}) if content_type == PROBLEM or answer.is_success else {}
    if missing := [name for name in wanted if name not in answer.headers]:
        raise NotDescribed(f"{route}: {answer.status_code} has no {missing[0]}")
    return Kind(route, answer.status_code, shown["code"] if content_type == PROBLEM else content_type)


def _as_its_example(examples: Any, shown: Any, where: str) -> None:
    """Assert that an error has an example, and no member that its example lacks. Raises NotDescribed."""
    if shown["code"] not in examples:
        raise NotDescribed(where)
    if more := sorted(shown.keys() - examples[shown["code"]]["value"].keys()):
        raise NotDescribed(f"{where} has {more[0]}")


def violations(schema: Any, shown: Any, where: str) -> None:
    """Assert that a value matches its schema. Raises NotDescribed."""
    whole = {**schema, "components": document()["components"]}
    for error in Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).iter_errors(shown):
        raise NotDescribed(f"{where}: {error.json_path}: {error.message}")
