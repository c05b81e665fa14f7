"""What must not come back: the suppression list that ingest obeys, and the users whom serving must not know.

Both hold keyed digests only (see keys.py), never an id.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from lethe.core.files import write_whole
from lethe.core.keys import subject_digest
from lethe.errors import DataError
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class Suppressed:
    """One line of the list: a user, or one interaction of a user."""

    dataset: str
    kind: str
    """user or interaction"""
    digest: str
    user_digest: str
    """That of the user; of an interaction too, so that only the listed users' rows need hashing."""
    requested_at: int
    """Seconds since 1970."""

    @classmethod
    def user(cls, dataset: str, user_id: object, requested_at: int) -> Self:
        """Everything of a user up to the time of the request."""
        digest = subject_digest(dataset, user_id)
        return cls(dataset, "user", digest, digest, requested_at)

    @classmethod
    def interaction(cls, dataset: str, user_id: object, item_id: object, requested_at: int) -> Self:
        """What a user did with an item, whenever."""
        digest = subject_digest(dataset, user_id, item_id)
        return cls(dataset, "interaction", digest, subject_digest(dataset, user_id), requested_at)


_COLUMNS = [field.name for field in fields(Suppressed)]


@dataclass(frozen=True)
class SuppressionList:
    """The list in a CSV file: sorted, each subject once, so that its bytes are a function of what it says."""

    path: Path
    entries: tuple[Suppressed, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The list; empty where there is no file. Raises DataError with the line that breaks a rule."""
        if not path.is_file():
            return cls(path)
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        if not lines or lines[0] != _COLUMNS:
            raise DataError(f"{path.name}: line 1 must be {','.join(_COLUMNS)}")
        return cls(path, tuple(_entry(line, f"{path.name}: line {n}") for n, line in enumerate(lines[1:], 2)))

    def add(self, entries: Iterable[Suppressed]) -> Self:
        """The list with further entries, written. Of a subject that is there already the later request counts."""
        latest: dict[tuple[str, str, str], Suppressed] = {}
        for entry in sorted((*self.entries, *entries)):
            latest[entry.dataset, entry.kind, entry.digest] = entry
        added = type(self)(self.path, tuple(latest.values()))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(astuple(entry) for entry in added.entries)
        write_whole(self.path, text.getvalue())
        return added

    def drop(self, interactions: Interactions, dataset: str, *, timed: bool = True) -> Interactions:
        """The rows that the list doesn't name; see ``matches``."""
        named = self.matches(interactions, dataset, timed=timed)
        return interactions.take(~named) if named.any() else interactions

    def drop_side(self, tables: SideTables, dataset: str, *, timed: bool = True) -> SideTables:
        """What is said about the listed users leaves with them: links in both directions, features, behaviours.

        Links and features have no time, so all of them go; of behaviours what ``matches`` says.
        """
        users = {e.digest for e in self.entries if e.dataset == dataset and e.kind == "user"}

        def table(side: SideTable) -> SideTable:
            columns = [side[name] for name in ("user", "friend") if name in side.columns] if users else []
            named = np.zeros(len(side), dtype=bool)
            for column in columns:
                ids, places = np.unique(column, return_inverse=True)
                named |= np.array([subject_digest(dataset, user_id) in users for user_id in ids], dtype=bool)[places]
            return side.take(~named) if named.any() else side

        return tables.map(table, lambda rows: self.drop(rows, dataset, timed=timed))

    def matches(self, interactions: Interactions, dataset: str, *, timed: bool = True) -> np.ndarray:
        """[n] bool: the rows that must not be there.

        Of a user that is all they did up to the request, so that they may come back; where time is not known
        (``timed`` false: timestamps are positions, or there are none) it is everything.
        """
        users = {e.digest: e.requested_at for e in self.entries if e.dataset == dataset and e.kind == "user"}
        pairs = {e.digest: e.user_digest for e in self.entries if e.dataset == dataset and e.kind == "interaction"}
        named = np.zeros(len(interactions), dtype=bool)
        if not users and not pairs:
            return named
        ids, first, counts = np.unique(interactions.user_ids, return_index=True, return_counts=True)
        owners = set(pairs.values())
        times = interactions.timestamps if timed else None
        for user_id, start, count in zip(ids, first, counts, strict=True):
            # The canonical order keeps a user's rows together.
            rows = slice(start, start + count)
            digest = subject_digest(dataset, user_id)
            if digest in users:
                named[rows] = True if times is None else times[rows] <= users[digest]
            if digest in owners:
                named[rows] |= [subject_digest(dataset, user_id, item) in pairs for item in interactions.item_ids[rows]]
        return named


def _entry(line: list[str], where: str) -> Suppressed:
    if len(line) != len(_COLUMNS):
        raise DataError(f"{where} has {len(line)} fields, must be {len(_COLUMNS)}")
    dataset, kind, digest, user_digest, requested_at = line
    if kind not in ("user", "interaction"):
        raise DataError(f"{where}: kind must be user or interaction, got {kind!r}")
    if not _DIGEST.fullmatch(digest) or not _DIGEST.fullmatch(user_digest):
        raise DataError(f"{where}: digest and user_digest must be 64 hexadecimal digits")
    if not requested_at.isdecimal():
        raise DataError(f"{where}: requested_at must be seconds since 1970, got {requested_at!r}")
    return Suppressed(dataset, kind, digest, user_digest, int(requested_at))
