"""docs/events.md describes every announcement, and its examples work as they are."""

import json
import re
from http.server import HTTPServer
from typing import Any

import httpx
import jsonschema
import pytest

from functions.announce.announcements import Type
from local.listening import in_background
from local.template import load
from tests.announce import schemas
from tests.template.stack import ROOT

PAGE = (ROOT / "docs" / "events.md").read_text()


def test_the_table_lists_every_type_with_its_data() -> None:
    """Field by field, as in the schemas. Optional fields may be described in words."""
    described = {schema["title"]: schema for schema in schemas.published().values()}
    rows = dict(re.findall(r"^\| `([\w.-]+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert rows.keys() == set(Type) == described.keys()
    for name, fields in rows.items():
        needed = set(described[name]["required"]) - {"eventId"}
        assert needed <= set(re.findall(r"`(\w+)`", fields)) <= set(described[name]["properties"])


def test_the_example_matches_its_schema_and_the_rules_for_ids() -> None:
    """It is what a target gets."""
    [example] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    schemas.check(example)
    assert example["id"] == f"{example['type']}:{example['subject']}"
    assert example["subject"] == example["data"]["bookingId"]
    assert example["time"] == example["data"]["promotedAt"]


def test_the_page_states_the_size_of_a_batch_and_how_long_it_waits() -> None:
    """One second and a hundred records, for both streams, as in the template."""
    mappings = [stream for stream in load().streams if stream.function == "AnnounceFunction"]
    assert {(stream.window_s, stream.batch_size) for stream in mappings} == {(1, 100)}
    assert "waits up to a second for more records" in PAGE
    assert "A batch has up to 100 records." in PAGE


def test_the_receiver_takes_each_announcement_once_and_only_from_the_office(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's program is told one announcement twice, and once by a caller who does not know the secret."""
    monkeypatch.setenv("WEBHOOK_SECRET", "of this test, at least")
    [program] = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "class Receiver" in block]
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102  # it is ours
    names["Receiver"].log_message = lambda *_: None
    [example] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    server = HTTPServer(("127.0.0.1", 0), names["Receiver"])
    with in_background(server):
        url = f"http://127.0.0.1:{server.server_port}/"
        statuses = [
            httpx.post(url, content=example, headers={"X-Webhook-Secret": secret}).status_code
            for secret in ("of this test, at least", "of this test, at least", "another", "")
        ]
    assert statuses == [204, 204, 403, 403]
    assert capsys.readouterr().out.count(json.loads(example)["type"]) == 1


def test_every_schema_is_valid_and_has_the_name_of_its_file() -> None:
    """The page says where to find them."""
    for path in schemas.FOLDER.iterdir():
        schema = json.loads(path.read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        assert f"urn:ticket-office:{path.stem.removesuffix('.1')}:1" == schema["$id"]
        assert set(schema["required"]) <= schema["properties"].keys()
