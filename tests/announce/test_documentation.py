"""docs/events.md says what is told, and what it shows can be used as it stands."""

import json
import re
import subprocess
from pathlib import Path

import jsonschema

from functions.announce.announcements import Type
from local.template import load
from tests.announce import schemas
from tests.template.stack import ROOT

PAGE = (ROOT / "docs" / "events.md").read_text()


def test_the_table_has_every_type_with_its_data() -> None:
    """Field by field as the schemas have it; what may be missing, and what the next row has as well, is in words."""
    told = {schema["title"]: schema for schema in schemas.published().values()}
    rows = dict(re.findall(r"^\| `([\w.-]+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert rows.keys() == set(Type) == told.keys()
    for name, fields in rows.items():
        needed = set(told[name]["required"]) - {"eventId"}
        assert needed <= set(re.findall(r"`(\w+)`", fields)) <= set(told[name]["properties"])


def test_the_example_keeps_to_its_schema_and_to_the_rules_of_ids() -> None:
    """It is what a target would get."""
    [example] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    schemas.check(example)
    assert example["id"] == f"{example['type']}:{example['subject']}"
    assert example["subject"] == example["data"]["bookingId"]
    assert example["time"] == example["data"]["promotedAt"]


def test_the_page_says_how_long_a_batch_waits_for_more() -> None:
    """A second and a hundred records, of bookings and of events alike, as the template has it."""
    mappings = [stream for stream in load().streams if stream.function == "AnnounceFunction"]
    assert {(stream.window_s, stream.batch_size) for stream in mappings} == {(1, 100)}
    assert "waits up to a second for more records" in PAGE
    assert "A batch has up to 100 records." in PAGE


def test_the_webhooks_template_is_sound(tmp_path: Path) -> None:
    """By cfn-lint, as the stack's own is."""
    [template] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "webhook.yaml"
    path.write_text(template)
    command = [str(ROOT / ".venv-sam/bin/cfn-lint"), "--regions", "us-east-1", "--", str(path)]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, ""), found.stdout + found.stderr


def test_every_schema_is_a_schema_under_its_own_name() -> None:
    """As the page says where to find them."""
    for path in schemas.FOLDER.iterdir():
        schema = json.loads(path.read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        assert f"urn:ticket-office:{path.stem.removesuffix('.1')}:1" == schema["$id"]
        assert set(schema["required"]) <= schema["properties"].keys()
