"""Putting a file in place: whole or not at all, and a fault that names the file; this machine is behind no proxy."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lethe.core.files import write_whole
from lethe.core.workspace import past_proxies


def test_what_is_written_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    write_whole(path, "old")
    write_whole(path, b"new")
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["file.json"]


def test_a_full_disk_leaves_the_old_file_alone_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file.json"
    write_whole(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        write_whole(path, "new")
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


def test_a_folder_that_is_not_to_be_written_to_stays_that_error(tmp_path: Path) -> None:
    (tmp_path / "file.json").mkdir()
    with pytest.raises(IsADirectoryError, match=str(tmp_path / "file.json")):
        write_whole(tmp_path / "file.json", "new")
    assert os.listdir(tmp_path) == ["file.json"]


@pytest.mark.parametrize(
    ("given", "past"),
    [
        ({}, None),
        ({"no_proxy": "shop.example"}, None),
        ({"HTTP_PROXY": "http://dead:9"}, "127.0.0.1,localhost,::1"),
        ({"all_proxy": "http://dead:9", "NO_PROXY": "shop.example, localhost"}, "shop.example,localhost,127.0.0.1,::1"),
        ({"https_proxy": "http://dead:9", "no_proxy": "*"}, "*"),
    ],
    ids=["no-proxy", "nothing-to-add", "a-proxy", "more-than-ours", "all"],
)
def test_what_answers_on_this_machine_is_asked_past_a_proxy(given: dict[str, str], past: str | None) -> None:
    names = past_proxies(given)
    assert names == ({} if past is None else {"no_proxy": past, "NO_PROXY": past})
    assert past_proxies(given | names) == names, "our own processes start others in the same environment"
