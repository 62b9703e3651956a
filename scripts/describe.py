"""Write functions/describe/openapi.json: the API as functions/*/description.py describe it, in one document.

`make describe` calls it. The merge is powertools' own; what it leaves is made shorter: a refusal that routes have in
common is written once, and names that pydantic made up, and what nothing refers to, are left out.
"""

import json
import os
import re
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
FILE: Final = ROOT / "functions" / "describe" / "openapi.json"

# The version of the contract: the first number changes when a client that keeps to the description may break.
VERSION: Final = "1.0.0"
DESCRIPTION: Final = """\
An event ticket office that does not oversell.

Ids in requests are strings or integers, and answered as strings. Times are ISO 8601 in UTC. Fields that are not
described are refused. Errors are RFC 9457 problems: go by their `code`. Every request may be sent again when its answer
was lost."""
TAGS: Final = {
    "buyers": "For those who want a ticket.",
    "organisers": "For those who give events.",
    "description": "For whoever wants to know what can be asked.",
}

Json = dict[str, Any]


def description() -> Json:
    """Return the description, made anew. Raises what the modules raise; a warning of the merge is an error."""
    sys.path[:0] = [str(ROOT)]
    from local.template import load  # noqa: PLC0415  # from the repository's root

    os.environ |= load().functions["StatusFunction"].environment  # what the functions' modules read when imported
    with warnings.catch_warnings(action="error"):
        return tidied(_merged())


def tidied(document: Json) -> Json:
    """Return the merged document without what repeats or says nothing."""
    components = document["components"]
    for operation in operations(document).values():
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _without_null(parameter["schema"])
            parameter["schema"].pop("description", None)  # it is the parameter's
    components["responses"] = _share_refusals(document)
    _drop_titles(document["paths"], components["schemas"])
    bodies = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for operation in operations(document).values()
        if "requestBody" in operation
    }
    for name, schema in components["schemas"].items():
        if name not in bodies:
            _leave_out_null(schema)
        _require_what_is_fixed(schema)
        _tell_times(schema)
    used = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(_reachable(document))))
    components["schemas"] = {name: schema for name, schema in sorted(components["schemas"].items()) if name in used}
    return document


def operations(document: Json) -> dict[str, Json]:
    """Return the operations by route: "GET /status/{eventId}"."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def written(document: Json) -> str:
    """Return the document as it is kept."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _merged() -> Json:
    from aws_lambda_powertools.event_handler.openapi import OpenAPIMerge  # noqa: PLC0415  # late, as what it loads
    from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer, Tag  # noqa: PLC0415

    from shared.edge.openapi import TOKEN  # noqa: PLC0415

    token = HTTPBearer(description="A token of the office's OpenID issuer, as docs/api.md says.", bearerFormat="JWT")
    merge = OpenAPIMerge(
        title="Ticket office",
        version=VERSION,
        description=DESCRIPTION,
        tags=[Tag(name=name, description=text) for name, text in TAGS.items()],
        security_schemes={TOKEN: token.model_dump(mode="json", by_alias=True, exclude_none=True)},  # type: ignore[dict-item]  # as it merges them
        security=[{TOKEN: []}],
        on_conflict="error",
    )
    merge.discover(ROOT / "functions", pattern="*/description.py", project_root=ROOT)
    text = merge.get_openapi_json_schema()
    document: Json = json.loads(text, parse_float=lambda number: int(float(number)))  # bounds of integers
    return document


def _share_refusals(document: Json) -> dict[str, Json]:
    """Put refusals that are the same word for word in one place; return them by name."""
    refusals = [
        (operation["responses"], status, json.dumps(answer))
        for operation in operations(document).values()
        for status, answer in operation["responses"].items()
        if status >= "400"
    ]
    count = Counter(text for _, _, text in refusals)
    shared = {}
    for responses, status, text in refusals:
        if count[text] > 1:
            name = _name(status, json.loads(text))
            shared[name] = json.loads(text)
            responses[status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))


def _name(status: str, answer: Json) -> str:
    """Name a refusal by its status and what may cause it: 404-event-not-found."""
    causes = [cause for content in answer["content"].values() for cause in content["examples"]]
    return "-".join([status, *causes])


def _without_null(schema: Json) -> Json:
    """Return the schema of what may be left out: it never is null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**rest, **kinds[0]} if len(kinds) == 1 else schema


def _leave_out_null(schema: Json) -> None:
    """Say of an answer that what may be left out is left out, and never null; null is what is always there."""
    for name, its in schema.get("properties", {}).items():
        if name not in schema.get("required", ()):
            schema["properties"][name] = _without_null(its)


def _require_what_is_fixed(schema: Json) -> None:
    """Require a property that has one value only: an answer's `status` is always there."""
    for name, its in schema.get("properties", {}).items():
        if "const" in its and its.pop("default", None) == its["const"]:
            schema["required"] = [name, *schema.get("required", ())]


def _tell_times(schema: Json) -> None:
    """Say of each property whose name ends in At, as those of times do, that it is one."""
    for name, its in schema.get("properties", {}).items():
        if name.endswith("At"):
            for kind in its.get("anyOf", [its]):
                if kind.get("type") == "string":
                    kind["format"] = "date-time"


def _drop_titles(*parts: Any) -> None:
    """Take the titles off that pydantic makes of names; a property that is called title is no text."""
    for part in parts:
        if isinstance(part, dict):
            if isinstance(part.get("title"), str) and "instance" not in part:  # an example of a problem has a title
                del part["title"]
            _drop_titles(*part.values())
        elif isinstance(part, list):
            _drop_titles(*part)


def _reachable(document: Json) -> list[Any]:
    """Return the paths, and all that they refer to."""
    found: list[Any] = [document["paths"]]
    seen: set[str] = set()
    for part in found:
        for kind, name in re.findall(r'"#/components/(\w+)/([^"]+)"', json.dumps(part)):
            if name not in seen:
                seen.add(name)
                found.append(document["components"][kind][name])
    return found


def main() -> None:
    """Write the file anew."""
    FILE.write_text(written(description()), encoding="utf-8")
    sys.stdout.write(f"{FILE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
