"""What passed and is as it was isn't judged again, and a process of Great Expectations isn't started for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data import gates
from lethe.data.gates.__main__ import judge
from lethe.data.gates.epoch import read_epoch, write_epoch
from lethe.data.gates.passed import forget_passed
from lethe.data.stages import build_data
from lethe.data.suppression import Suppressed, SuppressionList
from tests.conftest import copied, make_workspace, taste_blocks
from tests.edits import edited, with_code, with_words


@pytest.fixture(scope="module")
def passed_once(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("passed") / "workspace", taste_blocks())
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", list(params.pipeline.shardings))
    judge(workspace, params, "tiny")
    return workspace


@pytest.fixture
def passed(passed_once: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(gates, "run_module", lambda *_, **__: "")
    return copied(passed_once, tmp_path / "workspace")


def judged(workspace: Workspace) -> list[str]:
    return gates.validate_datasets(workspace, ["tiny"])


def test_what_is_as_it_was_is_not_judged_again(passed: Workspace) -> None:
    assert judged(passed) == []
    with edited("lethe.data.gates.suites", with_words):
        assert judged(passed) == []


def change_a_table(workspace: Workspace) -> None:
    """In place, to the same size, and with the same time."""
    path = workspace.split("tiny", "valid")
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_params(workspace: Workspace) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    params["validation"] = {"min_fraction": 0.4, "max_fraction": 3.0}
    workspace.params.write_text(yaml.safe_dump(params))


def change_the_epoch(workspace: Workspace) -> None:
    epoch = read_epoch(workspace, "tiny")
    assert epoch.interactions is not None
    write_epoch(workspace, "tiny", epoch.model_copy(update={"interactions": epoch.interactions - 1}))


@pytest.mark.parametrize(
    "change",
    [
        change_a_table,
        change_params,
        change_the_epoch,
        lambda workspace: (workspace.shards("tiny", "whole") / "01.parquet").write_bytes(b""),
        lambda workspace: SuppressionList.read(workspace.suppression).add([Suppressed.user("tiny", "user-001")]),
        lambda workspace: (workspace.reports / "validation" / "tiny.txt").unlink(),
        lambda workspace: (workspace.reports / "validation" / "tiny.json").unlink(),
        lambda workspace: forget_passed(workspace, "tiny"),
    ],
    ids=[
        "a table",
        "params",
        "the epoch",
        "one more shard",
        "the list",
        "the report is gone",
        "the report for programs is gone",
        "judged and failed since",
    ],
)
def test_what_changed_is_judged(passed: Workspace, change: Callable[[Workspace], object]) -> None:
    change(passed)
    assert judged(passed) == ["tiny"]


def test_what_is_listed_of_another_dataset_changes_nothing(passed: Workspace) -> None:
    SuppressionList.read(passed.suppression).add([Suppressed.user("other", "user-001")])
    assert judged(passed) == []


def test_other_gates_judge_anew(passed: Workspace) -> None:
    with edited("lethe.data.gates.suites", with_code):
        assert judged(passed) == ["tiny"]
