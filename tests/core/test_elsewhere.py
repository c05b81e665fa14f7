"""What other machines do for a run ends before anybody else changes the workspace, and none of it begins later."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lethe.core.elsewhere import at_work, is_any_at_work, sent_out
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


OWNER = """
import sys
from pathlib import Path
from lethe.core.elsewhere import sent_out
from lethe.core.workspace import Workspace
with sent_out(Workspace(Path(sys.argv[1]))) as run:
    print(run, flush=True)
    sys.stdin.readline()
"""


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT / "src")},
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def killed_run(folder: Path) -> str:
    """The name of a run that sent work out and was killed; its files are still there."""
    owner = start(OWNER, str(folder))
    run = line(owner)
    owner.kill()
    owner.communicate(timeout=20)
    return run


def test_who_wants_the_workspace_alone_waits_for_what_is_done_for_a_run_that_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(tmp_path)
    run = killed_run(tmp_path)
    worker = start(HOLDER, str(tmp_path), run)
    assert line(worker) == "at work"
    assert is_any_at_work(workspace)
    # It ends a moment after we begin to wait.
    threading.Timer(0.4, lambda: worker.communicate("end\n", timeout=20)).start()
    with alone(workspace):
        assert (tmp_path / "made").is_file()
        assert list((tmp_path / ".lethe" / "elsewhere").iterdir()) == []
    assert "still at work" in capsys.readouterr().err


def test_nothing_begins_for_a_run_that_has_ended(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert not is_any_at_work(workspace)
    with sent_out(workspace) as ended, at_work(workspace, ended):
        pass
    gone = killed_run(tmp_path)
    with at_work(workspace, gone):
        pass
    with alone(workspace):
        for run in (ended, gone):
            with pytest.raises(ConfigError, match="isn't there, or not any more"), at_work(workspace, run):
                raise AssertionError("it began")
    assert list((tmp_path / ".lethe" / "elsewhere").iterdir()) == []


def test_a_run_that_lives_goes_on_whoever_wants_the_workspace_alone(tmp_path: Path) -> None:
    """A search for settings, which changes nothing; and a flow that another flow calls."""
    workspace = Workspace(tmp_path)
    other = start(OWNER, str(tmp_path))
    run = line(other)
    with alone(workspace), sent_out(workspace) as own, alone(workspace):
        for living in (run, own):
            with at_work(workspace, living):
                assert is_any_at_work(workspace)
    other.communicate("end\n", timeout=20)
    assert list((tmp_path / ".lethe" / "elsewhere").iterdir()) == []
