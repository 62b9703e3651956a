"""The shop of examples/shop, as a process, between a real office and a stand-in for Stripe.

Whatever fails on the way: in the end each user has both ticket and payment, or neither.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from examples.shop.calls import Answer, NoAnswerError
from examples.shop.store import Checkout, Payment, State, Store
from examples.shop.stripe import Price, Stripe
from harness.running import PROJECT, RunningOffice, free_port, running
from local import issuer
from shared.booking.expiry import MARGIN_S
from tests.examples.stripe_stand_in import KEY, SECRET, StripeStandIn, post_signed, proxy, signature
from tests.local.programs import happens

LONG_HOLD_S, SHORT_HOLD_S = 2_400, 10
NEVER = "1000000"  # seconds
BOTH = ("checkout.session.completed", "payment_intent.amount_capturable_updated")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOffice]:
    """Yield an office where due holds expire every second."""
    with running(tmp_path_factory.mktemp("office"), 1, "--expire-every", "1") as office:
        yield office


@pytest.fixture
def stripe() -> StripeStandIn:
    """Return an account at the stand-in."""
    return StripeStandIn()


@dataclass
class RunningShop:
    """A shop that has been started. `look_every_s` is how often it compares its orders with Stripe's sessions."""

    environment: dict[str, str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return where buyers and webhooks reach it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, or start it again after it was killed, and wait until it is open."""
        before = self.told().count("is open")
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "examples.shop", str(self.port)]
            self.process = subprocess.Popen(command, cwd=PROJECT, env=self.environment, stdout=log, stderr=log)
        happens(lambda: self.told().count("is open") > before)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def told(self) -> str:
        """Return what it has printed."""
        return self.log.read_text() if self.log.exists() else ""

    def order(self, event_id: str, user: str) -> dict[str, Any]:
        """Order a ticket; return the answer, with the session at which to pay."""
        response = httpx.post(f"{self.url}/orders", json={"eventId": event_id, "userId": user}, timeout=60)
        answer: dict[str, Any] = response.json()
        return answer | {"session": answer.get("payAt", "").rpartition("/")[2]}

    def is_paid(self, stripe: StripeStandIn, order: dict[str, Any]) -> str:
        """Pay an order at Stripe, whose webhook tells the shop; return the PaymentIntent."""
        payment = stripe.pay(order["session"])
        stripe.deliver(self.url, BOTH[0], order["session"])
        return payment

    def becomes(self, booking_id: str, state: str) -> None:
        """Wait until the only payment for a booking has this state."""
        happens(lambda: self.payments(booking_id) == [state])

    def payments(self, booking_id: str) -> list[str]:
        """Return the states of the payments for a booking."""
        answer = httpx.get(f"{self.url}/orders", params={"bookingId": booking_id}, timeout=60)
        states: list[str] = answer.json()["payments"]
        return states


@contextmanager
def selling(folder: Path, office: str, stripe: str, **settings: str) -> Iterator[RunningShop]:
    """Run a shop; it looks at Stripe's sessions only if the settings say so."""
    port = free_port()
    environment = os.environ | {
        "OFFICE": office,
        "STRIPE_URL": stripe,
        "STRIPE_KEY": KEY,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "OFFICE_EVENTS_SECRET": "a secret",
        "SHOP_DATA": str(folder / "shop.db"),
        "WORK_EVERY_S": "0.1",
        "LOOK_EVERY_S": NEVER,
        **settings,
    }
    shop = RunningShop(environment, port, folder / "shop.log")
    shop.start()
    try:
        yield shop
        assert "Traceback" not in shop.told()
    finally:
        shop.kill()


@pytest.fixture(name="shop")
def _shop(tmp_path: Path, office: RunningOffice, stripe: StripeStandIn) -> Iterator[RunningShop]:
    """Yield a shop between that office and that account."""
    with stripe.serving() as url, selling(tmp_path, office.url, url) as shop:
        yield shop


def opens(office: RunningOffice, hold_s: int = LONG_HOLD_S, tickets: int = 1, **more: Any) -> str:
    """Open an event with holds."""
    body = {"name": "The concert", "totalTickets": tickets, "holdSeconds": hold_s, **more}
    answer = httpx.post(f"{office.url}/initialize", json=body, timeout=60)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["eventId"])


