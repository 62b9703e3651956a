"""HTTP: reads requests, writes responses, and maps errors to HTTP statuses in one table.

A function has one route, which API Gateway has already found, so there is no router here (docs/decisions/0013).
Requests and responses have payload format 2.0:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar
from urllib.parse import parse_qsl, quote

from pydantic_core import ValidationError, from_json

from shared import telemetry
from shared.edge.caller import Caller, DoorOnly, NotSignedIn, NotYourBooking, OrganisersOnly
from shared.model import (
    BODY_BYTES_MAX,
    IDEMPOTENCY_KEY_LENGTH_MAX,
    RETRY_AFTER_S,
    AlreadyClosed,
    BookingCancelled,
    BookingChanged,
    BookingNotFound,
    BookingTransferred,
    CheckedIn,
    Counts,
    Event,
    EventCancelled,
    EventChanged,
    EventNotFound,
    HoldExpired,
    IdempotencyKeyReused,
    ImpossibleWindow,
    NotConfirmed,
    NotHeld,
    NotOnSale,
    RecipientHasBooking,
    ShopOnly,
    TicketOfficeError,
    TicketsBooked,
    TooFewTickets,
    TooManyTickets,
    TryAgain,
    WaitingListFull,
)

if TYPE_CHECKING:  # the describe function must not load pydantic
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")

PROBLEM_TYPE = "urn:ticket-office:problem:"
QUERY_FIELDS_MAX = 100  # far above any route's parameters
ERRORS_MAX = 20  # that a response names
ERROR_FIELD_LENGTH_MAX = 40  # characters of a field's name in it; ours are shorter

# API Gateway joins repeated headers with commas. So a comma in a key may come from two keys.
IDEMPOTENCY_KEY: Final = r"^[!-+\--~]([ -+\--~]*[!-+\--~])?$"  # printable ASCII without commas
_NOT_ESCAPED: Final = re.compile("[^!-~]|%(?![0-9A-Fa-f]{2})")
_URI_PATH: Final = "/:@!$&'()*+,;="  # what a path may contain unescaped, besides letters, digits and "-._~"


class MalformedJson(TicketOfficeError):
    """The body is not a JSON object."""

    detail = "The body must be a JSON object in UTF-8."


class UnsupportedEncoding(TicketOfficeError):
    """The body is compressed."""

    detail = "The body must be sent as it is, without a Content-Encoding."


class BodyTooLarge(TicketOfficeError):
    """The body has more than BODY_BYTES_MAX bytes."""

    detail = f"The body must have at most {BODY_BYTES_MAX} bytes."


class InvalidRequest(TicketOfficeError):
    """Fields are missing, unknown or invalid."""

    detail = "Some fields are invalid: see errors."

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(errors)
        self.errors = errors

    @property
    def facts(self) -> dict[str, object]:
        """Return the first ERRORS_MAX fields and what is wrong with each: callers choose their number and names."""
        return {"errors": [{**one, "field": _cut(one["field"])} for one in self.errors[:ERRORS_MAX]]}


# Error -> HTTP status, code, title. Only this table connects them.
PROBLEMS: Final[Mapping[type[Exception], tuple[int, str, str]]] = {
    MalformedJson: (400, "malformed-json", "Malformed JSON"),
    NotSignedIn: (403, "not-signed-in", "Not signed in"),  # not 401, which is API Gateway's: a new token would not help
    NotYourBooking: (403, "not-your-booking", "Not your booking"),
    OrganisersOnly: (403, "organisers-only", "Organisers only"),
    ShopOnly: (403, "shop-only", "Shop only"),
    DoorOnly: (403, "door-only", "Door only"),
    EventNotFound: (404, "event-not-found", "Event not found"),
    BookingNotFound: (404, "booking-not-found", "Booking not found"),
    BookingChanged: (409, "booking-changed", "Booking changed"),
    BookingCancelled: (409, "booking-cancelled", "Booking cancelled"),
    HoldExpired: (409, "hold-expired", "Hold expired"),
    NotHeld: (409, "not-held", "Not held"),
    NotConfirmed: (409, "not-confirmed", "Not confirmed"),
    CheckedIn: (409, "checked-in", "Checked in"),
    BookingTransferred: (409, "booking-transferred", "Booking transferred"),
    RecipientHasBooking: (409, "recipient-has-booking", "Recipient has a booking"),
    EventCancelled: (409, "event-cancelled", "Event cancelled"),
    NotOnSale: (409, "not-on-sale", "Not on sale"),
    TooFewTickets: (409, "too-few-tickets", "Too few tickets"),
    WaitingListFull: (409, "waiting-list-full", "Waiting list full"),
    TicketsBooked: (409, "tickets-booked", "Tickets booked"),
    EventChanged: (412, "event-changed", "Event changed"),
    BodyTooLarge: (413, "body-too-large", "Body too large"),
    UnsupportedEncoding: (415, "unsupported-encoding", "Unsupported encoding"),
    InvalidRequest: (422, "invalid-request", "Invalid request"),
    ImpossibleWindow: (422, "invalid-request", "Invalid request"),
    AlreadyClosed: (422, "invalid-request", "Invalid request"),
    TooManyTickets: (422, "invalid-request", "Invalid request"),
    IdempotencyKeyReused: (422, "idempotency-key-reused", "Idempotency-Key reused"),
    TryAgain: (503, "try-again", "Try again"),
    Exception: (500, "internal-error", "Internal error"),
}


class Response(TypedDict):
    """A response as API Gateway takes it."""

    statusCode: int
    headers: Mapping[str, str]
    body: str
    isBase64Encoded: bool


class Request:
    """A request as API Gateway passes it on."""

    __slots__ = ("_payload",)

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self._payload = payload

    @property
    def route(self) -> str:
        """Return the route as in the template: "GET /docs"."""
        route: str = self._payload["routeKey"]
        return route

    @property
    def path_values(self) -> list[str]:
        """Return the values of the path's parameters, in their order."""
        return [self._payload["pathParameters"][name] for name in re.findall(r"{(\w+)}", self.route)]

    @property
    def caller(self) -> Caller:
        """Return who sent the request."""
        return Caller.of(self._payload["requestContext"], self.header("authorization"))

    @property
    def idempotency_key(self) -> str | None:
        """Read the Idempotency-Key header: 1 to IDEMPOTENCY_KEY_LENGTH_MAX characters. Raises InvalidRequest."""
        key = self.header("idempotency-key")
        if key is not None and self.caller.is_unnamed:
            raise InvalidRequest(_each(["Idempotency-Key"], "needs a token with a sub, client_id or azp"))
        if key is None or (len(key) <= IDEMPOTENCY_KEY_LENGTH_MAX and re.fullmatch(IDEMPOTENCY_KEY, key)):
            return key
        characters = f"1 to {IDEMPOTENCY_KEY_LENGTH_MAX} printable ASCII characters without commas"
        raise InvalidRequest(_each(["Idempotency-Key"], f"must be sent once, with {characters}"))

    @property
    def revisions(self) -> frozenset[int] | None:
        """Read the revisions in If-Match: None if any revision will do; an empty set if no tag is of a revision."""
        tags = self.header("if-match")
        if tags is None or tags.strip() == "*":
            return None
        found = (re.fullmatch(r'"([0-9]{1,18})(?:\.[0-9]{17})?"', tag.strip()) for tag in tags.split(","))
        return frozenset(int(tag[1]) for tag in found if tag)

    @property
    def wants_no_cache(self) -> bool:
        """Tell whether the Cache-Control header has `no-cache`."""
        directives = (self.header("cache-control") or "").lower().split(",")
        return "no-cache" in (one.strip() for one in directives)

    def header(self, name: str) -> str | None:
        """Return a header; `name` is in lower case, as from API Gateway. `sam local` keeps the case of the client."""
        headers = self._payload.get("headers") or {}
        return next((value for key, value in headers.items() if key.lower() == name), None)

    def body_as(self, model: type[Model]) -> Model:
        """Read the body, whatever its Content-Type. A route with a body takes no query.

        Raises MalformedJson; BodyTooLarge; UnsupportedEncoding; InvalidRequest.
        """
        if query := self._query():
            raise InvalidRequest(_each(query, "is not a parameter of this route"))
        if (self.header("content-encoding") or "identity").strip().lower() != "identity":
            raise UnsupportedEncoding
        try:
            fields = from_json(self._body(), allow_inf_nan=False)
        except ValueError:  # not JSON, not base64, or not UTF-8: a lone surrogate
            raise MalformedJson from None
        if not isinstance(fields, dict):
            raise MalformedJson
        return _validated(fields, model)

    def parameters_as(self, model: type[Model], *, with_body: bool = False) -> Model:
        """Read the parameters of path and query together, of a route that takes no body unless it is `with_body`.

        Raises InvalidRequest, also for a name that is in both path and query.
        """
        if self._payload.get("body") and not with_body:
            raise InvalidRequest(_each(["body"], "must be empty: this route takes no body"))
        path = self._payload.get("pathParameters") or {}
        query = self._query()
        if twice := sorted(path.keys() & query.keys()):
            raise InvalidRequest(_each(twice, "is already in the path"))
        return _validated(path | query, model)

    def _query(self) -> dict[str, str]:
        """Read the raw query, because API Gateway joins repeated parameters with commas in the decoded one.

        Raises InvalidRequest for repeated parameters, and for those that are not percent-encoded UTF-8.
        """
        raw: str = self._payload.get("rawQueryString") or ""
        try:
            fields = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX)
        except ValueError:  # too many, or not UTF-8
            fields = None
        if fields is None or _NOT_ESCAPED.search(raw):
            detail = f"must have at most {QUERY_FIELDS_MAX} parameters in percent-encoded UTF-8"
            raise InvalidRequest(_each(["query"], detail))
        names = [name for name, _ in fields]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InvalidRequest(_each(twice, "must be sent once"))
        return dict(fields)

    def _body(self) -> bytes:
        """Return the body's bytes as the client sent them. Raises BodyTooLarge; ValueError."""
        body: str = self._payload.get("body") or ""
        if self._payload.get("isBase64Encoded"):
            if len(body) > 2 * BODY_BYTES_MAX:
                raise BodyTooLarge
            raw = base64.b64decode(body, validate=True)
        else:
            raw = body.encode()
        if len(raw) > BODY_BYTES_MAX:
            raise BodyTooLarge
        return raw


