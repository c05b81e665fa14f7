"""The documentation builds as a site: every link leads somewhere, nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

from tests.browser import chromium, faults, served
from tests.conftest import ROOT
from tools.messages import messages

_LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=["'](?:https?:)?//[^"']*""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # It is strict: a page that no list names, a link or anchor that leads nowhere ends it.
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
    return folder


def test_it_has_all_pages_and_they_say_what_the_code_does(site: Path) -> None:
    text = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert "exactly and with proof" in text["index.html"]
    assert "recommend" in text["python.html"]
    assert "DataError" in text["python.html"]
    assert 'id="lethe-forget-add"' in text["reference/commands.html"]
    assert "run lethe train first" in text["reference/messages.html"]
    assert "results/enmf-ml1m.html" in text["results.html"]
    assert "decisions/index.html" in text["index.html"]


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {path.name: _LOADED.findall(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 40
    assert {name: loads for name, loads in pages.items() if loads} == {}
    assert "url(http" not in "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))


def test_a_browser_shows_pages_of_each_kind_without_faults(site: Path) -> None:
    """The first page, one of tables, one of code."""
    with chromium() as browser, served(site) as url:
        found = {page: faults(browser, f"{url}/{page}.html") for page in ("index", "your-data", "python")}
    assert {page: of_page for page, of_page in found.items() if of_page} == {}


def test_messages_are_read_from_the_code() -> None:
    assert ("families: none has a promoted model; run lethe train first", "lethe.serving.bentos") in messages()[
        "DeploymentError"
    ]
    assert sum(map(len, messages().values())) > 300


def test_what_troubleshooting_explains_is_a_message_of_the_code() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([^`]+)` \| \S", page, flags=re.MULTILINE)
    assert len(named) > 25
    written = [text for texts in messages().values() for text, _ in texts]
    assert [name for name in named if not any(name in text for text in written)] == []
