"""DVC after interrupts, and beside other projects: what it left is mended, and whose objects are whose is known."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path, PurePath

import pytest
import yaml

from lethe.core.workspace import Workspace
from lethe.data.dvc import dvc, repro
from lethe.data.dvc_objects import (
    RemoteUrl,
    cache_folder,
    in_use,
    is_own,
    known,
    remotes,
    superseded,
    used_by_others,
)
from lethe.data.leftovers import remove_leftovers
from lethe.errors import DataError
from tests.conftest import ROOT
from tests.warm import keep_warm


def make_project(folder: Path, content: str = "a", cache: Path | None = None, warm: bool = True) -> Workspace:
    """A project of one stage, whose output is a folder with the content of source.txt."""
    folder.mkdir(parents=True)
    workspace = Workspace(folder)
    if warm:
        keep_warm(workspace)
    (folder / "source.txt").write_text(content)
    command = f"{sys.executable} -c \"import pathlib; p = pathlib.Path('data/ml/ingested'); p.mkdir(parents=True, "
    command += "exist_ok=True); (p / 'rows').write_text(pathlib.Path('source.txt').read_text())\""
    stage = {"cmd": command, "deps": ["source.txt"], "outs": ["data/ml/ingested"]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"ingest": stage}}))
    # As dvc init --no-scm and dvc cache dir leave it.
    (folder / ".dvc").mkdir()
    own = f"[cache]\n    dir = {cache}\n" if cache else ""
    (folder / ".dvc" / "config").write_text(f"[core]\n    no_scm = True\n{own}")
    return workspace


@pytest.fixture(autouse=True)
def _no_other_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for level in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"DVC_{level}_CONFIG_DIR", str(tmp_path / level))


@pytest.fixture
def project(tmp_path: Path) -> Workspace:
    return make_project(tmp_path / "project")


def test_the_stages_read_no_option_of_a_dataset_that_may_be_left_out() -> None:
    """DVC knows no defaults: an option it is to compare must stand in params.yaml."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    named = {name for stage in stages for name in stage.get("params", ())}
    assert named == {"seed", "datasets.${item.dataset}", "shardings.${item.sharding}"}


def test_stages_of_some_datasets_run_and_those_of_others_need_none(project: Workspace) -> None:
    command = f"{sys.executable} -c \"import shutil; shutil.copy('$', 'data/${{item.dataset}}/#')\""
    matrix, rows, own = {"dataset": ["a", "b"]}, "data/${item.dataset}/rows", "data/${item.dataset}/own"
    stages = {
        "source": {
            "cmd": command.replace("$'", "source.txt'").replace("#", "rows"),
            "deps": ["source.txt"],
            "outs": [rows],
        },
        "theirs": {"cmd": command.replace("$'", f"{rows}'").replace("#", "own"), "deps": [rows], "outs": [own]},
    }
    stages = {name: {"matrix": matrix, **stage} for name, stage in stages.items()}
    (project.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    shutil.copyfile(ROOT / "params.yaml", project.params)
    params = yaml.safe_load(project.params.read_text())
    params["datasets"] = dict.fromkeys("ab", params["datasets"]["made"])
    params["pipeline"]["datasets"] = ["a", "b"]
    params["families"] = {}
    project.params.write_text(yaml.safe_dump(params))
    for name in "ab":
        (project.root / "data" / name).mkdir(parents=True)

    def ran(*datasets: str) -> list[str]:
        return re.findall("Running stage '(.+)'", repro(project, datasets or None))

    assert ran() == ["source@a", "source@b", "theirs@a", "theirs@b"]
    (project.root / "source.txt").write_text("b")
    assert ran("a") == ["source@a", "theirs@a"]
    assert "theirs@a" not in dvc(project, "status")
    (project.root / "source.txt").write_text("c")
    assert ran("a", "gone") == ["source@a", "source@b", "theirs@a", "theirs@b"], "as for a dataset nobody knows"


# --- what an interrupt leaves ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"write": {"/w/data": {"pid"',
        b"[]",
        b'{"write": {"/w/data/ml/ingested": {"pid": 999999999, "cmd": "dvc repro"}}}',
        json.dumps({"read": {"/w/data": [{"pid": os.getppid(), "cmd": "dvc"}]}}).encode(),
    ],
    ids=["empty", "cut", "another shape", "of a process that is gone", "of a process that is something else now"],
)
def test_a_lock_of_dvc_that_names_nobody_is_removed(content: bytes, project: Workspace) -> None:
    repro(project)
    rwlock = project.root / ".dvc" / "tmp" / "rwlock"
    rwlock.write_bytes(content)
    (project.root / "source.txt").write_text("b")
    repro(project)
    assert (project.root / "data" / "ml" / "ingested" / "rows").read_text() == "b"


def test_a_lock_that_another_dvc_holds_is_left(project: Workspace) -> None:
    repro(project)
    rwlock = project.root / ".dvc" / "tmp" / "rwlock"
    rwlock.write_bytes(b"")
    with (project.root / ".dvc" / "tmp" / "rwlock.lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DataError):
            dvc(project, "repro")
    assert rwlock.read_bytes() == b""
    rwlock.unlink()
    # A stage that somebody started by hand runs without the lock, but is in the list.
    script = "import time; time.sleep(60)"
    working = subprocess.Popen([sys.executable, "-c", script, "dvc", "repro"])
    try:
        told = json.dumps({"write": {str(project.root / "data"): {"pid": working.pid, "cmd": "dvc repro"}}})
        rwlock.write_text(told)
        with pytest.raises(DataError, match="is busy"):
            dvc(project, "repro")
        assert json.loads(rwlock.read_text()) == json.loads(told)
    finally:
        working.kill()
        working.wait()


@pytest.mark.parametrize("cut", [0, 40])
def test_a_cut_list_of_stages_is_made_again(cut: int, project: Workspace) -> None:
    repro(project)
    lock = project.root / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[:cut] + (b"'" if cut else b""))
    repro(project)
    assert yaml.safe_load(lock.read_bytes()) == yaml.safe_load(whole)


