"""`make demo`: the address that it prints shows a sale, and it stops by itself."""

import re
import subprocess
import sys

from playwright.sync_api import Browser, expect

from harness.running import PROJECT
from tests.browser.visitor import WRITES_PICTURES, visiting

END_S_MAX = 100


def test_the_demo_shows_a_sale_and_stops(browser: Browser) -> None:
    """An organiser sees bookings, a waiting list and a second release; then the office is gone."""
    seconds = 60 if WRITES_PICTURES else 20
    command = [sys.executable, "-m", "examples.demo", "--seconds", str(seconds), "--port", "0"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout
        address = re.search(r"(http://[\w.:]+)/(#/o/[\w-]+)", demo.stdout.readline())
        assert address
        with visiting(browser, address[1]) as olga:
            olga.go(address[2])
            for what in ("booked", "soldOut", "joined"):
                expect(olga.page.locator(f".what-{what}").first).to_be_visible(timeout=seconds * 1000)
            if WRITES_PICTURES:
                expect(olga.page.locator(".tile.waiting dd")).to_have_text(re.compile(r"^[2-9]\d$"))
                olga.is_pictured("page-live-1280")
            expect(olga.page.locator(".what-raised")).to_be_visible(timeout=seconds * 1000)
        rest, _ = demo.communicate(timeout=END_S_MAX)
    assert demo.returncode == 0
    assert re.search(r"^Booked: [234]\d\d of 400\. Waiting: \d+\.$", rest, re.MULTILINE)
