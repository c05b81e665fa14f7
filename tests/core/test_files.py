"""Files of our own state: put in place whole, and told where something else has left half of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lethe.build.costs import Costs
from lethe.build.decision import Decisions
from lethe.build.registry import Registry
from lethe.core.files import read_json
from lethe.core.reports import read_report
from lethe.core.workspace import Workspace
from lethe.errors import DataError


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'"text"', b"null"])
def test_half_a_file_is_named_with_the_way_out(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"state.json: must hold a JSON object; restore it from a backup"):
        read_json(path, dict)


def test_no_state_of_ours_ends_a_command_with_anything_else(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    readers = {
        Registry(workspace).pointer: lambda: Registry(workspace).served(),
        workspace.state / "promotions.json": lambda: Decisions.read(workspace),
        workspace.state / "costs.json": lambda: Costs.read(workspace),
        workspace.reports / "audit.json": lambda: read_report(workspace, "audit"),
    }
    for path, read in readers.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"tiny": [')
        with pytest.raises(DataError, match=path.name):
            read()
