"""How a route is described: what functions/*/description.py is made of.

Imported by those who write the description of the API (scripts/describe.py) and never while a request is served.
The bodies and answers are the models of contract.py, the errors are those of the table in api.py.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.models import Example
from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.edge import pages
from shared.edge.api import PROBLEM_TYPE, PROBLEMS, BodyTooLarge, InvalidRequest, MalformedJson
from shared.edge.contract import PRINTABLE, EventAnswer, booking_answer, location_of
from shared.model import (
    ID_LENGTH_MAX,
    IDEMPOTENCY_KEY_LENGTH_MAX,
    RETRY_AFTER_S,
    Availability,
    Booking,
    Event,
    EventCancelled,
    NotOnSale,
    Position,
    Status,
    TicketOfficeError,
    TicketsBooked,
    TryAgain,
    WaitingListFull,
)

TOKEN: Final = "Token"  # noqa: S105  # the name of the security scheme
PROBLEM: Final = "application/problem+json"
JSON: Final = "application/json"

Route = Callable[[Callable[..., None]], Callable[..., None]]


# ---------------------------------------------------------------- errors


class FieldError(BaseModel):
    """What is wrong with one field."""

    model_config = ConfigDict(extra="forbid")

    field: str
    detail: str


class Problem(BaseModel):
    """An error, as RFC 9457 has it. Go by `code`."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", validate_by_name=True)

    type: str
    title: str
    status: int
    detail: str
    instance: Annotated[str, Field(description="The path that was asked for.")]
    code: Literal[tuple(code for _, code, _ in PROBLEMS.values())]  # type: ignore[valid-type]  # the table is the truth
    request_id: Annotated[str, Field(description="Tell it to the operator: the log has the rest under it.")]
    errors: Annotated[list[FieldError] | None, Field(description="With `invalid-request`.")] = None
    opens_at: Annotated[str | None, Field(description="With `not-on-sale`, if it is set.")] = None
    closes_at: Annotated[str | None, Field(description="With `not-on-sale`, if it is set.")] = None
    waiting_list_limit: Annotated[int | None, Field(description="With `waiting-list-full`.")] = None
    cancelled_at: Annotated[str | None, Field(description="With `event-cancelled`.")] = None
    total_tickets: Annotated[int | None, Field(description="With `tickets-booked`: as many as there are now.")] = None
    booked_tickets: Annotated[int | None, Field(description="With `tickets-booked`: the fewest there can be.")] = None


class GatewayAnswer(BaseModel):
    """What API Gateway says by itself, before a request reaches the office or when no answer comes back."""

    model_config = ConfigDict(extra="forbid")

    message: str


# Status -> what API Gateway says, and when. Of 401 and 413 see responses().
_GATEWAY: Final[Mapping[int, tuple[str, str]]] = {
    401: ("Unauthorized", "no token, or one that is expired, of another issuer, or for another audience"),
    413: ("Request Entity Too Large", "a body of more than 10 MB"),
    429: ("Too Many Requests", "more requests a second than the route takes"),
    500: ("Internal Server Error", "the function failed"),
    503: ("Service Unavailable", "the function did not answer"),
}
BODY: Final = (MalformedJson, BodyTooLarge, InvalidRequest)  # the errors of every route that reads a body
_ANY: Final = (Exception,)  # of every route
_WITH_DATABASE: Final = (TryAgain,)  # of every route that takes a token


EVENT_ID: Final = "8c1f3b9e-3f0b-4f5c-9a58-0d8a4f0f6d11"
MOMENT: Final = "2026-05-01T18:00:00.000Z"
OPENS_AT, CLOSES_AT = "2026-05-02T08:00:00.000Z", "2026-06-01T18:00:00.000Z"

