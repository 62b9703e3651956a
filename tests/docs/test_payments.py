"""docs/payments.md: its settings and event types are those of the example, and its numbers those of the code."""

import re

from examples.shop import shop, stripe
from functions.announce.announcements import Type
from harness.running import PROJECT
from tests.docs import pages

PAGE = "docs/payments.md"
SHOP = PROJECT / "examples" / "shop"


def _sources() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(SHOP.glob("*.py")))


def test_every_setting_is_in_the_table() -> None:
    """With its default."""
    [table] = [table for table in pages.tables(PAGE) if table[0][0] == "setting"]
    listed = {name for row in table[1:] for name in re.findall(r"`(\w+)`", row[0])}
    read = re.findall(r"""(?:_setting\(|environment\.get\(|environ\[)["'](\w+)["']""", _sources())
    assert listed == set(read)
    defaults = dict(re.findall(r'_setting\("(\w+)", f?"([^"{]+)(?:\{port\})?"', _sources()))
    shown = {
        name: default.removesuffix("8000")
        for row in table[1:]
        for name, default in zip(re.findall(r"`(\w+)`", row[0]), re.findall(r"`([^`]+)`", row[1]), strict=False)
    }
    assert shown == defaults


def test_the_webhooks_that_the_page_names_are_those_that_the_shop_handles() -> None:
    """At Stripe and at the office."""
    handled = set(re.findall(r'event\["type"\] == "([\w.]+)"', _sources()))
    of_office = {type_ for type_ in handled if type_ in set(Type)}
    on_aws = pages.text(PAGE).partition("## On AWS")[2]
    assert len(handled) == 5
    assert {name for name in re.findall(r"`([\w.]+)`", on_aws) if name in handled} == handled
    assert of_office == {"booking.offered", "booking.cancelled"}


def test_the_shortest_hold_for_a_session_is_the_pages() -> None:
    """A session made at once ends before a hold of 2,100 s, and lasts as long as Stripe demands."""
    [seconds] = re.findall(r"`holdSeconds` ([\d,]+) or more", pages.text(PAGE))
    assert int(seconds.replace(",", "")) - shop.SLACK_S >= stripe.SESSION_S_MIN + shop.SLACK_S
