"""CSV that Arrow doesn't read as it is: decoded a piece at a time, with the rows that the whole file has."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lethe.config.table import FileFormat
from lethe.data.sources import files, text
from lethe.errors import DataError

VALUES = ["a", "b1", "", '"q"', '"a,b"', '"l\nm"', '"d""d"', '5"', 'x"y"', '"a"b', '""', " s ", "é", '"']
"""Of CSV: with quotes where they are quotes, where they are none, and where nothing ends them."""


def outcome(path: Path, names: list[str], how: FileFormat) -> list[dict[str, str]] | None:
    """The rows, or None where the file is refused."""
    try:
        return files.load(path, names, how).to_pylist()
    except DataError:
        return None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(st.sampled_from(VALUES), min_size=3, max_size=3), max_size=8),
    end=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
    header=st.booleans(),
    closed=st.booleans(),
    at_once=st.integers(1, 20),
)
def test_a_compressed_file_has_the_rows_of_a_plain_one(
    rows: list[list[str]],
    end: str,
    header: bool,
    closed: bool,
    at_once: int,
    tmp_path: Path,
) -> None:
    content = end.join([",".join(row) for row in [["user", "item", "z"], *rows]]) + end * closed
    plain, packed, wide = tmp_path / "r.csv", tmp_path / "r.gz", tmp_path / "r16.csv"
    plain.write_bytes(content.encode())
    packed.write_bytes(gzip.compress(content.encode()))
    wide.write_bytes(content.encode("utf-16"))
    names = ["user", "z"] if header else ["1", "3"]
    expected = outcome(plain, names, FileFormat(header=header))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "AT_ONCE", at_once)
        assert outcome(packed, names, FileFormat(header=header)) == expected
        assert outcome(wide, names, FileFormat(header=header, encoding="utf-16")) == expected


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.text('ab" ,#\n|', max_size=9), max_size=9),
    separator=st.sampled_from([",", "||"]),
    trim=st.booleans(),
    ignored=st.sampled_from([(), ("#",)]),
    at_once=st.integers(1, 20),
)
@example(lines=['#"', '" ', '"'], separator=",", trim=True, ignored=("#",), at_once=1)
def test_what_is_no_row_is_taken_out_as_of_the_whole_text(
    lines: list[str], separator: str, trim: bool, ignored: tuple[str, ...], at_once: int, tmp_path: Path
) -> None:
    how = FileFormat(separator=separator, trim=trim, ignore_lines=ignored)
    content = "\n".join(lines)
    (tmp_path / "r.csv").write_text(content, newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "AT_ONCE", at_once)
        pieces = list(text.pieces(tmp_path / "r.csv", how))
    # Lines that are empty are no rows, so that their ends may be missing.
    assert b"".join(pieces).replace(b"\n", b"") == text.as_csv(content, how).encode().replace(b"\n", b"")


def rows_of_text(count: int) -> bytes:
    ids = np.random.default_rng(0).integers(0, 10**9, (count, 2)).tolist()
    return b"user,item\n" + b"".join(b"%d,%d\n" % (user, item) for user, item in ids)


def zipped(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", content)
    return sink.getvalue()


def tarred(content: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        info = tarfile.TarInfo("rows.csv")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


PACKS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lambda content: lzma.compress(content, preset=0),  # Others look 8 MiB back.
    "zst": lambda content: pa.compress(content, "zstd", asbytes=True),
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda content: gzip.compress(tarred(content)),
    "gz.zip": lambda content: zipped(gzip.compress(content)),
}


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_no_more_is_held_than_some_pieces(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = rows_of_text(300_000)
    (tmp_path / "r").write_bytes(pack(content))
    monkeypatch.setattr(text, "AT_ONCE", 1 << 14)
    tracemalloc.start()
    try:
        size = sum(map(len, text.pieces(tmp_path / "r", FileFormat())))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == len(content)
    assert peak < len(content) / 4


@pytest.mark.parametrize("name", PACKS)
def test_damage_behind_many_good_rows_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = PACKS[name](rows_of_text(20_000))
    half = len(whole) // 2
    # The list of what a zip archive holds is at its end.
    damaged = whole[:half] + bytes(64) + whole[half + 64 :] if name.endswith("zip") else whole[:half]
    (tmp_path / "r").write_bytes(damaged)
    monkeypatch.setattr(text, "AT_ONCE", 1 << 10)
    with pytest.raises(DataError, match=r"^r: the (compressed file|archive) is damaged[^\n]*$"):
        files.load(tmp_path / "r", ["user"], FileFormat())


def test_bytes_of_another_encoding_far_down_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "r.gz").write_bytes(gzip.compress(rows_of_text(200_000) + b"\xff,1\n"))
    with pytest.raises(DataError, match=r"^r\.gz: it is not in utf-8; give the encoding \(--encoding\)$"):
        files.load(tmp_path / "r.gz", ["user"], FileFormat())


def test_a_row_that_never_ends_is_refused_before_all_of_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b'user,item\n1,"' + 3 * text.LONGEST * b"x"
    (tmp_path / "r.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(text, "AT_ONCE", 1 << 16)
    with pytest.raises(DataError, match="a row is longer than a megabyte"):
        files.load(tmp_path / "r.gz", ["user"], FileFormat())