def booking(office: RunningOffice, event_id: str, user: str) -> dict[str, Any]:
    """Read a user's booking at the office."""
    found: dict[str, Any] = httpx.get(f"{office.url}/status/{event_id}?userId={user}", timeout=60).json()["booking"]
    return found


def expires(office: RunningOffice, event_id: str, user: str) -> None:
    """Let a user's short hold expire now, as far as the office can tell."""
    office.expire(ahead_s=SHORT_HOLD_S + MARGIN_S)
    assert booking(office, event_id, user)["status"] == "EXPIRED"


def becomes(office: RunningOffice, event_id: str, user: str, status: str) -> None:
    """Wait until a user's booking has this status."""
    happens(lambda: booking(office, event_id, user)["status"] == status)


# ---------------------------------------------------------------- without failures


def test_a_paid_hold_is_confirmed_and_then_captured(
    office: RunningOffice, stripe: StripeStandIn, shop: RunningShop
) -> None:
    """The session ends before the hold; the booking refers to the payment."""
    event_id = opens(office)
    order = shop.order(event_id, "anna")
    assert shop.order(event_id, "anna")["payAt"] == order["payAt"], "a buyer who returns continues the same order"
    session = stripe.sessions[order["session"]]
    assert session["capture_method"] == "manual"
    assert 0 < datetime.fromisoformat(order["expiresAt"]).timestamp() - session["expires_at"] <= 61
    payment = shop.is_paid(stripe, order)
    shop.becomes(order["bookingId"], "sold")
    assert booking(office, event_id, "anna").items() >= {"status": "CONFIRMED", "reference": payment}.items()
    assert stripe.collected() == {payment}


def test_an_abandoned_hold_goes_to_the_next_in_line_who_gets_a_mail(
    tmp_path: Path, office: RunningOffice, stripe: StripeStandIn
) -> None:
    """The session of the first ends with the hold, although Stripe's sessions last longer. The second pays."""
    event_id = opens(office, 3, offerSeconds=LONG_HOLD_S)
    with stripe.serving() as url, selling(tmp_path, office.url, url, LOOK_EVERY_S="0.2", FOLLOW="yes") as shop:
        first = shop.order(event_id, "anna")
        assert shop.order(event_id, "ben")["status"] == "WAITING"
        happens(lambda: stripe.sessions[first["session"]]["status"] == "expired")
        happens(lambda: "mail to ben: Your ticket is reserved" in shop.told())
        second = shop.order(event_id, "ben")
        payment = shop.is_paid(stripe, second)
        shop.becomes(second["bookingId"], "sold")
        assert shop.told().count("mail to ben") == 1
    assert stripe.collected() == {payment}
    assert booking(office, event_id, "anna")["status"] == "EXPIRED"


def test_an_offer_that_outlives_a_session_gets_another(
    office: RunningOffice, stripe: StripeStandIn, shop: RunningShop
) -> None:
    """Offers last up to a week, sessions up to a day. The late end of the first does not end the second."""
    event_id = opens(office, holdSeconds=None, offerSeconds=604_800)
    assert shop.order(event_id, "ben")["status"] == "CONFIRMED", "only offers need a payment here"
    assert shop.order(event_id, "anna")["status"] == "WAITING"
    httpx.post(f"{office.url}/cancel", json={"eventId": event_id, "userId": "ben"}).raise_for_status()
    becomes(office, event_id, "anna", "HELD")
    first = shop.order(event_id, "anna")
    stripe.sessions[first["session"]]["status"] = "expired"
    stripe.deliver(shop.url, "checkout.session.expired", first["session"])
    second = shop.order(event_id, "anna")
    stripe.deliver(shop.url, "checkout.session.expired", first["session"])
    assert shop.order(event_id, "anna")["session"] == second["session"] != first["session"]
    assert second["bookingId"] == first["bookingId"]
    shop.is_paid(stripe, second)
    shop.becomes(first["bookingId"], "sold")