# Of each error that tells more than its kind, one that tells all it may.
_TELLING: Final[Mapping[type[Exception], TicketOfficeError]] = {
    InvalidRequest: InvalidRequest([{"field": "userId", "detail": "Field required"}]),
    NotOnSale: NotOnSale(EVENT_ID, OPENS_AT, CLOSES_AT),
    WaitingListFull: WaitingListFull(EVENT_ID, limit=200),
    EventCancelled: EventCancelled(EVENT_ID, MOMENT),
    TicketsBooked: TicketsBooked(EVENT_ID, total=500, booked=380),
}


def problem(kind: type[Exception]) -> dict[str, Any]:
    """Return an example of an error, with all that it may tell."""
    status, code, title = PROBLEMS[kind]
    shown = {
        "type": PROBLEM_TYPE + code,
        "title": title,
        "status": status,
        "detail": kind.detail if issubclass(kind, TicketOfficeError) else "Something went wrong on our side.",
        "instance": "/book",
        "code": code,
        "requestId": "5f0c7a54-61f2-4f0e-8a57-b1a1f0c0de05",
        **(_TELLING[kind].facts if kind in _TELLING else {}),
    }
    return Problem.model_validate(shown).model_dump(by_alias=True, exclude_none=True)


# ---------------------------------------------------------------- parameters

EventId = Annotated[str, Path(description="The event's id.", min_length=1, max_length=ID_LENGTH_MAX, pattern=PRINTABLE)]
OptionalEventId = Annotated[
    str | None,
    Query(description="The event, if only one is meant.", min_length=1, max_length=ID_LENGTH_MAX, pattern=PRINTABLE),
]
OptionalUserId = Annotated[
    str | None,
    Query(
        description="The user whose booking is shown, too.", min_length=1, max_length=ID_LENGTH_MAX, pattern=PRINTABLE
    ),
]
UserId = Annotated[
    str,
    Query(
        description="The user whom it is about.",
        min_length=1,
        max_length=ID_LENGTH_MAX,
        pattern=PRINTABLE,
        openapi_examples={"anna": Example(value="anna")},
    ),
]
Limit = Annotated[int, Query(description="How many rows a page has at the most.", ge=1, le=pages.LIMIT_MAX)]
Cursor = Annotated[str | None, Query(description="Where the page begins: `nextCursor` of the one before it.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The caller's own. The same key with the same body is answered as the first time.",
        min_length=1,
        max_length=IDEMPOTENCY_KEY_LENGTH_MAX,
        pattern="^[!-~]+$",
    ),
]


# ---------------------------------------------------------------- answers

BOOKING_ID: Final = "f3d4f0a4-0c3e-4e0a-8b0c-5d2d2a1b7e01"
CONCERT: Final = Event(
    EVENT_ID, "The concert", total_tickets=500, lanes=10, stripes=2, created_at=MOMENT, request_fingerprint=""
)
BOUNDED: Final = replace(CONCERT, opens_at=OPENS_AT, closes_at=CLOSES_AT, waiting_list_limit=200)
ANNAS: Final = Booking(EVENT_ID, "anna", BOOKING_ID, generation=1, status=Status.CONFIRMED, booked_at=MOMENT)
ANNA_WAITS: Final = replace(ANNAS, status=Status.WAITING, booked_at=None, joined_at=MOMENT)

OPENED: Final = EventAnswer.of_new(CONCERT)
EVENT: Final = EventAnswer.of(Availability(CONCERT, 500, available_tickets=120, waiting_list_count=0))
CONFIRMED: Final = booking_answer(ANNAS)
WAITING: Final = booking_answer(ANNA_WAITS, Position(3))
CANCELLED: Final = booking_answer(replace(ANNAS, status=Status.CANCELLED, cancelled_at=MOMENT))

BOOKING: Final = {"Location": f"Where the booking is: `{location_of(ANNAS)}`."}
KEPT: Final = {"Cache-Control": "How long it may be kept."}  # of what is the same for everybody


