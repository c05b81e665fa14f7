"""The absence scan finds each kind of needle in each kind of file, and nothing where there is none."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lethe.data.suppression import Suppressed
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.stores.base import Folder
from lethe.forgetting.stores.held import StillHeld
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.scan import look
from lethe.tables import sought
from lethe.tables.catalogue import Catalogue
from lethe.tables.columns import write_parquet
from lethe.tables.interactions import Interactions
from lethe.tables.sought import Sought
from lethe.tables.spelt import spellings

SHORT, LONG, TEXT = "42", "canary-person", "canärie"
NEEDLES = Needles("ml", users=frozenset({SHORT, LONG}), texts=frozenset({LONG, TEXT}))
PAIR = Needles("ml", pairs=frozenset({("42", "7")}))
BLOCK = 1 << 10
"""Bytes looked at together where a block's end matters: few, because each example looks at a whole one."""


def sqlite(path, *rows, columns="a, b"):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f'CREATE TABLE "odd ""name" ({columns})')
        connection.executemany('INSERT INTO "odd ""name" VALUES (?, ?)', rows)


def table(path, **columns):
    write_parquet(pa.table(columns), path)


PLANTED = {
    "rows.parquet": (lambda p: table(p, user=[1, 42], item=[7, 8]), "user id"),
    "object-without-suffix": (lambda p: table(p, user=[1, 42], item=[7, 8]), "user id"),
    "null.parquet": (lambda p: table(p, user_id=pa.array([None, 42])), "user id"),
    "users.parquet": (lambda p: table(p, id=[1, 42]), "user id"),
    "text.parquet": (lambda p: table(p, note=[f"about {LONG}", "x"]), "text"),
    "person.parquet": (lambda p: table(p, user=[LONG], item=["7"]), "user id"),
    "report.json": (lambda p: p.write_text('{"a": [{"user_id": 42, "k": 1}]}'), "user id"),
    "lines.log": (lambda p: p.write_text('{"k": 1}\n{"user": "42"}\nend\n'), "user id"),
    "escaped.json": (lambda p: p.write_text(json.dumps({"note": f"of {TEXT}"})), "text"),
    "plain.log": (lambda p: p.write_text(f"asked by {LONG}, twice"), "text"),
    "binary": (lambda p: p.write_bytes(b"\x00\xff" + TEXT.encode() + b"\x01"), "text"),
    "answers.csv": (lambda p: p.write_text("k,user\n1,41\n2,42\n"), "user id"),
    "ids.safetensors": (lambda p: save_file({"user_ids": np.array([1, 42])}, p), "user id"),
    "columns.sqlite": (lambda p: sqlite(p, (1, 0), (42, 0), columns="user_id, b"), "user id"),
    "json.sqlite": (lambda p: sqlite(p, ("x", '{"user": 42}')), "user id"),
    f"{LONG}.txt": (lambda p: p.write_text("nothing in it"), "text"),
    "broken.parquet": (lambda p: p.write_bytes(b"PAR1 and then nothing of the kind"), "unreadable"),
    "broken.safetensors": (lambda p: p.write_bytes(b"neither a header nor tensors"), "unreadable"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_was_planted_is_found(tmp_path, name):
    plant, kind = PLANTED[name]
    plant(tmp_path / name)
    assert look(tmp_path / name, [NEEDLES]).kind == kind


INNOCENT = {
    "other.parquet": lambda p: table(p, user=[1, 420], item=[42, 8]),
    # A list of items has the same column as one of users, and may hold the same number.
    "items.parquet": lambda p: table(p, id=[1, 42]),
    "dense.safetensors": lambda p: save_file({"users": np.array([1, 42]), "items": np.array([42])}, p),
    "number.json": lambda p: p.write_text('{"seconds": 42, "users": 42, "item": "42"}'),
    "number.log": lambda p: p.write_text("took 42 seconds"),
    "number.csv": lambda p: p.write_text("user,k\n1,42\n"),
    "columns.sqlite": lambda p: sqlite(p, (42, "42")),
    "empty": lambda p: p.write_bytes(b""),
    "half.json": lambda p: p.write_text('{"user": '),
}


@pytest.mark.parametrize("name", INNOCENT)
def test_nothing_is_found_where_a_short_id_only_occurs_as_something_else(tmp_path, name):
    INNOCENT[name](tmp_path / name)
    assert look(tmp_path / name, [NEEDLES]).kind is None


def test_an_interaction_is_found_only_as_a_pair(tmp_path):
    for name, rows, kind in (("in", [(42, 8), (42, 7)], "interaction"), ("out", [(42, 8), (1, 7)], None)):
        users, items = (np.array([row[i] for row in rows]) for i in (0, 1))
        Interactions.of(users, items).write(tmp_path / name)
        assert look(tmp_path / name, [PAIR]).kind == kind
    (tmp_path / "answer.json").write_text('[{"user_id": 42, "item_ids": [8, 7]}]')
    (tmp_path / "other.json").write_text('[{"user_id": 42, "item_ids": [8]}, {"item_ids": [7]}]')
    assert look(tmp_path / "answer.json", [PAIR]).kind == "interaction"
    assert look(tmp_path / "other.json", [PAIR]).kind is None


def test_a_text_of_digits_must_stand_alone_but_not_between_the_values_of_a_database(tmp_path):
    digits = Needles("ml", texts=frozenset({"123456"}))
    (tmp_path / "time").write_text("at 1712345699, digest ab123456cd")
    assert look(tmp_path / "time", [digits]).kind is None
    (tmp_path / "log").write_text("user=123456;")
    assert look(tmp_path / "log", [digits]).kind == "text"
    sqlite(tmp_path / "side-by-side.sqlite", ("user", "123456"), ("123456", "9"))
    assert b"user123456" in (tmp_path / "side-by-side.sqlite").read_bytes()
    assert look(tmp_path / "side-by-side.sqlite", [digits]).kind == "text"


@settings(max_examples=250, deadline=None)
@given(
    texts=st.sets(st.text("abC1é\\", min_size=2, max_size=9), min_size=1, max_size=6),
    content=st.text("abC1é\\ ", max_size=40),
    padding=st.sampled_from([0, 300, BLOCK - 4]),
    many=st.sampled_from([0, 1 << 16]),
)
def test_many_texts_at_once_are_found_as_one_by_one(texts, content, padding, many):
    """By an automaton and by tables alike."""
    with patch.object(sought, "_MANY", many), patch.object(sought, "_BLOCK", BLOCK):
        _assert_found_as_one_by_one(texts, b" " * padding + content.encode())


def _assert_found_as_one_by_one(texts, held):
    assert Sought(frozenset(texts), words=False).within(held) == any(text.encode() in held for text in texts)
    spelt = {spelling.decode("latin-1") for text in texts for spelling in spellings(text)}
    places = ((match.start(), s) for s in spelt for match in re.finditer(f"(?={re.escape(s)})", held.decode("latin-1")))
    assert Sought(frozenset(texts)).within(held) == any(_stands(held, start, len(text)) for start, text in places)


def test_hundreds_of_texts_of_many_beginnings_are_found_as_one_by_one():
    names = [f"{a}{b}-of-{a}{b}" for a in "abcdefghijklmnopqrstuvwxyz" for b in "0123456789éß"]
    wanted = names[::2]
    for written in (names[1::2], [*names[1::2], wanted[7]], [f"x{name}" for name in wanted]):
        content = " ".join(written * 3).encode()
        assert Sought(frozenset(wanted)).within(content) == (wanted[7] in written)
        assert Sought(frozenset(wanted)).those_in(content) == {wanted[7]} & set(written)
    across = b" " * ((1 << 22) - 3) + wanted[7].encode()
    assert Sought(frozenset(wanted)).those_in(across) == {wanted[7]}, "it lies across two blocks"


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.sets(st.sampled_from([32, 64]), min_size=1),
    around=st.sampled_from([b"\x00", b"f", b'"', b"\xe9 "]),
    offset=st.integers(0, 70),
    padding=st.sampled_from([0, 300, BLOCK - 40]),
    is_cut=st.booleans(),
)
def test_a_digest_is_found_wherever_it_stands_and_none_that_is_cut(lengths, around, offset, padding, is_cut):
    digests = {hashlib.sha256(bytes([length])).hexdigest()[:length] for length in lengths}
    for digest in digests:
        written = digest[:-1] + "x" if is_cut else digest
        content = b" " * padding + around * offset + written.encode() + around * (70 - offset)
        with patch.object(sought, "_BLOCK", BLOCK):
            assert Sought(frozenset(digests), words=False).within(content) == (not is_cut)


def _stands(held: bytes, start: int, length: int) -> bool:
    """Slowly: neither side is a letter or digit, but for the letter of an escape; a number is no part of one."""
    before = held[:start].decode(errors="surrogateescape")[-2:]
    after = held[start + length :].decode(errors="surrogateescape")[:1]
    escaped = len(before) == 2 and before[0] == "\\" and before[1] in "abfnrtv0"
    return (escaped or not before[-1:].isalnum()) and not after.isalnum()


def test_old_content_is_found_by_any_of_its_digests(tmp_path):
    rows = Interactions.of(np.array([1]), np.array([2]))
    path = tmp_path / "copied.parquet"
    rows.write(path)
    content = path.read_bytes()
    md5 = hashlib.md5(content).hexdigest()
    for digest in (rows.digest(), hashlib.sha256(content).hexdigest(), md5):
        assert look(path, [Needles("ml", digests=frozenset({digest}))]).kind == "digest"
        assert look(path, [Needles("ml", digests=frozenset({"0" * 64}))]).kind is None
    cached = tmp_path / "files" / "md5" / md5[:2] / f"{md5[2:]}.dir"
    cached.parent.mkdir(parents=True)
    cached.write_text("[]")
    assert look(cached, [Needles("ml", digests=frozenset({md5}))]).kind == "digest"
    (tmp_path / "manifest.json").write_text(json.dumps({"inputs": {"data": rows.digest()}}))
    needles = Needles("ml", digests=frozenset({rows.digest()}))
    assert look(tmp_path / "manifest.json", [needles], digests_as_text=True).kind == "digest"
    assert look(tmp_path / "manifest.json", [needles]).kind is None, "a certificate may tell of the past"


def new(user, items=()):
    return ForgetRequest.new("ml", user, items, now=datetime(2026, 1, 1, tzinfo=UTC), datasets=["ml"])


def test_needles_are_what_the_requests_name():
    requests = [new(LONG), new("42"), new("123456"), new("package"), new("an-item"), new("other", ["9", "8"])]
    needles = Needles.of(
        "ml", requests, digests=["d"], texts=["planted"], held=StillHeld.of(items=frozenset({"an-item"}))
    )
    assert needles.users == {LONG, "42", "123456", "package", "an-item"}
    assert needles.pairs == {("other", "9"), ("other", "8")}
    assert needles.typed_only == {"42", "123456", "package", "an-item"}
    assert needles.in_text.texts == {LONG, "planted"}
    assert needles.digests == {"d"}
    assert (len(needles), needles.subjects) == (9, 7)
    assert not Needles.of("another", requests)
    assert LONG not in repr(needles)


def test_an_erased_subject_is_looked_for_by_its_digests():
    """As a run does that was killed after the ledger erased its subjects."""
    requests = [replace(request, user=None, items=()) for request in (new("42"), new("other", ["9"]))]
    listed = [Suppressed.user("ml", "42"), Suppressed.interaction("ml", "other", "9")]
    needles = Needles.of("ml", requests, suppressed=listed)
    assert needles.subjects == 2
    assert needles.in_columns(pa.array([1, 42]), pa.array([5, 5])) == "user id"
    assert needles.in_columns(pa.array(["other", "x"]), pa.array(["9", "9"])) == "interaction"
    assert needles.in_columns(pa.array(["other", "x"]), pa.array(["8", "9"])) is None


def test_where_something_was_found_is_told_without_ids(tmp_path):
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "42.json").write_text('{"user": 42}')
    (tmp_path / f"about-{LONG}.log").write_text("x")
    places = Folder("reports", tmp_path).find([NEEDLES]).places
    assert [str(place) for place in places] == ["(withheld): text", "users/(withheld): user id"]
    assert [place.bytes for place in places] == [1, 12]


def test_a_catalogue_of_the_product_is_looked_into(tmp_path):
    Catalogue.of(Interactions.of(np.array([42]), np.array([5]))).write(tmp_path)
    assert look(tmp_path / "users.parquet", [NEEDLES]).kind == "user id"
    assert look(tmp_path / "items.parquet", [NEEDLES]).kind is None


def test_where_something_was_found_is_one_line_of_text_whatever_a_file_is_called(tmp_path):
    for name in (b"two\nlines.txt", b"no \xff text.txt"):
        (tmp_path / os.fsdecode(name)).write_text(LONG)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    found = Folder("reports", tmp_path).find([NEEDLES])
    assert [*map(str, found.places)] == [r"no \xff text.txt: text", r"two\nlines.txt: text"]
    assert [*map(str, found.not_searched)] == ["link: a link to a folder, which is not followed"]


def test_a_folder_that_can_not_be_listed_was_not_searched(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    listed = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="closed"):
        Folder("reports", tmp_path).find([NEEDLES])
