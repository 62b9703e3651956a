"""What the shop remembers, in SQLite: orders, payments and mails. Every write is safe to repeat.

    orders      one for each hold that a buyer wants to pay for, with its checkout session
    payments    one for each payment, with the step that comes next
    mails       an outbox
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

AT_ONCE = 100  # rows that one round of work reads

_TABLES = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS orders (
        booking_id TEXT PRIMARY KEY, event_id TEXT, user_id TEXT, hold_ends REAL, session_ends INTEGER,
        session_id TEXT, pay_at TEXT, is_open INTEGER DEFAULT 1, looked_at REAL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS payments (
        id TEXT PRIMARY KEY, booking_id TEXT, event_id TEXT, user_id TEXT, state TEXT, tried_at REAL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS mails (id TEXT PRIMARY KEY, recipient TEXT, text TEXT, is_sent INTEGER DEFAULT 0);
"""
_ORDER = "booking_id, event_id, user_id, hold_ends, session_ends, session_id, pay_at, is_open"
_PAYMENT = "id, booking_id, event_id, user_id, state"


class State(StrEnum):
    """How far a payment is: what has been done, and so what comes next."""

    AUTHORIZED = "authorized"  # next: confirm the hold
    CONFIRMED = "confirmed"  # next: capture the money
    SOLD = "sold"  # final
    REFUSED = "refused"  # next: give the money back
    UNCOLLECTED = "uncollected"  # next: return the ticket
    RETURNED = "returned"  # final: neither money nor ticket


FINAL = (State.SOLD, State.RETURNED)


@dataclass(frozen=True)
class Order:
    """A hold that is to be paid for. Its times are seconds since 1970."""

    booking_id: str
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
    state: State = State.AUTHORIZED


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

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in which each statement is durable when it returns."""
        with closing(sqlite3.connect(self._path, timeout=10, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = FULL")
            yield database

    def _write(self, statement: str, values: Sequence[Any]) -> None:
        with self._open() as database:
            database.execute(statement, values)

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._open() as database:
            return database.execute(query, values).fetchall()

    # ---------------------------------------------------------------- orders

    def ordered(self, order: Order) -> Order:
        """Keep an order; return it as it was first kept."""
        self._write(f"INSERT OR IGNORE INTO orders ({_ORDER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(order))
        [row] = self._rows(f"SELECT {_ORDER} FROM orders WHERE booking_id = ?", (order.booking_id,))
        return Order(*row)

    def opened(self, booking_id: str, session_id: str, pay_at: str) -> None:
        """Keep the checkout session of an order."""
        self._write("UPDATE orders SET session_id = ?, pay_at = ? WHERE booking_id = ?", (session_id, pay_at, booking_id))

    def closed(self, booking_id: str) -> None:
        """Note that an order can no longer be paid."""
        self._write("UPDATE orders SET is_open = 0 WHERE booking_id = ?", (booking_id,))

    def open_orders(self) -> list[Order]:
        """Return open orders, those first that were not looked at for longest."""
        rows = self._rows(f"SELECT {_ORDER} FROM orders WHERE is_open ORDER BY looked_at LIMIT {AT_ONCE}")
        return [Order(*row) for row in rows]

    def looked_at(self, booking_id: str, now: float) -> None:
        """Note when an order was last compared with its checkout session."""
        self._write("UPDATE orders SET looked_at = ? WHERE booking_id = ?", (now, booking_id))

    # ---------------------------------------------------------------- payments

    def paid(self, payment: Payment) -> None:
        """Keep a payment. One that is known stays as it is, however late or often it is announced."""
        self._write(f"INSERT OR IGNORE INTO payments ({_PAYMENT}) VALUES (?, ?, ?, ?, ?)", astuple(payment))

    def moved(self, payment: Payment, state: State) -> None:
        """Note that a step was done, unless the payment has moved on meanwhile."""
        values = (state, payment.id, payment.state)
        self._write("UPDATE payments SET state = ? WHERE id = ? AND state = ?", values)

    def taken_back(self, booking_id: str) -> None:
        """Note that a booking was cancelled, so what was paid for it is to be given back."""
        values = (State.REFUSED, booking_id, State.CONFIRMED, State.SOLD)
        self._write("UPDATE payments SET state = ? WHERE booking_id = ? AND state IN (?, ?)", values)

    def tried(self, payment: Payment, now: float) -> None:
        """Note when a payment was last worked on."""
        self._write("UPDATE payments SET tried_at = ? WHERE id = ?", (now, payment.id))

    def unfinished(self) -> list[Payment]:
        """Return payments with a next step, those first that were not tried for longest."""
        query = f"SELECT {_PAYMENT} FROM payments WHERE state NOT IN (?, ?) ORDER BY tried_at LIMIT {AT_ONCE}"
        return [_payment(row) for row in self._rows(query, FINAL)]

    def payments_of(self, booking_id: str) -> list[Payment]:
        """Return the payments for a booking."""
        return [_payment(row) for row in self._rows(f"SELECT {_PAYMENT} FROM payments WHERE booking_id = ?", [booking_id])]

    # ---------------------------------------------------------------- mails

    def to_send(self, mail: Mail) -> None:
        """Keep a mail; one with the same id is kept once."""
        self._write("INSERT OR IGNORE INTO mails (id, recipient, text) VALUES (?, ?, ?)", astuple(mail))

    def unsent(self) -> list[Mail]:
        """Return mails that were not sent yet."""
        return [Mail(*row) for row in self._rows(f"SELECT id, recipient, text FROM mails WHERE NOT is_sent LIMIT {AT_ONCE}")]

    def sent(self, mail: Mail) -> None:
        """Note that a mail was sent."""
        self._write("UPDATE mails SET is_sent = 1 WHERE id = ?", (mail.id,))


def _payment(row: Sequence[Any]) -> Payment:
    *ids, state = row
    return Payment(*ids, State(state))
