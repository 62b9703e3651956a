"""Content negotiation: which encodings a client accepts."""

import re
from typing import Final

# A coding with its weight, from 0 to 1: RFC 9110, 12.5.3.
_CODING: Final = re.compile(
    r"\s*([\w!#$%&'*+.^`|~-]+)\s*(?:;\s*[qQ]\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?", re.ASCII
)


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether an Accept-Encoding header allows gzip; parts that are malformed do not count."""
    weights: dict[str, float] = {}
    for part in accept_encoding.split(","):
        if coding := _CODING.fullmatch(part):
            weights[coding[1].lower()] = float(coding[2] or 1)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0