@dataclass(frozen=True)
class Answer:
    """An answer that is no error: when it comes, its model (None for one that is no JSON), examples by name."""

    when: str
    model: Any
    examples: Mapping[str, BaseModel | Mapping[str, Any]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # name -> what it says
    content_type: str = JSON

    def described(self) -> dict[str, Any]:
        """Return it as a response of OpenAPI, the model still to be written out."""
        content: dict[str, Any] = {"model": self.model}
        if self.examples:
            content["examples"] = {name: {"value": _plain(shown)} for name, shown in self.examples.items()}
        return {"description": self.when, "content": {self.content_type: content}, **_headers(self.headers)}


def describes(  # noqa: PLR0913  # each is a part of the description
    app: APIGatewayHttpResolver,
    route: str,
    *,
    tag: str,
    answers: Mapping[int, Answer],
    errors: Collection[type[Exception]] = (),
    public: bool = False,
) -> Route:
    """Describe a route, `route` as in the template: "GET /status/{eventId}".

    The function below has the route's parameters and body in its signature; its name is the operation's, its docstring
    the summary (first line) and the description (the rest). `errors` are what the route answers besides
    `try-again` and `internal-error`; BODY is for those who read one. A `public` route takes no token, and asks no
    database.
    """
    method, path = route.split(" ")

    def register(function: Callable[..., None]) -> Callable[..., None]:
        summary, _, description = inspect.getdoc(function).partition("\n\n")  # type: ignore[union-attr]  # all have one
        add = partial(app.route, path.replace("{", "<").replace("}", ">"), method)
        add(
            summary=summary.removesuffix("."),
            description=description or None,
            operation_id=to_camel(function.__name__),
            tags=[tag],
            responses=_responses(answers, errors, public),  # type: ignore[arg-type]  # its TypedDicts, by hand
            openapi_extensions={"security": []} if public else None,
        )(function)
        return function

    return register


def _responses(
    answers: Mapping[int, Answer], errors: Collection[type[Exception]], public: bool
) -> dict[int, dict[str, Any]]:
    """Return all that a route may answer, those of API Gateway included, by status."""
    kinds = sorted({*errors, *_ANY, *(() if public else _WITH_DATABASE)}, key=lambda kind: PROBLEMS[kind][:2])
    gateway = _GATEWAY.keys() - ({401} if public else set()) - (set() if BodyTooLarge in errors else {413})
    found = {status: answer.described() for status, answer in answers.items()}
    for status in sorted({PROBLEMS[kind][0] for kind in kinds} | gateway):
        assert status not in found, f"{status} is an answer and an error"
        found[status] = _refusal(status, [kind for kind in kinds if PROBLEMS[kind][0] == status], status in gateway)
    return found


def _refusal(status: int, kinds: list[type[Exception]], by_gateway: bool) -> dict[str, Any]:
    content: dict[str, Any] = {}
    when = [f"`{PROBLEMS[kind][1]}`: {problem(kind)['detail']}" for kind in kinds]
    headers: dict[str, str] = {}
    if kinds:
        examples = {PROBLEMS[kind][1]: {"value": problem(kind)} for kind in kinds}
        content[PROBLEM] = {"model": Problem, "examples": examples}
    if by_gateway:
        message, why = _GATEWAY[status]
        content[JSON] = {"model": GatewayAnswer, "examples": {"gateway": {"value": {"message": message}}}}
        when.append(f"By API Gateway itself: {why}.")
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "`Bearer`"
    if TryAgain in kinds:
        headers["Retry-After"] = f"Seconds to wait, with `try-again`: {RETRY_AFTER_S}."
    return {"description": "\n\n".join(when), "content": content, **_headers(headers)}


def _headers(headers: Mapping[str, str]) -> dict[str, Any]:
    described = {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}
    return {"headers": described} if described else {}


def _plain(shown: BaseModel | Mapping[str, Any]) -> Any:
    return shown.model_dump(mode="json", by_alias=True) if isinstance(shown, BaseModel) else shown
