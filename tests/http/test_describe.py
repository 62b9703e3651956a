"""GET /, /openapi.json, /docs and /health: compressed for clients that accept it, cached, and without a token."""

import base64
import gzip
import hashlib
import json
import re

import httpx
import pytest

import functions.describe.app
from functions.describe import web_page
from harness.gateway import Response, call
from harness.running import PROJECT, RunningOffice
from shared import runtime
from shared.store import dynamodb
from shared.version import VERSION
from tests.description.reading import FILE

PATHS = ["/", "/openapi.json", "/docs"]


def _ask(path: str, **headers: str) -> Response:
    answer = call(functions.describe.app, path=path, headers=headers, verified=False)
    assert answer.status == 200
    return answer


def test_the_description_is_the_one_that_is_deployed() -> None:
    """Byte for byte, and without a token."""
    answer = _ask("/openapi.json")
    assert answer.text == FILE.read_text(encoding="utf-8")
    assert answer.headers["content-type"] == "application/json"


def test_the_page_of_the_description_is_always_compressed() -> None:
    """Plain it has 1.7 MB, and only browsers show it."""
    kinds = [_ask("/docs"), *(_ask("/docs", **{"accept-encoding": sent}) for sent in ("gzip", "br", "gzip;q=0"))]
    assert {one.headers.get("content-encoding") for one in kinds} == {"gzip"}
    assert {len(one.text) < 700_000 for one in kinds} == {True}


