"""The API description, and a page that shows it with Swagger UI, which powertools includes.

The page is a single document with its scripts and styles. By its Content-Security-Policy it runs nothing else and sends
requests to the office only. Both are public: no token needed.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import aws_lambda_powertools

from functions.describe.document import Document
from shared.edge.caller import is_open

_HERE: Final = Path(__file__).parent
_SWAGGER_UI: Final = Path(aws_lambda_powertools.__file__).parent / "event_handler" / "openapi" / "swagger_ui"
_START: Final = (
    'SwaggerUIBundle({url: "openapi.json", dom_id: "#office", deepLinking: true, validatorUrl: null, '
    "syntaxHighlight: false, displayRequestDuration: true})"
)


@cache
def description() -> Document:
    """Return the description that `python -m openapi` has written for an office like this."""
    name = "openapi-open.json" if is_open() else "openapi.json"
    return Document((_HERE / name).read_text(encoding="utf-8"), {"Content-Type": "application/json"})


@cache
def page() -> Document:
    """Return the page, with its Content-Security-Policy."""
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
    html = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Ticket office</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<style>{style}</style></head><body><div id="office"></div>'
        f"<script>{bundle}</script><script>{_START}</script></body></html>"
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
    }
    return Document(html, headers)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
