"""The suppression list: what it drops, what it lets come back, and its bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.core.keys import fingerprint, subject_digest
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import ConfigError, DataError
from lethe.tables.inside import KnownIds
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables

ROWS = Interactions.of(
    np.array([1, 1, 1, 2, 2, 3]), np.array([10, 11, 12, 10, 11, 10]), timestamps=np.array([5, 10, 15, 5, 10, 5])
)
NO_TIMES = Interactions.of(ROWS.user_ids, ROWS.item_ids)
LATER = Interactions.of(ROWS.user_ids, ROWS.item_ids, timestamps=np.arange(6) + 2**40)
"""Of the far future: a clock that went wrong, or milliseconds read as seconds."""


def listing(tmp_path: Path, *entries: Suppressed) -> SuppressionList:
    return SuppressionList(tmp_path / "suppression" / "list.csv").add(entries)


def pairs(rows: Interactions) -> list[tuple[int, int]]:
    return list(zip(rows.user_ids.tolist(), rows.item_ids.tolist(), strict=True))


@pytest.mark.parametrize("rows", [ROWS, NO_TIMES, LATER], ids=["times", "none", "later"])
def test_a_user_leaves_whatever_a_row_s_time_says(tmp_path: Path, rows: Interactions) -> None:
    there = listing(tmp_path, Suppressed.user("tiny", 1))
    assert pairs(there.drop(rows, "tiny")) == [(2, 10), (2, 11), (3, 10)]
    assert there.matches(rows, "tiny").tolist() == [True, True, True, False, False, False]


def test_one_interaction_leaves_whenever_it_was(tmp_path: Path) -> None:
    there = listing(tmp_path, Suppressed.interaction("tiny", 1, 12), Suppressed.interaction("tiny", 2, 10))
    assert pairs(there.drop(ROWS, "tiny")) == [(1, 10), (1, 11), (2, 11), (3, 10)]


def test_user_and_interaction_entries_add_up(tmp_path: Path) -> None:
    there = listing(tmp_path, Suppressed.user("tiny", 1), Suppressed.interaction("tiny", 2, 10))
    assert pairs(there.drop(ROWS, "tiny")) == [(2, 11), (3, 10)]


def test_a_person_who_is_an_item_leaves_as_both(tmp_path: Path) -> None:
    rows = Interactions.of(np.array([1, 2, 2, 3]), np.array([2, 1, 3, 1]))
    there = listing(tmp_path, Suppressed.user("tiny", 1), Suppressed.item("tiny", 1))
    assert pairs(there.drop(rows, "tiny")) == [(2, 3)]
    features = SideTable.of("item_features", item=[1, 2], field=["f", "f"], value=["a", "b"], weight=[1, 1])
    triples = SideTable.of("triples", item=[1, 2, 3], relation=["r"] * 3, entity=[9, 1, 9])
    items = SideTable.of("items", item=[1, 2])
    left = there.drop_side(SideTables({"item_features": features, "triples": triples, "items": items}), "tiny")
    assert left.tables["items"]["item"].tolist() == [2], "what was taken back is no new item either"
    assert left.tables["item_features"]["item"].tolist() == [2]
    assert left.tables["triples"]["item"].tolist() == [3]
    as_user = listing(tmp_path / "user", Suppressed.user("tiny", 1))
    assert len(as_user.drop_side(SideTables({"item_features": features}), "tiny").tables["item_features"]) == 2


def test_who_is_named_inside_of_what_is_said_leaves_by_digests_alone(tmp_path: Path) -> None:
    """Other words about them, and longer ids of others, stay; nobody learns from the list how long an id is."""
    said = ["sold by user-1", "sold by user-1-2", "sold by user-10", "user-1", "red"]
    column = {name: np.array([name] * 5, dtype=object) for name in ("item", "field")}
    features = SideTable.of("item_features", **column, value=np.array(said, dtype=object), weight=np.ones(5))
    rows = Interactions.of(
        np.array(["user-2", "user-3"], dtype=object),
        np.array(["a", "b"], dtype=object),
        contexts={"by": np.array(["ask user-1", "ask user-1-2"], dtype=object)},
    )
    known = KnownIds((Interactions.of(np.array(["user-1-2"], dtype=object), np.array(["a"], dtype=object)),))
    there = listing(tmp_path, Suppressed.item("tiny", "user-1"), *Suppressed.lengths("tiny", "user-1"))
    left = there.drop_side(SideTables({"item_features": features}), "tiny", known).tables["item_features"]
    assert sorted(left["value"]) == ["red", "sold by user-1-2", "sold by user-10"]
    assert there.emptied(rows, "tiny", known=known).contexts["by"].tolist() == ["missing", "ask user-1-2"]
    assert there.emptied(rows, "other", known=known) is rows
    assert there.lengths("tiny") == {6}
    assert list(Suppressed.lengths("tiny", "short")) == []
    whole = listing(tmp_path / "whole", Suppressed.item("tiny", "user-1"))
    assert len(whole.drop_side(SideTables({"item_features": features}), "tiny").tables["item_features"]) == 4
    assert "6" not in [line.split(",")[4] for line in there.path.read_text().splitlines()[2:]]


@pytest.mark.parametrize(("rows", "times"), [(ROWS, (5, 10, 15)), (NO_TIMES, (None, None, None)), (ROWS, (None,) * 3)])
def test_a_lift_lets_new_rows_in_and_never_those_that_were_removed(
    tmp_path: Path, rows: Interactions, times: tuple[int | None, ...]
) -> None:
    """Also where a position stands in the place of a time: such rows are known without it."""
    removed = [
        Suppressed.row("tiny", 1, "interactions", 1, item, at) for item, at in zip((10, 11), times, strict=False)
    ]
    there = listing(tmp_path, Suppressed.user("tiny", 1), *removed)
    assert Suppressed.user("tiny", 1) in there
    lifted = there.lift("tiny", 1)
    assert Suppressed.user("tiny", 1) not in lifted
    assert pairs(lifted.drop(rows, "tiny")) == [(1, 12), (2, 10), (2, 11), (3, 10)]
    assert lifted.drop(rows, "tiny", "behaviour.view") is rows, "rows of another table are other rows"


def test_after_a_lift_since_a_time_only_what_is_not_older_enters(tmp_path: Path) -> None:
    there = listing(tmp_path, Suppressed.user("tiny", 1), Suppressed.user("tiny", 2)).lift("tiny", 1, since=10)
    assert pairs(there.drop(ROWS, "tiny")) == [(1, 11), (1, 12), (3, 10)]
    assert SuppressionList.read(there.path) == there
    assert pairs(there.drop(NO_TIMES, "tiny")) == [(3, 10)], "a row without a time can't show that it is new"
    assert pairs(there.add([Suppressed.user("tiny", 1)]).drop(ROWS, "tiny")) == [(3, 10)], "asked again"


def test_links_of_a_returning_user_stay_out_in_both_directions(tmp_path: Path) -> None:
    links = SideTable.of("links", user=[1, 2, 2, 3], friend=[2, 1, 3, 1])
    tables = SideTables({"links": links})
    there = listing(tmp_path, Suppressed.user("tiny", 1))
    assert list(zip(*there.drop_side(tables, "tiny").tables["links"].columns.values(), strict=True)) == [(2, 3)]
    removed = [Suppressed.row("tiny", 1, "links", *pair) for pair in ((1, 2), (2, 1))]
    lifted = there.add(removed).lift("tiny", 1)
    assert list(zip(*lifted.drop_side(tables, "tiny").tables["links"].columns.values(), strict=True)) == [
        (2, 3),
        (3, 1),
    ]


def test_other_datasets_and_the_empty_list_touch_nothing(tmp_path: Path) -> None:
    there = listing(tmp_path, Suppressed.user("other", 1))
    assert there.drop(ROWS, "tiny") is ROWS
    assert SuppressionList.read(tmp_path / "none.csv").drop(ROWS, "tiny") is ROWS
    assert len(there.drop(ROWS.take(np.zeros(6, dtype=bool)), "other")) == 0


def test_what_is_about_one_dataset_has_a_digest_of_its_own(tmp_path: Path) -> None:
    before = listing(tmp_path, Suppressed.user("tiny", 1), Suppressed.user("tiny", 2))
    after = listing(tmp_path, Suppressed.user("other", 1))
    assert after.digest_of("tiny") == before.digest_of("tiny")
    assert after.digest_of("other") != before.digest_of("other")
    assert after.lift("tiny", 2, since=5).digest_of("tiny") != after.digest_of("tiny"), "but the same users are named"
    assert SuppressionList(tmp_path / "nowhere").digest_of("tiny") == before.digest_of("nothing")


def test_text_and_integer_ids_of_the_same_digits_are_one_subject(tmp_path: Path) -> None:
    text = Interactions.of(ROWS.user_ids.astype(str).astype(object), ROWS.item_ids, timestamps=ROWS.timestamps)
    there = listing(tmp_path, Suppressed.user("tiny", "1"))
    assert len(there.drop(ROWS, "tiny")) == len(there.drop(text, "tiny")) == 3


ENTRIES = st.lists(
    st.builds(
        lambda kind, user, item: Suppressed.user("tiny", user) if kind else Suppressed.interaction("tiny", user, item),
        st.booleans(),
        st.integers(1, 3),
        st.integers(10, 12),
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


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "suppression" / "list.csv"
    entries = [Suppressed.user("tiny", user) for user in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda entry: SuppressionList.read(path).add([entry]), entries))
    assert set(SuppressionList.read(path).entries) == set(entries)
    assert [file.name for file in path.parent.iterdir()] == ["list.csv"]


def test_under_another_key_the_list_is_refused_and_no_key_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = listing(tmp_path, Suppressed.user("tiny", 1))
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(ConfigError, match=r"list.csv was made under the key .*, but there is none in .*restore"):
        SuppressionList.read(there.path)
    assert not (tmp_path / "elsewhere").exists()
    subject_digest("tiny", 1)
    with pytest.raises(ConfigError, match=r"elsewhere holds [0-9a-f]{16}; restore it \(lethe keys"):
        SuppressionList.read(there.path)


def test_the_file_holds_no_id(tmp_path: Path) -> None:
    there = listing(tmp_path, Suppressed.interaction("tiny", "canary-user", "canary-item"))
    text = there.path.read_text()
    assert "canary" not in text
    assert subject_digest("tiny", "canary-user") in text
    assert [path.name for path in there.path.parent.iterdir()] == ["list.csv"]


HEAD = "# lethe suppression list 2, key KEY\ndataset,kind,digest,user_digest,since\n"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "line 1 must name format 2 and a key"),
        ("dataset,kind,digest,user_digest,requested_at\n", "line 1 must name format 2 and a key; lethe upgrade"),
        (HEAD.splitlines()[0] + "\na,b\n", "line 2 must be dataset,kind,digest,user_digest,since"),
        (HEAD + "tiny,user\n", "line 3 has 2 fields, must be 5"),
        (
            HEAD + f"tiny,person,{'a' * 64},{'a' * 64},\n",
            "line 3: kind must be user, item, interaction, row",
        ),
        (HEAD + f"tiny,user,{'a' * 63},{'a' * 64},\n", "line 3: digest and user_digest must be 64"),
        (HEAD + f"tiny,user,{'a' * 64},{'a' * 64},now\n", "line 3: since must be empty or seconds"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, rule: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text.replace("KEY", fingerprint()))
    with pytest.raises(DataError, match=f"list.csv: {rule}"):
        SuppressionList.read(path)
