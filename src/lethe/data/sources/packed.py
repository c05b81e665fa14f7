"""What is inside a file that is compressed, an archive, or both; files of other programs are refused by name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
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
    b"\x5d\0\0": lzma.decompress,
}
_DAMAGE = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error)

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


def unpacked(path: Path, member: str | None = None) -> bytes:
    """The bytes of a file, those of the (named) member of an archive. Raises DataError."""
    content = path.read_bytes()
    for _ in range(_NESTED):
        if what := _other(content):
            raise DataError(f"{path.name}: is {what if ';' in what else f'{what}; save it as CSV or Parquet'}")
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
    except _DAMAGE:
        raise DataError(f"{path.name}: the compressed file is damaged; copy or pack it again") from None


def _of_archive(path: Path, content: bytes, member: str | None) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            if what := next((what for part, what in _DOCUMENTS.items() if part in names), None):
                raise DataError(f"{path.name}: is {what}; save it as CSV or Parquet")
            return archive.read(_chosen(path, names, member))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, *_DAMAGE):
        raise DataError(f"{path.name}: the archive is damaged or encrypted; unpack it") from None


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
    except (tarfile.TarError, *_DAMAGE):
        raise DataError(f"{path.name}: the archive is damaged; copy or pack it again") from None


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
