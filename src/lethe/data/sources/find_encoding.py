"""In which encoding a CSV file is written."""

from __future__ import annotations

import re
from pathlib import Path

import charset_normalizer

from lethe.data.sources.packed import Begin
from lethe.data.sources.text import is_utf8
from lethe.errors import DataError

_LINES = 1000
_MARKS = {
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_ENCODINGS = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"]


def find_encoding(path: Path, begin: Begin) -> str:
    """By byte order mark, else utf-8 where the bytes are, else by likelihood: then the file is held."""
    with begin() as stream:
        head = stream.read(4096)
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        # Half of the bytes of Latin text in UTF-16 are zero.
        little = head[1::2].count(0) > head[::2].count(0)
        name = "utf-16-le" if little else "utf-16-be"
        many = max(head[1::2].count(0), head[::2].count(0)) > len(head) // 6
        if many and "\0" not in head[: len(head) // 2 * 2].decode(name, errors="replace"):
            return name
        raise DataError(f"{path.name}: is no text, its bytes hold zeros; save it as CSV or Parquet")
    if is_utf8(begin):
        return "utf-8"
    with begin() as stream:
        content = stream.read()
    letters = re.findall(rb"[\x80-\xff]+", content)
    broken = sum(not _decodes(run, "utf-8") for run in letters)
    if broken < len(letters) / 2:
        raise DataError(
            f"{path.name}: {broken} of its words are not in utf-8, and the others are; mend them, or give --encoding"
        )
    likely = []
    if sum(len(run) == 1 for run in letters) < 0.8 * len(letters):
        # Whole words of such letters: not Western, where most letters are plain ones.
        lines = dict.fromkeys(line for line in content.splitlines() if not line.isascii())
        best = charset_normalizer.from_bytes(b"\n".join(list(lines)[:_LINES]), cp_isolation=_ENCODINGS).best()
        likely = [] if best is None else [best.encoding]
    # The last decodes everything.
    return next(encoding for encoding in (*likely, "cp1252", "latin-1") if _decodes(content, encoding))


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
