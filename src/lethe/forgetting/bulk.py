"""Many requests in one CSV file, or from standard input, so that no id stands in a shell's history."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

from lethe.errors import RequestError
from lethe.forgetting.intake import Ask


def read_asks(file: str) -> list[Ask]:
    """The asks of a CSV file: one user a line, or what its head line names. Raises RequestError."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "must be UTF-8"
        raise RequestError(f"file: {file}: {reason}") from None
    rows = [row for row in csv.reader(text.splitlines()) if row]
    head = [name.strip().lower() for name in rows[0]] if rows else []
    if "user" not in head:
        if wide := sum(len(row) > 1 for row in rows):
            raise RequestError(
                f"file: {wide} lines have several columns; a head line must name them: user, item, external_id"
            )
        return [Ask(row[0]) for row in rows]
    if strange := set(head) - {"user", "item", "external_id"}:
        raise RequestError(f"file: column {min(strange)!r} must be user, item or external_id")
    return _grouped(dict(zip(head, row, strict=False)) for row in rows[1:])


def _grouped(rows: Iterable[dict[str, str]]) -> list[Ask]:
    """One ask for each line without an item, and one for all items of a user with the same external id."""
    items: dict[tuple[str, str | None], list[str]] = {}
    for row in rows:
        named = items.setdefault((row["user"], row.get("external_id") or None), [])
        if row.get("item"):
            named.append(row["item"])
    return [Ask(user, tuple(dict.fromkeys(chosen)), external_id) for (user, external_id), chosen in items.items()]
