"""Events that have sold out, filled with bookings without making these one by one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench import filling
from shared import model
from shared.booking import catalog, sale
from shared.runtime import Deadline


def sold_out(
    database: Any, lanes: int, booked: Sequence[str], waiting: Sequence[str], stripes: int | None = None
) -> model.Event:
    """Return an event with these lanes, which has as many tickets as users who booked; the others wait, in order."""
    event = filling.opened(lanes, len(booked))
    event = replace(event, stripes=stripes or event.stripes)
    puts = [*filling.on_sale(event, 0), *filling.confirmed(event, booked), *filling.waiting(event, waiting, 1)]
    filling.write(puts)
    filling.count_waiting(database, event, waiting)
    deadline = Deadline.after(30)
    return sale.close(*catalog.read_with_lanes(catalog.read_event(event.event_id, deadline), deadline), deadline)
