"""A workspace says which Lethe it is of, from its first use on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lethe.core.format import FORMAT, format_of, must_fit
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError


def test_a_new_workspace_gets_its_number_at_first_use(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / "suppression").mkdir()
    (tmp_path / "suppression" / "README.md").write_text("Whom the list names.\n")
    (tmp_path / ".lethe" / "prefect").mkdir(parents=True)
    for own in ("data/raw/orders.csv", "data/2024/jan/orders.csv", "artifacts/plots/a.png", "certificates/tls/key.pem"):
        (tmp_path / own).parent.mkdir(parents=True)
        (tmp_path / own).write_text("a file that the user has there")
    assert format_of(workspace) is None
    must_fit(workspace)
    assert json.loads((tmp_path / ".lethe" / "workspace.json").read_text()) == {"format": FORMAT}
    must_fit(workspace)


@pytest.mark.parametrize(
    "trace",
    [
        ".lethe/ledger.sqlite",
        ".lethe/registry.json",
        ".lethe/run.json",
        "suppression/list.csv",
        "data/tiny/source.json",
        "artifacts/sub-model/aa/manifest.json",
        "certificates/tiny/request.json",
    ],
)
def test_what_an_older_lethe_left_is_refused_with_what_to_do(trace: str, tmp_path: Path) -> None:
    path = tmp_path / trace
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"^workspace: it is of an older Lethe .*; run lethe upgrade$"):
        must_fit(Workspace(tmp_path))
    assert not (tmp_path / ".lethe" / "workspace.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "2"}', '{"format": 0}', '{"format": true}'])
def test_no_number_is_no_format(content: str, tmp_path: Path) -> None:
    (tmp_path / ".lethe").mkdir()
    (tmp_path / ".lethe" / "workspace.json").write_text(content)
    with pytest.raises(ConfigError, match=r"workspace.json: must hold a format's number"):
        must_fit(Workspace(tmp_path))


def test_a_newer_lethe_s_workspace_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".lethe").mkdir()
    (tmp_path / ".lethe" / "workspace.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(ConfigError, match="of a newer Lethe"):
        must_fit(Workspace(tmp_path))
