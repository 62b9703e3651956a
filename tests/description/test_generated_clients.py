"""Other people's tools read the description: linters accept it, and generated clients compile and work."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from harness.running import PROJECT, running
from local import issuer
from openapi.__main__ import FILES
from tests.description.reading import FILE, document

TOOLS = PROJECT / "node_modules" / ".bin"
RUN_S_MAX = 100
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
USES = """\
import type { components, paths } from "./office";

type Booking = components["schemas"]["BookingResponse"];
type Confirmation = paths["/confirm"]["post"]["requestBody"]["content"]["application/json"];
type Body = paths["/book"]["post"]["requestBody"]["content"]["application/json"];

export function told(booking: Booking): string {
  switch (booking.status) {
    case "CONFIRMED":
      return booking.bookedAt;
    case "WAITING":
      return `${booking.position}`;
    case "CANCELLED":
      return `${booking.was} ${booking.cancelledBy}`;
    case "HELD":
      return booking.promotedAt ?? booking.expiresAt;
    case "EXPIRED":
      return booking.expiredAt;
    case "TRANSFERRED":
      return `${booking.transferredTo} ${booking.transferredAt}`;
  }
}

export const body: Body = { userId: "anna", eventId: "e" };
// @ts-expect-error an id is a string
export const number: Body = { userId: 5, eventId: "e" };
export const confirm: Confirmation = { ...body, bookingId: "b", reference: "payment-1" };
// @ts-expect-error a confirmation names its booking
export const unnamed: Confirmation = body;
// @ts-expect-error a confirmed booking has no position
export const wrong: Booking = { status: "CONFIRMED", bookingId: "b", eventId: "e", userId: "u", position: 1 };
"""


def _run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )


def _complaints(folder: Path, file: Path) -> Any:
    """Return what Redocly finds, by severity."""
    done = _run(folder, TOOLS / "redocly", "lint", "--format=json", file)
    return json.loads(done.stdout)["totals"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_linter_finds_nothing(file: Path, tmp_path: Path) -> None:
    """Redocly's recommended rules, without errors and without warnings."""
    assert _complaints(tmp_path, file) == {"errors": 0, "warnings": 0, "ignored": 0}


def test_a_linter_finds_a_missing_licence(tmp_path: Path) -> None:
    """The control of the test above."""
    without = json.loads(json.dumps(document()))
    del without["info"]["license"]
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(without), encoding="utf-8")
    assert _complaints(tmp_path, file)["warnings"] == 1


def test_generated_typescript_compiles_and_knows_each_status(tmp_path: Path) -> None:
    """Strict: a program that reads a booking by its status compiles, and wrong uses do not."""
    made = _run(tmp_path, TOOLS / "openapi-typescript", FILE, "--output", "office.ts")
    assert made.returncode == 0, made.stderr
    (tmp_path / "uses.ts").write_text(USES, encoding="utf-8")
    compiled = _run(tmp_path, TOOLS / "tsc", "--strict", "--noEmit", "--target", "es2022", "uses.ts")
    assert compiled.returncode == 0, compiled.stdout


# ---------------------------------------------------------------- Python


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the name of a package that openapi-python-client has made from the description."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "settings.yaml").write_text("post_hooks: []\n", encoding="utf-8")
    options = ("--path", FILE, "--output-path", "office_client", "--config", "settings.yaml", "--meta", "none")
    made = _run(folder, sys.executable, "-m", "openapi_python_client", "generate", *options, "--fail-on-warning")
    assert made.returncode == 0, made.stdout + made.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield "office_client"


class Generated:
    """The generated client, whose functions are called by their tag and operation."""

    def __init__(self, package: str, url: str, token: str = "") -> None:
        self._package = package
        made = import_module(package)
        self._client = made.AuthenticatedClient(url, token) if token else made.Client(url)
        self.models = import_module(f"{package}.models")

    def close(self) -> None:
        """End its connections."""
        self._client.get_httpx_client().close()

    def ask(self, operation: str, *path: str, **more: Any) -> Any:
        """Send a request, such as "buyers.book"; return the status and the parsed response."""
        module = import_module(f"{self._package}.api.{operation}")
        response = module.sync_detailed(*path, client=self._client, **more)
        return response.status_code, response.parsed


