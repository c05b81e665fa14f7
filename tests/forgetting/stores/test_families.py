"""Ids that are part of one another, in any way: no still-held one is a finding, and each planted one is found."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.forgetting.stores.held import StillHeld
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.scan import look
from lethe.tables.columns import write_parquet

# None of these is used around ids below: `"`, `<`, `>` and line ends.
ALPHABET = "ab1_.-@+ /\t*[(\\é\u00a0\u200d👩人'"


@st.composite
def families(draw: st.DrawFn) -> tuple[str, frozenset[str]]:
    """One id, and others that it is a part of or that are a part of it."""
    text = st.text(ALPHABET, min_size=1, max_size=4)
    root = draw(st.text(ALPHABET, min_size=6, max_size=12).filter(lambda t: t.strip() and not t.isdigit()))
    longer = draw(st.sets(st.tuples(text, text, st.sampled_from("<>=")), max_size=8))
    made = {f"{a}{root}" if side == "<" else f"{root}{b}" if side == ">" else f"{a}{root}{b}" for a, b, side in longer}
    made |= {root[:cut] for cut in draw(st.sets(st.integers(1, len(root) - 1), max_size=3))}
    return root, frozenset(made - {root})


def as_parquet(path: Path, ids: list[str]) -> None:
    write_parquet(pa.table({"user": ids, "item": ["7"] * len(ids)}), path)


def as_other_column(path: Path, ids: list[str]) -> None:
    write_parquet(pa.table({"note": ids}), path)


def as_csv(path: Path, ids: list[str]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["k", "user"], *(["1", user] for user in ids)])
    path.write_text(text.getvalue(), newline="")


def as_json(path: Path, ids: list[str]) -> None:
    path.write_text(json.dumps({"answers": {user: [1, 2] for user in ids}}))


def as_json_text(path: Path, ids: list[str]) -> None:
    path.write_text(json.dumps([{"note": f"<{user}>"} for user in ids], ensure_ascii=False))


def as_jsonl(path: Path, ids: list[str]) -> None:
    path.write_text("".join(json.dumps({"user_id": user}) + "\n" for user in ids))


def as_log(path: Path, ids: list[str]) -> None:
    path.write_text("".join(f'12:00:01 asked by "{user}" twice\n' for user in ids))


def as_sqlite(path: Path, ids: list[str]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (number INTEGER, who TEXT, about JSON)")
        connection.executemany("INSERT INTO t VALUES (1, ?, ?)", [(user, json.dumps({"user": user})) for user in ids])


def as_gz(path: Path, ids: list[str]) -> None:
    as_log(path, ids)
    path.write_bytes(gzip.compress(path.read_bytes()))


def as_zip(path: Path, ids: list[str]) -> None:
    as_csv(path, ids)
    content = path.read_bytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("answers.csv", content)


def as_zip_of_gz(path: Path, ids: list[str]) -> None:
    as_gz(path, ids)
    content = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner.log.gz", content)


WRITERS: dict[str, Callable[[Path, list[str]], None]] = {
    "rows.parquet": as_parquet,
    "notes.parquet": as_other_column,
    "answers.csv": as_csv,
    "keys.json": as_json,
    "texts.json": as_json_text,
    "lines.jsonl": as_jsonl,
    "service.log": as_log,
    "runs.sqlite": as_sqlite,
    "service.log.gz": as_gz,
    "answers.zip": as_zip,
    "nested.zip": as_zip_of_gz,
}


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=60, deadline=None)
@given(family=families())
def test_none_that_is_held_is_found_and_the_one_that_is_planted_is(
    name: str, family: tuple[str, frozenset[str]]
) -> None:
    gone, held = family
    needles = [Needles("ml", users=frozenset({gone}), held=StillHeld.of(users=held))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        WRITERS[name](path, sorted(held))
        assert look(path, needles).kind is None
        path.unlink()
        WRITERS[name](path, sorted({*held, gone}))
        assert look(path, needles).kind in ("text", "user id")


@settings(max_examples=100, deadline=None)
@given(family=families())
def test_file_names(family: tuple[str, frozenset[str]]) -> None:
    gone, held = (family[0].replace("/", "~"), {user.replace("/", "~") for user in family[1]})
    needles = [Needles("ml", users=frozenset({gone}), held=StillHeld.of(users=frozenset(held - {gone})))]
    with tempfile.TemporaryDirectory() as folder:
        for user in {*held, gone}:
            path = Path(folder) / f"of <{user}> alone"
            path.write_text("nothing in it")
            assert look(path, needles).kind == ("text" if user == gone else None)


@pytest.mark.parametrize("word", ["wmf", "train", "model", "user", "package", "ensemble", "sub-model", "users.parquet"])
def test_a_word_of_our_own_files_is_no_finding_but_where_ids_stand(word: str, tmp_path: Path) -> None:
    needles = [Needles("ml", users=frozenset({word}))]
    assert needles[0].typed_only == {word}
    (tmp_path / f"{word}.log").write_text(f'{{"kind": "{word}"}}\ntrain wmf: a {word} of user model\n')
    assert look(tmp_path / f"{word}.log", needles).kind is None
    (tmp_path / "answer.json").write_text(json.dumps({"user_id": word}))
    assert look(tmp_path / "answer.json", needles).kind == "user id"


def test_a_number_is_found_where_it_is_the_id_and_not_where_it_counts(tmp_path: Path) -> None:
    needles = [Needles("ml", users=frozenset({"123456", "1712345678"}))]
    assert needles[0].typed_only == {"123456"}
    (tmp_path / "record.json").write_text('{"seconds": 0.123456, "made": 1712345678, "bytes": 123456}')
    (tmp_path / "model.yaml").write_text("size: 123456\ntime: 0.1712345678\n")
    assert look(tmp_path / "record.json", needles).kind is None
    assert look(tmp_path / "model.yaml", needles).kind is None
    (tmp_path / "answer.json").write_text('{"user_id": 123456}')
    (tmp_path / "service.log").write_text("asked by 1712345678.")
    assert look(tmp_path / "answer.json", needles).kind == "user id"
    assert look(tmp_path / "service.log", needles).kind == "text"


def test_a_family_of_thousands_is_searched_in_seconds(tmp_path: Path) -> None:
    ids = [f"user_{number}" for number in range(20_000)]
    gone, held = frozenset(ids[:10]), frozenset(ids[10:])
    needles = [Needles("ml", users=gone, held=StillHeld.of(users=held))]
    (tmp_path / "service.log").write_text("".join(f"asked by {user}\n" for user in ids[10:] * 5))
    assert look(tmp_path / "service.log", needles).kind is None
    with (tmp_path / "service.log").open("a") as log:
        log.write("asked by user_7\n")
    assert look(tmp_path / "service.log", needles).kind == "text"
