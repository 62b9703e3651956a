"""What the shop remembers, in SQLite. Every write is safe to repeat.

- checkouts: a hold that its buyer wants to pay for, with Stripe's checkout session
- payments: each with the step that comes next
- mails: an outbox
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

AT_ONCE = 100  # rows that one round of work reads
BUSY_S_MAX = 10.0  # until another thread has written

_TABLES = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS checkouts (
        booking_id TEXT, number INTEGER, event_id TEXT, user_id TEXT, hold_ends REAL, session_ends INTEGER,
        session_id TEXT, pay_at TEXT, is_open INTEGER, looked_at REAL, PRIMARY KEY (booking_id, number));
    CREATE TABLE IF NOT EXISTS payments (
        id TEXT PRIMARY KEY, booking_id TEXT, event_id TEXT, user_id TEXT, state TEXT, tried_at REAL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS taken_back (id TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS mails (id TEXT PRIMARY KEY, recipient TEXT, text TEXT, is_sent INTEGER DEFAULT 0);
"""


class State(StrEnum):
    """How far a payment is: what has been done, and so what comes next."""

    AUTHORISED = "authorised"  # next: confirm the hold
    CONFIRMED = "confirmed"  # next: capture the money
    SOLD = "sold"  # final
    REFUSED = "refused"  # next: give the money back
    UNCOLLECTED = "uncollected"  # next: return the ticket
    RETURNED = "returned"  # final: neither money nor ticket


@dataclass(frozen=True)
class Checkout:
    """A hold that is to be paid for, and its checkout session. A hold that outlives a session has several.

    Times are seconds since 1970.
    """

    booking_id: str
    number: int
    event_id: str
    user_id: str
    hold_ends: float
    session_ends: int
    session_id: str | None = None
    pay_at: str | None = None
    is_open: bool = True  # it may still be paid


@dataclass(frozen=True)
class Payment:
    """A payment for a booking; `id` is the provider's."""

    id: str
    booking_id: str
    event_id: str
    user_id: str
    state: State = State.AUTHORISED


@dataclass(frozen=True)
class Mail:
    """A mail to send; `id` is that of the announcement that is its reason."""

    id: str
    recipient: str
    text: str


