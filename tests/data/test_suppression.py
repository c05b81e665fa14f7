"""The suppression list: what it drops, what it lets come back, and its bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.core.keys import subject_digest
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import DataError
from lethe.serving.suppression import publish_suppressed_users, read_suppressed_users
from lethe.tables.interactions import Interactions

ROWS = Interactions.of(
    np.array([1, 1, 1, 2, 2, 3]), np.array([10, 11, 12, 10, 11, 10]), timestamps=np.array([5, 10, 15, 5, 10, 5])
)
NO_TIMES = Interactions.of(ROWS.user_ids, ROWS.item_ids)


def listing(tmp_path: Path, *entries: Suppressed) -> SuppressionList:
    return SuppressionList(tmp_path / "suppression" / "list.csv").add(entries)


def pairs(rows: Interactions) -> list[tuple[int, int]]:
    return list(zip(rows.user_ids.tolist(), rows.item_ids.tolist(), strict=True))


def test_a_user_leaves_up_to_the_request_and_may_come_back(tmp_path: Path) -> None:
    there = listing(tmp_path, Suppressed.user("tiny", 1, 10))
    assert pairs(there.drop(ROWS, "tiny")) == [(1, 12), (2, 10), (2, 11), (3, 10)]
    assert there.matches(ROWS, "tiny").tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize(("rows", "timed"), [(ROWS, False), (NO_TIMES, True)])
def test_where_time_is_not_known_all_of_the_user_leaves(tmp_path: Path, rows: Interactions, timed: bool) -> None:
    there = listing(tmp_path, Suppressed.user("tiny", 1, 10))
    assert pairs(there.drop(rows, "tiny", timed=timed)) == [(2, 10), (2, 11), (3, 10)]


def test_one_interaction_leaves_whenever_it_was(tmp_path: Path) -> None:
    there = listing(tmp_path, Suppressed.interaction("tiny", 1, 12, 10), Suppressed.interaction("tiny", 2, 10, 10))
    assert pairs(there.drop(ROWS, "tiny")) == [(1, 10), (1, 11), (2, 11), (3, 10)]


def test_user_and_interaction_entries_add_up(tmp_path: Path) -> None:
    there = listing(tmp_path, Suppressed.user("tiny", 1, 10), Suppressed.interaction("tiny", 1, 12, 10))
    assert pairs(there.drop(ROWS, "tiny")) == [(2, 10), (2, 11), (3, 10)]


def test_other_datasets_and_the_empty_list_touch_nothing(tmp_path: Path) -> None:
    there = listing(tmp_path, Suppressed.user("other", 1, 10))
    assert there.drop(ROWS, "tiny") is ROWS
    assert SuppressionList.read(tmp_path / "none.csv").drop(ROWS, "tiny") is ROWS
    assert len(there.drop(ROWS.take(np.zeros(6, dtype=bool)), "other")) == 0


def test_text_and_integer_ids_of_the_same_digits_are_one_subject(tmp_path: Path) -> None:
    text = Interactions.of(ROWS.user_ids.astype(str).astype(object), ROWS.item_ids, timestamps=ROWS.timestamps)
    there = listing(tmp_path, Suppressed.user("tiny", "1", 99))
    assert len(there.drop(ROWS, "tiny")) == len(there.drop(text, "tiny")) == 3


ENTRIES = st.lists(
    st.builds(
        lambda kind, user, item, at: (
            Suppressed.user("tiny", user, at) if kind else Suppressed.interaction("tiny", user, item, at)
        ),
        st.booleans(),
        st.integers(1, 3),
        st.integers(10, 12),
        st.integers(0, 20),
    ),
    max_size=6,
)


@settings(max_examples=30, deadline=None)
@given(ENTRIES, ENTRIES)
def test_order_and_repetition_change_no_byte_and_no_row(
    tmp_path_factory: pytest.TempPathFactory, one: list[Suppressed], other: list[Suppressed]
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    left = SuppressionList(folder / "a.csv").add(one).add(other)
    right = SuppressionList(folder / "b.csv").add([*other, *reversed(one)]).add(other)
    assert left.path.read_bytes() == right.path.read_bytes()
    assert SuppressionList.read(left.path) == left
    # Obeying the list once or twice is the same, as is obeying a part of it before.
    dropped = left.drop(ROWS, "tiny")
    assert pairs(left.drop(dropped, "tiny")) == pairs(dropped)
    earlier = SuppressionList(folder / "c.csv").add(one).drop(ROWS, "tiny")
    assert pairs(left.drop(earlier, "tiny")) == pairs(dropped)


def test_of_two_requests_the_later_counts(tmp_path: Path) -> None:
    there = listing(tmp_path, Suppressed.user("tiny", 1, 15), Suppressed.user("tiny", 1, 5))
    assert [entry.requested_at for entry in there.entries] == [15]


def test_the_file_holds_no_id(tmp_path: Path) -> None:
    there = listing(tmp_path, Suppressed.interaction("tiny", "canary-user", "canary-item", 10))
    text = there.path.read_text()
    assert "canary" not in text
    assert subject_digest("tiny", "canary-user") in text
    assert [path.name for path in there.path.parent.iterdir()] == ["list.csv"]


HEAD = "dataset,kind,digest,user_digest,requested_at\n"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "line 1 must be dataset,kind,digest,user_digest,requested_at"),
        ("a,b\n", "line 1 must be"),
        (HEAD + "tiny,user\n", "line 2 has 2 fields, must be 5"),
        (HEAD + f"tiny,person,{'a' * 64},{'a' * 64},1\n", "line 2: kind must be user or interaction, got 'person'"),
        (HEAD + f"tiny,user,{'a' * 63},{'a' * 64},1\n", "line 2: digest and user_digest must be 64"),
        (HEAD + f"tiny,user,{'a' * 64},{'a' * 64},now\n", "line 2: requested_at must be seconds"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, rule: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=f"list.csv: {rule}"):
        SuppressionList.read(path)


def test_suppressed_users_of_serving(tmp_path: Path) -> None:
    path = tmp_path / "state" / "users.json"
    assert read_suppressed_users(path) == frozenset()
    publish_suppressed_users(path, {"b", "a"})
    first = path.read_bytes()
    assert read_suppressed_users(path) == {"a", "b"}
    publish_suppressed_users(path, ["a", "b", "a"])
    assert path.read_bytes() == first
    publish_suppressed_users(path, set())
    assert read_suppressed_users(path) == frozenset()
    path.write_text("[]")
    with pytest.raises(DataError, match=r"users\.json"):
        read_suppressed_users(path)
