"""``lethe data add``, values: ids of every kind, ratings, repeated pairs, and what counts as a like."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lethe.config.params import Params
from lethe.config.reading import Reading
from lethe.config.source import TableSource
from lethe.core.workspace import Workspace
from lethe.data import add as adding
from lethe.data.add import read_new
from lethe.data.ingest import ingest
from lethe.data.odd_users import odd_users
from lethe.data.sources.identifiers import read_ids
from lethe.data.stages import source_stage
from lethe.errors import ConfigError, DataError
from lethe.tables.ids import as_integer, id_fault
from lethe.tables.interactions import Interactions
from tests.data.made_sources import ROWS, add, expected, table

PLAIN: dict[str, str | None] = {"rating": None, "timestamp": None}
INT64 = np.iinfo(np.int64)


def pairs(user: Callable[[int], object] = int) -> Interactions:
    rows = expected(user)
    return Interactions.of(rows.user_ids, rows.item_ids)


def parquet(path: Path, users: pa.Array, items: pa.Array | None = None) -> Path:
    items = pa.array([item for _, item, *_ in ROWS]) if items is None else items
    pq.write_table(pa.table({"user": users, "item": items}), path)
    return path


def users(kind: pa.DataType, value: Callable[[int], object] = int) -> pa.Array:
    return pa.array([value(user) for user, *_ in ROWS], kind)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.int8(), int),
        (pa.int32(), int),
        (pa.uint64(), int),
        (pa.float32(), float),
        (pa.float64(), float),
        (pa.decimal128(38, 0), Decimal),
        (pa.decimal128(12, 3), Decimal),
        (pa.string(), str),
        (pa.large_string(), str),
        (pa.binary(), lambda u: str(u).encode()),
        (pa.dictionary(pa.int32(), pa.string()), str),
        (pa.string_view(), str),
    ],
)
def test_whole_numbers_of_every_type_are_the_same_integers(
    tiny: Workspace, tmp_path: Path, kind: pa.DataType, value: Callable[[int], object]
) -> None:
    added = add(tiny, parquet(tmp_path / "r.parquet", users(kind, value)), PLAIN)
    assert added.rows.digest() == pairs().digest()
    assert added.source["ids"] == "integer"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.string(), lambda u: f"u{u}"),
        (pa.large_string(), lambda u: f"u{u}"),
        (pa.binary(), lambda u: f"ü{u}".encode()),
        (pa.large_binary(), lambda u: f"u{u}".encode()),
        (pa.binary_view(), lambda u: f"u{u}".encode()),
        (pa.dictionary(pa.int8(), pa.large_string()), lambda u: f"u{u}"),
        (pa.uint64(), lambda u: 2**63 + u),
        (pa.decimal128(38, 0), lambda u: Decimal(10**30 + u)),
        (pa.string(), lambda u: str(2**63 + u)),
        (pa.string(), lambda u: f"{u:05d}"),
        (pa.string(), lambda u: f"+{u}"),
    ],
)
def test_what_is_no_integer_of_64_bits_is_text_to_the_letter(
    tiny: Workspace, tmp_path: Path, kind: pa.DataType, value: Callable[[int], object]
) -> None:
    def text(user: int) -> str:
        raw = value(user)
        return raw.decode() if isinstance(raw, bytes) else str(raw)

    added = add(tiny, parquet(tmp_path / "r.parquet", users(kind, value)), PLAIN)
    assert added.rows.digest() == pairs(text).digest()
    assert (added.source["ids"], added.source["item_ids"]) == ("text", "integer")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([1.0, None, 2.0] * 50), "row count with an empty user: 50"),
        (pa.array([1.0, float("nan"), 2.0] * 50), "row count with an empty user: 50"),
        (pa.array(["a", "", None] * 50), "row count with an empty user: 100"),
        (pa.array(["a", "  ", "\t"] * 50), "row count with an empty user: 100"),
        (pa.array([None] * 150), "row count with an empty user: 150"),
        (pa.array(["a", "b\0", "c"] * 50), "must not hold a NUL character; row count with such: 50"),
        (pa.array([1.5, 2.0, 3.0] * 50), "must be integers or text, got fractions"),
        (pa.array([2.0**53, 2.0, 3.0] * 50), "50 are beyond 9007199254740992, where double has lost digits"),
        (pa.array([2.0**24, 2.0, 3.0] * 50, pa.float32()), "50 are beyond 16777216, where float has lost digits"),
        (pa.array([True, False, True] * 50), "must be integers or text, got bool"),
        (pa.array([b"\xff\xfe", b"a", b"b"] * 50), "its bytes are no text in UTF-8"),
        (pa.array([b"\x01" * 16] * 150, pa.binary(16)), "write it as text (hexadecimal, say)"),
        (pa.array([[1]] * 150), "must be integers or text, got list"),
    ],
)
def test_what_can_be_no_id_is_refused_by_the_columns_own_name(
    tiny: Workspace, tmp_path: Path, column: pa.Array, words: str
) -> None:
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"kunde": column, "item": list(range(150))}), path)
    with pytest.raises(DataError, match=r"^r\.parquet: column 'kunde'") as caught:
        add(tiny, path, {**PLAIN, "user": "kunde"})
    assert words in str(caught.value)


def test_floats_in_csv_are_integers_and_that_is_told(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", user=lambda u: f"{u}.0", item=lambda i: f"{i}.00")
    added = add(tiny, path)
    assert added.rows.digest() == expected().digest()
    assert "column 'user': ids written like 7.0 are the integer 7; --ids text" in added.notes


def test_ids_that_are_text_when_it_is_said_stay_as_they_stand(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", user=lambda u: f"{u}.0")
    assert set(add(tiny, path, ids="text", item_ids="integer").rows.user_ids) == {f"{u}.0" for u, *_ in ROWS}


@pytest.mark.parametrize(
    ("user", "words", "option"),
    [
        (lambda u: f"{u}.00000E+11", r"in exponent form \(2\.0E\+11\), in which digits are lost", {"ids": "text"}),
        (lambda u: f"{u}E5", "in exponent form", {"ids": "text"}),
        (lambda u: f'"1,{u:03d}"', "between the thousands; give --thousands ','", {"thousands": ","}),
        (lambda u: f"1.{u:03d}.000", r"between the thousands; give --thousands '\.'", {"ids": "text"}),
        (lambda u: f"1'{u:03d}", 'between the thousands; give --thousands "\'"', {"thousands": "'"}),
    ],
)
def test_ids_that_lost_digits_or_have_two_readings(
    tiny: Workspace, tmp_path: Path, user: Callable[[int], str], words: str, option: dict[str, Any]
) -> None:
    path = table(tmp_path / "r.csv", user=user)
    with pytest.raises(DataError, match=words):
        add(tiny, path)
    assert len(set(add(tiny, path, **option).rows.user_ids)) == 20


@pytest.mark.parametrize("user", [lambda u: f'"=""{u:04d}"""', lambda u: f"'{u:04d}"])
def test_a_spreadsheets_mark_of_a_text_is_no_part_of_an_id(
    tiny: Workspace, tmp_path: Path, user: Callable[[int], str]
) -> None:
    path = table(tmp_path / "r.csv", user=user)
    with pytest.raises(DataError, match=r"all ids stand in quotes that are no quotes of CSV.*--ids text to keep them"):
        add(tiny, path)
    assert len(set(add(tiny, path, ids="text").rows.user_ids)) == 20


