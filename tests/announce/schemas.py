"""The published schemas, and a check of announcements against them."""

import json
from typing import Any

import jsonschema

from tests.template.stack import ROOT

FOLDER = ROOT / "docs" / "schemas"
ENVELOPE = {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"}


def published() -> dict[str, dict[str, Any]]:
    """Return the schemas by their ids."""
    return {one["$id"]: one for one in (json.loads(path.read_text()) for path in FOLDER.iterdir())}


def check(cloud_event: dict[str, Any]) -> None:
    """Assert that a CloudEvent matches its schema, and that the schema describes all of its data."""
    assert cloud_event.keys() == ENVELOPE
    assert cloud_event["specversion"] == "1.0"
    assert cloud_event["datacontenttype"] == "application/json"
    schema = published()[cloud_event["dataschema"]]
    assert schema["title"] == cloud_event["type"]
    strict = schema | {"additionalProperties": False}
    formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.validate(cloud_event["data"], strict, jsonschema.Draft202012Validator, format_checker=formats)
