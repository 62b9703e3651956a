"""A real Chromium for all tests of pages."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

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
