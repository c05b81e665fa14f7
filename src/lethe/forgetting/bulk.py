"""Many requests in one CSV file, or from standard input, so that no id stands in a shell's history."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lethe.errors import RequestError
from lethe.forgetting.intake import Ask


def read_asks(file: str) -> list[Ask]:
    """The asks of a CSV file (``-``: of the input), see ``asks_of``."""
    return _asks(_read(file))


def asks_of(content: bytes) -> list[Ask]:
    """The asks of a CSV file's content: one user a line, or what its head line names. Raises RequestError.

    An id stands in the file to the letter; one with a comma, a quote or a line break stands in quotes.
    """
    return _asks(_lines(content, "what was sent"))


def _asks(rows: list[tuple[int, list[str]]]) -> list[Ask]:
    head = [name.strip().lower() for name in rows[0][1]] if rows else []
    if len(rows) <= ("user" in head):
        raise RequestError("file: must hold at least one id, one a line")
    if "user" not in head:
        _must_stand_between_commas(head)
        if wide := sum(len(row) > 1 for _, row in rows):
            raise RequestError(
                f"file: {wide} lines have several columns; a head line must name them: user, item, external_id"
            )
        return [Ask(row[0]) for _, row in rows]
    if strange := set(head) - {"user", "item", "external_id"}:
        raise RequestError(f"file: column {min(strange)!r} must be user, item or external_id")
    if twice := next((name for name in head if head.count(name) > 1), None):
        raise RequestError(f"file: column {twice!r} must stand in the head line once; give each user a line")
    for number, row in rows[1:]:
        if len(row) != len(head):
            raise RequestError(
                f"file: line {number} has {len(row)} columns, its head names {len(head)}; an id with a comma must "
                "stand in quotes"
            )
    asks = _grouped(dict(zip(head, row, strict=True)) for _, row in rows[1:])
    if len(head) > 1:
        return asks
    # Alone in its column it may as well be the first id: whoever knows the ids decides.
    return [replace(asks[0], below=rows[0][1][0]), *asks[1:]]


def _must_stand_between_commas(head: list[str]) -> None:
    """Columns that anything else separates would be taken for one id, which nobody has."""
    line = ",".join(head)
    sign = line[4:] if line.startswith("sep=") else next((s for s in ";\t|" if "user" in _cells(line, s)), None)
    if sign is not None:
        raise RequestError(f"file: its columns stand between {sign!r}, must be commas, below a head line; save it so")


def _cells(line: str, sign: str) -> list[str]:
    return [cell.strip(" \"'") for cell in line.split(sign)]


def read_pairs(file: str) -> list[tuple[str, str]]:
    """Two ids a line of a CSV file (``-``: of the input), below no head line or one that names user and same_as.
    Raises RequestError."""
    rows = _read(file)
    if rows and [name.strip().lower() for name in rows[0][1]] == ["user", "same_as"]:
        del rows[0]
    if not rows:
        raise RequestError("file: must have a line of two ids at least")
    for number, row in rows:
        if len(row) != 2:
            raise RequestError(f"file: line {number} has {len(row)} columns, must be two ids of one person")
    return [(one, other) for _, (one, other) in rows]


def _read(file: str) -> list[tuple[int, list[str]]]:
    """The lines of a CSV file that aren't empty, with their numbers."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise RequestError(f"file: {file}: {error.strerror}") from None
    return _lines(content, file)


def _lines(content: bytes, file: str) -> list[tuple[int, list[str]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise RequestError(f"file: {file}: must be CSV in UTF-8, no workbook or archive; save it so")
    if _is_of_programs(text):
        raise RequestError(f"file: {file}: is JSON or HTML, must be CSV: a head line user, below it one id a line")
    try:
        # Lines end as CSV has it, and where no other rule of text says so: an id may hold any mark.
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        return [(lines.line_num, row) for row in lines if row]
    except csv.Error as error:
        raise RequestError(f"file: {file}: line {lines.line_num}: {error}") from None


def _is_of_programs(text: str) -> bool:
    """Whether a text is JSON, whole or a value a line, or markup: as lines of CSV it would be ids that nobody has."""
    start = text.lstrip()
    if start.lower().startswith(("<!doctype", "<html", "<?xml")):
        return True
    return start.startswith(("[", "{")) and (_is_json(start) or all(_is_json(line) for line in start.splitlines()))


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list | dict)
    except (ValueError, RecursionError):
        return False


def read_id() -> str:
    """One id from standard input: its line, to the letter. Raises RequestError, also where there are more."""
    typed = sys.stdin.isatty()
    content = sys.stdin.buffer.readline() if typed else sys.stdin.buffer.read()
    line, _, more = content.partition(b"\n")
    if more.strip():
        raise RequestError("user: the input has several lines, must be one id; for many give --file -")
    try:
        return line.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise RequestError("user: the input must be UTF-8") from None


def _grouped(rows: Iterable[dict[str, str]]) -> list[Ask]:
    """One ask for the lines of a user without an item, and one for all items of a user; by external ids."""
    items: dict[tuple[str, str | None, bool], list[str]] = {}
    for row in rows:
        item = row.get("item") or ""
        # Who asks for all and for an item is asked for all: apart, neither is lost.
        named = items.setdefault((row["user"], row.get("external_id") or None, bool(item)), [])
        named += [item] if item else []
    return [Ask(user, tuple(dict.fromkeys(chosen)), external_id) for (user, external_id, _), chosen in items.items()]
