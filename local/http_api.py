"""The HTTP API of template.yaml: which routes take a token, and which web pages may call.

What is understood is what the template uses: one JWT authorizer for all routes, which DefinitionBody may take from
one, and an allow-list of origins. Throttling is AWS's own: one machine has nobody to protect from the rest.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from local import intrinsics
from local.errors import TemplateError

_READ = {"Auth", "CorsConfiguration", "DefinitionBody"}
_PASSED_OVER = {"AccessLogSettings", "DefaultRouteSettings", "Description", "RouteSettings", "Tags"}
_CORS_NEEDED = {"AllowOrigins", "AllowMethods", "AllowHeaders"}
_CORS_PROPERTIES = _CORS_NEEDED | {"ExposeHeaders", "MaxAge"}
_HEADER = "$request.header.Authorization"

Key = tuple[str, str]  # of a route: method and path


@dataclass(frozen=True, slots=True)
class Cors:
    """Which origins may call, with what, and for how many seconds a browser may believe it."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    max_age_s: int


@dataclass(frozen=True, slots=True)
class HttpApi:
    """What stands in front of the routes; `security` holds those for which the default does not stand."""

    has_authorizer: bool = False
    security: Mapping[Key, bool] = field(default_factory=dict)
    cors: Cors | None = None

    def takes_token(self, method: str, path: str) -> bool:
        """Say whether a route is behind the authorizer."""
        return self.security.get((method, path), self.has_authorizer)


def read(name: str, body: Mapping[str, Any], values: intrinsics.Values) -> HttpApi:
    """Read the properties of an AWS::Serverless::HttpApi.

    Raises: TemplateError for what API Gateway would do to requests before a function sees them, and is not done here.
    """
    only(body, _READ | _PASSED_OVER, name)
    authorizer = _authorizer(body["Auth"], f"{name}.Auth") if "Auth" in body else None
    security = _security(body.get("DefinitionBody") or {}, authorizer, values, f"{name}.DefinitionBody")
    cors = values.resolve(body.get("CorsConfiguration"), f"{name}.CorsConfiguration")
    cors = None if cors in (None, intrinsics.NO_VALUE) else _cors(cors, f"{name}.CorsConfiguration")
    return HttpApi(authorizer is not None, security, cors)


def only(properties: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Refuse properties that are not known. Raises: TemplateError."""
    if unknown := sorted(properties.keys() - known):
        raise TemplateError(f"{where}: {unknown[0]} is not understood here")


def _authorizer(auth: Mapping[str, Any], where: str) -> str:
    """Give the name of the one JWT authorizer; its issuer and audience are known only after deployment."""
    only(auth, {"DefaultAuthorizer", "Authorizers"}, where)
    authorizers = auth.get("Authorizers") or {}
    name = auth.get("DefaultAuthorizer")
    if not isinstance(name, str) or list(authorizers) != [name]:
        raise TemplateError(f"{where}: one authorizer is understood here, that is the default")
    only(authorizers[name], {"IdentitySource", "JwtConfiguration"}, f"{where}.{name}")
    if authorizers[name].get("IdentitySource") != _HEADER or "JwtConfiguration" not in authorizers[name]:
        raise TemplateError(f"{where}.{name}: a JwtConfiguration with the IdentitySource {_HEADER} is understood here")
    return name


def _security(
    definition: Mapping[str, Any], authorizer: str | None, values: intrinsics.Values, where: str
) -> dict[Key, bool]:
    only(definition, {"openapi", "info", "paths"}, where)
    found = {}
    for path, methods in (definition.get("paths") or {}).items():
        for method, operation in methods.items():
            place = f"{where}.{method} {path}"
            only(operation, {"security"}, place)
            if authorizer is None or "security" not in operation:
                raise TemplateError(f"{place}: only the security of a route is understood here, beside an authorizer")
            security = values.resolve(operation["security"], place)
            if security is not intrinsics.NO_VALUE and security != [{authorizer: []}]:
                raise TemplateError(f"{place}: security is {authorizer} without scopes, or none, here")
            found[method.upper(), path] = security is not intrinsics.NO_VALUE
    return found


def _cors(properties: Any, where: str) -> Cors:
    if not isinstance(properties, dict):
        raise TemplateError(f"{where}: the origins are listed here")
    only(properties, _CORS_PROPERTIES, where)
    if missing := sorted(_CORS_NEEDED - properties.keys()):
        raise TemplateError(f"{where}: {missing[0]} is missing")
    if "*" in "".join(properties["AllowOrigins"]):
        raise TemplateError(f"{where}.AllowOrigins: an origin is spelled out here")
    return Cors(
        origins=tuple(properties["AllowOrigins"]),
        methods=tuple(properties["AllowMethods"]),
        headers=tuple(properties["AllowHeaders"]),
        exposed=tuple(properties.get("ExposeHeaders", ())),
        max_age_s=int(properties.get("MaxAge", 0)),
    )
