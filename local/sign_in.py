"""The issuer of one machine as its users meet it: OpenID Connect by authorization code with PKCE.

    GET  /local/issuer/.well-known/openid-configuration
    GET  /local/issuer/authorize    a form: a name, whether an organiser, and the password that the program has printed
    POST /local/issuer/authorize    sends the browser back with a code
    POST /local/issuer/token        gives a token for the code and its verifier

A code is itself signed and names what it is for, so that each worker can redeem it. It lasts a minute.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from local import issuer
from local.gateway import Headers, Response

PATH: Final = "/local/issuer/"
CODE_S: Final = 60
_CODE: Final = "authorization code"  # the audience of a code: the office accepts no such token
_POLICY: Final = b"default-src 'none'; style-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'"
_FORM: Final = Path(__file__).with_suffix(".html").read_text("utf-8")
_WRONG: Final = '<p class="trouble" role="alert">The password is wrong.</p>'


class SignIn:
    """Signs people in with the key in the issuer's file."""

    def __init__(self, file: Path) -> None:
        """Remember the file; it is read for each request, and never leaves this process."""
        self._file = file

    def answer(self, method: str, path: str, query: bytes, host: bytes, body: bytes) -> Response:
        """Answer a request below PATH."""
        asked, form = _fields(query), _fields(body)
        origin = f"http://{host.decode('latin-1')}"
        match f"{method} {path.removeprefix(PATH)}":
            case "GET .well-known/openid-configuration":
                return _json(200, _configuration(origin))
            case "GET authorize" if _may_return(asked, origin):
                return _html(_FORM.format(wrong="", user=""))
            case "POST authorize" if _may_return(asked, origin):
                return self._signed_in(asked, form)
            case "POST token":
                return self._token(form)
        return _json(400, {"error": "invalid_request"})

    def _signed_in(self, asked: Mapping[str, str], form: Mapping[str, str]) -> Response:
        password = issuer.password(self._file)
        user = form.get("user", "").strip()
        if not user or not secrets.compare_digest(form.get("password", "").strip().encode(), password.encode()):
            return _html(_FORM.format(wrong=_WRONG, user=escape(user)))
        claims = issuer.user(user, is_organiser=form.get("role") == issuer.ORGANISER)
        claims |= {"aud": _CODE, "exp": int(time.time()) + CODE_S}
        claims |= {"redirect_uri": asked["redirect_uri"], "code_challenge": asked["code_challenge"]}
        back = urlencode({"code": issuer.token(self._file, claims), "state": asked.get("state", "")})
        return 303, _headers(b"", [(b"location", f"{asked['redirect_uri']}?{back}".encode())]), b""

    def _token(self, form: Mapping[str, str]) -> Response:
        try:
            key = RSAKey.import_key(json.loads(self._file.read_text("utf-8"))["key"])
            code = jwt.decode(form.get("code", ""), key, algorithms=[issuer.ALGORITHM]).claims
        except (JoseError, ValueError):
            code = {}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        is_right = (
            code.get("aud") == _CODE
            and code["exp"] > time.time()
            and code["redirect_uri"] == form.get("redirect_uri")
            and code["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        )
        if not is_right:
            return _json(400, {"error": "invalid_grant"})
        its = {name: value for name, value in code.items() if name in ("sub", issuer.GROUP_CLAIM)}
        token = issuer.token(self._file, its)
        return _json(
            200, {"access_token": token, "id_token": token, "token_type": "Bearer", "expires_in": issuer.TOKEN_S}
        )


def _configuration(origin: str) -> dict[str, Any]:
    return {
        "issuer": issuer.ISSUER,
        "authorization_endpoint": f"{origin}{PATH}authorize",
        "token_endpoint": f"{origin}{PATH}token",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    }


def _may_return(asked: Mapping[str, str], origin: str) -> bool:
    """Return whether the request is one of this office's own page: codes are sent nowhere else."""
    to = urlsplit(asked.get("redirect_uri", ""))
    own = f"{to.scheme}://{to.netloc}" == origin and not to.query
    return own and asked.get("code_challenge_method") == "S256" and bool(asked.get("code_challenge"))


def _fields(encoded: bytes) -> dict[str, str]:
    return dict(parse_qsl(encoded.decode("utf-8", "replace"), keep_blank_values=True))


def _json(status: int, content: Mapping[str, Any]) -> Response:
    body = json.dumps(content).encode()
    return status, _headers(body, [(b"content-type", b"application/json")]), body


def _html(text: str) -> Response:
    body = text.encode()
    kind = (b"content-type", b"text/html; charset=utf-8")
    return 200, _headers(body, [kind, (b"content-security-policy", _POLICY)]), body


def _headers(body: bytes, headers: Headers) -> Headers:
    return [*headers, (b"cache-control", b"no-store"), (b"content-length", b"%d" % len(body))]