def test_a_rating_that_32_bits_cannot_hold_is_refused(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", rating=lambda r: "1e300" if r == 1 else str(r))
    with pytest.raises(DataError, match="column 'rating': 40 values are missing or not finite in 32 bits"):
        add(tiny, path)


def test_decimals_that_may_be_thousands_are_asked_about(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", user=lambda u: f"{u}.000")
    with pytest.raises(DataError, match=r"give --thousands '\.' .*, or --ids integer to take 7\.000 as 7$"):
        add(tiny, path)
    assert add(tiny, path, ids="integer").rows.digest() == expected().digest()


def test_thousands_are_no_part_of_an_integer(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", user=lambda u: f'"{1000 * u:,}"')
    assert add(tiny, path, thousands=",").rows.digest() == expected(lambda u: 1000 * u).digest()


@pytest.mark.parametrize("line", ["guest,1,3,1700000000", "??,1,3,1700000000", "#end,1,3,1700000000"])
def test_few_values_unlike_all_others_are_asked_about(tiny: Workspace, tmp_path: Path, line: str) -> None:
    path = table(tmp_path / "r.csv", after=[line])
    with pytest.raises(
        DataError, match="column 'user': 1 of 201 ids are no whole numbers, as all others are"
    ) as caught:
        add(tiny, path)
    assert line.split(",")[0] not in str(caught.value)
    assert len(add(tiny, path, ids="text").rows) == 201


def test_blanks_and_line_breaks_around_whole_numbers(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", user=lambda u: f'"{u}\n"' if u == 3 else str(u))
    with pytest.raises(DataError, match="10 of 200 whole numbers have blanks or line breaks around them; give --trim"):
        add(tiny, path)
    assert add(tiny, path, trim=True).rows.digest() == expected().digest()


def test_a_mark_of_the_byte_order_begins_no_id(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", user=lambda u: f"u{u}", after=["\ufeffu7,39,3,1700000000"])
    with pytest.raises(DataError, match="1 of 201 ids begin with a mark of the byte order, which stands where files"):
        add(tiny, path)
    assert "\ufeffu7" in add(tiny, path, ids="text").rows.user_ids


@pytest.mark.parametrize("name", ["nan", "None", "NULL"])
def test_names_like_missing_values_are_told(tiny: Workspace, tmp_path: Path, name: str) -> None:
    added = add(tiny, table(tmp_path / "r.csv", user=lambda u: name if u == 3 else f"u{u}"))
    assert "10 of 200 ids are written like a missing value" in added.notes
    assert name in added.rows.user_ids


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (pa.list_(pa.int64()), lambda i: [i], "must be numbers, got list.*make its parts columns or rows of their own"),
        (pa.struct([("v", pa.int64())]), lambda i: {"v": i}, "must be numbers, got struct.*or give --rating-column -"),
    ],
)
def test_ratings_of_several_parts_are_refused(
    tiny: Workspace, tmp_path: Path, kind: pa.DataType, value: Callable[[int], object], words: str
) -> None:
    path = tmp_path / "r.parquet"
    columns = {name: [row[place] for row in ROWS] for place, name in enumerate(("user", "item"))}
    pq.write_table(pa.table({**columns, "rating": pa.array([value(row[2]) for row in ROWS], kind)}), path)
    with pytest.raises(DataError, match=words):
        add(tiny, path, {"rating": "rating"})
    with pytest.raises(DataError, match="'rating' of --where holds several values in one"):
        add(tiny, path, PLAIN, where={"rating": "1"})


def test_whole_numbers_beside_names_are_told(tiny: Workspace, tmp_path: Path) -> None:
    added = add(tiny, table(tmp_path / "r.csv", user=lambda u: f"g{u}" if u % 2 else str(u)))
    assert "100 of 200 ids are whole numbers, and are kept as text beside the others" in added.notes


def odd(user: Callable[[int], object], others: int = 0) -> str:
    ids = [*(user(row[0]) for row in ROWS), *(user(99) for _ in range(others))]
    rows = Interactions.of(np.array(ids, dtype=object if isinstance(ids[0], str) else np.int64), np.arange(len(ids)))
    return "\n".join(odd_users(rows, "column 'user'"))


@pytest.mark.parametrize("spelt", [str.upper, lambda name: f"{name} ", lambda name: name.replace("é", "e\u0301")])
def test_users_who_differ_by_spelling_alone_are_told(spelt: Callable[[str], str]) -> None:
    names = [f"josé{user}@x.org" for user in range(20)]
    rows = Interactions.of(np.array([*names, *map(spelt, names[:3])], dtype=object), np.arange(23))
    (note,) = odd_users(rows, "column 'user'")
    assert note.startswith("column 'user': 6 ids are the same as another but for case, blanks")
    assert "josé" not in note


def test_whoever_is_not_known_is_told() -> None:
    assert "40 of 240 rows are of an id that systems give to whoever they" in odd(lambda u: 0 if u == 99 else u, 40)
    assert "40 of 240 rows are of an id that systems give" in odd(lambda u: "Guest" if u == 99 else f"u{u}", 40)
    assert "101 of 301 rows are of one user, more than 10 times as many as of anybody" in odd(lambda u: u, 101)
    assert odd(lambda u: u, 100) == odd(lambda u: u - 1) == odd(lambda u: f"u{u}") == odd(lambda _: 1) == ""


def test_blanks_around_names_are_told(tiny: Workspace, tmp_path: Path) -> None:
    added = add(tiny, table(tmp_path / "r.csv", user=lambda u: f"u{u} " if u == 3 else f"u{u}"))
    assert "10 of 200 ids have blanks around them and keep them; --trim" in added.notes


def test_whole_numbers_that_are_ids_by_params_take_no_other_later(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv")
    add(tiny, path)
    table(path, after=["0042,1,3,1700000000"])
    with pytest.raises(DataError, match=r"'user' must be integers, 1 are not; .*--ids text"):
        ingest(tiny, Params.read(tiny.params), "shop")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=300).filter(lambda t: id_fault(t) is None), min_size=1, max_size=20))
def test_ids_of_any_text_survive_parquet(ids: list[str]) -> None:
    column = pa.chunked_array([pa.array(ids, pa.string())])
    assert read_ids(column, "text", "x").tolist() == ids
    found = read_ids(column, "auto", "x")
    # Integers only where all are, each by its one spelling or as a floating-point number writes it.
    if found.dtype == object:
        assert found.tolist() == ids
    else:
        assert [str(number) for number in found] == [text.split(".")[0] for text in ids]


@given(st.lists(st.integers(INT64.min, INT64.max), min_size=1))
def test_integers_are_the_same_by_any_way(numbers: list[int]) -> None:
    for column in (pa.array(numbers, pa.int64()), pa.array([str(n) for n in numbers])):
        ids = read_ids(pa.chunked_array([column]), "auto", "x")
        assert ids.dtype == np.int64
        assert [as_integer(str(value)) for value in ids] == numbers


# --- ratings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "given"),
    [
        (lambda r: f'"{1000 * r:,}.0"', {}),
        (lambda r: f'"{1000 * r:,}.0"'.replace(",", ";").replace(".", ",").replace(";", "."), {}),
        (lambda r: f'"{1000 * r:,}"', {"thousands": ","}),
        (lambda r: f"{r}e3", {}),
    ],
)
def test_large_ratings(tiny: Workspace, tmp_path: Path, written: Callable[[int], str], given: dict[str, Any]) -> None:
    added = add(tiny, table(tmp_path / "r.csv", rating=written), **given)
    assert added.rows.ratings is not None
    assert sorted(set(added.rows.ratings.tolist())) == [1000, 2000, 3000, 4000, 5000]


