"""DVC's cache where it is shared, moved, or backed up to a remote that others use: ours goes, nobody else's does."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from lethe.core.workspace import Workspace
from lethe.data.dvc import dvc, repro
from lethe.data.dvc_objects import Memory, in_use, settle
from lethe.forgetting.stores.dvc_cache import DvcCache
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.remotes import Remote
from tests.data.test_dvc import make_project

GONE = "canary-person"
NEEDLES = [Needles("ml", users=frozenset({GONE}))]


@pytest.fixture(autouse=True)
def _no_other_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for level in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"DVC_{level}_CONFIG_DIR", str(tmp_path / level))


def forget(project: Workspace, left: str = "somebody else") -> None:
    """As a forget run does before it empties the stores: the tables are made anew, without them."""
    (project.root / "source.txt").write_text(left)
    repro(project)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_from_a_cache_that_others_share_only_ours_goes(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    mine = make_project(tmp_path / "mine", f"{GONE} of mine", shared)
    other = make_project(tmp_path / "other", f"{GONE} of theirs", shared)
    (tmp_path / "shared" / "files" / "md5" / "ab").mkdir(parents=True)
    (tmp_path / "shared" / "files" / "md5" / "ab" / ("c" * 30)).write_text(f"{GONE}, of a project without Lethe")
    for project in (mine, other):
        repro(project)
    cache, before = DvcCache(mine), files(shared)
    theirs = set(in_use(other.root, shared))
    would = cache.would_remove(NEEDLES)
    forget(mine)
    found = cache.find(NEEDLES)
    assert {place.kind for place in found.places} == {"text"}
    assert any(place.where.startswith("runs/") or "files/md5" in place.where for place in found.places)
    removed = cache.remove(NEEDLES)
    assert removed.entries > 0
    assert would.entries > 0
    assert cache.find(NEEDLES).places == ()
    assert cache.remove(NEEDLES).entries == 0, "safe to repeat"
    settle(mine)
    assert Memory.read(mine).objects == in_use(mine.root, shared).keys(), "a digest of what was tells of it"
    gone = before - files(shared)
    assert {path.relative_to(shared).parts[0] for path in gone} == {"files", "runs"}
    assert set(in_use(other.root, shared)) == theirs
    assert "up to date" in dvc(other, "status")
    assert (shared / "files" / "md5" / "ab" / ("c" * 30)).exists()
    (other.root / "data" / "ml" / "ingested" / "rows").unlink()
    dvc(other, "checkout", "-q")
    assert (other.root / "data" / "ml" / "ingested" / "rows").read_text() == f"{GONE} of theirs"


def test_a_cache_inside_that_is_a_link_to_another_disk_is_searched(tmp_path: Path) -> None:
    project, elsewhere = Workspace(tmp_path / "project"), tmp_path / "disk" / "files" / "md5" / "ab"
    elsewhere.mkdir(parents=True)
    (elsewhere / ("c" * 30)).write_text(f"asked by {GONE}")
    (project.root / ".dvc").mkdir(parents=True)
    (project.root / ".dvc" / "config").touch()
    (project.root / ".dvc" / "cache").symlink_to(tmp_path / "disk")
    project.state.mkdir(parents=True)
    Memory(frozenset({"ab" + "c" * 30})).write(project)
    assert [place.kind for place in DvcCache(project).find(NEEDLES).places] == ["text"]


def test_what_another_project_uses_too_stays_and_is_named(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    mine, other = (make_project(tmp_path / name, GONE, shared) for name in ("mine", "other"))
    for project in (mine, other):
        repro(project)
    forget(mine)
    cache = DvcCache(mine)
    cache.remove(NEEDLES)
    found = cache.find(NEEDLES)
    assert found.places == ()
    settle(mine)
    assert cache.find(NEEDLES) == found
    assert [str(place) for place in found.not_searched] == ["shared cache: 2 objects are used by other projects too"]
    assert "up to date" in dvc(other, "status")


def test_what_was_added_by_hand_is_searched_in_columns_that_name_people_in_other_words(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    repro(project)
    columns = ("customer_id", "CustomerID", "member", "reviewer id")
    for place, column in enumerate(columns):
        orders = pa.table({"order": [70007, 70008], column: [5, 70000 + place], "said": ["70007 days", "5"]})
        csv.write_csv(orders, project.root / f"orders-{place}.csv")
        pq.write_table(orders, project.root / f"orders-{place}.parquet")
    dvc(
        project,
        "add",
        "-q",
        *(f"orders-{place}.{kind}" for place in range(len(columns)) for kind in ("csv", "parquet")),
    )
    cache = DvcCache(project)
    for place in range(len(columns)):
        found = cache.find([Needles("ml", users=frozenset({str(70000 + place)}))])
        files = (f"orders-{place}.{kind}.dvc: user id" for kind in ("csv", "parquet"))
        assert sorted(map(str, found.places)) == sorted(files)
    assert cache.find([Needles("ml", users=frozenset({"70007"}))]).places == (), "orders are no people"


@pytest.mark.parametrize("path", ["rows.csv", "data/rows.csv", "data/raw/rows.csv"])
def test_what_was_added_by_hand_stays_and_is_searched_by_its_columns(path: str, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    repro(project)
    file = project.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("user,item\n7,1\n8,2\n")
    dvc(project, "add", "-q", path)
    cache, needles = DvcCache(project), [Needles("ml", users=frozenset({"7"}))]
    cache.remove(needles)
    assert [str(place) for place in cache.find(needles).places] == [f"{path}.dvc: user id"]
    file.unlink()
    dvc(project, "checkout", "-q", f"{path}.dvc")
    assert "8,2" in file.read_text(), "it is the user's, and was never superseded"
    file.write_text("user,item\n8,2\n")
    dvc(project, "add", "-q", path)
    cache.remove(needles)
    assert cache.find(needles).places == ()


@pytest.mark.parametrize("inside", [True, False])
def test_the_cache_from_before_another_was_configured_goes_too(inside: bool, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", GONE)
    repro(project)
    old = project.root / ".dvc" / "cache"
    assert files(old)
    new = project.root / "cache-2" if inside else tmp_path / "elsewhere"
    dvc(project, "cache", "dir", "-q", str(new))
    forget(project)
    cache = DvcCache(project)
    assert {place.kind for place in cache.find(NEEDLES).places} == {"text"}
    cache.remove(NEEDLES)
    settle(project)
    assert cache.find(NEEDLES).places == ()
    assert not old.exists()
    dvc(project, "cache", "dir", "-q", str(tmp_path / "third"))
    forget(project, "nobody")
    DvcCache(project).remove(NEEDLES)
    assert not any("somebody else" in path.read_text(errors="replace") for path in files(new)), "nor does the second"


def test_a_remote_of_the_users_own_configuration_loses_ours_alone(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    (tmp_path / "GLOBAL").mkdir()
    (tmp_path / "GLOBAL" / "config").write_text(f"['remote \"mine\"']\n    url = {remote}\n")
    first, second = (make_project(tmp_path / name, f"{GONE} of {name}") for name in ("first", "second"))
    for project in (first, second):
        repro(project)
        dvc(project, "push", "-q", "--run-cache", "-r", "mine")
    forget(first)
    dvc(first, "gc", "--workspace", "-f", "-q")
    store, before = Remote(first, "mine", shared=True), files(remote)
    theirs = set(in_use(second.root, second.root / ".dvc" / "cache"))
    assert {place.kind for place in store.find(NEEDLES).places} == {"text"}
    would = store.would_remove(NEEDLES)
    removed = store.remove(NEEDLES)
    assert would == removed
    assert removed.entries == len(before - files(remote)) > 0
    found = store.find(NEEDLES)
    assert found.places == ()
    assert [place.kind for place in found.not_searched] == [f"{len(files(remote))} files are not of this project"]
    assert {path.parent.name + path.name.removesuffix(".dir") for path in files(remote)} >= theirs
