"""The description, and the page that shows it: one document of Swagger UI, which powertools carries.

The page is whole: what it runs stands in it, and by its Content-Security-Policy it runs nothing else and asks nobody
else. Nothing here is anybody's secret: what a request takes, the routes themselves ask for.
"""

import base64
import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import aws_lambda_powertools

# Five minutes after a deployment nobody sees what was before it.
HEADERS: Final = {
    "Cache-Control": "public, max-age=300",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding",
}
CONTENT_TYPE: Final = "text/html; charset=utf-8"

_HERE: Final = Path(__file__).parent
_SWAGGER_UI: Final = Path(aws_lambda_powertools.__file__).parent / "event_handler" / "openapi" / "swagger_ui"
_START: Final = (
    'SwaggerUIBundle({url: "openapi.json", dom_id: "#office", deepLinking: true, validatorUrl: null, '
    "syntaxHighlight: false, displayRequestDuration: true})"
)


@cache
def description() -> str:
    """Return the description, as scripts/describe.py has written it."""
    return (_HERE / "openapi.json").read_text(encoding="utf-8")


@cache
def html() -> tuple[str, str]:
    """Return the page, and the Content-Security-Policy to send with it."""
    style = (_SWAGGER_UI / "swagger-ui.min.css").read_text(encoding="utf-8")
    bundle = (_SWAGGER_UI / "swagger-ui-bundle.min.js").read_text(encoding="utf-8")
    policy = {
        "default-src": "'none'",
        "script-src": f"{_digest(bundle)} {_digest(_START)}",
        "style-src": _digest(style),
        "img-src": "data:",  # the icons in Swagger UI's style
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Ticket office</title>'
        f'<style>{style}</style></head><body><div id="office"></div>'
        f"<script>{bundle}</script><script>{_START}</script></body></html>"
    ), "; ".join(f"{name} {value}" for name, value in policy.items())


@cache
def packed() -> bytes:
    """Return the page in gzip: a quarter of it, made once, for that takes a tenth of a second."""
    return gzip.compress(html()[0].encode(), compresslevel=6, mtime=0)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
