"""Signs requests to AWS with Signature Version 4, and finds the credentials for it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from shared import runtime

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """A key and its secret. Temporary credentials, such as a function's, also have a token."""

    access_key: str
    secret_key: str
    token: str | None


def credentials() -> Callable[[], Credentials]:
    """Return a function that returns the current credentials.

    Lambda puts a function's credentials into its environment; they last as long as the environment. If there are none,
    as after a start from a snapshot (SnapStart) or at an operator's terminal, botocore finds and renews them.

    Raises botocore's NoCredentialsError.
    """
    environment = runtime.current.environment
    if "AWS_ACCESS_KEY_ID" in environment:
        found = Credentials(
            environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], environment.get("AWS_SESSION_TOKEN")
        )
        return lambda: found
    import botocore.session  # noqa: PLC0415  # 150 ms of a cold start, not needed with a key in the environment
    from botocore.exceptions import NoCredentialsError  # noqa: PLC0415

    chain = botocore.session.get_session().get_credentials()
    if chain is None:
        raise NoCredentialsError

    def current() -> Credentials:
        frozen = chain.get_frozen_credentials()  # renews them when they are about to expire
        return Credentials(str(frozen.access_key), str(frozen.secret_key), frozen.token)

    return current


class Signer:
    """Signs POST requests to one host of a service, such as "dynamodb", in one region."""

    def __init__(self, service: str, host: str, region: str, get_credentials: Callable[[], Credentials]) -> None:
        """Make a signer that calls `get_credentials` for each request."""
        self._service = service
        self._host = host
        self._region = region
        self.get_credentials = get_credentials
        self._key_of: tuple[str, str] = ("", "")  # the day and the secret that the key below belongs to
        self._key = b""

    def headers(self, body: bytes, own: Mapping[str, str], moment: datetime | None = None) -> dict[str, str]:
        """Return the headers of a signed POST of a body to "/". They include the headers `own`, in lower case."""
        now = (moment or datetime.fromtimestamp(runtime.current.time_s(), UTC)).strftime("%Y%m%dT%H%M%SZ")
        credentials = self.get_credentials()
        headers = {**own, "host": self._host, "x-amz-date": now}
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        names = sorted(headers)
        signed = ";".join(names)
        lines = "".join(f"{name}:{headers[name]}\n" for name in names)
        canonical = f"POST\n/\n\n{lines}\n{signed}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{now[:8]}/{self._region}/{self._service}/aws4_request"
        request = hashlib.sha256(canonical.encode()).hexdigest()
        key = self._signing_key(now[:8], credentials.secret_key)
        signature = hmac.digest(key, f"{_ALGORITHM}\n{now}\n{scope}\n{request}".encode(), "sha256").hex()
        headers["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        return headers

    def _signing_key(self, day: str, secret: str) -> bytes:
        """Return the key of a day, which all requests of the day share."""
        if self._key_of != (day, secret):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key_of, self._key = (day, secret), key
        return self._key
