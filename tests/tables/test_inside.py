"""Ids inside of what is said: a hit where the scan has one, and who knows digests alone misses none of them."""

from __future__ import annotations

from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.tables.inside import NOBODY, KnownIds, inside, is_ordinary, lengths_of, may_stand_inside
from lethe.tables.interactions import Interactions
from lethe.tables.sought import Sought
from lethe.tables.spelt import spellings
from lethe.tables.texts import Texts

ANNA, ZOE = "anna@example.org", "Zoë/o'hara@example.org"


def column(*said: str) -> np.ndarray:
    return np.array(said, dtype=object)


def rows_with(said: np.ndarray | Texts, raw: str, known: KnownIds = NOBODY) -> list[int]:
    return [int(row) for rows in inside(said, [raw], known).values() for row in np.flatnonzero(rows)]


@pytest.mark.parametrize(
    ("said", "is_there"),
    [
        (ANNA, True),
        (f"sold by {ANNA}", True),
        (f"seller:{ANNA}|red", True),
        (f"({ANNA})", True),
        ("?by=anna%40example.org&x", True),
        ("sold%20by%20anna%40example.org", True),
        (f"h{ANNA}", False),
        (f"{ANNA}1", False),
        ("anna@example", False),
        ("", False),
    ],
)
def test_an_id_must_stand_for_itself_in_any_of_its_spellings(said: str, is_there: bool) -> None:
    assert rows_with(column("red", said, said), ANNA) == ([1, 2] if is_there else [])
    assert (ANNA in may_stand_inside(column("red", said), lengths_of(ANNA))) == is_there


@pytest.mark.parametrize(
    "said",
    [
        normalize("NFD", ZOE),
        "Zo%C3%AB%2Fo%27hara%40example.org",
        "Zo%c3%ab/o%27hara%40example.org",
        r"Zo\u00EB\/o'hara@example.org",
        "Zo&#235;/o&#39;hara@example.org",
        "Zoe%CC%88/o%27hara%40example.org",
    ],
)
def test_other_programs_write_an_id_otherwise(said: str) -> None:
    assert rows_with(column("red", f"by {said}, used"), ZOE) == [1]
    assert ZOE in may_stand_inside(column(f"by {said}, used"), lengths_of(ZOE))
    known = Interactions.of(column(said), column("a"))
    assert rows_with(column(f"by {said}, used"), ZOE, KnownIds((known,))) == [], "who is called so is somebody else"


def test_a_longer_id_that_is_known_is_no_hit_and_is_one_itself() -> None:
    said = column("by user-1", "by user-1-2", "user-1-2 and user-1")
    rows = Interactions.of(column("user-1", "user-1-2"), column("a", "b"))
    assert rows_with(said, "user-1") == [0, 1, 2]
    assert rows_with(said, "user-1", KnownIds((rows,))) == [0, 2]
    assert rows_with(said, "user-1-2", KnownIds((rows,))) == [1, 2]
    as_item = Interactions.of(column("user-1"), column("user-1-2"))
    assert rows_with(said, "user-1", KnownIds((as_item,))) == [0, 2], "things have ids too"


def test_who_is_known_is_read_only_where_there_is_a_hit() -> None:
    class Never(KnownIds):
        @property
        def ids(self) -> pa.LargeStringArray:  # type: ignore[override]
            raise AssertionError

    assert inside(column("red", "sold by hanna@example.org"), [ANNA, "b@example.org"], Never()) == {}


def test_what_occurs_by_chance_is_no_hit_and_numbers_are_none() -> None:
    assert [is_ordinary(raw) for raw in ("wine", "12345678", "sweets", "123456789")] == [True, True, False, False]
    assert inside(column("red wine", "1 or 12345678"), ["wine", "12345678"], NOBODY) == {}
    assert lengths_of("wine") == set()
    assert inside(np.array([123456789]), ["123456789"], NOBODY) == {}
    assert rows_with(column("call 123456789", "0.123456789", "1234567890"), "123456789") == [0]


def test_values_that_stand_in_no_row_and_many_rows_of_one_value() -> None:
    coded = Texts(np.array([2, 0, 2]), pa.array(["red", f"by {ANNA}", f"from {ANNA}"]))
    assert rows_with(coded, ANNA) == [0, 2]


IDS = st.text(st.sampled_from('ab0 _@.-"%/+é漢\\&e\u0301'), min_size=6, max_size=9).filter(
    lambda raw: bool(raw.strip()) and not is_ordinary(raw)
)
AROUND = st.text(st.sampled_from('a0 _@.%"é漢;\\u'), max_size=6)


@settings(max_examples=300, deadline=None)
@given(IDS, AROUND, AROUND, st.integers(0, 5))
def test_by_their_digests_all_are_found_that_are_found_by_their_ids(
    raw: str, before: str, after: str, how: int
) -> None:
    spelt = [spelling.decode("utf-8", "ignore") for spelling in sorted(spellings(raw))]
    said = column("red", before + spelt[how % len(spelt)] + after)
    found = rows_with(said, raw)
    assert bool(found) == Sought(frozenset([raw])).within(str(said[1]).encode())
    if found:
        assert raw in may_stand_inside(said, lengths_of(raw))
