"""An office that requires tokens, as those who have some see it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import RSAKey

from harness.gateway import Response
from harness.running import RunningOffice
from local import issuer
from tests.http.test_contract import assert_problem

CONCERT = {"name": "The concert", "totalTickets": 1}
ORGANISER = {"sub": "olga", "cognito:groups": ["organiser", "staff"]}


class Secured:
    """An office that requires tokens, and the file of its issuer."""

    def __init__(self, office: RunningOffice, file: Path, client: httpx.Client) -> None:
        self.office = office
        self.file = file
        self.client = client
        kept = json.loads(file.read_text())
        self.issuer, self.key = kept["issuer"], RSAKey.import_key(kept["key"])

    @classmethod
    @contextmanager
    def of(cls, office: RunningOffice, file: Path) -> Iterator["Secured"]:
        """Yield a running office with one client for all requests."""
        with httpx.Client(base_url=office.url) as client:
            yield cls(office, file, client)

    def ask(
        self, method: str, path: str, token: str | None = None, body: Any = None, origin: str | None = None
    ) -> httpx.Response:
        """Send a request."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        if origin is not None:
            headers["origin"] = origin
        return self.client.request(method, path, json=body, headers=headers)

    def token(self, **claims: Any) -> str:
        """Return a token that the issuer signed."""
        return issuer.token(self.file, claims)

    def opens(self, **more: Any) -> str:
        """Open an event with one ticket; return its id."""
        answer = self.ask("POST", "/initialize", self.token(**ORGANISER), {**CONCERT, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["eventId"])

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Return the claims of a valid token."""
        now = int(time.time())
        return {"iss": self.issuer, "aud": issuer.AUDIENCE, "iat": now, "exp": now + 60, "sub": "anna", **claims}

    def header(self, **header: Any) -> dict[str, Any]:
        """Return the header of a valid token."""
        return {"alg": "RS256", "kid": self.key.kid, **header}


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of an error of the office."""
    as_called = Response(answer.status_code, dict(answer.headers), answer.text)
    return answer.status_code, str(assert_problem(as_called, answer.status_code, answer.json()["code"])["code"])
