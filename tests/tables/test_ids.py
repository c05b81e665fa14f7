"""The one rule of ids: what can be one, which texts are integers, and that whatever is let in can be asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.errors import DataError, RequestError
from lethe.forgetting.ledger.requests import ForgetRequest, holds
from lethe.serving.asking import _raw_id
from lethe.tables import columns
from lethe.tables.ids import EXACT, Ids, as_integer, canonical_ids, id_fault, near, same_id
from lethe.tables.interactions import Interactions

INT64 = np.iinfo(np.int64)
ODD = [
    "\U0001f469‍\U0001f4bb",
    "Jean  Luc",
    "tab\there",
    "two\nlines",
    "x" * 300,
    "x" * 5000,
    " leading and trailing ",
    "​",
    "-0",
    "007",
    "7.0",
    str(2**63),
    "نص",
    "e\u0301",
    "a\x1fb",
]


def request(user: str, items: tuple[str, ...] = ()) -> ForgetRequest:
    return ForgetRequest.new("ml", user, items, now=datetime.now(UTC), datasets=["ml"])


@given(st.integers(INT64.min, INT64.max) | st.sampled_from([INT64.min, INT64.max, 0, -1]))
def test_every_int64_has_one_spelling(number: int) -> None:
    assert as_integer(str(number)) == number
    for other in (f"+{number}", f" {number}", f"{number}.0", f"{number}\n", f"0{number}", f"-0{abs(number)}"):
        assert as_integer(other) is None


@pytest.mark.parametrize("text", [str(2**63), str(-(2**63) - 1), "9" * 30, "-0", "", "٤٢", "1_0", "1e3"])
def test_what_is_no_int64_is_text(text: str) -> None:
    assert as_integer(text) is None


@given(st.text(max_size=400) | st.sampled_from(ODD))
def test_what_a_table_lets_in_a_request_finds_and_the_service_looks_up(raw: str) -> None:
    column = np.array([raw, "somebody else"], dtype=object)
    if id_fault(raw):
        with pytest.raises(DataError, match="1 values break that"):
            Interactions.of(column, np.array(["a", "b"], dtype=object))
        with pytest.raises(RequestError):
            request(raw)
        with pytest.raises(ValueError, match="must"):
            _raw_id(raw)
        return
    rows = Interactions.of(column, np.array([raw, raw], dtype=object))
    assert holds(rows, request(raw)) == (2 if raw == "somebody else" else 1)
    assert holds(rows, request("somebody else", (raw,))) >= 1
    users = Ids.of(rows.user_ids)
    assert users.values[users.place(raw)] == raw
    assert _raw_id(raw) == raw


@pytest.mark.parametrize("raw", ODD)
def test_odd_ids_survive_the_file(raw: str, tmp_path: Path) -> None:
    rows = Interactions.of(np.array([raw], dtype=object), np.array([raw], dtype=object))
    rows.write(tmp_path / "rows.parquet")
    assert holds(Interactions.read(tmp_path / "rows.parquet"), request(raw)) == 1


@pytest.mark.parametrize("raw", ["", "  ", "\x1f", "\0", "a\0b", "\ud800", "a\udfff"])
def test_what_can_be_nobodys_id_is_refused_with_column_and_count(raw: str) -> None:
    with pytest.raises(DataError, match=r"^Column 'user': an id must .*, 2 values break that$") as caught:
        canonical_ids("user", np.array(["canary", raw, raw], dtype=object))
    assert "canary" not in str(caught.value)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_unsigned_integers_beyond_int64_are_text(values: list[int]) -> None:
    ids = canonical_ids("user", np.array(values, dtype=np.uint64))
    assert [str(value) for value in ids] == [str(value) for value in values]
    assert (ids.dtype == object) == (max(values) > INT64.max)


def test_floating_point_that_has_lost_digits_is_refused() -> None:
    assert canonical_ids("user", np.array([7.0, EXACT - 1])).tolist() == [7, EXACT - 1]
    with pytest.raises(DataError, match=r"Column 'user': 1 ids are beyond 2\^53"):
        canonical_ids("user", np.array([7.0, 2.0**53]))


@given(st.sets(st.integers(INT64.min, INT64.max) | st.just(INT64.min), min_size=1), st.text(max_size=5))
def test_text_that_is_no_integer_is_in_no_integer_catalogue(known: set[int], text: str) -> None:
    ids = Ids.of(np.array(sorted(known), dtype=np.int64))
    for number in known:
        assert ids.values[ids.place(str(number))] == number
        assert ids.place(number) == ids.place(str(number))
    if as_integer(text) not in known:
        assert ids.place(text) == -1
        assert not same_id(ids.values, text).any()


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ("Ann.Lee@Example.org", "ann.lee@example.org"),
        ("José", "Jose\u0301"),
        ("u1", "u1 "),
        ("u1", "U1"),
        ("Jean Luc", "jean luc"),
        ("straße", "STRASSE"),
        ("42", "４２"),
        ("\U0001f469‍\U0001f4bb", "\U0001f469\U0001f4bb"),
        ("7", "007"),
        ("7", "7.0"),
        ("ann@example.org", "ann@example.org."),
        ("ann@example.org", "mailto:ann@example.org"),
        ("ann@example.org", "Mailto:%20Ann%40example.org."),
        ("...", "%2e.."),
    ],
)
def test_other_spellings_are_near(held: str, asked: str) -> None:
    column = np.array([held, "nobody@else.org", held], dtype=object)
    assert near(column, asked) == near(np.array([asked], dtype=object), held) == 1
    assert near(column, held) == 0
    assert near(column, "someone") == 0


def test_other_spellings_of_integers_are_near() -> None:
    column = np.array([7, 42, -7])
    for asked in ("007", " 7", "7.0", "+7", "7.", "７"):
        assert not same_id(column, asked).any()
        assert near(column, asked) == 1
    assert near(column, "7") == near(column, "8") == near(column, "70") == 0


@pytest.mark.parametrize("ids", [[3, 1, 3, 2], ["b", "a", "b", "é"], []], ids=["integers", "text", "none"])
def test_the_ids_of_a_column_of_a_file_are_those_of_its_table(
    ids: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "ROW_GROUP", 2)
    rows, path = Interactions.of(np.array(ids, dtype=None if ids else np.int64), range(len(ids))), tmp_path / "rows"
    rows.write(path)
    assert Ids.in_file(path, "user").values.tolist() == Ids.of(rows.user_ids).values.tolist() == sorted({*ids})
