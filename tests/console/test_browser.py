"""The console in Debian's Chromium: by keyboard alone, light, dark and on a phone, and nothing that axe finds serious.

``LETHE_SCREENSHOTS`` names a folder for pictures to look at.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from lethe.config.params import Params
from lethe.console.app import application
from lethe.core.workspace import Workspace
from lethe.data.drift import write_drift
from lethe.forgetting.standing import ledger
from tests import house
from tests.console.conftest import ASKING, KEYS, OTHER, known, settings

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the extra dev brings it")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: the extra dev has it")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

SIZES = {
    "light": {"width": 1280, "height": 900},
    "dark": {"width": 1280, "height": 900},
    "phone": {"width": 375, "height": 760},
}


@pytest.fixture(scope="module")
def shop(_lived: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project with requests in several states, two versions, and drift."""
    folder = tmp_path_factory.mktemp("browser") / "shop"
    shutil.copytree(_lived.root, folder, symlinks=True)
    workspace = Workspace(folder)
    house.ask(workspace, ASKING, "user-009")
    (failed,) = house.ask(workspace, "user-011")
    ledger(workspace).fail([failed], "rows-left")
    settings(workspace, "forgetting", requires=["approval"], four_eyes=True)
    house.ask(workspace, OTHER)
    shape, moved = {"ratings": {1.0: 50, 5.0: 1}}, {"ratings": {1.0: 1, 5.0: 50}}
    write_drift(workspace, Params.read(workspace.params), "tiny", 1, shape, moved)
    return workspace


