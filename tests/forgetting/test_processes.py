"""Several commands at once, as real processes: nothing is lost, and nobody is accepted and not hidden."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lethe.core import process
from lethe.core.workspace import Workspace
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.forgetting.standing import ledger
from lethe.serving import hidden
from tests.forgetting.test_cases import data, rows, workspace_of

COMMAND = [sys.executable, "-m", "lethe.cli", "forget"]


def start(workspace: Workspace, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=workspace.root,
        env=workspace.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(commands: list[subprocess.Popen[str]]) -> list[str]:
    said = [command.communicate() for command in commands]
    assert [command.returncode for command in commands] == [0] * len(commands), said
    return [out for out, _ in said]


def test_bursts_of_requests_lose_none_and_leave_nobody_unhidden(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows())
    data(workspace)
    known = [["--user", str(n)] for n in range(6)]
    unknown = [["--user", f"nobody-{n}", "--confirm-unknown"] for n in range(2)]
    for burst in (known[:4], known[4:] + unknown):
        end([start(workspace, "add", *who) for who in burst])
    book = ledger(workspace)
    assert sorted(r.state for r in book.all()) == ["accepted"] * 6 + ["completed"] * 2
    assert hidden.read(workspace.hidden_users) == {request.user_digest for request in book.pending()}
    listed = SuppressionList.read(workspace.suppression)
    assert all(Suppressed.user("tiny", f"nobody-{n}") in listed for n in range(2))
    book.check_chain()
    assert not list(workspace.root.rglob("*.tmp"))


def test_a_request_beside_a_training_is_taken_at_once(tmp_path: Path) -> None:
    """While the data stages rebuild the tables they are away; what the source holds is counted then."""
    workspace = workspace_of(tmp_path / "w", rows())
    data(workspace)
    with process.alone(workspace):
        away = workspace.ingested("tiny").rename(tmp_path / "away")
        end([start(workspace, "add", "--user", "7")])
        shutil.move(away, workspace.ingested("tiny"))
        end([start(workspace, "add", "--user", "8")])
    assert [request.state for request in ledger(workspace).all()] == ["accepted", "accepted"]
    assert len(hidden.read(workspace.hidden_users)) == 2


def test_a_request_that_is_killed_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "w", rows())
    data(workspace)
    ledger(workspace)
    for number, seconds in enumerate((0.2, 0.5, 0.8, 1.1, 1.4)):
        command = start(workspace, "add", "--user", str(number))
        time.sleep(seconds)
        command.kill()
        command.communicate()
        book = ledger(workspace)
        accepted = {request.user_digest for request in book.pending()}
        there = hidden.read(workspace.hidden_users) if workspace.hidden_users.exists() else frozenset()
        assert accepted <= there
    end([start(workspace, "add", "--user", "9")])
    assert hidden.read(workspace.hidden_users) == {request.user_digest for request in ledger(workspace).pending()}


def test_thousands_come_in_one_file(tmp_path: Path) -> None:
    people = [f"p{n:05d}" for n in range(3_000)]
    workspace = workspace_of(tmp_path / "w", [(user, n % 20, 3, 1_700_000_000 + n) for n, user in enumerate(people)])
    data(workspace)
    (tmp_path / "ids.csv").write_text(
        "user,external_id\n" + "".join(f"{user},E-{n}\n" for n, user in enumerate(people))
    )
    (out,) = end([start(workspace, "add", "--file", str(tmp_path / "ids.csv"))])
    assert "accepted: 3000" in out
    again = subprocess.run(
        [*COMMAND, "add", "--file", "-"],
        cwd=workspace.root,
        env=os.environ | workspace.environment(),
        input="\n".join([*people[:10], "nobody"]) + "\n",
        capture_output=True,
        text=True,
    )
    assert again.returncode == 1
    assert "user: 1 of 11 ids are nobody's, the first of them is number 11, in tiny" in again.stderr
    assert len(ledger(workspace).pending()) == 3_000
