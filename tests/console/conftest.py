"""A project that was trained and has forgotten somebody, and consoles over copies of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.testclient import TestClient

from lethe.console.app import application
from lethe.core.workspace import Workspace
from lethe.serving.access import ApiKey, Keys, Role
from tests import house
from tests.conftest import make_workspace, taste_blocks

KEYS = {
    "ann": (Role.PRIVACY_OFFICER, "a-key-of-ann-that-is-long"),
    "ben": (Role.OPERATOR, "a-key-of-ben-that-is-long"),
    "shop": (Role.READER, "a-key-of-the-shop-for-reading"),
    "graphs": (Role.MONITOR, "a-key-of-prometheus-for-looking"),
}
GONE, ASKING, OTHER = "user-003", "user-005", "user-007"


def known() -> Keys:
    return Keys(None, tuple(ApiKey.of(name, role, key) for name, (role, key) in KEYS.items()))


@pytest.fixture(scope="session")
def _key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of keys of the console's tests alone: others rotate those that all share."""
    return tmp_path_factory.mktemp("console-keys")


@pytest.fixture(scope="module", autouse=True)
def _own_keys_of_the_console(_key_folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LETHE_KEY_DIR", str(_key_folder))
        yield


@pytest.fixture(scope="session")
def _lived(tmp_path_factory: pytest.TempPathFactory, _key_folder: Path) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("console") / "shop", taste_blocks(), models=("bpr",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LETHE_KEY_DIR", str(_key_folder))
        house.train(workspace)
        house.forget(workspace, GONE)
        house.train(workspace)
    return workspace


@pytest.fixture
def lived(_lived: Workspace, tmp_path: Path) -> Workspace:
    """A copy of its own of a project with one completed request and nothing that waits."""
    folder = tmp_path / "shop"
    shutil.copytree(_lived.root, folder, symlinks=True)
    return Workspace(folder)


def settings(workspace: Workspace, section: str, **values: object) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    params[section] = params.get(section, {}) | values
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))


@dataclass
class Visitor:
    """Somebody before a console: what they send carries the token of the page they last saw, as a browser's would."""

    http: httpx.Client
    token: str = ""

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self._seen(self.http.get(path, params=query or None))

    def post(self, path: str, files: dict[str, bytes] | None = None, **fields: str) -> httpx.Response:
        sent = {name: (f"{name}.txt", content) for name, content in (files or {}).items()}
        return self._seen(self.http.post(path, data={"token": self.token, **fields}, files=sent or None))

    def log_in(self, name: str) -> Visitor:
        self.get("/ui/login")
        answer = self.post("/ui/login", key=KEYS[name][1])
        assert answer.status_code == 200, answer.text
        return self

    def _seen(self, answer: httpx.Response) -> httpx.Response:
        if found := re.search(r'name="token" value="([0-9a-f]+)"', answer.text):
            self.token = found[1]
        return answer


def visitor(workspace: Workspace, name: str | None = None, keys: Keys | None = None) -> Visitor:
    came = Visitor(TestClient(application(workspace, known() if keys is None else keys), base_url="http://127.0.0.1"))
    return came if name is None else came.log_in(name)


@pytest.fixture
def ann(lived: Workspace) -> Iterator[Visitor]:
    """The privacy officer, logged in."""
    came = visitor(lived, "ann")
    with came.http:
        yield came


def words(answer: httpx.Response) -> str:
    """What a page says, as people read it."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def problem(answer: httpx.Response) -> str:
    """Why something was refused: one line."""
    found = re.search(r'<p class="problem"><strong>Refused.</strong> ([^\n]*)', answer.text)
    assert found is not None, words(answer)
    return unescape(re.sub(r"<[^>]+>", "", found[1]))
