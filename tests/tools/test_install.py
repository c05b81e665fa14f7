"""tools/install.py: pip's settings reach uv, and where uv fails pip installs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools import install

LISTED = """\
:env:.find-links='/opt/wheels'
global.constraint='/etc/constraints.txt'
global.extra-index-url='file:///a\\nfile:///b'
global.find-links='/elsewhere'
global.timeout='180'
install.index-url='https://mirror.example/simple'
"""


def test_uv_looks_where_pip_looks() -> None:
    assert install.settings_for_uv(LISTED, {"UV_CONSTRAINT": "mine"}) == {
        "UV_FIND_LINKS": "/opt/wheels",
        "UV_EXTRA_INDEX_URL": "file:///a file:///b",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
    }
    assert install.settings_for_uv("", {}) == {}


@pytest.mark.parametrize(("uv", "by"), [("works", ["uv"]), ("fails", ["uv", "pip"]), ("absent", ["pip"])])
def test_pip_installs_what_uv_cannot(uv: str, by: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        failed = (command[0] == "uv" and uv == "fails") or command[-1] == "uv"
        return subprocess.CompletedProcess(command, int(failed), stdout="")

    monkeypatch.setattr(install.subprocess, "run", run)
    monkeypatch.setattr(install.shutil, "which", lambda _: None if uv == "absent" else "uv")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert install.main() == 0
    locked = [command for command in ran if "requirements.lock" in command]
    assert ["uv" if command[0] == "uv" else "pip" for command in locked] == by
    assert ran[-1][-2:] == ["--editable", "."]
