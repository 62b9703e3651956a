"""The examples of the description work in a new office, tried on /docs from top to bottom."""

from typing import Any

import httpx

from harness.running import running
from openapi import examples
from openapi.document import description, operations

CANCEL_EVENT = "POST /events/{eventId}/cancel"  # ends the event, so it comes last

OF_A_BOOKING = ("POST /transfer", "POST /check-in")  # the example before has ended the one that was made


def _send(url: str, route: str, operation: Any, booking_id: str) -> httpx.Response:
    """Send the first example of each part of a request, as the page fills them in, but with this bookingId."""
    method, path = route.split(" ")
    given = {(one["in"], one["name"]): one["example"] for one in operation.get("parameters", ()) if "example" in one}
    of_path, query, headers = (
        {name: example for (its_place, name), example in given.items() if its_place == place}
        for place in ("path", "query", "header")
    )
    body = None
    if "requestBody" in operation:
        body = next(iter(operation["requestBody"]["content"]["application/json"]["examples"].values()))["value"]
        body |= {"bookingId": booking_id} if "bookingId" in body else {}
    return httpx.request(method, url + path.format(**of_path), params=query, headers=headers, json=body)


def test_the_examples_work_one_after_the_other() -> None:
    """The event that the first one opens has the id that all others name."""
    found = operations(description(is_open=True))
    assert next(iter(found)) == "POST /initialize"
    responses: dict[str, httpx.Response] = {}
    with running(None, 1) as office:
        for route in sorted(found, key=lambda route: route == CANCEL_EVENT):
            if route in OF_A_BOOKING:
                responses["POST /book"] = _send(office.url, "POST /book", found["POST /book"], "")
            booking_id = responses["POST /book"].json()["bookingId"] if "POST /book" in responses else ""
            responses[route] = _send(office.url, route, found[route], booking_id)
    assert {route: response.status_code for route, response in responses.items() if not response.is_success} == {}
    assert responses["POST /initialize"].json()["eventId"] == examples.EVENT_ID