def test_a_comma_in_ratings_that_may_be_either_is_asked_about(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", separator=";", rating=lambda r: f"{r},000")
    with pytest.raises(DataError, match=r"column 'rating': its commas may .*; give --decimal , or --thousands ,"):
        add(tiny, path)
    assert add(tiny, path, decimal=",").rows.digest() == expected().digest()


@pytest.mark.parametrize("written", [lambda r: f"{r}/5", lambda r: f"{r}%", lambda r: "good", lambda r: f"€{r}"])
def test_ratings_that_are_no_numbers(tiny: Workspace, tmp_path: Path, written: Callable[[int], str]) -> None:
    with pytest.raises(DataError, match=r"r\.csv: column 'rating' must be numbers, got text"):
        add(tiny, table(tmp_path / "r.csv", rating=written))


# --- pairs and likes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [["1,8,5,1700009999"], ["1,8,2,1700001000"] * 3])
def test_repeated_pairs_are_told_with_the_option(tiny: Workspace, tmp_path: Path, again: list[str]) -> None:
    path = table(tmp_path / "r.csv", after=again)
    for options in ({}, {"duplicates": "error"}):
        with pytest.raises(
            DataError, match=rf"{len(again)} of {200 + len(again)} rows repeat a pair; .*--dup.* latest"
        ):
            add(tiny, path, **options)
    add(tiny, path, duplicates="latest")
    params = Params.read(tiny.params)
    source_stage(tiny, params, "shop")
    ingest(tiny, params, "shop")
    assert len(Interactions.read(tiny.interactions("shop"))) == 200


@pytest.mark.parametrize(
    ("stars", "count"), [(lambda r: r - 3, 120), (lambda r: r - 1, 40), (lambda r: -1 if r < 3 else 5, 80)]
)
def test_zeros_and_negatives_are_no_likes_by_silence(
    tiny: Workspace, tmp_path: Path, stars: Callable[[int], int], count: int
) -> None:
    path = table(tmp_path / "r.csv", rating=stars)
    with pytest.raises(DataError, match=rf"{count} of 200 ratings are 0 or below, .* give --positive '> 0'") as caught:
        add(tiny, path, positive=None)
    assert "--positive all" in str(caught.value)
    add(tiny, path, positive="> 0")
    assert Params.read(tiny.params).datasets["shop"].positive == "> 0"


def test_a_threshold_that_no_row_reaches_is_refused(tiny: Workspace, tmp_path: Path) -> None:
    before = tiny.params.read_bytes()
    with pytest.raises(DataError, match="no row counts as a like by --positive '> 9'; give --positive all"):
        add(tiny, table(tmp_path / "r.csv"), positive="> 9")
    with pytest.raises(DataError, match="no row counts as a like by --positive '> 0'"):
        read_new(tiny, "shop", table(tmp_path / "zeros.csv", rating=lambda _: 0), Reading(assume=True), seed=1)
    assert tiny.params.read_bytes() == before


def test_that_every_row_counts_as_a_like_is_told(tiny: Workspace, tmp_path: Path) -> None:
    added = add(tiny, table(tmp_path / "r.csv"), positive=None)
    assert "every row counts as a like for models of preferences, whatever its rating (1 to 5)" in added.notes
    assert Params.read(tiny.params).datasets["shop"].positive is None


@pytest.mark.parametrize("positive", ["4", "> four", "<= 2", ">= 4 or so"])
def test_a_threshold_that_is_none(tiny: Workspace, tmp_path: Path, positive: str) -> None:
    with pytest.raises(ConfigError, match=r"^datasets\.shop\.positive: "):
        add(tiny, table(tmp_path / "r.csv"), positive=positive)


def test_one_item_is_enough(tiny: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("user,item,rating,timestamp\n" + "".join(f"{u},1,5,{1_700_000_000 + u}\n" for u in range(1, 31)))
    assert len(add(tiny, path).rows) == 30


@pytest.mark.parametrize("mark", ["nan", "NaN", "NULL", "None", "\\N", "N/A", "<NA>"])
@pytest.mark.parametrize("every", [2, 20])
def test_words_for_a_missing_id_among_whole_numbers(tiny: Workspace, tmp_path: Path, mark: str, every: int) -> None:
    path = table(tmp_path / "r.csv", user=lambda u: f"{u}.0" if u % every else mark)
    with pytest.raises(
        DataError, match=rf"column 'user' .*; row count with an empty user: {200 // every}, written as nan"
    ):
        add(tiny, path)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (lambda u: f'"{u},0"', "look like whole numbers with decimals behind a comma"),
        (lambda u: f'"{u},{u + 1},{u + 2}"', "200 of 200 ids look like lists of ids"),
        (lambda u: f"[{u}|{u + 1}]", "200 of 200 ids look like lists of ids"),
        (lambda u: f"{u} 000", "look like numbers with ' ' between the thousands"),
        (lambda u: f"{u}\u202f000", "look like numbers with ' ' between the thousands"),
        (lambda u: f"'u{u}'", "all ids stand in quotes that are no quotes of CSV"),
        (lambda u: f"“u{u}”", "all ids stand in quotes that are no quotes of CSV"),
    ],
)
def test_ids_with_two_readings_are_asked_about(
    tiny: Workspace, tmp_path: Path, written: Callable[[int], str], words: str
) -> None:
    path = table(tmp_path / "r.csv", user=written)
    with pytest.raises(DataError, match=words):
        add(tiny, path)
    kept = add(tiny, path, ids="text")
    assert written(7).strip('"') in kept.rows.user_ids


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u202f"])
def test_a_blank_between_thousands_may_be_any(tiny: Workspace, tmp_path: Path, blank: str) -> None:
    added = add(tiny, table(tmp_path / "r.csv", user=lambda u: f"{u}{blank}000"), thousands=" ")
    assert set(added.rows.user_ids) == {1000 * u for u, *_ in ROWS}


