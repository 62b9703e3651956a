"""Errors in the API description: the office's own, from the table in shared/edge/api.py, and API Gateway's."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Annotated, Any, Final

from pydantic import Field

from openapi.examples import ERRORS
from shared.edge.api import PROBLEM_TYPE, PROBLEMS, BodyTooLarge, detail_of
from shared.edge.caller import DoorOnly, NotSignedIn, NotYourBooking, OrganisersOnly
from shared.edge.contract import ApiModel, LeftOutIfNone, ResponseModel, Time
from shared.model import RETRY_AFTER_S, ShopOnly, TryAgain

CALLER_ERRORS: Final = frozenset(
    {NotSignedIn, NotYourBooking, OrganisersOnly, ShopOnly, DoorOnly}
)  # never in an open office
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
_CODES: Final = list(dict.fromkeys(code for _, code, _ in PROBLEMS.values()))


class FieldError(ResponseModel):
    """What is wrong with one field."""

    field: str
    detail: str


class Problem(ApiModel):
    """An error (RFC 9457). Programs decide by `code`."""

    type: str
    title: str
    status: int
    detail: str
    instance: Annotated[str, Field(description="The path of the request.")]
    code: Annotated[str, Field(json_schema_extra={"enum": _CODES})]
    request_id: Annotated[str, Field(description="Operators find the request in the log by this id.")]
    errors: Annotated[LeftOutIfNone[list[FieldError]], Field(description="With `invalid-request`.")] = None
    opens_at: Annotated[LeftOutIfNone[Time], Field(description="With `not-on-sale`, if it is set.")] = None
    closes_at: Annotated[LeftOutIfNone[Time], Field(description="With `not-on-sale`, if it is set.")] = None
    available_tickets: Annotated[LeftOutIfNone[int], Field(description="With `too-few-tickets`: what is left.")] = None
    waiting_list_limit: Annotated[LeftOutIfNone[int], Field(description="With `waiting-list-full`.")] = None
    cancelled_at: Annotated[
        LeftOutIfNone[Time], Field(description="With `event-cancelled` and `booking-cancelled`.")
    ] = None
    expired_at: Annotated[LeftOutIfNone[Time], Field(description="With `hold-expired`.")] = None
    checked_in_at: Annotated[LeftOutIfNone[Time], Field(description="With `checked-in`.")] = None
    transferred_at: Annotated[LeftOutIfNone[Time], Field(description="With `booking-transferred`.")] = None
    reference: Annotated[
        LeftOutIfNone[str], Field(description="With `booking-transferred`, if the booking has one.")
    ] = None
    total_tickets: Annotated[LeftOutIfNone[int], Field(description="With `tickets-booked`: the current total.")] = None
    booked_tickets: Annotated[
        LeftOutIfNone[int],
        Field(description="With `tickets-booked`: the lowest new total."),
    ] = None


class GatewayMessage(ApiModel):
    """An error of API Gateway, which it returns itself."""

    message: str


MODELS: Final = (Problem, GatewayMessage)

# Status -> API Gateway's message, and its cause.
GATEWAY: Final = {
    401: ("Unauthorized", "no token, or one that is expired, of another issuer or for another audience"),
    413: ("Request Entity Too Large", "a body of more than 10 MB"),
    429: ("Too Many Requests", "more requests per second than the route allows"),
    500: ("Internal Server Error", "the function failed"),
    503: ("Service Unavailable", "the function did not respond"),
}


def responses(kinds: Collection[type[Exception]], *, takes_token: bool) -> dict[str, dict[str, Any]]:
    """Return the error responses of a route, by status. `kinds` are the office's errors.

    Each status has one schema, because generated clients do not look at the media type of a response.
    """
    gateway = set(GATEWAY) - (set() if takes_token else {401}) - (set() if BodyTooLarge in kinds else {413})
    by_status: dict[int, list[type[Exception]]] = {status: [] for status in gateway}
    for kind in PROBLEMS:
        if kind in kinds:
            by_status.setdefault(PROBLEMS[kind][0], []).append(kind)
    return {str(status): _response(status, by_status[status], status in gateway) for status in sorted(by_status)}


def name_of(status: str, response: dict[str, Any]) -> str:
    """Name a response by its status and its causes: 404-event-not-found."""
    causes = [cause for content in response["content"].values() for cause in content["examples"]]
    return "-".join([status, *causes])


def problem(kind: type[Exception]) -> dict[str, Any]:
    """Return an example of an error, with every member that it may have."""
    status, code, title = PROBLEMS[kind]
    members = {
        "type": PROBLEM_TYPE + code,
        "title": title,
        "status": status,
        "detail": detail_of(kind),
        "instance": "/book",
        "code": code,
        "requestId": "5f0c7a54-61f2-4f0e-8a57-b1a1f0c0de05",
    }
    return members | (ERRORS[kind].facts if kind in ERRORS else {})


def _response(status: int, kinds: list[type[Exception]], by_gateway: bool) -> dict[str, Any]:
    causes = [f"`{PROBLEMS[kind][1]}`: {detail_of(kind)}" for kind in kinds]
    examples = {PROBLEM: {PROBLEMS[kind][1]: {"value": problem(kind)} for kind in kinds}} if kinds else {}
    models = ["Problem"] if kinds else []
    if by_gateway:
        message, why = GATEWAY[status]
        causes.append(f"API Gateway itself: {why}.")
        examples[JSON] = {"gateway": {"value": {"message": message}}}
        models.append("GatewayMessage")
    refs = [{"$ref": f"#/components/schemas/{model}"} for model in models]
    schema = refs[0] if len(refs) == 1 else {"oneOf": refs}
    response: dict[str, Any] = {
        "description": "\n\n".join(causes),
        "content": {media_type: {"schema": schema, "examples": some} for media_type, some in examples.items()},
    }
    if TryAgain in kinds:
        text = f"Seconds to wait, with `try-again`: {RETRY_AFTER_S}."
        response["headers"] = {"Retry-After": {"description": text, "schema": {"type": "string"}}}
    if status == HTTPStatus.UNAUTHORIZED:
        response["headers"] = {"WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}}}
    return response
