"""Numba's cache: where its own places can't be written to it has one among temporary files, which is this user's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

import lethe.cli
from lethe.core import compiled
from lethe.core.compiled import CODE, VARIABLE, cache_of_compiled
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Folders that can't be written to: the code's, and a home's; temporary files are a test's own."""
    folders = {CODE, CODE / "__pycache__", tmp_path / "home"}
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(compiled.os, "access", lambda path, _: path not in folders)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in (VARIABLE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folders


def test_it_is_a_folder_of_this_users_among_temporary_files(closed: set[Path], tmp_path: Path) -> None:
    (name, folder), *others = cache_of_compiled(os.environ).items()
    assert (name, others) == ("NUMBA_CACHE_DIR", [])
    assert Path(folder).parent == tmp_path / "tmp"
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert cache_of_compiled(os.environ) == {name: folder}
    assert Workspace(tmp_path).settings()[name] == folder


def test_a_command_and_a_model_from_python_have_it_in_their_environment(
    closed: set[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lethe.recommender("mostpop")
    folder = os.environ.pop(VARIABLE)
    monkeypatch.setattr(lethe.cli, "NUMERIC", {})
    monkeypatch.setattr("sys.argv", ["lethe", "--version"])
    with pytest.raises(SystemExit):
        lethe.cli.main()
    assert os.environ.pop(VARIABLE) == folder


def test_a_home_that_may_not_be_looked_into_is_one_that_can_not_be_written_to(
    closed: set[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's, which HOME still names where a service gave its rights away."""
    looked_at = os.stat

    def stat(path: object, **options: object) -> os.stat_result:
        if isinstance(path, (str, Path)) and (tmp_path / "home") in Path(path).parents:
            raise PermissionError(13, "Permission denied")
        return looked_at(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat)
    assert Path(cache_of_compiled(os.environ)[VARIABLE]).parent == tmp_path / "tmp"


@pytest.mark.parametrize("open_place", ["code", "home", "xdg", "named"])
def test_where_one_of_its_own_places_will_do_nothing_is_set(
    closed: set[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_place: str
) -> None:
    if open_place == "code":
        closed -= {CODE, CODE / "__pycache__"}
    elif open_place == "home":
        closed.remove(tmp_path / "home")
    elif open_place == "xdg":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    else:
        monkeypatch.setenv(VARIABLE, "/somewhere")
    assert cache_of_compiled(os.environ) == {}
    assert not any((tmp_path / "tmp").iterdir())


def test_a_folder_that_others_may_write_to_or_that_cannot_be_made_is_refused(
    closed: set[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(cache_of_compiled(os.environ)[VARIABLE])
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match=r"NUMBA_CACHE_DIR: is not set, .*; name a folder that may be written to"):
        cache_of_compiled(os.environ)
    folder.rmdir()
    folder.symlink_to(tmp_path / "home")
    with pytest.raises(ConfigError, match="NUMBA_CACHE_DIR"):
        cache_of_compiled(os.environ)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="NUMBA_CACHE_DIR"):
        cache_of_compiled(os.environ)