@pytest.fixture(scope="module")
def url(shop: Workspace) -> Iterator[str]:
    """Address of a console that runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(application(shop, known()), host="127.0.0.1", port=port, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    for _ in range(200):
        if server.started:
            break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: playwright.Browser, url: str, request: pytest.FixtureRequest) -> Iterator[playwright.Page]:
    """A page, in the look that a test names; whatever the browser complains of fails the test."""
    look = getattr(request, "param", "light")
    context = browser.new_context(
        base_url=url, viewport=SIZES[look], color_scheme="dark" if look == "dark" else "light", reduced_motion="reduce"
    )
    opened, complaints = context.new_page(), list[str]()
    opened.set_default_timeout(60_000)
    opened.on("console", lambda said: complaints.append(said.text) if "Security Policy" in said.text else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: None if asked.url.startswith(url) else complaints.append(asked.url))
    yield opened
    context.close()
    assert complaints == []


def log_in(page: playwright.Page, name: str) -> None:
    page.goto("/ui/login")
    page.wait_for_selector("#key:focus")
    page.keyboard.type(KEYS[name][1])
    page.keyboard.press("Enter")
    # Until its scripts are there too: what is done before goes the way it goes without them.
    page.wait_for_url(re.compile(r"/ui/(?!login)"), wait_until="load")


def tab_to(page: playwright.Page, text: str, most: int = 60) -> None:
    """Go on by Tab until what is reached says ``text``."""
    for _ in range(most):
        page.keyboard.press("Tab")
        said = page.evaluate(
            "(e => [e.innerText, e.labels && e.labels[0] && e.labels[0].innerText].join(' '))(document.activeElement)"
        )
        if text in said:
            return
    raise AssertionError(f"Tab never comes to {text!r}")


def addresses(workspace: Workspace) -> dict[str, str]:
    states = {request.state: request.id for request in ledger(workspace).all()}
    return {
        "requests": "/ui/requests?state=all",
        "enter": "/ui/requests/new",
        "file": "/ui/requests/file",
        "received": f"/ui/requests/{states['received']}",
        "completed": f"/ui/requests/{states['completed']}",
        "run": "/ui/run",
        "stores": "/ui/run/stores",
        "certificates": "/ui/certificates",
        "certificate": f"/ui/certificates/{states['completed']}",
        "models": "/ui/models",
        "family": "/ui/models/sharded",
        "drift": "/ui/drift",
        "try": "/ui/try",
        "fault": "/ui/requests?state=none",
    }


@pytest.mark.parametrize("page", SIZES, indirect=True)
def test_every_page_is_without_serious_fault_in_every_look(
    page: playwright.Page, shop: Workspace, request: pytest.FixtureRequest
) -> None:
    look, faults = request.node.callspec.params["page"], {}
    page.goto("/ui/login")
    pages = {"login": "/ui/login", **addresses(shop)}
    for name, address in pages.items():
        if name == "requests":
            log_in(page, "ben")
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        if folder := os.environ.get("LETHE_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"{look}-{name}.png", full_page=True)
        violations = axe.Axe().run(page).response["violations"]
        if serious := {v["id"]: [n["target"] for n in v["nodes"]] for v in violations if v["impact"] in BAD}:
            faults[name] = serious
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name}: the page itself never scrolls sideways"
    assert faults == {}


BAD = ("serious", "critical")


def test_axe_would_find_a_fault(page: playwright.Page) -> None:
    page.goto("/ui/login")
    page.evaluate("document.querySelector('label').remove()")
    assert "critical" in {one["impact"] for one in axe.Axe().run(page).response["violations"]}


def test_a_request_is_entered_by_keyboard_and_what_is_refused_loses_nothing(
    page: playwright.Page, shop: Workspace
) -> None:
    log_in(page, "ann")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "To the content", "the first Tab skips the menu"
    tab_to(page, "Enter a request")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/requests/new")
    tab_to(page, "Id of the person")
    page.keyboard.type("user-0O1")
    tab_to(page, "Ticket")
    page.keyboard.type("T-99")
    tab_to(page, "Take the request")
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem .problem")
    assert "nobody has this id in tiny" in page.inner_text("#problem")
    assert page.get_attribute("#problem", "role") == "alert", "a screen reader says it"
    assert page.input_value("#ticket") == "T-99"
    assert page.input_value("#user") == "user-0O1"
    page.fill("#user", "user-013")
    page.press("#user", "Enter")
    page.wait_for_selector("text=The request is taken")
    assert re.search(r"/ui/requests/req-[0-9a-f]+\?done=taken$", page.url)
    assert "user-013" not in page.content()
    stored = page.evaluate("JSON.stringify([localStorage, sessionStorage, history.state])")
    assert "user-013" not in stored
    assert ledger(shop).get(page.url.rpartition("/")[2].partition("?")[0]).ticket == "T-99"


def test_the_list_follows_its_filters_and_a_request_is_ended_in_two_steps(
    page: playwright.Page, shop: Workspace
) -> None:
    log_in(page, "ann")
    page.select_option("#state", "completed")
    page.wait_for_selector("#list >> text=1 request,")
    page.select_option("#state", "received")
    page.wait_for_selector("#list .state.received")
    page.click("#list tbody a >> nth=0")
    page.wait_for_selector("text=What may be done")
    page.click("summary >> text=Withdraw")
    page.click("button >> text=Withdraw for good")
    page.wait_for_selector("text=The request is withdrawn")
    assert ledger(shop).get(page.url.rpartition("/")[2].partition("?")[0]).state == "withdrawn"


def test_a_session_that_ended_is_said_where_one_is_and_the_form_stays(page: playwright.Page, shop: Workspace) -> None:
    log_in(page, "ann")
    page.goto("/ui/requests/new")
    page.fill("#user", "user-015")
    page.context.clear_cookies()
    page.click("text=Take the request")
    page.wait_for_selector("#problem .problem")
    assert "session: there is none" in page.inner_text("#problem")
    assert page.input_value("#user") == "user-015"
    assert all(request.user != "user-015" for request in ledger(shop).open())


def test_what_a_store_would_lose_is_looked_up_in_place_and_a_changed_plan_is_not_run(
    page: playwright.Page, shop: Workspace
) -> None:
    log_in(page, "ben")
    page.goto("/ui/run")
    page.click("text=Look what each store would lose")
    page.wait_for_selector("#stores table")
    waiting = ledger(shop).in_state("accepted")
    ledger(shop).hold(waiting[0].id, True)
    page.click("text=Run this plan now")
    page.wait_for_selector("#problem .problem")
    assert "plan: it has changed since this page was loaded; nothing was started" in page.inner_text("#problem")
    ledger(shop).hold(waiting[0].id, False)
    assert not (shop.state / "console-run.json").exists()


def test_it_works_without_a_script_too(browser: playwright.Browser, url: str, shop: Workspace) -> None:
    context = browser.new_context(base_url=url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/ui/login")
    page.fill("#key", KEYS["ann"][1])
    page.press("#key", "Enter")
    page.goto("/ui/requests/new")
    page.fill("#user", "no such person")
    page.fill("#ticket", "T-5")
    page.press("#user", "Enter")
    assert "nobody has this id" in page.inner_text("#problem")
    assert page.input_value("#ticket") == "T-5"
    context.close()
