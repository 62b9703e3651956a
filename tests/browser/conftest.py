"""A real Chromium for all tests of pages, and an office."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

from harness.running import RunningOffice, running

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")  # else playwright's own


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield Chromium: the system's, else the one that playwright has fetched.

    For one module only: while playwright runs, no other test of this process can run an event loop.
    """
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox refuses root
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=flags)
        except Error as error:
            pytest.fail(f"there is no Chromium: `make test` installs it, or says how ({error})")
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def office() -> Iterator[RunningOffice]:
    """Yield an open office, in which each test has events of its own."""
    with running(None, 2, "--expire-every", "1") as office:
        yield office
