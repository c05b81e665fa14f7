"""What other machines do for a run ends before anybody else changes the workspace, and none of it begins later."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lethe.core.elsewhere import at_work, end_all, is_any_at_work, sent_out
from lethe.core.process import alone
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError
from tests.conftest import ROOT

HOLDER = """
import sys
from pathlib import Path
from lethe.core.elsewhere import at_work
from lethe.core.workspace import Workspace
with at_work(Workspace(Path(sys.argv[1])), sys.argv[2]):
    print("at work", flush=True)
    sys.stdin.readline()
    Path(sys.argv[1], "made").touch()
"""


def test_who_wants_the_workspace_alone_waits_for_what_is_done_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(tmp_path)
    with sent_out(workspace) as run:
        command = [sys.executable, "-c", HOLDER, str(tmp_path), run]
        holder = subprocess.Popen(
            command, stdin=-1, stdout=-1, text=True, env={"PYTHONPATH": f"{ROOT / 'src'}"}, cwd=tmp_path
        )
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "at work\n"
        assert is_any_at_work(workspace)
        # It ends a moment after we begin to wait.
        ending = subprocess.Popen(["sh", "-c", f"sleep 0.4; echo > /proc/{holder.pid}/fd/0"])
        with alone(workspace):
            assert (tmp_path / "made").is_file()
        assert "still at work" in capsys.readouterr().err
        assert holder.wait(timeout=20) == ending.wait(timeout=20) == 0
        assert not is_any_at_work(workspace)


def test_nothing_begins_for_a_run_that_has_ended(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert not is_any_at_work(workspace)
    with sent_out(workspace) as run:
        with at_work(workspace, run):
            pass
        end_all(workspace)
        with pytest.raises(ConfigError, match="run's own file isn't there"), at_work(workspace, run):
            raise AssertionError("it began")
    with sent_out(workspace) as other, alone(workspace), alone(workspace):
        # Taken alone before, not by the one who sends out: nothing of ours is left to wait for.
        assert not is_any_at_work(workspace)
        assert other != run


def test_a_flow_that_another_one_calls_ends_nothing_of_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with alone(workspace), sent_out(workspace) as run, alone(workspace), at_work(workspace, run):
        assert is_any_at_work(workspace)