def test_blanks_of_any_kind_around_names_are_told(tiny: Workspace, tmp_path: Path) -> None:
    assert "have blanks around them" in add(tiny, table(tmp_path / "r.csv", user=lambda u: f"\u3000u{u}")).notes


def test_two_words_for_a_rating_name_the_option(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", rating=lambda r: "yes" if r > 2 else "no")
    with pytest.raises(DataError, match=r"give --rating-column - --where 'rating=\.\.\.'"):
        add(tiny, path)
    liked = add(tiny, path, {"rating": None, "timestamp": "timestamp"}, where={"rating": "yes"})
    assert len(liked.rows) == sum(rating > 2 for *_, rating, _ in ROWS)


@pytest.mark.parametrize("word", ["yes", "on", "n", "12:30", "1_000", "2023-11-14", "null", "1e3", ": {", "'", "~"])
def test_words_that_mean_something_to_yaml_are_kept_as_they_are(tiny: Workspace, tmp_path: Path, word: str) -> None:
    path = table(tmp_path / "r.csv", rating=lambda r: word if r > 2 else "other", header=f"user,item,{word},timestamp")
    liked = add(tiny, path, {"rating": None, "timestamp": "timestamp"}, where={word: word})
    assert len(liked.rows) == sum(rating > 2 for *_, rating, _ in ROWS)
    assert add_named(tiny, path, "on", word) == {word: word}


def add_named(workspace: Workspace, path: Path, name: str, word: str) -> dict[str, str]:
    adding.add(workspace, name, path, Reading({"timestamp": "timestamp"}, {"where": {word: word}}))
    source = Params.read(workspace.params).datasets[name].source
    assert isinstance(source, TableSource)
    return source.where
