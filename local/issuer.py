"""The tokens of one machine: anyone who can read the data folder can make a token for any user.

Each start with --auth makes a new key and a new password, and keeps them in a file of the data folder that only the
owner can read. `python -m local token` finds the key there, and so do the pages that sign people in (local/sign_in.py).
To verify tokens, the workers get its public half.
"""

import argparse
import json
import os
import secrets
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from local import PROJECT
from local.errors import LocalError, StartError

FILE = "issuer.json"  # in the data folder
ISSUER = "https://issuer.local"
AUDIENCE = "ticket-office"
ALGORITHM = "RS256"
ORGANISER = "organiser"  # a group
SHOP_SCOPE = "ticket-office/shop"  # of a program, as Cognito writes it
SHOP_CLIENT = "shop"  # the program
DOOR_SCOPE, DOOR_CLIENT = "ticket-office/door", "door"  # likewise
GROUP_CLAIM = "cognito:groups"
TOKEN_S = 3600
_KEY_BITS = 2048
_PASSWORD_BYTES = 9


@contextmanager
def running(file: Path) -> Iterator[dict[str, Any]]:
    """Make a key, and keep it in the file while the context lasts; yield its public half as a key set."""
    key = RSAKey.generate_key(_KEY_BITS, {"alg": ALGORITHM, "use": "sig"}, auto_kid=True)
    try:
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        _write(file, json.dumps({"issuer": ISSUER, "key": key.as_dict(private=True), "password": password}))
        yield dict(KeySet([key]).as_dict(private=False))
    finally:
        file.unlink(missing_ok=True)


def token(file: Path, claims: Mapping[str, Any]) -> str:
    """Sign claims with the key in the file; they may override iss, aud, iat and exp.

    Raises: StartError if there is none.
    """
    try:
        kept = json.loads(file.read_text("utf-8"))
        key = RSAKey.import_key(kept["key"])
    except (OSError, ValueError, KeyError):
        raise StartError(f"no ticket office with --auth uses the data folder {file.parent}") from None
    now = int(time.time())
    made = {"iss": kept["issuer"], "aud": AUDIENCE, "iat": now, "exp": now + TOKEN_S, "jti": str(uuid.uuid4())}
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, {**made, **claims}, key)


def user(user_id: str, *, is_organiser: bool = False) -> dict[str, Any]:
    """Return the claims of a person."""
    return {"sub": user_id, **({GROUP_CLAIM: [ORGANISER]} if is_organiser else {})}


def shop(client_id: str = SHOP_CLIENT) -> dict[str, Any]:
    """Return the claims of a shop: as with the client credentials grant, they name a program and no user.

    Cognito repeats the program's id as `sub`.
    """
    return {"sub": client_id, "client_id": client_id, "token_use": "access", "scope": SHOP_SCOPE}


def door(client_id: str = DOOR_CLIENT) -> dict[str, Any]:
    """Return the claims of a program that checks bookings in at the door, like those of a shop."""
    return {**shop(client_id), "scope": DOOR_SCOPE}


def password(file: Path) -> str:
    """Return the password with which people sign in on the page."""
    return str(json.loads(file.read_text("utf-8"))["password"])


def main(arguments: Sequence[str]) -> int:
    """Print a token for a user, a shop or the door; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local token", description="Print a token for the ticket office that runs with --auth."
    )
    holder = parser.add_mutually_exclusive_group(required=True)
    holder.add_argument("--user", metavar="U", help="the user: userId in requests")
    holder.add_argument(
        "--shop",
        nargs="?",
        const=SHOP_CLIENT,
        metavar="CLIENT",
        help=f"a shop's program, which acts for any user; CLIENT is its client id ({SHOP_CLIENT})",
    )
    holder.add_argument(
        "--door",
        nargs="?",
        const=DOOR_CLIENT,
        metavar="CLIENT",
        help=f"the door's program, which checks bookings in; CLIENT is its client id ({DOOR_CLIENT})",
    )
    parser.add_argument("--organiser", action="store_true", help="with --user: make the user an organiser")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", default=PROJECT / ".local", help="the office's data folder (.local)"
    )
    options = parser.parse_args(arguments)
    if options.organiser and not options.user:
        parser.error("--organiser goes with --user: a shop is no organiser, and the door is none")
    claims = _claims(options)
    try:
        sys.stdout.write(f"{token(options.data / FILE, claims)}\n")
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _claims(options: argparse.Namespace) -> dict[str, Any]:
    if options.shop:
        return shop(options.shop)
    return door(options.door) if options.door else user(options.user, is_organiser=options.organiser)


def _write(file: Path, text: str) -> None:
    """Write a file that only its owner can read, from the first byte on."""
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