def handler(function: Callable[[Request], Response]) -> Callable[[dict[str, Any], Any], Response]:
    """Make a Lambda handler of a function: errors become responses, and logs carry the request id that errors show."""

    @telemetry.logger.inject_lambda_context(clear_state=True)
    @wraps(function)
    def handle(payload: dict[str, Any], _context: Any) -> Response:
        telemetry.logger.set_correlation_id(payload["requestContext"]["requestId"])
        try:
            return function(Request(payload))
        except Exception as error:  # noqa: BLE001  # unexpected errors have a row in PROBLEMS, too
            return _problem(error, payload)

    return handle


def respond(status: int, model: "BaseModel", headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response, which must not be cached unless its headers say otherwise."""
    return {
        "statusCode": status,
        "headers": {"Cache-Control": "no-store", **(headers or {}), "Content-Type": "application/json"},
        "body": model.model_dump_json(by_alias=True),
        "isBase64Encoded": False,
    }


def etag_of_event(event: Event) -> dict[str, str]:
    """Return the header that names an event's revision, for If-Match: it counts changes, not bookings."""
    return {"ETag": f'"{event.revision}"'}


def etag_of_counts(counts: Counts) -> dict[str, str]:
    """Return the header that names a revision and the moment of its counts, for If-Match and for caches.

    To a cache, responses with one tag are the same: with the revision alone, it would confirm old counts.
    """
    return {"ETag": f'"{counts.availability.event.revision}.{re.sub(r"[^0-9]", "", counts.as_of)}"'}


def detail_of(kind: type[Exception]) -> str:
    """Return the sentence that explains an error to the user."""
    return kind.detail if issubclass(kind, TicketOfficeError) else "Something went wrong in the ticket office."


def _cut(field: str) -> str:
    return field if len(field) <= ERROR_FIELD_LENGTH_MAX else f"{field[: ERROR_FIELD_LENGTH_MAX - 1]}…"


def _each(fields: Iterable[str], detail: str) -> list[dict[str, str]]:
    """Give several fields the same error, in the order of their names."""
    return [{"field": field, "detail": detail} for field in sorted(fields)]


def _validated(fields: Mapping[str, Any], model: type[Model]) -> Model:
    """Read fields. Log lines from here on carry the event's id, if the request names one."""
    try:
        asked = model.model_validate(fields)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidRequest(
            [{"field": ".".join(map(str, one["loc"])), "detail": one["msg"]} for one in wrong]
        ) from None
    if event_id := getattr(asked, "event_id", None):
        telemetry.logger.append_keys(event_id=event_id)  # the handler's clear_state removes it
    return asked


def _problem(error: Exception, payload: Mapping[str, Any]) -> Response:
    """Return an error as an RFC 9457 problem. An unexpected error shows no details; the log has them."""
    status, code, title = next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)
    problem = {
        "type": PROBLEM_TYPE + code,
        "title": title,
        "status": status,
        "detail": detail_of(type(error)),
        "instance": quote(payload["rawPath"], safe=_URI_PATH, errors="replace"),  # API Gateway has decoded it
        "code": code,
        "requestId": payload["requestContext"]["requestId"],
    }
    if isinstance(error, TicketOfficeError):
        problem |= {name: fact for name, fact in error.facts.items() if fact is not None}
    headers = {"Cache-Control": "no-store", "Content-Type": "application/problem+json"}
    if isinstance(error, UnsupportedEncoding):
        headers["Accept-Encoding"] = "identity"
    if isinstance(error, TryAgain):
        headers["Retry-After"] = str(RETRY_AFTER_S)
        telemetry.outcome(telemetry.Metric.TRY_AGAIN, cause=error.cause)
    if status == PROBLEMS[Exception][0]:
        telemetry.internal_error(error)
    return {"statusCode": status, "headers": headers, "body": json.dumps(problem), "isBase64Encoded": False}