def test_what_an_interrupted_run_left_is_removed_and_counted(
    project: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    repro(project)
    gone = _ended()
    left = [
        project.root / "data" / "ml" / f".rows.{gone}-0a1b2c3d.tmp",
        project.root / "data" / "ml" / ".ingested-x8_kq2" / "rows",
        project.root / "data" / "ml" / "ml-1m-a6898adb50b9.zip",
        project.state / f".run.json.{gone}-0a1b2c3d.tmp",
        project.reports / "ml" / f".metrics.json.{gone}-0a1b2c3d.tmp",
        project.artifacts / "sub-model" / f".building-{gone}-ab_c1" / "weights",
    ]
    kept = [
        project.state / f".hidden.json.{os.getpid()}-0a1b2c3d.tmp",
        project.artifacts / "sub-model" / f".building-{os.getpid()}-ab_c1" / "weights",
        project.root / "data" / "other" / "ml-1m-a6898adb50b9.zip",
        project.root / "data" / "ml" / "source.parquet.origin",
        project.root / ".gitignore",
        project.root / "data" / ".gitkeep",
        project.root / "data" / ".raw" / "rows.csv",
    ]
    for path in (*left, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    repro(project)
    assert "removed 6 files and folders that an interrupted run had left" in capsys.readouterr().err
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept), "of who is still writing, and an archive not yet read"
    assert remove_leftovers(project) == 0


def _ended() -> int:
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


# --- whose objects are whose -------------------------------------------------------------------------------------


def test_remotes_of_the_user_and_the_system_count(project: Workspace, tmp_path: Path) -> None:
    for level, name in (("GLOBAL", "mine"), ("SYSTEM", "ours")):
        (tmp_path / level).mkdir()
        (tmp_path / level / "config").write_text(f"['remote \"{name}\"']\n    url = {tmp_path / name}\n")
    dvc(project, "remote", "add", "-q", "backup", "../backup")
    assert remotes(project) == {
        "mine": RemoteUrl(str(tmp_path / "mine"), own=False),
        "ours": RemoteUrl(str(tmp_path / "ours"), own=False),
        "backup": RemoteUrl(str(tmp_path / "backup"), own=True),
    }


def test_the_cache_is_where_the_configuration_says(project: Workspace, tmp_path: Path) -> None:
    assert cache_folder(project) == project.root / ".dvc" / "cache"
    assert is_own(project, cache_folder(project))
    dvc(project, "cache", "dir", "-q", str(tmp_path / "shared"))
    assert cache_folder(project) == tmp_path / "shared"
    assert not is_own(project, cache_folder(project))
    (project.root / ".dvc" / "config").write_text("[core\nbroken")
    with pytest.raises(DataError, match="DVC configuration: "):
        cache_folder(project)


def test_ours_is_what_an_output_has_ever_named_and_no_registered_project_uses(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    first, second = (make_project(tmp_path / name, "common", shared) for name in ("first", "second"))
    repro(first)
    repro(second)
    common = set(in_use(first.root, shared))
    assert len(common) == 2, "the folder's listing, and its file"
    assert {md5: use.datasets for md5, use in in_use(first.root, shared).items()} == {md5: {"ml"} for md5 in common}
    (first.root / "source.txt").write_text("own")
    repro(first)
    own = set(in_use(first.root, shared))
    assert superseded(first, shared, known(first)) == set(), "the other project uses what was replaced"
    (first.root / "source.txt").write_text("newer")
    repro(first)
    assert superseded(first, shared, known(first)) == own
    assert used_by_others(first, shared) == common
    second.root.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="is not there, so its objects are not known; if the project is gone for good"):
        superseded(first, shared, known(first))


@pytest.mark.parametrize("path", ["extra.txt", "data/extra.txt", "data/raw/extra.txt"])
def test_what_was_added_by_hand_is_in_use(path: str, project: Workspace) -> None:
    file = project.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("kept")
    dvc(project, "add", "-q", path)
    added = yaml.safe_load((project.root / f"{path}.dvc").read_text())["outs"][0]["md5"]
    use = in_use(project.root, cache_folder(project))[added]
    assert use.datasets == set(), "it may be about any dataset"
    assert use[1:] == ("extra.txt", PurePath(f"{path}.dvc"))


@pytest.mark.parametrize("seconds", [1.0, 2.0, 3.5])
def test_after_ctrl_c_at_any_moment_the_next_run_goes_through(seconds: float, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", warm=False)  # DVC is a child of the run that is stopped.
    script = "from pathlib import Path; from flows.command import command; from lethe.core.workspace import Workspace; "
    script += "from lethe.data.dvc import repro; command(lambda: repro(Workspace(Path.cwd())))"
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    for number in range(2):
        (project.root / "source.txt").write_text(str(number))
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=project.root,
            env={**os.environ, "PYTHONPATH": path},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds + number / 3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        assert process.returncode in (0, 130, -signal.SIGINT), said
        # The second run also says what the first one left, and that it is gone.
        lines = [line for line in said.decode().splitlines() if not line.startswith("removed ")]
        assert len(lines) <= 1 or process.returncode == -signal.SIGINT, f"before the flow had begun: {lines}"
    repro(project)
    assert (project.root / "data" / "ml" / "ingested" / "rows").read_text() == "1"
    assert "up to date" in dvc(project, "status")
