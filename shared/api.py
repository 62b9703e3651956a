"""The edge of the office: HTTP requests in, answers out, and the one table of errors.

Bodies are read and validated here. The resolver's own validation is not used: it looks at the content type, which
the contract does not.
"""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from shared import telemetry
from shared.caller import Caller, NotSignedIn, NotYourBooking, OrganisersOnly
from shared.contract import EventPath
from shared.model import (
    BODY_BYTES_MAX,
    IDEMPOTENCY_KEY_LENGTH_MAX,
    RETRY_AFTER_S,
    BookingChanged,
    BookingNotFound,
    EventCancelled,
    EventNotFound,
    IdempotencyKeyReused,
    ImpossibleWindow,
    NotOnSale,
    TicketOfficeError,
    TicketsBooked,
    TryAgain,
    WaitingListFull,
)

Model = TypeVar("Model", bound=BaseModel)

PROBLEM_TYPE = "urn:ticket-office:problem:"


class MalformedJson(TicketOfficeError):
    """The body is not a JSON object."""

    detail = "The body must be a JSON object in UTF-8."


class BodyTooLarge(TicketOfficeError):
    """The body has more than BODY_BYTES_MAX bytes."""

    detail = f"The body must not be over {BODY_BYTES_MAX} bytes."


class InvalidRequest(TicketOfficeError):
    """Fields are missing, unknown, or not what they must be."""

    detail = "Some fields are not as they must be; see errors."

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(errors)
        self.errors = errors

    @property
    def facts(self) -> dict[str, object]:
        """Tell which fields, and what is wrong with each."""
        return {"errors": self.errors}


# Error -> HTTP status, code, title. The only place where the two meet.
PROBLEMS: Final[Mapping[type[Exception], tuple[int, str, str]]] = {
    MalformedJson: (400, "malformed-json", "Malformed JSON"),
    NotSignedIn: (401, "not-signed-in", "Not signed in"),
    NotYourBooking: (403, "not-your-booking", "Not your booking"),
    OrganisersOnly: (403, "organisers-only", "Organisers only"),
    EventNotFound: (404, "event-not-found", "Event not found"),
    BookingNotFound: (404, "booking-not-found", "Booking not found"),
    BookingChanged: (409, "booking-changed", "Booking changed"),
    EventCancelled: (409, "event-cancelled", "Event cancelled"),
    NotOnSale: (409, "not-on-sale", "Not on sale"),
    WaitingListFull: (409, "waiting-list-full", "Waiting list full"),
    TicketsBooked: (409, "tickets-booked", "Tickets booked"),
    BodyTooLarge: (413, "body-too-large", "Body too large"),
    InvalidRequest: (422, "invalid-request", "Invalid request"),
    ImpossibleWindow: (422, "invalid-request", "Invalid request"),
    IdempotencyKeyReused: (422, "idempotency-key-reused", "Idempotency-Key reused"),
    TryAgain: (503, "try-again", "Try again"),
    Exception: (500, "internal-error", "Internal error"),
}


def resolver() -> APIGatewayHttpResolver:
    """Return a resolver that answers every error as problem+json."""
    app = APIGatewayHttpResolver()

    @app.exception_handler(Exception)  # type: ignore[untyped-decorator]  # powertools leaves it untyped
    def on_error(error: Exception) -> Response[str]:
        return _problem(app, error)

    @app.not_found
    def on_not_found(_error: Exception) -> Response[str]:
        # A function has one route, and API Gateway sends it nothing else. What does not match the resolver's idea
        # of it is an {eventId} with characters that no event's id has, or that no id may have.
        try:
            _validated(app.current_event.path_parameters, EventPath)
        except InvalidRequest as error:
            return _problem(app, error)
        return _problem(app, EventNotFound(app.current_event.path))

    return app