@pytest.mark.parametrize("path", ["/", "/openapi.json"])
def test_a_response_is_compressed_for_clients_that_accept_it(path: str) -> None:
    """The content is the same, and a cache keeps the two apart."""
    plain, packed = _ask(path), _ask(path, **{"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(base64.b64decode(packed.text)).decode() == plain.text
    assert len(packed.text) < len(plain.text)
    assert "content-encoding" not in plain.headers
    assert {plain.headers["vary"], packed.headers["vary"]} == {"Accept-Encoding"}


@pytest.mark.parametrize("path", PATHS)
def test_a_response_may_be_cached_for_minutes_and_its_type_is_not_guessed(path: str) -> None:
    """It changes only with a deployment, and then clients must see it soon."""
    answer = _ask(path)
    kept = re.fullmatch(r"public, max-age=(\d+)", answer.headers["cache-control"])
    assert kept
    assert 60 <= int(kept[1]) <= 600
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_runs_only_its_own_scripts() -> None:
    """Its policy names each inline script and style by its digest, and allows requests only to the office."""
    answer = _ask("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    for kind, directive in (("script", "script-src"), ("style", "style-src")):
        html = gzip.decompress(base64.b64decode(answer.text)).decode()
        found = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
        digests = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in found}
        assert digests == set(policy.pop(directive).split())
    assert policy == {
        "default-src": "'none'", "img-src": "data:", "connect-src": "'self'", "base-uri": "'none'",
        "form-action": "'none'", "frame-ancestors": "'none'",
    }  # fmt: skip
    rest = re.sub(r"(?s)<(script|style)>.*?</\1>", "", answer.text)
    assert not re.search(r"<[^>]*\b(src|href|style|on\w+)\s*=", rest), "what is fetched, or runs, from an attribute"
    assert "<script" not in rest, "a script with an attribute"


def test_the_page_at_the_root_allows_its_own_files_and_nothing_else() -> None:
    """Nothing in it runs by itself: scripts and styles are files of the office, and an open office needs no issuer."""
    answer = _ask("/")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "font-src": "'self'",
        "connect-src": "'self'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
        "frame-ancestors": "'none'",
    }  # fmt: skip
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", answer.text, re.DOTALL)
    assert [text for attributes, text in scripts if "application/json" not in attributes and text] == []
    assert re.findall(r"(?:src|href)=\"(?!web/|data:|docs\")", answer.text) == []


def test_an_issuer_elsewhere_is_named_to_the_page_and_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On AWS: the issuer has the keys, and may give tokens at another address. A name cannot end the script."""
    monkeypatch.setitem(runtime.current.environment, "PAGE_ISSUER", "https://issuer.example/pool")
    monkeypatch.setitem(runtime.current.environment, "PAGE_TOKENS_AT", "https://sign-in.example")
    monkeypatch.setitem(runtime.current.environment, "PAGE_CLIENT", "</script>")
    web_page.page.cache_clear()
    answer = _ask("/")
    web_page.page.cache_clear()
    allowed = "connect-src 'self' https://issuer.example https://sign-in.example;"
    assert allowed in answer.headers["content-security-policy"]
    facts = re.search(r'<script id="office" type="application/json">(.*?)</script>', answer.text)
    assert facts
    assert json.loads(facts[1])["signIn"] == {"issuer": "https://issuer.example/pool", "client": "</script>"}


def test_files_of_the_page_are_kept_for_a_year_under_the_name_of_their_version(running_office: RunningOffice) -> None:
    """Under any other version they are not kept, so a browser never mixes two deployments for long."""
    with httpx.Client(base_url=running_office.url) as client:
        names = re.findall(r'"(web/[^"]+)"', client.get("/").text)
        for name in names:
            file = client.get(f"/{name}")
            assert file.status_code == 200
            assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert file.content == (PROJECT / "web" / name.split("/", 2)[2]).read_bytes()
            old = client.get(f"/web/0123456789abcdef/{name.split('/', 2)[2]}")
            assert (old.content, old.headers["cache-control"]) == (file.content, "no-cache")
        for missing in ("web/x/nothing.js", "web/x/index.html", "web/x/vendor/app.js", "web/x/..%2Fapp.py"):
            assert client.get(f"/{missing}").status_code == 404


ACCEPTS = [
    "gzip", "GZIP", "gzip;q=1", "gzip;q=0.001", "br, gzip;q=0.5", "*", "*;q=0.1", "x-gzip", "identity;q=0, gzip",
    "gzip ; q=1.000", "gzip;Q=0.5", "deflate,  gzip", "*;q=0, gzip", "x-gzip;q=0, gzip",
]  # fmt: skip
REFUSES = [
    "", "gzip;q=0", "gzip;q=0.0", "gzip;q=0.000", "gzip; Q=0", "GZIP;q=0", "*;q=0", "gzip;q=0, *", "*, gzip;q=0", "br",
    "identity", "gzipped", "not-gzip", "gzip;q=2", "gzip;q=-1", "gzip;q=x", "gzip;q=0.0001", "gzip;x=1",
    "deflate, br;q=1", "gzip gzip", ";q=1", ",,",
]  # fmt: skip


@pytest.mark.parametrize("accepted", ACCEPTS)
def test_a_client_gets_gzip_if_it_gives_it_a_weight(accepted: str) -> None:
    """RFC 9110, 12.5.3."""
    assert "content-encoding" in _ask("/openapi.json", **{"Accept-Encoding": accepted}).headers


@pytest.mark.parametrize("accepted", REFUSES)
def test_a_client_that_does_not_accept_gzip_gets_none(accepted: str) -> None:
    """A weight of 0 refuses it; a malformed header does not count."""
    answer = _ask("/openapi.json", **{"Accept-Encoding": accepted})
    assert "content-encoding" not in answer.headers
    assert answer.json["openapi"] == "3.1.0"


def test_the_health_check_works_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """It returns the version, is never cached, and works even if nothing else does."""
    monkeypatch.setattr(dynamodb, "commit", None)
    monkeypatch.setattr(dynamodb, "get", None)
    answer = _ask("/health")
    assert answer.json == {"status": "ok", "version": VERSION}
    assert (answer.headers["cache-control"], answer.headers["content-type"]) == ("no-store", "application/json")


def test_a_trailing_slash_redirects_to_the_page() -> None:
    """With a path that also works below a prefix."""
    answer = call(functions.describe.app, path="/docs/", verified=False)
    assert (answer.status, answer.headers["location"], answer.text) == (308, "../docs", "")


def test_public_paths_answer_to_head_over_http(running_office: RunningOffice) -> None:
    """With the headers of GET and without its body; the redirect leads to the page."""
    with httpx.Client(base_url=running_office.url) as client:
        for path in (*PATHS, "/health"):
            got, head = client.get(path), client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"] == got.headers["content-type"]
            assert got.content
        shown = client.get("/docs/", follow_redirects=True)
        assert (shown.status_code, shown.url.path) == (200, "/docs")
        assert (
            client.get("/openapi.json", headers={"Accept-Encoding": "gzip;q=0"}).headers.get("content-encoding") is None
        )