class Store:
    """The shop's database."""

    def __init__(self, path: Path) -> None:
        """Open it; make the tables if they are missing."""
        self._path = path
        with self._open() as database:
            database.executescript(_TABLES)

    # ---------------------------------------------------------------- checkouts

    def began(self, checkout: Checkout, now: float) -> None:
        """Keep a checkout, unless the hold has one with this number."""
        self._write(
            "INSERT OR IGNORE INTO checkouts VALUES (:booking_id, :number, :event_id, :user_id, :hold_ends,"
            " :session_ends, :session_id, :pay_at, :is_open, :now)",
            **asdict(checkout),
            now=now,
        )

    def last_checkout(self, booking_id: str) -> Checkout | None:
        """Return the newest checkout of a hold."""
        query = "SELECT * FROM checkouts WHERE booking_id = :booking_id ORDER BY number DESC LIMIT 1"
        rows = self._rows(query, booking_id=booking_id)
        return _read(Checkout, rows[0]) if rows else None

    def opened(self, checkout: Checkout, session_id: str, pay_at: str) -> None:
        """Keep the session of a checkout."""
        statement = (
            "UPDATE checkouts SET session_id = :session_id, pay_at = :pay_at"
            " WHERE booking_id = :booking_id AND number = :number"
        )
        self._write(statement, **_key(checkout), session_id=session_id, pay_at=pay_at)

    def closed(self, checkout: Checkout) -> None:
        """Note that a checkout can no longer be paid."""
        statement = "UPDATE checkouts SET is_open = 0 WHERE booking_id = :booking_id AND number = :number"
        self._write(statement, **_key(checkout))

    def session_ended(self, session_id: str) -> None:
        """Note that a session was paid or has expired."""
        self._write("UPDATE checkouts SET is_open = 0 WHERE session_id = :session_id", session_id=session_id)

    def looked_at(self, checkout: Checkout, now: float) -> None:
        """Note when a checkout was last compared with its session."""
        statement = "UPDATE checkouts SET looked_at = :now WHERE booking_id = :booking_id AND number = :number"
        self._write(statement, **_key(checkout), now=now)

    def open_checkouts(self, before: float) -> list[Checkout]:
        """Return open checkouts that were not looked at since, those first that were not for longest."""
        query = "SELECT * FROM checkouts WHERE is_open AND looked_at < :before ORDER BY looked_at LIMIT :at_once"
        return [_read(Checkout, row) for row in self._rows(query, before=before, at_once=AT_ONCE)]

    # ---------------------------------------------------------------- payments

    def paid(self, payment: Payment) -> None:
        """Keep a payment. One that is known stays as it is, however late or often it is announced."""
        self._write(
            "INSERT OR IGNORE INTO payments (id, booking_id, event_id, user_id, state)"
            " VALUES (:id, :booking_id, :event_id, :user_id, :state)",
            **asdict(payment),
        )

    def moved(self, payment: Payment, state: State) -> None:
        """Note that a step was done, unless the payment has moved on meanwhile."""
        statement = "UPDATE payments SET state = :state WHERE id = :id AND state = :was"
        self._write(statement, id=payment.id, state=state, was=payment.state)
        self._refuse_taken_back()

    def taken_back(self, booking_id: str, payment_id: str | None) -> None:
        """Note that a booking was cancelled, so what was paid for it, or will turn out to be, is to be given back."""
        for one in filter(None, (booking_id, payment_id)):
            self._write("INSERT OR IGNORE INTO taken_back VALUES (:id)", id=one)
        self._refuse_taken_back()

    def _refuse_taken_back(self) -> None:
        statement = (
            "UPDATE payments SET state = :refused WHERE state IN (:confirmed, :sold)"
            " AND (booking_id IN (SELECT id FROM taken_back) OR id IN (SELECT id FROM taken_back))"
        )
        self._write(statement, refused=State.REFUSED, confirmed=State.CONFIRMED, sold=State.SOLD)

    def tried(self, payment: Payment, now: float) -> None:
        """Note when a payment was last worked on."""
        self._write("UPDATE payments SET tried_at = :now WHERE id = :id", id=payment.id, now=now)

    def unfinished(self) -> list[Payment]:
        """Return payments with a next step, those first that were not tried for longest."""
        query = "SELECT * FROM payments WHERE state NOT IN (:sold, :returned) ORDER BY tried_at LIMIT :at_once"
        rows = self._rows(query, sold=State.SOLD, returned=State.RETURNED, at_once=AT_ONCE)
        return [_read(Payment, row) for row in rows]

    def payments_of(self, booking_id: str) -> list[Payment]:
        """Return the payments for a booking."""
        rows = self._rows("SELECT * FROM payments WHERE booking_id = :id", id=booking_id)
        return [_read(Payment, row) for row in rows]

    # ---------------------------------------------------------------- mails

    def to_send(self, mail: Mail) -> None:
        """Keep a mail; one with the same id is kept once."""
        statement = "INSERT OR IGNORE INTO mails (id, recipient, text) VALUES (:id, :recipient, :text)"
        self._write(statement, **asdict(mail))

    def unsent(self) -> list[Mail]:
        """Return mails that were not sent yet."""
        rows = self._rows("SELECT * FROM mails WHERE NOT is_sent LIMIT :at_once", at_once=AT_ONCE)
        return [_read(Mail, row) for row in rows]

    def sent(self, mail: Mail) -> None:
        """Note that a mail was sent."""
        self._write("UPDATE mails SET is_sent = 1 WHERE id = :id", id=mail.id)

    # ---------------------------------------------------------------- SQLite

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection of this thread, in which each statement is on disk when it returns."""
        with closing(sqlite3.connect(self._path, timeout=BUSY_S_MAX, isolation_level=None)) as database:
            database.row_factory = sqlite3.Row
            database.execute("PRAGMA synchronous = FULL")
            yield database

    def _write(self, statement: str, **values: Any) -> None:
        with self._open() as database:
            database.execute(statement, values)

    def _rows(self, query: str, **values: Any) -> list[sqlite3.Row]:
        with self._open() as database:
            return database.execute(query, values).fetchall()


def _key(checkout: Checkout) -> dict[str, str | int]:
    return {"booking_id": checkout.booking_id, "number": checkout.number}


_Noun = TypeVar("_Noun", Checkout, Payment, Mail)


def _read(noun: type[_Noun], row: sqlite3.Row) -> _Noun:
    return noun(**{field.name: row[field.name] for field in fields(noun)})
