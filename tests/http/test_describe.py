"""GET /openapi.json and GET /docs, as their function answers: whole, packed for who understands that, kept a while."""

import base64
import gzip
import hashlib
import re

import pytest

import functions.describe.app
from harness.gateway import Answer, call
from tests.description.reading import FILE

PATHS = ["/openapi.json", "/docs"]


def _ask(path: str, **headers: str) -> Answer:
    answer = call(functions.describe.app, path=path, headers=headers, verified=False)
    assert answer.status == 200
    return answer


def test_the_description_is_the_one_that_is_deployed() -> None:
    """To the letter, and nobody needs a token for it."""
    answer = _ask("/openapi.json")
    assert answer.text == FILE.read_text(encoding="utf-8")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_is_packed_for_who_understands_that(path: str) -> None:
    """The same in less; a cache keeps the two apart."""
    plain, packed = _ask(path), _ask(path, **{"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(base64.b64decode(packed.text)).decode() == plain.text
    assert len(packed.text) < len(plain.text) / 2
    assert "content-encoding" not in plain.headers
    assert {plain.headers["vary"], packed.headers["vary"]} == {"Accept-Encoding"}


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_is_kept_for_minutes_and_taken_for_what_it_is(path: str) -> None:
    """It changes with a deployment only, and then soon."""
    answer = _ask(path)
    kept = re.fullmatch(r"public, max-age=(\d+)", answer.headers["cache-control"])
    assert kept
    assert 60 <= int(kept[1]) <= 600
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_runs_what_it_holds_and_nothing_else() -> None:
    """Its policy names each script and style in it by its digest, and no place but the office."""
    answer = _ask("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    for kind, directive in (("script", "script-src"), ("style", "style-src")):
        found = re.findall(rf"<{kind}>(.*?)</{kind}>", answer.text, re.DOTALL)
        digests = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in found}
        assert digests == set(policy.pop(directive).split())
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    rest = re.sub(r"(?s)<(script|style)>.*?</\1>", "", answer.text)
    assert not re.search(r"<[^>]*\b(src|href|style|on\w+)\s*=", rest), "what is fetched, or runs, from an attribute"
    assert "<script" not in rest, "a script with an attribute"
