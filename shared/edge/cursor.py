"""Cursors: where the next page of a list begins, as opaque text that clients send back.

    base64url of [VERSION, digest of what is listed, place ...] as JSON

The digest detects a cursor of another list. It does not prevent forgery and need not: a place only says where to
continue, and the request decides what may be read from there.
"""

import base64
import hashlib
import json
from collections.abc import Sequence

from pydantic_core import from_json

VERSION = 1
LENGTH_MAX = 1_024  # characters; the longest place is a user's id of 512 bytes, and a lane
NUMBER_MAX = 10**15
_DIGEST_BYTES = 6

Place = tuple[str | int, ...]


def write(listed: str, place: Place) -> str:
    """Return the cursor of a place in what is listed, such as "/events"."""
    content = json.dumps([VERSION, _digest(listed), *place], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def read(cursor: str, listed: str, kinds: Sequence[type]) -> Place:
    """Return the place, whose parts have these types: `str`, or `int` from 0 to NUMBER_MAX.

    Raises ValueError for text that `write` has not written for this list.
    """
    if len(cursor) > LENGTH_MAX:
        raise ValueError("too long")
    content = from_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), allow_inf_nan=False)
    if not isinstance(content, list) or content[:2] != [VERSION, _digest(listed)]:
        raise ValueError("of another list")
    place = tuple(content[2:])
    if [type(part) for part in place] != list(kinds):
        raise ValueError("not a place")
    if not all(0 <= part <= NUMBER_MAX for part in place if isinstance(part, int)):
        raise ValueError("out of bounds")
    if write(listed, place) != cursor:
        raise ValueError("written otherwise")
    return place


def _digest(listed: str) -> str:
    return hashlib.blake2b(listed.encode(), digest_size=_DIGEST_BYTES).hexdigest()
