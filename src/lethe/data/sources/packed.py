"""What is inside a file that is compressed, an archive, or both; files of other programs are refused by name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from lethe.errors import DataError

_NESTED = 4
"""Times that are packed in one another, and one more."""


def _by_arrow(kind: str, content: bytes) -> bytes:
    with pa.input_stream(pa.BufferReader(content), compression=kind) as stream:
        return bytes(stream.read())


_COMPRESSED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
    b"\x28\xb5\x2f\xfd": partial(_by_arrow, "zstd"),
    b"\x04\x22\x4d\x18": partial(_by_arrow, "lz4"),
}

_ARCHIVE = (b"PK\x03\x04", b"PK\x05\x06")

_OTHERS = {
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"SQLite format 3\x00": "an SQLite database",
    b"ARROW1": "an Arrow file",
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
    **dict.fromkeys((b"<html", b"<HTML", b"<!doctype", b"<!DOCTYPE", b"<?xml"), "a web page or XML"),
    **dict.fromkeys((b'{"', b"{\n", b"{\r", b"[{", b"[\n", b"[\r"), "JSON"),
}


def is_packed(start: bytes) -> bool:
    """Whether a file that begins so has to be unpacked, or refused, before it is read; 262 bytes are enough."""
    return start.startswith((*_ARCHIVE, *_COMPRESSED, *_OTHERS)) or _is_tar(start)


def unpacked(path: Path, member: str | None = None) -> bytes:
    """The bytes of a file, those of the (named) member of an archive. Raises DataError."""
    content = path.read_bytes()
    for _ in range(_NESTED):
        for magic, what in _OTHERS.items():
            if content.startswith(magic):
                raise DataError(f"{path.name}: is {what}; save it as CSV or Parquet")
        inner = _inside(path, content, member)
        if inner is None:
            return content
        # A member is named of the outermost archive.
        member = None if content.startswith(_ARCHIVE) or _is_tar(content) else member
        content = inner
    raise DataError(f"{path.name}: it is packed more than {_NESTED - 1} times; unpack it")


def _inside(path: Path, content: bytes, member: str | None) -> bytes | None:
    """What is packed in it, None where nothing is."""
    if content.startswith(_ARCHIVE):
        return _of_archive(path, content, member)
    if _is_tar(content):
        return _of_tar(path, content, member)
    decompress = next((call for magic, call in _COMPRESSED.items() if content.startswith(magic)), None)
    try:
        return None if decompress is None else decompress(content)
    except (OSError, EOFError, lzma.LZMAError):
        raise DataError(f"{path.name}: the compressed file is damaged") from None


def _of_archive(path: Path, content: bytes, member: str | None) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            if "xl/workbook.xml" in names:
                raise DataError(f"{path.name}: is an Excel file; save it as CSV or Parquet")
            return archive.read(_chosen(path, names, member))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError):
        raise DataError(f"{path.name}: the archive is damaged or encrypted") from None


def _is_tar(start: bytes) -> bool:
    return start[257:262] == b"ustar"


def _of_tar(path: Path, content: bytes, member: str | None) -> bytes:
    """Read where it is: nothing of an archive is laid on the disk."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            names = [info.name for info in archive.getmembers() if info.isfile()]
            file = archive.extractfile(_chosen(path, names, member))
            assert file is not None, "only files were to choose from"
            return file.read()
    except (tarfile.TarError, EOFError):
        raise DataError(f"{path.name}: the archive is damaged") from None


def _chosen(path: Path, names: list[str], member: str | None) -> str:
    """The named member of an archive, or its only one; what macOS lays beside the files is none."""
    beside = [name for name in names if not name.startswith("__MACOSX/") and not Path(name).name.startswith("._")]
    inside = [name for name in beside if member in (None, name)]
    if len(inside) != 1:
        of = f"{len(names)} files ({', '.join(sorted(names)[:10])}), one must be named" if names else "no file"
        raise DataError(f"{path.name}: the archive holds {of}; give --member")
    return inside[0]