def test_a_shop_with_a_token_sells(tmp_path: Path, stripe: StripeStandIn) -> None:
    """It gets its token by the client credentials grant."""
    data = tmp_path / "office"
    with running(data, 1, "--auth") as office, stripe.serving() as url:
        olga = {"authorization": f"Bearer {issuer.token(data / issuer.FILE, issuer.user('olga', is_organiser=True))}"}
        body = {"name": "The concert", "totalTickets": 1, "holdSeconds": LONG_HOLD_S}
        event_id = httpx.post(f"{office.url}/initialize", json=body, headers=olga).json()["eventId"]
        token = {"access_token": issuer.token(data / issuer.FILE, issuer.shop()), "expires_in": 3600}
        stripe.token = token
        with selling(
            tmp_path, office.url, url, TOKEN_URL=f"{url}/oauth2/token", CLIENT_ID="shop", CLIENT_SECRET="s"
        ) as shop:
            order = shop.order(event_id, "guest@example.org")
            shop.is_paid(stripe, order)
            shop.becomes(order["bookingId"], "sold")


# ---------------------------------------------------------------- webhooks


def test_webhooks_may_come_twice_late_and_out_of_order(
    office: RunningOffice, stripe: StripeStandIn, shop: RunningShop
) -> None:
    """One confirmation and one capture, also if the session's end is announced before its payment."""
    event_id = opens(office)
    order = shop.order(event_id, "anna")
    payment = stripe.pay(order["session"])
    completed, capturable = stripe.event(BOTH[0], order["session"]), stripe.event(BOTH[1], payment)
    expired = stripe.event("checkout.session.expired", order["session"])
    for body in (expired, capturable, completed, capturable, completed):
        assert post_signed(shop.url, body, signature(body)).status_code == 200
    shop.becomes(order["bookingId"], "sold")
    for body in (capturable, expired, completed):
        assert post_signed(shop.url, body, signature(body)).status_code == 200
    time.sleep(0.5)  # some rounds of work
    assert shop.payments(order["bookingId"]) == ["sold"]
    assert stripe.done == [("capture", payment)]
    assert booking(office, event_id, "anna")["status"] == "CONFIRMED"


def test_a_lost_webhook_is_reconciled(tmp_path: Path, office: RunningOffice, stripe: StripeStandIn) -> None:
    """Stripe tells nothing; the shop looks at the session."""
    event_id = opens(office)
    with stripe.serving() as url, selling(tmp_path, office.url, url, LOOK_EVERY_S="0.2") as shop:
        order = shop.order(event_id, "anna")
        payment = stripe.pay(order["session"])
        shop.becomes(order["bookingId"], "sold")
    assert stripe.collected() == {payment}
    assert booking(office, event_id, "anna")["reference"] == payment


def test_a_webhook_that_stripe_has_not_signed_does_nothing(
    office: RunningOffice, stripe: StripeStandIn, shop: RunningShop
) -> None:
    """Neither another secret, nor another body, nor an old signature counts. The last two are the control."""
    event_id, now = opens(office), time.time()
    order = shop.order(event_id, "anna")
    stripe.pay(order["session"])
    body = stripe.event(BOTH[0], order["session"])
    good = signature(body, at=now)
    bad = {
        "none": None,
        "empty": "",
        "another secret": signature(body, "whsec_2"),
        "another body": signature(body + b" "),
        "too old": signature(body, at=now - 400),
        "of the future": signature(body, at=now + 400),
        "another moment": good.replace("t=", "t=1"),
        "another scheme": signature(body, scheme="v0"),
        "no moment": good.partition(",")[2],
        "no number": good.replace("t=", "t=x"),
        "not ASCII": "t=1,v1=\u00fc",
    }
    for name, header in bad.items():
        answer = post_signed(shop.url, body, header)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad-signature"), name
    time.sleep(0.3)
    assert shop.payments(order["bookingId"]) == []
    rotated = f"{signature(body, 'whsec_old', at=now)},{good.partition(',')[2]}"
    for header in (rotated, signature(body, at=now - 200)):
        assert post_signed(shop.url, body, header).status_code == 200
    shop.becomes(order["bookingId"], "sold")


