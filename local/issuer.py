"""A small OpenID issuer for one machine: anyone who can read the data folder can get a token for any user.

Each start makes a new key and keeps it, with the issuer's address, in a file of the data folder that only the owner can
read; `python -m local token` finds it there. The issuer publishes its public keys on 127.0.0.1 as API Gateway expects.
"""

import argparse
import json
import os
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from local.errors import LocalError, StartError
from local.template import PROJECT

FILE = "issuer.json"  # in the data folder
HOST = "127.0.0.1"
AUDIENCE = "ticket-office"
ALGORITHM = "RS256"
GROUP = "organiser"
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/.well-known/jwks.json"
TOKEN_S = 3600
FETCH_S_MAX = 2
FETCH_BYTES_MAX = 64 * 1024
_KEY_BITS = 2048
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy for this machine


@contextmanager
def running(file: Path) -> Iterator[str]:
    """Make a key, publish it while the context lasts, and yield the issuer's URL.

    Raises: StartError if the file cannot be written.
    """
    key = RSAKey.generate_key(_KEY_BITS, {"alg": ALGORITHM, "use": "sig"}, auto_kid=True)
    documents: dict[str, Any] = {KEYS: KeySet([key]).as_dict(private=False)}
    server = ThreadingHTTPServer((HOST, 0), _publisher(documents))
    url = f"http://{HOST}:{server.server_port}"
    documents[DISCOVERY] = {
        "issuer": url,
        "jwks_uri": f"{url}{KEYS}",
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
    }
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        _write(file, json.dumps({"issuer": url, "key": key.as_dict(private=True)}))
        yield url
    finally:
        file.unlink(missing_ok=True)
        server.shutdown()
        server.server_close()


def public_keys(issuer: str) -> KeySet:
    """Fetch an issuer's keys through its discovery document, as API Gateway does.

    Raises: StartError if it does not answer.
    """
    try:
        keys: Any = _fetch(_fetch(f"{issuer}{DISCOVERY}")["jwks_uri"])
        return KeySet.import_key_set(keys)
    except (OSError, ValueError, KeyError) as error:
        raise StartError(f"the keys of the issuer {issuer} cannot be fetched: {error}") from None


def token(file: Path, claims: Mapping[str, Any]) -> str:
    """Sign claims with the key of the running issuer; they may override iss, aud, iat and exp.

    Raises: StartError if none runs.
    """
    issuer, key = _kept(file)
    now = int(time.time())
    made = {"iss": issuer, "aud": AUDIENCE, "iat": now, "exp": now + TOKEN_S, "jti": str(uuid.uuid4())}
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, {**made, **claims}, key)


def main(arguments: Sequence[str]) -> int:
    """Print a token for a user; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local token", description="Print a token for the ticket office that runs with --auth."
    )
    parser.add_argument("--user", required=True, metavar="U", help="the user: userId in requests")
    parser.add_argument("--organiser", action="store_true", help="make the user an organiser")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", default=PROJECT / ".local", help="the office's data folder (.local)"
    )
    options = parser.parse_args(arguments)
    claims = {"sub": options.user, **({"cognito:groups": [GROUP]} if options.organiser else {})}
    try:
        sys.stdout.write(f"{token(options.data / FILE, claims)}\n")
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _publisher(documents: Mapping[str, Any]) -> type[BaseHTTPRequestHandler]:
    class Publisher(BaseHTTPRequestHandler):
        timeout = FETCH_S_MAX

        def do_GET(self) -> None:
            if self.path not in documents:
                self.send_error(404)
                return
            body = json.dumps(documents[self.path]).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    return Publisher


def _kept(file: Path) -> tuple[str, RSAKey]:
    """Read the issuer's URL and key. A killed program leaves the file, so check that the key is still published."""
    with suppress(OSError, ValueError, KeyError, StartError):
        kept = json.loads(file.read_text("utf-8"))
        issuer, key = str(kept["issuer"]), RSAKey.import_key(kept["key"])
        if key.kid in {published.kid for published in public_keys(issuer)}:
            return issuer, key
    raise StartError(f"no ticket office with --auth uses the data folder {file.parent}")


def _fetch(url: str) -> Any:
    with _opener.open(url, timeout=FETCH_S_MAX) as answer:
        return json.loads(answer.read(FETCH_BYTES_MAX))


def _write(file: Path, text: str) -> None:
    """Write a file that only its owner can read, from the first byte on."""
    try:
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise StartError(f"{file} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
