"""Requests to other services: an answer, or no usable answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ANSWER_S_MAX = 15.0  # longer than the office takes to give up
# The same request may be sent again: later, with another token, or when the service is back.
NOT_NOW = {401, 408, 429, 500, 502, 503, 504}


class NoAnswerError(Exception):
    """The service did not say what became of the request. It may have been carried out, so send the same one again."""


@dataclass(frozen=True)
class Answer:
    """The answer of a service, which is final."""

    status: int
    body: dict[str, Any]


def send(url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
    """Send a GET, or with a body a POST. Raises: NoAnswerError."""
    try:
        with urlopen(Request(url, body, dict(headers)), timeout=ANSWER_S_MAX) as response:
            return Answer(response.status, json.load(response))
    except HTTPError as error:
        if error.code in NOT_NOW:
            raise NoAnswerError(f"{error.code} from {url}") from error
        return Answer(error.code, json.load(error))
    except (OSError, HTTPException) as error:
        raise NoAnswerError(f"{error!r} from {url}") from error
