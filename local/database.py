"""Where the tables are: the embedded engine, another DynamoDB-compatible server, or a real region."""

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from local.errors import StartError

if TYPE_CHECKING:
    from shared.store.aws_client import Client, Service

_CALL_TIMEOUT_S = 10.0  # a thousand records are 1 MB, and the region may be far away
_DUMMY_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
_DUMMY_REGION = "us-east-1"
_EMBEDDED = "embedded"
_USERS_OWN = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_USE_FIPS_ENDPOINT")
_REAL_HOST = re.compile(r"(?:[\w-]+\.)?(?:dynamodb|ddb)(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)")


@dataclass(frozen=True, slots=True)
class Database:
    """An endpoint, and the environment variables with which the AWS SDK finds and may use it."""

    endpoint: str
    environment: dict[str, str]
    is_embedded: bool
    is_real: bool  # AWS's own

    @classmethod
    def embedded(cls, endpoint: str) -> "Database":
        """Describe the embedded engine; the user's own AWS configuration is kept out."""
        environment = {
            **_DUMMY_CREDENTIALS,
            "AWS_REGION": _DUMMY_REGION,
            "AWS_DEFAULT_REGION": _DUMMY_REGION,
            "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return cls(endpoint, environment, is_embedded=True, is_real=False)

    @classmethod
    def at(cls, url: str) -> "Database":
        """Describe what is at `url`; where that is not AWS, dummy credentials stand in for missing ones.

        Raises: StartError when it is no URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StartError(f"--endpoint takes a URL such as http://127.0.0.1:8000, not {url}")
        real = _REAL_HOST.fullmatch(parts.hostname)
        environment = {"AWS_ENDPOINT_URL_DYNAMODB": url}
        if real:
            environment |= {"AWS_REGION": real[1], "AWS_DEFAULT_REGION": real[1]}
        else:
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _DUMMY_REGION
            environment |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
            if not ({"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & os.environ.keys()):
                environment |= _DUMMY_CREDENTIALS
        return cls(url, environment, is_embedded=False, is_real=real is not None)

    @classmethod
    def announced(cls, announcement: str) -> "Database":
        """Describe the database that another program announced by its data folder."""
        kind, _, url = announcement.partition(" ")
        return cls.embedded(url) if kind == _EMBEDDED else cls.at(url)

    @property
    def announcement(self) -> str:
        """Say in a line which one this is, for `announced`; nothing in it is secret."""
        return f"{_EMBEDDED if self.is_embedded else 'other'} {self.endpoint}"

    def adopt(self) -> None:
        """Set the environment of this process, and of those it starts, for the SDK to find this database."""
        if self.is_embedded:
            for name in _USERS_OWN:
                os.environ.pop(name, None)
        os.environ.update(self.environment)

    def client(self) -> Any:
        """Make boto3's client for the tables."""
        import boto3  # noqa: PLC0415 - 200 ms that a wrong argument need not wait for
        from botocore.config import Config  # noqa: PLC0415

        config = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})
        keys = (
            {
                "aws_access_key_id": self.environment["AWS_ACCESS_KEY_ID"],
                "aws_secret_access_key": self.environment["AWS_SECRET_ACCESS_KEY"],
            }
            if "AWS_ACCESS_KEY_ID" in self.environment
            else {}
        )
        make: Any = boto3.client  # its type stubs have one overload per service
        return make(
            "dynamodb",
            endpoint_url=self.endpoint,
            region_name=self.environment["AWS_REGION"],
            config=config,
            **keys,
        )

    def wire(self, service: "Service") -> "Client":
        """Make a client for the tables or their streams, which tries nothing again; the environment was adopted.

        Raises: botocore's errors for want of credentials.
        """
        from shared.store.aws_client import DYNAMODB, Client  # noqa: PLC0415
        from shared.store.signing import credentials  # noqa: PLC0415 - what starts the program does without shared/

        if self.is_real and service is not DYNAMODB:  # which has another endpoint there
            client = Client.of_environment(service)
        else:
            client = Client(self.endpoint, self.environment["AWS_REGION"], credentials(), service)
        client.connection.call_timeout_s = _CALL_TIMEOUT_S
        return client
