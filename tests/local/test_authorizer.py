"""The issuer and the authorizer of one machine; tests/http/test_authorization.py tests them over HTTP."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local import issuer, program
from local.authorizer import Authorizer, as_text
from tests.local.programs import opened

PRIVATE = {"d", "p", "q", "dp", "dq", "qi"}  # RFC 7518, section 6.3.2


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an issuer."""
    return tmp_path_factory.mktemp("issuer") / issuer.FILE


@pytest.fixture(scope="module")
def authorizer(file: Path) -> Iterator[Authorizer]:
    """Run an issuer; yield an authorizer for its tokens."""
    with issuer.running(file) as keys:
        yield Authorizer(keys)


def _bearer(token: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + token)]


def _part(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
headers = st.fixed_dictionaries({}, optional=dict.fromkeys(("alg", "kid", "typ", "crit", "b64", "jwk"), json_values))
parts = st.binary(max_size=60) | st.binary(max_size=60).map(_part) | json_values.map(lambda v: _part(_json(v)))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


@settings(deadline=None, max_examples=300)
@given(
    token=st.binary(max_size=200)
    | st.lists(parts, min_size=1, max_size=5).map(b".".join)
    | st.tuples(headers.map(lambda v: _part(_json(v))), parts, parts).map(b".".join)
)
@example(token=b".".join([_part(b"[" * 300), b"e30", b"e30"]))
@example(token=b".".join([_part(b'{"alg": "RS256", "crit": [[]]}'), b"", b""]))
@example(token=b".".join([_part(b'{"alg": "RS256", "crit": null}'), b"", b""]))
@example(token=b".".join([_part(b'{"alg": "RS256", "kid": ' + b"[" * 300), b"e30", b"e30"]))
def test_any_other_header_is_refused(authorizer: Authorizer, token: bytes) -> None:
    """Only the issuer can make a token, and no header raises an exception."""
    assert authorizer.claims(_bearer(token)) is None


@settings(deadline=None, max_examples=50)
@given(claims=st.dictionaries(st.sampled_from(["sub", "aud", "exp", "nbf", "iat", "iss", "scope", "x"]), json_values))
def test_a_token_of_the_issuer_with_any_claims_is_accepted_or_refused(
    file: Path, authorizer: Authorizer, claims: dict[str, Any]
) -> None:
    """A function gets every claim as text, and the subject and issuer are those of the token."""
    given_ = authorizer.claims(_bearer(issuer.token(file, claims).encode()))
    if given_ is not None:
        assert all(isinstance(value, str) for value in given_.values())
        assert claims.get("iss", given_["iss"]) == given_["iss"]
        assert given_.get("sub") == claims.get("sub")


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("a b", "a b"), (["a", "b"], "[a b]"), ([], "[]"), ([["a"]], "[[a]]"), (7, "7"), (True, "true"),
        (None, "null"), ({"a": 1}, '{"a": 1}'),
    ],
)  # fmt: skip
def test_claims_are_passed_as_text(claim: Any, text: str) -> None:
    """API Gateway does the same."""
    assert as_text(claim) == text


def test_the_private_key_is_in_a_file_that_only_the_owner_can_read(tmp_path: Path) -> None:
    """The workers get the public half, and the file is removed in the end."""
    file = tmp_path / issuer.FILE
    with issuer.running(file) as keys:
        [key] = keys["keys"]
        assert (key["kty"], key["alg"], key["use"]) == ("RSA", "RS256", "sig")
        assert not PRIVATE & key.keys()
        assert json.loads(file.read_text())["key"].keys() > PRIVATE
        assert file.stat().st_mode & 0o777 == 0o600
    assert not file.exists()
    with issuer.running(file) as others:
        assert others["keys"] != [key]


@pytest.fixture
def token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that lets the program print a token."""

    def run(*arguments: str) -> str:
        assert program.run(["token", "--data", str(tmp_path), *arguments]) == 0
        return capsys.readouterr().out.strip()

    return run


def test_the_office_accepts_the_tokens_that_the_program_prints(tmp_path: Path, token: Callable[..., str]) -> None:
    """A restarted worker still accepts them; a restarted program has another key, for the file is removed."""
    with opened("--data", str(tmp_path), "--workers", "1", "--auth") as office:
        assert office.process.stdout
        printed = [office.process.stdout.readline() for _ in range(5)]
        assert [line.count(f"token --data {tmp_path} --user") for line in printed] == [0, 1, 1, 0, 1]
        assert "Every request needs a token" in printed[4]
        olga = {"authorization": f"Bearer {token('--user', 'olga', '--organiser')}"}
        concert = {"name": "The concert", "totalTickets": 1}
        event_id = httpx.post(f"{office.url}/initialize", json=concert, headers=olga).json()["eventId"]
        ada = {"authorization": f"Bearer {token('--user', 'ada')}"}
        office.kill("local.worker")
        booked = {"userId": "ada", "eventId": event_id}
        assert httpx.post(f"{office.url}/book", json=booked, headers=ada, timeout=20).status_code == 201
        assert httpx.post(f"{office.url}/initialize", json=concert, headers=ada).status_code == 403
        office.interrupt()
    assert not (tmp_path / issuer.FILE).exists()


def test_the_token_of_a_shop_or_the_door_has_a_scope_and_is_no_organisers(
    tmp_path: Path, token: Callable[..., str]
) -> None:
    """As with the client credentials grant: it names a program."""
    with issuer.running(tmp_path / issuer.FILE) as keys:
        authorizer = Authorizer(keys)
        for arguments, role, client in (
            (["--shop"], "shop", "shop"),
            (["--shop", "till-1"], "shop", "till-1"),
            (["--door"], "door", "door"),
            (["--door", "gate-2"], "door", "gate-2"),
        ):
            claims = authorizer.claims(_bearer(token(*arguments).encode()))
            assert claims
            assert (claims["scope"], claims["client_id"]) == (f"ticket-office/{role}", client)
            assert "cognito:groups" not in claims


@pytest.mark.parametrize(
    "arguments", [[], ["--organiser"], ["--shop", "--organiser"], ["--shop", "--user", "ada"], ["--door", "--shop"]]
)
def test_a_token_is_a_users_a_shops_or_the_doors(usage: Callable[..., str], arguments: list[str]) -> None:
    """Anything else shows the usage."""
    assert usage("token", *arguments).startswith("usage: python -m local token")
