"""The page for buyers and organisers: the files of web/, which is linked here, and the Content-Security-Policy.

Each file has the digest of all files in its path, so browsers keep it for a year, and files of two deployments never
mix. During a deployment, an old path may meet a new file, which then must not be kept.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from functions.describe.document import Document
from shared import runtime
from shared.edge.caller import is_open

_WEB: Final = Path(__file__).parent / "web"
_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_FILES: Final = {str(path.relative_to(_WEB)): path for folder in (_WEB, _WEB / "vendor") for path in folder.glob("*.*")}


@cache
def _version() -> str:
    digest = hashlib.sha256()
    for name, path in sorted(_FILES.items()):
        digest.update(f"{name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def page() -> Document:
    """Return the page, which names its files and says how to sign in."""
    setting = runtime.current.environment.get
    issuer, tokens_at = setting("PAGE_ISSUER", ""), setting("PAGE_TOKENS_AT", "")
    facts = {"open": is_open(), "userClaim": setting("USER_CLAIM", "sub")}
    if issuer:
        facts["signIn"] = {"issuer": issuer, "client": setting("PAGE_CLIENT", "")}
    others = sorted({f"{at.scheme}://{at.netloc}" for at in map(urlsplit, (issuer, tokens_at)) if at.netloc})
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "font-src": "'self'",
        "img-src": "data:",  # the icon
        "connect-src": " ".join(["'self'", *others]),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    html = _FILES["index.html"].read_text(encoding="utf-8")
    html = html.replace("web/-/", f"web/{_version()}/").replace("{}", json.dumps(facts).replace("<", "\\u003c"))
    headers = {
        "Cache-Control": "public, max-age=60",
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
    }
    return Document(html, headers)


def file(route: str, version: str, name: str) -> Document | None:
    """Return a file of the page; None if there is no such file."""
    name = f"vendor/{name}" if "/vendor/" in route else name
    known = name in _FILES and Path(name).suffix in _TYPES
    return _document(name, is_current=version == _version()) if known else None


@cache
def _document(name: str, *, is_current: bool) -> Document:
    kept = "public, max-age=31536000, immutable" if is_current else "no-cache"
    return Document(_FILES[name].read_bytes(), {"Cache-Control": kept, "Content-Type": _TYPES[Path(name).suffix]})