def test_a_generated_python_client_works_with_an_open_office(generated: str) -> None:
    """Every operation is called, and each response becomes the model of its kind."""
    with running(None, 1) as office, closing(Generated(generated, office.url)) as client:
        models = client.models
        opening = models.InitializeRequest(name="The concert", total_tickets=1)
        status, event = client.ask("organisers.initialize", body=opening)
        assert (status, event.available_tickets) == (HTTPStatus.CREATED, 1)
        booked = [
            client.ask("buyers.book", body=models.BookRequest(user_id=user, event_id=event.event_id))
            for user in ("anna", "ben", "anna")
        ]
        assert [status for status, _ in booked] == [HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.OK]
        kinds = (models.ConfirmedResponse, models.WaitingResponse, models.ConfirmedResponse)
        assert [type(booking) for _, booking in booked] == list(kinds)
        assert client.ask("buyers.status", event.event_id, user_id="ben")[1].booking.position == 1
        [listed] = client.ask("buyers.bookings", user_id="ben")[1].bookings
        assert isinstance(listed, models.WaitingBooking)
        assert event.event_id in {one.event_id for one in client.ask("organisers.events")[1].events}
        assert len(client.ask("organisers.event_bookings", event.event_id)[1].bookings) == 2
        assert len(client.ask("organisers.waiting_list", event.event_id)[1].entries) == 1
        change = models.ChangeRequest(total_tickets=2)
        assert client.ask("organisers.change", event.event_id, body=change)[1].total_tickets == 2
        cancel = models.CancelRequest(user_id="anna", event_id=event.event_id)
        assert client.ask("buyers.cancel", body=cancel)[1].was == "CONFIRMED"
        assert client.ask("organisers.cancel_event", event.event_id)[0] in {HTTPStatus.OK, HTTPStatus.ACCEPTED}
        assert client.ask("description.description")[1].additional_properties["openapi"] == "3.1.0"
        _holds_and_confirms(client)
        status, problem = client.ask("buyers.status", "nowhere")
        assert (status, problem.code) == (HTTPStatus.NOT_FOUND, "event-not-found")


def _holds_and_confirms(client: Generated) -> None:
    models = client.models
    opening = models.InitializeRequest(name="The concert", total_tickets=1, hold_seconds=600)
    status, event = client.ask("organisers.initialize", body=opening)
    assert (status, event.hold_seconds, event.confirmed_by) == (HTTPStatus.CREATED, 600, "shop")
    status, held = client.ask("buyers.book", body=models.BookRequest(user_id="anna", event_id=event.event_id))
    assert (status, type(held)) == (HTTPStatus.CREATED, models.HeldResponse)
    assert held.expires_at > held.held_at
    confirm = models.ConfirmRequest(
        user_id="anna", event_id=event.event_id, booking_id=held.booking_id, reference="payment-1"
    )
    status, confirmed = client.ask("buyers.confirm", body=confirm)
    assert (status, type(confirmed), confirmed.reference) == (HTTPStatus.OK, models.ConfirmedResponse, "payment-1")
    cancel = models.CancelRequest(user_id="anna", event_id=event.event_id)
    status, cancelled = client.ask("buyers.cancel", body=cancel)
    assert (cancelled.was, cancelled.cancelled_by) == ("CONFIRMED", "buyer")
    status, problem = client.ask("buyers.confirm", body=confirm)
    assert (status, problem.code, problem.cancelled_at) == (
        HTTPStatus.CONFLICT,
        "booking-cancelled",
        cancelled.cancelled_at,
    )


def test_a_generated_python_client_reads_each_refusal(generated: str, tmp_path: Path) -> None:
    """API Gateway's 401 and 413, and the office's 403 and 413: each becomes the model of its kind."""
    with ExitStack() as stack:
        office = stack.enter_context(running(tmp_path, 1, "--auth"))
        anonymous = stack.enter_context(closing(Generated(generated, office.url)))
        models = anonymous.models
        status, message = anonymous.ask("organisers.events")
        assert (status, message) == (HTTPStatus.UNAUTHORIZED, models.GatewayMessage("Unauthorized"))
        token = issuer.token(tmp_path / issuer.FILE, {"sub": "anna"})
        anna = stack.enter_context(closing(Generated(generated, office.url, token)))
        status, problem = anna.ask("organisers.events")
        assert (status, problem.code) == (HTTPStatus.FORBIDDEN, "organisers-only")
        for characters, kind in ((20_000, models.Problem), (11_000_000, models.GatewayMessage)):
            large = models.BookRequest(user_id="x" * characters, event_id="e")
            status, refusal = anna.ask("buyers.book", body=large)
            assert (status, type(refusal)) == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, kind)
