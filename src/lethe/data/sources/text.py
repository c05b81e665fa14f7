"""CSV in any encoding, plain or compressed, with or without what is no row -> bytes of UTF-8 that Arrow reads.

A file is decoded some text at a time, so that it may be larger than memory, and given away in pieces of whole rows:
Arrow would read a stream of Python's in a thread of its own, for which a command that ends with an error doesn't wait.
Where quotes matter to what is taken out, a value in quotes that never end is held, with all that follows it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from lethe.config.table import FileFormat
from lethe.data.sources.packed import Begin, unpacked
from lethe.errors import DataError

BETWEEN = "\x1f"
"""Stands in for a separator of several characters: the ASCII unit separator."""

AT_ONCE = 1 << 20
"""Characters that are decoded at once."""

LONGEST = 1 << 21
"""Bytes that one row has at most; Arrow itself reads no more than half as many."""
LONG = "a row is longer than a megabyte; leave the long column out, or save it as Parquet"


def is_byte(separator: str) -> bool:
    """Whether Arrow takes it as it is; quotes have a meaning only beside such a separator."""
    return len(separator.encode()) == 1


def pieces(path: Path, how: FileFormat) -> Iterator[bytes]:
    """The file as Arrow reads it, some whole rows at a time, at least one piece. Raises DataError."""
    waiting = b""
    any_yet = False
    for some in _encoded(path, how):
        waiting += some
        end = _end_of_rows(waiting, how.separator)
        if end == 0 and len(waiting) > max(LONGEST, 2 * AT_ONCE):
            raise DataError(f"{path.name}: as CSV with separator {how.separator!r}, {LONG}")
        # Lines that are empty are no rows, and Arrow asks for one.
        if rows := waiting[:end].strip(b"\r\n"):
            any_yet = True
            yield rows + b"\n"
        waiting = waiting[end:]
    if waiting or not any_yet:
        yield waiting


def decoded(path: Path, begin: Begin, encoding: str) -> Iterator[str]:
    """Text, some at a time, without a byte order mark. Raises DataError, which names the option."""
    try:
        with io.TextIOWrapper(begin(), encoding, newline="") as text:
            yield text.read(AT_ONCE).removeprefix("\ufeff")
            while some := text.read(AT_ONCE):
                yield some
    except UnicodeError:
        raise DataError(f"{path.name}: it is not in {encoding}; give the encoding (--encoding)") from None


def as_csv(text: str, how: FileFormat) -> str:
    """Text as Arrow reads it: only rows, no blanks around values, one character between them."""
    return _between(_without_ignored(text, how), how)


def _without_ignored(text: str, how: FileFormat) -> str:
    if not how.ignore_lines:
        return text
    begins = "|".join(map(re.escape, how.ignore_lines))
    return re.sub(rf"^(?:{begins})[^\r\n]*(?:\r\n|\r|\n|\Z)", "", text, flags=re.MULTILINE)


def _between(text: str, how: FileFormat) -> str:
    """No blanks around values, and one character between them."""
    quoted = '"(?:[^"]|"")*"|' if is_byte(how.separator) else ""
    if how.trim:
        blank = "[ \\u00a0]" if how.separator == "\t" else "[ \\t\\u00a0]"
        around = rf"{quoted}({blank}*{re.escape(how.separator)}{blank}*)|(?:^{blank}+)|(?:{blank}+$)"
        text = re.sub(
            around,
            lambda m: m[0] if m[0].startswith('"') else how.separator if m[1] else "",
            text,
            flags=re.MULTILINE,
        )
    return text if is_byte(how.separator) else text.replace(how.separator, BETWEEN)


def _encoded(path: Path, how: FileFormat) -> Iterator[bytes]:
    text: Iterable[str] = decoded(path, unpacked(path, how.member), how.encoding)
    if how.ignore_lines:
        # Before quotes are looked at: those of a remark begin no value.
        text = (_without_ignored(some, how) for some in _at_line_ends(text, quotes=False))
    if how.trim or not is_byte(how.separator):
        text = _at_line_ends(text, quotes=how.trim and is_byte(how.separator))
    for some in text:
        yield _between(some, how).encode()


def _at_line_ends(text: Iterable[str], *, quotes: bool) -> Iterator[str]:
    """The same text cut where lines end; with ``quotes``, lines that end inside of a value in quotes don't count."""
    waiting: list[str] = []
    inside = False
    for some in text:
        inside ^= quotes and some.count('"') % 2 == 1
        end = _last_end(some, inside) if quotes else some.rfind("\n") + 1
        if end:
            yield "".join([*waiting, some[:end]])
            waiting = []
        waiting.append(some[end:])
    yield "".join(waiting)


def _last_end(text: str, inside: bool) -> int:
    """Behind the last line of text that ends outside of quotes, 0 where none does; ``inside``: its end is in quotes."""
    end = len(text)
    while end >= 0:
        quote = text.rfind('"', 0, end)
        if not inside and (line := text.rfind("\n", quote + 1, end)) >= 0:
            return line + 1
        inside, end = not inside, quote
    return 0


def _end_of_rows(content: bytes, separator: str) -> int:
    """Behind the last row that ends in it, 0 where none does; quotes are one only where a value begins."""
    end = _last_of(b"\n", content, len(content), separator)
    # The last one might be half of \r\n.
    return end or _last_of(b"\r", content, len(content) - 1, separator)


def _last_of(sign: bytes, content: bytes, stop: int, separator: str) -> int:
    last = begin = 0
    if is_byte(separator) and b'"' in content:
        start = rb"(?<![^\r\n%s])" % re.escape(separator).encode()
        for quoted in re.finditer(start + rb'"[^"]*(?:""[^"]*)*(?:"|\Z)', content):
            last = content.rfind(sign, begin, quoted.start()) + 1 or last
            begin = quoted.end()
    return content.rfind(sign, begin, stop) + 1 or last


def is_utf8(begin: Begin) -> bool:
    """Whether all of a stream is text in UTF-8."""
    try:
        with io.TextIOWrapper(begin(), "utf-8", newline="") as text:
            while text.read(AT_ONCE):
                pass
    except UnicodeDecodeError:
        return False
    return True
