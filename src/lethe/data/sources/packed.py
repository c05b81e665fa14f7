"""What is inside a file that is compressed, an archive, or both, as a stream; files of other programs are refused by
name.

What is packed is never held whole, but for a zip archive inside of what can't be read from its end: a compressed one.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import pyarrow as pa

from lethe.errors import DataError

_NESTED = 4
"""Times that are packed in one another, and one more."""


Begin: TypeAlias = Callable[[], BinaryIO]
"""Opens a stream at its first byte, as often as it is called; it can't be read backwards."""

START = 512
"""Bytes by which a file is known."""


def _by_arrow(kind: str, stream: BinaryIO) -> Any:
    return pa.input_stream(pa.PythonFile(stream, mode="r"), compression=kind)


def _gzip(stream: BinaryIO) -> Any:
    return gzip.GzipFile(fileobj=stream)


_COMPRESSED: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": partial(_by_arrow, "zstd"),
    b"\x04\x22\x4d\x18": partial(_by_arrow, "lz4"),
    b"\x5d\0\0": lzma.LZMAFile,
}
_DAMAGE = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, tarfile.TarError)

_ARCHIVE = (b"PK\x03\x04", b"PK\x05\x06")

_OTHERS = {
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"SQLite format 3\x00": "an SQLite database",
    b"ARROW1": "an Arrow file",
    b"FEA1": "an Arrow file",
    b"\xff\xff\xff\xff": "a stream of Arrow",
    b"PAR1": "a Parquet file that is packed; unpack it",
    b"$FL2": "a file of SPSS",
    b"MATLAB 5.0": "a file of MATLAB",
    b"<stata_dta": "a file of Stata",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself (git lfs pull)",
    b"outs:\n- ": "a pointer of DVC; fetch the file itself (dvc pull)",
    b"ORC": "an ORC file",
    b"%PDF": "a PDF file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x89HDF": "an HDF5 file",
    b"Obj\x01": "an Avro file",
    b"\x93NUMPY": "a NumPy file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    **{bytes([128, protocol]): "a pickle" for protocol in (2, 3, 4, 5)},
}
_TEXTS = {
    re.compile(rb"<[?!a-zA-Z]"): "a web page or XML",
    re.compile(rb"[{\[]\s*([\"'{\[]|$)"): "JSON",
}
"""How text begins that has no columns, behind a byte order mark and blanks."""
_DOCUMENTS = {
    "xl/workbook.xml": "an Excel file",
    "xl/workbook.bin": "an Excel file",
    "content.xml": "an OpenDocument file",
    "word/document.xml": "a Word file",
    "Index/Document.iwa": "a file of Numbers",
}
"""Archives that are a document to their program, by what is always inside."""


def is_packed(start: bytes) -> bool:
    """Whether a file that begins so has to be unpacked, or refused, before it is read; 262 bytes are enough."""
    return start.startswith((*_ARCHIVE, *_COMPRESSED)) or _is_tar(start) or _other(start) is not None


def _other(start: bytes) -> str | None:
    """What a file is that begins so and can't be read, or None."""
    text = start[:512].removeprefix(b"\xef\xbb\xbf").lstrip()
    named = (what for magic, what in _OTHERS.items() if start.startswith(magic))
    return next(named, None) or next((what for begins, what in _TEXTS.items() if begins.match(text)), None)


def unpacked(path: Path, member: str | None = None) -> Begin:
    """The bytes of a file, those of the (named) member of an archive. Raises DataError; what it returns does, too, and
    so do its streams where damage shows later."""
    begin: Begin = lambda: path.open("rb")  # noqa: E731
    for _ in range(_NESTED):
        with begin() as stream:
            start = stream.read(START)
        if what := _other(start):
            raise DataError(f"{path.name}: is {what if ';' in what else f'{what}; save it as CSV or Parquet'}")
        inner = _inside(path, begin, start, member)
        if inner is None:
            return begin
        # A member is named of the outermost archive.
        member = None if start.startswith(_ARCHIVE) or _is_tar(start) else member
        begin = inner
    raise DataError(f"{path.name}: it is packed more than {_NESTED - 1} times; unpack it")


