"""``lethe upgrade`` by its name, and the other commands before it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from lethe.cli import app
from lethe.core.format import FORMAT
from lethe.core.workspace import Workspace
from lethe.data import one_stage
from lethe.errors import ConfigError

COMMANDS = ["train", "deploy", "serve", "verify", "status", "forget run", "forget add --user somebody", "audit run"]


@pytest.fixture
def old(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    (tiny.state / "workspace.json").unlink()
    path = tiny.source_digest("tiny")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    monkeypatch.chdir(tiny.root)
    return tiny


@pytest.mark.parametrize("command", COMMANDS)
def test_an_older_workspace_is_refused_with_what_to_do(command: str, old: Workspace) -> None:
    ran = CliRunner().invoke(app, command.split())
    assert ran.exit_code != 0
    assert isinstance(ran.exception, ConfigError), ran.output
    assert str(ran.exception).endswith("run lethe upgrade")
    assert "\n" not in str(ran.exception)
    assert sorted(path.name for path in old.root.rglob("*.json")) == ["source.json"]


def test_a_stage_run_by_hand_is_refused_too(old: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert one_stage.main(["source", "tiny"]) == 1
    assert capsys.readouterr().err.endswith("run lethe upgrade\n")


def test_upgrade_says_what_comes_next_and_then_that_nothing_is_to_do(old: Workspace) -> None:
    first, second = (CliRunner().invoke(app, ["upgrade"]) for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert first.output.splitlines()[-1] == "next: lethe train, then lethe deploy"
    assert "data stages: all run once more" in first.output
    assert second.output == "nothing to do\n"
    assert json.loads((old.state / "workspace.json").read_text()) == {"format": FORMAT}
    assert CliRunner().invoke(app, ["upgrade", "--json"]).output == "{}\n"