def test_the_offices_events_need_the_secret(office: RunningOffice, stripe: StripeStandIn, shop: RunningShop) -> None:
    """As a rule's API destination sends it. An event may come twice: one mail."""
    data = {"eventId": "e", "userId": "ben", "bookingId": "b", "expiresAt": "2026-05-01T18:00:00.000Z"}
    body = json.dumps({"id": "booking.offered:b", "type": "booking.offered", "data": data})
    for secret in ({}, {"x-webhook-secret": "another"}):
        assert httpx.post(f"{shop.url}/office-events", content=body, headers=secret, timeout=60).status_code == 403
    for _ in range(2):
        headers = {"x-webhook-secret": "a secret"}  # the header of the template's webhook
        assert httpx.post(f"{shop.url}/office-events", content=body, headers=headers, timeout=60).status_code == 200
    happens(lambda: "mail to ben" in shop.told())
    time.sleep(0.3)
    assert shop.told().count("mail to ben") == 1


# ---------------------------------------------------------------- money is given back


def test_a_payment_after_the_hold_has_expired_is_given_back(
    office: RunningOffice, stripe: StripeStandIn, shop: RunningShop
) -> None:
    """The office refuses to confirm, and the shop cancels the authorisation."""
    event_id = opens(office, SHORT_HOLD_S)
    order = shop.order(event_id, "anna")
    expires(office, event_id, "anna")
    payment = shop.is_paid(stripe, order)
    shop.becomes(order["bookingId"], "returned")
    assert stripe.done == [("cancel", payment)]
    assert office.check_drained(event_id, within_s=5).tickets_left == 1


def test_a_payment_for_a_cancelled_hold_is_given_back(
    office: RunningOffice, stripe: StripeStandIn, shop: RunningShop
) -> None:
    """The buyer has cancelled on another device, and another hold of theirs is not touched."""
    event_id = opens(office)
    order = shop.order(event_id, "anna")
    httpx.post(f"{office.url}/cancel", json={"eventId": event_id, "userId": "anna"}).raise_for_status()
    again = shop.order(event_id, "anna")
    assert again["bookingId"] != order["bookingId"]
    payment = shop.is_paid(stripe, order)
    shop.becomes(order["bookingId"], "returned")
    assert stripe.done == [("cancel", payment)]
    assert booking(office, event_id, "anna").items() >= {"status": "HELD", "bookingId": again["bookingId"]}.items()


def test_a_second_payment_for_a_hold_is_given_back(
    office: RunningOffice, stripe: StripeStandIn, shop: RunningShop
) -> None:
    """The office keeps the first reference, so it decides which payment has the ticket."""
    event_id = opens(office)
    order = shop.order(event_id, "anna")
    stripe.sessions["cs_other"] = {**stripe.sessions[order["session"]], "id": "cs_other"}
    payments = {stripe.pay(order["session"]), stripe.pay("cs_other")}
    for session in (order["session"], "cs_other"):
        stripe.deliver(shop.url, BOTH[0], session)
    happens(lambda: sorted(shop.payments(order["bookingId"])) == ["returned", "sold"])
    assert stripe.collected() == {booking(office, event_id, "anna")["reference"]}
    assert len(payments) == 2
    assert stripe.authorised() == set()


def test_a_ticket_whose_payment_cannot_be_collected_is_returned(
    office: RunningOffice, stripe: StripeStandIn, shop: RunningShop
) -> None:
    """The authorisation lapses between confirmation and capture, say because the shop was down for a week."""
    event_id = opens(office)

    def lapses(path: str, when: str) -> None:
        if path.endswith("/capture") and when == "before":
            stripe.lapse(path.split("/")[3])

    stripe.hook = lapses
    order = shop.order(event_id, "anna")
    shop.is_paid(stripe, order)
    shop.becomes(order["bookingId"], "returned")
    assert booking(office, event_id, "anna").items() >= {"status": "CANCELLED", "cancelledBy": "buyer"}.items()
    assert stripe.collected() == set()


