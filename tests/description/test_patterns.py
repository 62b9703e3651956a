"""The patterns of the description accept what the office accepts, as JavaScript reads them."""

import json
import re
import subprocess
from typing import Any

import pytest

from openapi.document import operations
from shared.edge import text
from shared.edge.api import IDEMPOTENCY_KEY
from tests.description.reading import document
from tests.unit.test_text import IGNORABLE, INVISIBLE, NAMES, OF_A_SCRIPT

RUN_S_MAX = 60
MATCH = """
const {patterns, samples} = JSON.parse(require("fs").readFileSync(0));
const found = patterns.map(pattern => { const one = new RegExp(pattern, "u"); return samples.map(s => one.test(s)); });
console.log(JSON.stringify(found));
"""
EDGES = [
    chr(code)
    for first, last in [*OF_A_SCRIPT, *IGNORABLE, (0, 0x1F), (0x7F, 0x9F), (0x2028, 0x202E), (0xFFF9, 0xFFFD)]
    for code in {first, last, max(first - 1, 0), last + 1}
]
SAMPLES = [
    *(f"{before}{edge}{after}" for edge in EDGES for before, after in (("a", "b"), ("", "b"), ("a", ""), ("", ""))),
    *NAMES.values(), *INVISIBLE, "", "anna", " anna", "anna ", "an na", "🐿", "𝄞" * 128, "a\nb", "anna\n", "\n", "a,b",
]  # fmt: skip


def _in_javascript(patterns: list[str], samples: list[str]) -> list[list[bool]]:
    done = subprocess.run(
        ["node", "-e", MATCH],
        input=json.dumps({"patterns": patterns, "samples": samples}),
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=True,
    )
    found: list[list[bool]] = json.loads(done.stdout)
    return found


def test_javascript_reads_the_patterns_as_the_office_does() -> None:
    """At the edges of every range, alone and between others."""
    ids, names, keys = _in_javascript([text.ID, text.NAME, IDEMPOTENCY_KEY], SAMPLES)
    assert ids == [text.is_id(one) for one in SAMPLES]
    assert names == [text.is_visible(one) and text.may_be_in_name(one) for one in SAMPLES]
    assert keys == [re.fullmatch(IDEMPOTENCY_KEY, one) is not None for one in SAMPLES]


@pytest.mark.parametrize("pattern", [text.ID, text.NAME, IDEMPOTENCY_KEY])
def test_a_pattern_without_the_flag_is_no_error(pattern: str) -> None:
    """Generated clients may leave it out; usual text matches even then."""
    usual = "const one = new RegExp(process.argv[1]); console.log(one.test('opening night'), one.test(' '))"
    done = subprocess.run(["node", "-e", usual, pattern], capture_output=True, text=True, timeout=RUN_S_MAX, check=True)
    assert done.stdout.split() == ["true", "false"]


def test_every_text_in_a_request_has_a_pattern() -> None:
    """Ids in bodies, paths and queries, and names."""
    schemas = document()["components"]["schemas"]
    found: list[Any] = [
        (name, its)
        for model in ("InitializeRequest", "ChangeRequest", "BookRequest", "ConfirmRequest", "CancelRequest")
        for name, its in schemas[model]["properties"].items()
    ]
    parameters = [one for operation in operations(document()).values() for one in operation.get("parameters", ())]
    found += [(one["name"], one["schema"]) for one in parameters]
    ids = {"userId", "eventId", "bookingId", "reference"}
    patterns = {(name, json.dumps(its).count(json.dumps(text.ID))) for name, its in found if name in ids}
    assert patterns == {(name, 1) for name in ids}
    assert {its["pattern"] for name, its in found if name == "name"} == {text.NAME}
