"""API Gateway's JWT authorizer: verifies the token of a request.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import json
from collections.abc import Iterable
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from local.issuer import ALGORITHM, AUDIENCE, ISSUER

_BEARER = b"bearer "


class Authorizer:
    """Verifies the tokens of one issuer, for one audience."""

    def __init__(self, keys: Any) -> None:
        """Take the issuer's public keys, a JSON Web Key Set."""
        self._keys = KeySet.import_key_set(keys)
        self._rules = JWTClaimsRegistry(
            iss={"essential": True, "value": ISSUER},
            exp={"essential": True},
            aud={"values": [AUDIENCE]},
            client_id={"values": [AUDIENCE]},
        )

    def claims(self, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str] | None:
        """Return the claims of the token in the Authorization header as a function gets them, or None to refuse."""
        found = [value for name, value in headers if name == b"authorization"]
        if len(found) != 1:
            return None
        token = found[0][len(_BEARER) :] if found[0].lower().startswith(_BEARER) else found[0]
        try:
            verified = jwt.decode(token, self._keys, algorithms=[ALGORITHM])
            claims = verified.claims
            if "aud" in claims:  # client_id matters only without aud
                claims = {name: value for name, value in claims.items() if name != "client_id"}
            self._rules.validate(claims)
        except (JoseError, TypeError, ValueError):  # the last two: a malformed header that the library does not handle
            return None
        if "kid" not in verified.header or claims.keys().isdisjoint({"aud", "client_id"}):
            return None
        return {name: as_text(value) for name, value in verified.claims.items() if value is not None}


def as_text(claim: Any) -> str:
    """Write a claim as API Gateway does; a list becomes its items in brackets, [a b], and null is left out."""
    if isinstance(claim, str):
        return claim
    if isinstance(claim, list):
        return f"[{' '.join(map(as_text, claim))}]"
    return json.dumps(claim)
