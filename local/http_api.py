"""Reads the HTTP API of template.yaml: which routes take a token, and which web pages may call.

Supported is what the template uses: one JWT authorizer for all routes, which DefinitionBody can remove from a route,
and a list of allowed origins. Throttling is left to AWS.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from local import intrinsics
from local.errors import TemplateError
from local.system import Cors

_READ = {"Auth", "CorsConfiguration", "DefinitionBody"}
_PASSED_OVER = {
    "AccessLogSettings", "DefaultRouteSettings", "Description", "DisableExecuteApiEndpoint", "RouteSettings", "Tags",
}  # fmt: skip
_CORS_NEEDED = {"AllowOrigins", "AllowMethods", "AllowHeaders"}
_CORS_PROPERTIES = _CORS_NEEDED | {"ExposeHeaders", "MaxAge"}
_HEADER = "$request.header.Authorization"

Key = tuple[str, str]  # of a route: method and path


@dataclass(frozen=True, slots=True)
class HttpApi:
    """What applies to all routes; `security` holds the exceptions from the default authorizer."""

    has_authorizer: bool = False
    security: Mapping[Key, bool] = field(default_factory=dict)
    cors: Cors | None = None

    def takes_token(self, method: str, path: str) -> bool:
        """Return whether a route is behind the authorizer."""
        return self.security.get((method, path), self.has_authorizer)


def read(name: str, body: Mapping[str, Any], values: intrinsics.Values) -> HttpApi:
    """Read the properties of an AWS::Serverless::HttpApi.

    Raises: TemplateError for anything that API Gateway would do and that is not supported here.
    """
    only(body, _READ | _PASSED_OVER, name)
    authorizer = _authorizer(body["Auth"], f"{name}.Auth") if "Auth" in body else None
    security = _security(body.get("DefinitionBody") or {}, authorizer, values, f"{name}.DefinitionBody")
    cors = values.resolve(body.get("CorsConfiguration"), f"{name}.CorsConfiguration")
    cors = None if cors in (None, intrinsics.NO_VALUE) else _cors(cors, f"{name}.CorsConfiguration")
    return HttpApi(authorizer is not None, security, cors)


def only(properties: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Refuse unknown properties. Raises: TemplateError."""
    if unknown := sorted(properties.keys() - known):
        raise TemplateError(f"{where}: {unknown[0]} is not supported here")


def _authorizer(auth: Mapping[str, Any], where: str) -> str:
    """Return the name of the only JWT authorizer; its issuer and audience are known only after deployment."""
    only(auth, {"DefaultAuthorizer", "Authorizers"}, where)
    authorizers = auth.get("Authorizers") or {}
    name = auth.get("DefaultAuthorizer")
    if not isinstance(name, str) or list(authorizers) != [name]:
        raise TemplateError(f"{where}: exactly one authorizer is supported here, and it is the default")
    only(authorizers[name], {"IdentitySource", "JwtConfiguration"}, f"{where}.{name}")
    if authorizers[name].get("IdentitySource") != _HEADER or "JwtConfiguration" not in authorizers[name]:
        raise TemplateError(f"{where}.{name}: a JwtConfiguration with the IdentitySource {_HEADER} is supported here")
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
                raise TemplateError(f"{place}: only the security of a route behind an authorizer is supported here")
            security = values.resolve(operation["security"], place)
            if security is not intrinsics.NO_VALUE and security != [{authorizer: []}]:
                raise TemplateError(f"{place}: security is {authorizer} without scopes or none here")
            found[method.upper(), path] = security is not intrinsics.NO_VALUE
    return found


def _cors(properties: Any, where: str) -> Cors:
    if not isinstance(properties, dict):
        raise TemplateError(f"{where}: a list of origins is supported here")
    only(properties, _CORS_PROPERTIES, where)
    if missing := sorted(_CORS_NEEDED - properties.keys()):
        raise TemplateError(f"{where}: {missing[0]} is missing")
    if "*" in "".join(properties["AllowOrigins"]):
        raise TemplateError(f"{where}.AllowOrigins: an origin without * is supported here")
    return Cors(
        origins=tuple(properties["AllowOrigins"]),
        methods=tuple(properties["AllowMethods"]),
        headers=tuple(properties["AllowHeaders"]),
        exposed=tuple(properties.get("ExposeHeaders", ())),
        max_age_s=int(properties.get("MaxAge", 0)),
    )