def handler_of(app: APIGatewayHttpResolver) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Return the Lambda handler of a resolver; its logs carry the request id that errors show."""

    @telemetry.logger.inject_lambda_context(correlation_id_path="requestContext.requestId", clear_state=True)
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return app.resolve(event, context)

    return handler


def body_as(app: APIGatewayHttpResolver, model: type[Model]) -> Model:
    """Read the body. Raises MalformedJson; BodyTooLarge; InvalidRequest."""
    try:
        fields = from_json(_body(app), allow_inf_nan=False)
    except ValueError:
        raise MalformedJson from None
    if not isinstance(fields, dict):
        raise MalformedJson
    return _validated(fields, model)


def parameters_as(app: APIGatewayHttpResolver, model: type[Model]) -> Model:
    """Read the parameters of path and query together; no name may be in both. Raises InvalidRequest."""
    path, query = app.current_event.path_parameters, app.current_event.query_string_parameters
    if twice := sorted(path.keys() & query.keys()):
        raise InvalidRequest([{"field": name, "detail": "is in the path already"} for name in twice])
    return _validated(path | query, model)


def idempotency_key(app: APIGatewayHttpResolver) -> str | None:
    """Read the Idempotency-Key header: 1 to IDEMPOTENCY_KEY_LENGTH_MAX characters. Raises InvalidRequest."""
    key = app.current_event.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= IDEMPOTENCY_KEY_LENGTH_MAX:
        detail = f"must have 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} characters"
        raise InvalidRequest([{"field": "Idempotency-Key", "detail": detail}])
    return key


def caller(app: APIGatewayHttpResolver) -> Caller:
    """Return who asks."""
    return Caller.of(app.current_event.raw_event["requestContext"])


def answer(status_code: int, model: BaseModel, headers: Mapping[str, str] | None = None) -> Response[str]:
    """Return a JSON answer. What is left changes all the time, so nobody may keep it."""
    return Response(
        status_code=status_code,
        content_type="application/json",
        body=model.model_dump_json(by_alias=True),
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def _body(app: APIGatewayHttpResolver) -> bytes:
    """Return the body's bytes; the size is that of what the client sent, before base64."""
    payload = app.current_event.raw_event
    body: str = payload.get("body") or ""
    if payload.get("isBase64Encoded"):
        if len(body) > 2 * BODY_BYTES_MAX:
            raise BodyTooLarge
        try:
            raw = base64.b64decode(body, validate=True)
        except ValueError:  # binascii.Error is one; text that is not ASCII is another
            raise MalformedJson from None
    else:
        raw = body.encode("utf-8", "surrogatepass")  # lone surrogates are then refused as the invalid UTF-8 they are
    if len(raw) > BODY_BYTES_MAX:
        raise BodyTooLarge
    return raw


def _validated(fields: Mapping[str, Any], model: type[Model]) -> Model:
    """Read fields; what is logged from here on says which event the request is about, if it names one."""
    try:
        request = model.model_validate(fields)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidRequest(
            [{"field": ".".join(map(str, one["loc"])), "detail": one["msg"]} for one in wrong]
        ) from None
    if event_id := getattr(request, "event_id", None):
        telemetry.logger.append_keys(event_id=event_id)  # the handler's clear_state takes it off again
    return request


def _problem(app: APIGatewayHttpResolver, error: Exception) -> Response[str]:
    """Answer an error as RFC 9457 has it; what nobody expected shows no detail, the log has it."""
    status_code, code, title = next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)
    payload = app.current_event.raw_event
    problem = {
        "type": PROBLEM_TYPE + code,
        "title": title,
        "status": status_code,
        "detail": error.detail if isinstance(error, TicketOfficeError) else "Something went wrong on our side.",
        "instance": payload["rawPath"],
        "code": code,
        "requestId": payload["requestContext"]["requestId"],
    }
    if isinstance(error, TicketOfficeError):
        problem |= error.facts
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, NotSignedIn):
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 wants it with every 401
    if isinstance(error, TryAgain):
        headers["Retry-After"] = str(RETRY_AFTER_S)
        telemetry.outcome(telemetry.Metric.TRY_AGAIN, cause=error.cause)
    if status_code == PROBLEMS[Exception][0]:
        telemetry.internal_error(error)
    return Response(
        status_code=status_code, content_type="application/problem+json", body=json.dumps(problem), headers=headers
    )