def test_a_cancelled_event_gives_the_money_back(tmp_path: Path, office: RunningOffice, stripe: StripeStandIn) -> None:
    """The bus announces that the booking was cancelled, and the shop refunds what it has captured, once."""
    event_id = opens(office)
    with stripe.serving() as url, selling(tmp_path, office.url, url, FOLLOW="yes") as shop:
        order = shop.order(event_id, "anna")
        payment = shop.is_paid(stripe, order)
        shop.becomes(order["bookingId"], "sold")
        assert httpx.post(f"{office.url}/events/{event_id}/cancel", timeout=60).status_code in {200, 202}
        shop.becomes(order["bookingId"], "returned")
    assert stripe.done == [("capture", payment), ("refund", payment)]


# ---------------------------------------------------------------- the shop is killed


class Crash(NamedTuple):
    """The request in which the shop is killed, before or after it was carried out, and how the payment ends."""

    path: str
    when: str
    end: str


CRASHES = [
    Crash("/confirm", "before", "sold"),  # between payment and confirmation
    Crash("/confirm", "after", "sold"),  # confirmed, and the shop does not know
    Crash("/capture", "before", "sold"),  # between confirmation and capture
    Crash("/capture", "after", "sold"),  # captured, and the shop does not know
    Crash("/confirm", "after", "returned"),  # refused, and the shop does not know
    Crash("/cancel", "before", "returned"),  # between refusal and return
    Crash("/cancel", "after", "returned"),  # returned, and the shop does not know
]


@pytest.mark.parametrize("crash", CRASHES, ids="-".join)
def test_a_shop_that_is_killed_goes_on(
    tmp_path: Path, office: RunningOffice, stripe: StripeStandIn, crash: Crash
) -> None:
    """SIGKILL in the middle of a request: ticket and payment, or neither."""
    sold = crash.end == "sold"
    event_id = opens(office, LONG_HOLD_S if sold else SHORT_HOLD_S)
    kills: list[str] = []

    def kill(asked: str, at: str) -> None:
        if asked.endswith(crash.path) and at == crash.when and not kills:
            kills.append(asked)
            shop.kill()

    stripe.hook = kill
    with stripe.serving() as url, proxy(office.port, kill) as between, selling(tmp_path, between, url) as shop:
        order = shop.order(event_id, "anna")
        if not sold:
            expires(office, event_id, "anna")
        payment = stripe.pay(order["session"])
        with suppress(httpx.TransportError):  # it may be killed before it has answered
            stripe.deliver(shop.url, BOTH[0], order["session"])
        happens(lambda: kills)
        shop.start()
        shop.becomes(order["bookingId"], crash.end)
    assert stripe.collected() == ({payment} if sold else set())
    assert stripe.authorised() == set()
    assert booking(office, event_id, "anna")["status"] == ("CONFIRMED" if sold else "EXPIRED")
    assert len(stripe.done) == 1, "nothing was done twice"


@pytest.mark.parametrize(
    ("path", "when"), [("/book", "after"), ("/v1/checkout/sessions", "before"), ("/v1/checkout/sessions", "after")]
)
def test_an_order_that_was_cut_short_goes_on_when_it_is_repeated(
    tmp_path: Path, office: RunningOffice, stripe: StripeStandIn, path: str, when: str
) -> None:
    """One hold and one session, whatever the buyer missed."""
    event_id = opens(office, tickets=2)
    kills: list[str] = []

    def kill(asked: str, at: str) -> None:
        if asked == path and at == when and not kills:
            kills.append(asked)
            shop.kill()

    stripe.hook = kill
    with stripe.serving() as url, proxy(office.port, kill) as between, selling(tmp_path, between, url) as shop:
        with pytest.raises(httpx.TransportError):
            shop.order(event_id, "anna")
        shop.start()
        order = shop.order(event_id, "anna")
        assert list(stripe.sessions) == [order["session"]]
        payment = shop.is_paid(stripe, order)
        shop.becomes(order["bookingId"], "sold")
    assert stripe.collected() == {payment}
    assert office.check_drained(event_id, within_s=5).tickets_left == 1


