from __future__ import annotations

from pathlib import Path

from lethe.core.keys import subject_digest
from lethe.serving.suppression import SuppressedUsers, publish_suppressed_users


def test_the_list_is_read_again_whenever_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    users = SuppressedUsers(path)
    assert not users.holds("tiny", 7)
    publish_suppressed_users(path, [subject_digest("tiny", 7)])
    assert users.holds("tiny", 7)
    assert users.holds("tiny", "7")
    assert not users.holds("tiny", 8)
    assert not users.holds("other", 7)
    publish_suppressed_users(path, [subject_digest("tiny", 8)])
    assert not users.holds("tiny", 7)
    assert users.holds("tiny", 8)
    path.unlink()
    assert not users.holds("tiny", 8)


def test_an_unreadable_list_suppresses_everybody_until_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    users = SuppressedUsers(path)
    for content in ("{", "[]", '{"digests": 3}'):
        path.write_text(content)
        assert users.holds("tiny", 7), content
    publish_suppressed_users(path, [])
    assert not users.holds("tiny", 7)


def test_without_a_path_nobody_is_suppressed() -> None:
    assert not SuppressedUsers(None).holds("tiny", 7)
