"""The list of hidden users: read again whenever it changes, and everybody hidden where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lethe.core.keys import subject_digest
from lethe.errors import DataError, DeploymentError
from lethe.serving.hidden import Everybody, HiddenUsers, publish, read


def test_the_list_is_read_again_whenever_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "state" / "users.json"
    publish(path, [])
    users = HiddenUsers(path)
    assert not users.holds("tiny", 7)
    publish(path, [subject_digest("tiny", 7)])
    assert users.holds("tiny", 7)
    assert users.holds("tiny", "7")
    assert not users.holds("tiny", 8)
    assert not users.holds("other", 7)
    publish(path, [subject_digest("tiny", 8)])
    assert not users.holds("tiny", 7)
    assert users.holds("tiny", 8)


def test_a_list_that_vanishes_hides_everybody_until_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "workspace" / "users.json"
    publish(path, [])
    users = HiddenUsers(path)
    assert not users.holds("tiny", 7)
    path.parent.rename(tmp_path / "moved")
    assert users.holds("tiny", 7)
    (tmp_path / "moved").rename(path.parent)
    assert not users.holds("tiny", 7)
    assert HiddenUsers(tmp_path / "never.json").holds("tiny", 7), "named, but never there"


def test_an_unreadable_list_hides_everybody_until_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    users = HiddenUsers(path)
    for content in ("{", "[]", '{"digests": 3}', '{"digests": [3]}'):
        path.write_text(content)
        assert users.holds("tiny", 7), content
        with pytest.raises(DataError, match="the list of hidden users must be"):
            read(path)
    publish(path, [])
    assert not users.holds("tiny", 7)


def test_without_a_path_nobody_is_hidden() -> None:
    assert not HiddenUsers(None).holds("tiny", 7)


def test_a_service_does_not_begin_without_its_list(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    with pytest.raises(DeploymentError, match=r"users\.json: the list of hidden users can't be read .*; lethe deploy"):
        HiddenUsers.at_start(path)
    publish(path, [subject_digest("tiny", 7)])
    assert HiddenUsers.at_start(path).holds("tiny", 7)


def test_one_set_has_one_form(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    publish(path, {"b", "a"})
    first = path.read_bytes()
    assert read(path) == {"a", "b"}
    publish(path, ["a", "b", "a"])
    assert path.read_bytes() == first
    publish(path, set())
    assert read(path) == frozenset()


def test_a_list_of_another_key_hides_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "users.json"
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "one"))
    publish(path, [subject_digest("tiny", 7)])
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "other"))
    with pytest.raises(DeploymentError, match=r"key: the list of hidden users was made under the key .* there is none"):
        HiddenUsers.at_start(path)
    assert not (tmp_path / "other").exists(), "no key is made for it"
    users = HiddenUsers(path)
    assert users.holds("tiny", 8)
    assert users.answers == "popular items only"


def test_who_is_told_nothing_hides_everybody() -> None:
    assert Everybody().holds("tiny", 7)
    assert Everybody().answers == "popular items only"
    assert HiddenUsers(None).answers == "models"
