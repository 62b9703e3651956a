"""Where the tables are: the embedded engine, or another DynamoDB-compatible server."""

import os
import secrets
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from local import gate
from local.errors import StartError
from shared.store.aws_client import DYNAMODB, Client, Service
from shared.store.signing import Credentials

_CALL_TIMEOUT_S = 10.0  # a thousand records are 1 MB
_REGION = "us-east-1"
_ACCESS_KEY = "local"
_EMBEDDED = "embedded"
_USERS_OWN = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_USE_FIPS_ENDPOINT")
_AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


@dataclass(frozen=True, slots=True)
class Database:
    """The URL of a DynamoDB-compatible server on this machine or network.

    `secret` is the secret access key of this run. The event bus verifies it; databases do not.
    """

    endpoint: str
    is_embedded: bool
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @classmethod
    def embedded(cls, endpoint: str) -> "Database":
        """Return the embedded engine."""
        return cls(endpoint, is_embedded=True)

    @classmethod
    def at(cls, url: str) -> "Database":
        """Return another server. Raises: StartError if the URL is none, or AWS's own."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StartError(f"--endpoint takes a URL such as http://127.0.0.1:8000, not {url}")
        if parts.hostname.endswith(_AWS_DOMAINS):
            raise StartError("--endpoint takes a DynamoDB of your own: to keep the tables on AWS, deploy the stack")
        found = cls(url, is_embedded=False)
        if parts.scheme == "http" and not found.is_on_this_machine:
            raise StartError(f"--endpoint takes https for a database on another machine, not {url}")
        return found

    @classmethod
    def announced(cls, announcement: str) -> "Database":
        """Return the database that another program announced in its data folder."""
        kind, url, *secret = announcement.split(" ")
        found = cls.embedded(url) if kind == _EMBEDDED else cls.at(url)
        return replace(found, secret=secret[0]) if secret else found

    @property
    def announcement(self) -> str:
        """One line for `announced`; it holds the secret, and belongs into a file that only the owner can read."""
        return f"{_EMBEDDED if self.is_embedded else 'other'} {self.endpoint} {self.secret}"

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the server's address is a loopback address."""
        host = urlsplit(self.endpoint).hostname or ""
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which the AWS SDK finds this database, and nothing of the user's own AWS configuration."""
        return {
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_ENDPOINT_URL_DYNAMODB": self.endpoint,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def adopt(self) -> None:
        """Make this process, and those it starts, use this database."""
        for name in _USERS_OWN:
            os.environ.pop(name, None)
        os.environ.update(self.environment)
        self._use_gate()

    def aws_client(self, service: Service = DYNAMODB) -> Client:
        """Return a client for the tables or their streams that never retries."""
        self._use_gate()
        own = Credentials(_ACCESS_KEY, self.secret, None)
        client = Client(self.endpoint, _REGION, lambda: own, service)
        client.connection.call_timeout_s = _CALL_TIMEOUT_S
        return client

    def _use_gate(self) -> None:
        if self.is_embedded:
            gate.use(self.endpoint)
