"""One headless Chromium for all tests here; they are skipped, with the reason, where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A browser of Playwright's synchronous interface."""
    sync_api = pytest.importorskip("playwright.sync_api")
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"none of {', '.join(_NAMES)} is installed (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        # Chromium's sandbox needs rights that containers often lack; the pages are our own.
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()