def _inside(path: Path, begin: Begin, start: bytes, member: str | None) -> Begin | None:
    """What is packed in it, None where nothing is."""
    if start.startswith(_ARCHIVE):
        return _of_archive(path, begin, member)
    if _is_tar(start):
        return _of_tar(path, begin, member)
    unpack = next((call for magic, call in _COMPRESSED.items() if start.startswith(magic)), None)
    fault = f"{path.name}: the compressed file is damaged; copy or pack it again"
    return None if unpack is None else _refusing(fault, begin, unpack)


def _refusing(fault: str, begin: Begin, unpack: Callable[[BinaryIO], Any]) -> Begin:
    """Opens what ``unpack`` makes of a stream; damage is an error with these words, whenever it shows."""

    def inner() -> BinaryIO:
        outer = begin()
        with _damage(fault):
            return io.BufferedReader(_Unpacked(unpack(outer), outer, fault))

    return inner


@contextmanager
def _damage(fault: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE:
        raise DataError(fault) from None


class _Unpacked(io.RawIOBase):
    """The bytes of ``inner``, which is made of ``outer``; both are closed with it."""

    def __init__(self, inner: Any, outer: BinaryIO, fault: str) -> None:
        self._inner, self._outer, self._fault = inner, outer, fault

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _damage(self._fault):
            some = self._inner.read(len(buffer))
        buffer[: len(some)] = some
        return len(some)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._outer.close()
        super().close()


def _of_archive(path: Path, begin: Begin, member: str | None) -> Begin:
    fault = f"{path.name}: the archive is damaged or encrypted; unpack it"

    def archive_of(stream: BinaryIO) -> zipfile.ZipFile:
        return zipfile.ZipFile(stream if stream.seekable() else io.BytesIO(stream.read()))

    def opened(name: str, stream: BinaryIO) -> Any:
        try:
            return archive_of(stream).open(name)
        except (RuntimeError, NotImplementedError):
            raise DataError(fault) from None

    with _damage(fault), begin() as stream, archive_of(stream) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    if what := next((what for part, what in _DOCUMENTS.items() if part in names), None):
        raise DataError(f"{path.name}: is {what}; save it as CSV or Parquet")
    return _refusing(fault, begin, partial(opened, _chosen(path, names, member)))


def _is_tar(start: bytes) -> bool:
    return start[257:262] == b"ustar"


def _of_tar(path: Path, begin: Begin, member: str | None) -> Begin:
    """Read where it is: nothing of an archive is laid on the disk."""
    fault = f"{path.name}: the archive is damaged; copy or pack it again"

    def opened(name: str, stream: BinaryIO) -> Any:
        archive = tarfile.open(fileobj=stream, mode="r|")  # noqa: SIM115 — what is extracted reads from it.
        return next(archive.extractfile(info) for info in archive if info.name == name and info.isfile())

    with _damage(fault), begin() as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        names = [info.name for info in archive if info.isfile()]
    return _refusing(fault, begin, partial(opened, _chosen(path, names, member)))


def _chosen(path: Path, names: list[str], member: str | None) -> str:
    """The named member of an archive, or its only one; what macOS and others lay beside the files is none."""
    beside = [name for name in names if not name.startswith("__MACOSX/") and not Path(name).name.startswith(".")]
    inside = [name for name in beside if member in (None, name)]
    if len(inside) != 1:
        if not names:
            raise DataError(f"{path.name}: the archive holds no file")
        of = f"{len(names)} files ({', '.join(sorted(names)[:10])}), one must be named"
        raise DataError(f"{path.name}: the archive holds {of}; give --member")
    return inside[0]
