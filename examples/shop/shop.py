"""Selling tickets: hold, checkout, confirm, capture. docs/payments.md explains the order and every failure.

    authorised -> confirmed -> sold          the usual way
         |             |-----> uncollected   the authorisation has lapsed: return the ticket
         '-------------------> refused       the office does not confirm, or the booking was cancelled: return the money
                                             both end as returned

A step is done at the office or at the provider first, and noted afterwards. A shop that is killed in between does the
step again, which has no second effect. So nothing needs to be known about where it stopped.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from examples.shop.calls import NoAnswerError
from examples.shop.office import Office
from examples.shop.store import Checkout, Mail, Payment, State, Store
from examples.shop.stripe import SESSION_S_MAX, SESSION_S_MIN, Stripe

# A session ends this long before its hold, so that a payment in its last second is confirmed in time. The request that
# makes a session has this long to reach Stripe, which compares the session's end with its own clock.
SLACK_S = 60
Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class Shop:
    """A shop that sells the tickets of an office. Any method may be stopped anywhere and called again."""

    office: Office
    stripe: Stripe
    store: Store
    tell: Callable[[str], None]
    look_every_s: float = 60.0

    # ---------------------------------------------------------------- the buyer

    def order(self, event_id: str, user_id: str) -> Answer:
        """Hold a ticket, and say where to pay for it. A repeated order leads to the same checkout.

        Raises: NoAnswerError.
        """
        booked = self.office.book(event_id, user_id)
        if booked.body.get("status") != "HELD":  # it waits in line, is confirmed already, or the office refuses
            return booked.status, booked.body
        checkout = self._checkout(booked.body)
        if checkout is None:
            return 409, {"code": "already-paid"}
        pay_at = checkout.pay_at
        if pay_at is None:
            session = self.stripe.open_session(checkout)
            if session is None:
                self.store.closed(checkout)
                return 409, {"code": "checkout-over"}
            pay_at = str(session["url"])
            self.store.opened(checkout, session["id"], pay_at)
        return booked.status, {**booked.body, "payAt": pay_at}

    def _checkout(self, held: Mapping[str, str]) -> Checkout | None:
        """Return the checkout of a hold that can be paid, or a new one; None if the hold is paid."""
        last = self.store.last_checkout(held["bookingId"])
        if last and last.is_open:
            return last
        if self.store.payments_of(held["bookingId"]):
            return None
        now, hold_ends = time.time(), datetime.fromisoformat(held["expiresAt"]).timestamp()
        earliest, latest = now + SESSION_S_MIN + SLACK_S, now + SESSION_S_MAX - SLACK_S
        session_ends = int(min(max(hold_ends - SLACK_S, earliest), latest))
        number = last.number + 1 if last else 1
        new = Checkout(held["bookingId"], number, held["eventId"], held["userId"], hold_ends, session_ends)
        self.store.began(new, now)
        return self.store.last_checkout(held["bookingId"])

    def state(self, booking_id: str) -> Answer:
        """Return how far the payments for a booking are."""
        states = [payment.state for payment in self.store.payments_of(booking_id)]
        return 200, {"bookingId": booking_id, "payments": states}

    # ---------------------------------------------------------------- what others announce

    def hear_stripe(self, event: Mapping[str, Any]) -> None:
        """Note what an event of Stripe says. The next round of work acts on it."""
        thing = event["data"]["object"]
        if not thing.get("metadata", {}).get("bookingId"):
            return  # it is not about a ticket
        if event["type"] == "checkout.session.completed":
            self._completed(thing, thing["payment_intent"])
        elif event["type"] == "payment_intent.amount_capturable_updated":
            self._paid(thing["id"], thing["metadata"])
        elif event["type"] == "checkout.session.expired":
            self.store.session_ended(thing["id"])

    def hear_office(self, event: Mapping[str, Any]) -> None:
        """Note what an event of the office's bus says."""
        data = event["data"]
        if event["type"] == "booking.offered":
            text = f"Your ticket is reserved until {data['expiresAt']}: {self.stripe.shop_url}/?event={data['eventId']}"
            self.store.to_send(Mail(event["id"], data["userId"], text))
        elif event["type"] == "booking.cancelled":
            # A booking that was transferred has another id by then; its reference still names the payment.
            self.store.taken_back(data["bookingId"], data.get("reference"))

    def _completed(self, session: Mapping[str, Any], payment_id: str) -> None:
        self._paid(payment_id, session["metadata"])
        self.store.session_ended(session["id"])

    def _paid(self, payment_id: str, metadata: Mapping[str, str]) -> None:
        self.store.paid(Payment(payment_id, metadata["bookingId"], metadata["eventId"], metadata["userId"]))

    # ---------------------------------------------------------------- work, round by round, in one thread

    def work(self) -> None:
        """Do the next steps of payments, compare checkouts with their sessions, and send mails."""
        for payment in self.store.unfinished():
            self.store.tried(payment, time.time())
            self._try(payment.id, partial(self._advance, payment))
        for checkout in self.store.open_checkouts(before=time.time() - self.look_every_s):
            self.store.looked_at(checkout, time.time())
            self._try(checkout.booking_id, partial(self._reconcile, checkout))
        for mail in self.store.unsent():
            self.tell(f"mail to {mail.recipient}: {mail.text}")
            self.store.sent(mail)

    def _try(self, what: str, step: Callable[[], None]) -> None:
        """Do a step; if it fails, the next round tries again, and the others go on."""
        try:
            step()
        except NoAnswerError as error:
            self.tell(f"{what}: {error}")
        except Exception as error:  # noqa: BLE001 - one payment must not stop the others
            self.tell(f"{what}: {error!r}")

    def _advance(self, payment: Payment) -> None:
        """Do the next step of a payment, and note it."""
        steps = {
            State.AUTHORISED: self._confirm,
            State.CONFIRMED: self.stripe.capture,
            State.UNCOLLECTED: self._return_ticket,
            State.REFUSED: self.stripe.give_back,
        }
        reached = steps[payment.state](payment)
        self.store.moved(payment, reached)
        self.tell(f"{payment.id} for {payment.booking_id}: {reached}")

    def _confirm(self, payment: Payment) -> State:
        """Confirm the hold. The office's answer decides: the first payment for a hold gets the ticket."""
        answer = self.office.confirm(payment)
        # The buyer may have passed the tickets on since an earlier confirmation of which we had no answer.
        if answer.status == 200 or answer.body.get("code") == "booking-transferred":
            return State.CONFIRMED if answer.body.get("reference") == payment.id else State.REFUSED
        if answer.status in {404, 409}:  # hold-expired, booking-cancelled, booking-changed: final
            return State.REFUSED
        raise NoAnswerError(f"{answer.status} {answer.body}")  # a mistake of ours, such as a wrong token

    def _return_ticket(self, payment: Payment) -> State:
        answer = self.office.cancel(payment)
        if answer.status in {200, 404, 409}:
            return State.RETURNED
        raise NoAnswerError(f"{answer.status} {answer.body}")

    def _reconcile(self, checkout: Checkout) -> None:
        """Find out what a lost webhook would have said, and end a session that outlives its hold."""
        is_over = time.time() > checkout.hold_ends
        if checkout.session_id is None:  # the shop was killed, and the buyer has not come back
            if is_over:
                self.store.closed(checkout)
            return
        session = self.stripe.session(checkout.session_id)
        if session["status"] == "complete":
            self._completed(session, session["payment_intent"]["id"])
        elif session["status"] == "expired":
            self.store.closed(checkout)
        elif is_over:
            self.stripe.end_session(checkout.session_id)  # the next look finds it expired, or paid just before
