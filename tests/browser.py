"""Pages in a real browser: what axe-core finds in light, in dark and at a phone's width, and pictures of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 390)}
"""Colours and width of the window."""
GRAVE = ("serious", "critical")
PICTURES = "LETHE_PICTURES"
"""Names a folder for pictures of the pages; without it none are made."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's browser; skips where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not there: no page is looked at")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """URL of a folder's pages; read from the disk a page of the documentation has no search."""
    handler = partial(_Silent, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests' output is for the tests."""


def faults(browser: Browser, url: str, looks: Iterable[str] = LOOKS) -> list[str]:
    """Each serious or critical fault that axe finds in a page, by look, rule and element; and a page that is wider than
    its window."""
    found: list[str] = []
    for look in looks:
        scheme, width = LOOKS[look]
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        opened = context.new_page()
        opened.goto(url)
        _picture(opened, f"{Path(url).stem}-{look}")
        found += [f"{look}: {fault}" for fault in _axe(opened)]
        if (wide := opened.evaluate("document.documentElement.scrollWidth")) > width:
            found.append(f"{look}: the page is {wide} pixels wide, its window {width}")
        context.close()
    return found


def _axe(page: Page) -> Iterator[str]:
    from axe_playwright_python.sync_playwright import Axe

    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    for violation in violations:
        if violation["impact"] in GRAVE:
            for node in violation["nodes"]:
                yield f"{violation['id']}: {node['html'][:120]}"


def _picture(page: Page, name: str) -> None:
    if folder := os.environ.get(PICTURES):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