def test_a_service_that_does_not_answer_is_asked_again(
    tmp_path: Path, office: RunningOffice, stripe: StripeStandIn
) -> None:
    """The proxy answers nothing to the first confirmations, and another payment goes on meanwhile."""
    event_id, lost = opens(office, tickets=2), list[str]()

    def lose(asked: str, at: str) -> None:
        if asked == "/confirm" and at == "after" and len(lost) < 3:
            lost.append(asked)
            raise ConnectionResetError

    with stripe.serving() as url, proxy(office.port, lose) as between, selling(tmp_path, between, url) as shop:
        orders = [shop.order(event_id, user) for user in ("anna", "ben")]
        payments = {stripe.pay(order["session"]) for order in orders}
        for order in orders:
            stripe.deliver(shop.url, BOTH[0], order["session"])
        for order in orders:
            shop.becomes(order["bookingId"], "sold")
    assert stripe.collected() == payments
    assert len(lost) == 3


def test_a_booking_that_was_passed_on_before_the_shop_knew_of_its_confirmation_is_paid_for(
    tmp_path: Path, office: RunningOffice, stripe: StripeStandIn
) -> None:
    """The answer to the confirmation is lost, and the buyer transfers the booking: the recipient has a ticket."""
    event_id, lost = opens(office), list[str]()

    def lose(asked: str, at: str) -> None:
        if asked == "/confirm" and at == "after" and not lost:
            lost.append(asked)
            body = {"eventId": event_id, "userId": "anna", "bookingId": order["bookingId"], "toUserId": "zoe"}
            httpx.post(f"{office.url}/transfer", json=body).raise_for_status()
            raise ConnectionResetError

    with stripe.serving() as url, proxy(office.port, lose) as between, selling(tmp_path, between, url) as shop:
        order = shop.order(event_id, "anna")
        payment = shop.is_paid(stripe, order)
        shop.becomes(order["bookingId"], "sold")
    assert stripe.collected() == {payment} == {booking(office, event_id, "zoe")["reference"]}
    assert lost


def test_a_double_order_closes_no_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stripe answers 409 while it works on a request with the same key: the order is to be repeated."""
    provider = Stripe("http://stripe.invalid", "key", "secret", Price(100, "eur"), "http://shop.invalid")
    checkout = Checkout("b", 1, "e", "anna", hold_ends=0, session_ends=0)
    monkeypatch.setattr("examples.shop.stripe.send", lambda *_: Answer(409, {"error": {}}))
    with pytest.raises(NoAnswerError):
        provider.open_session(checkout)
    monkeypatch.setattr("examples.shop.stripe.send", lambda *_: Answer(400, {"error": {}}))
    assert provider.open_session(checkout) is None


def test_a_cancellation_that_is_heard_before_its_payment_is_noted_gives_the_money_back(tmp_path: Path) -> None:
    """The shop may be slow between the office's answer and its own note."""
    store = Store(tmp_path / "shop.db")
    payment = Payment("p", "b", "e", "anna")
    store.paid(payment)
    store.taken_back("b", None)
    store.moved(payment, State.CONFIRMED)
    assert [one.state for one in store.payments_of("b")] == [State.REFUSED]


def test_the_cancellation_of_a_booking_that_was_passed_on_gives_the_money_back(tmp_path: Path) -> None:
    """It has the recipient's bookingId; the reference names the payment."""
    store = Store(tmp_path / "shop.db")
    paid, other = Payment("p", "b", "e", "anna"), Payment("q", "c", "e", "ben")
    for payment in (paid, other):
        store.paid(payment)
        store.moved(payment, State.CONFIRMED)
    store.taken_back("the recipient's", "p")
    assert [store.payments_of(one)[0].state for one in ("b", "c")] == [State.REFUSED, State.CONFIRMED]
