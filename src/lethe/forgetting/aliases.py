"""Merged accounts: ids that are one person's, so that a request about one of them finds the rows of the others.

Only keyed digests are kept (see keys.py), in a file of their own. An alias forgets nobody by itself; it
is told by who merges the accounts, at the merge, because nobody can tell later.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from lethe.core.files import locked, write_whole
from lethe.core.keys import fingerprint, must_fit, subject_digests
from lethe.errors import DataError

Pair = tuple[str, str, str]
"""A dataset, and keyed digests of two ids of one person in it, the smaller first."""

_HEAD = re.compile(r"# lethe aliases 1, key ([0-9a-f]{16})")
_COLUMNS = ["dataset", "digest", "same_as"]
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Aliases:
    """The pairs in a CSV file, sorted, so that its bytes are a function of what it says."""

    path: Path
    pairs: frozenset[Pair] = frozenset()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The aliases of a file; none where there is no file. Raises DataError with the line that breaks a rule,
        ConfigError if they were made under another key."""
        if not path.is_file():
            return cls(path)
        head, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
        named = _HEAD.fullmatch(head)
        if named is None:
            raise DataError(f"{path.name}: line 1 must name format 1 and a key")
        must_fit(named.group(1), path.name)
        pairs = set()
        for number, line in enumerate(csv.reader(lines), 2):
            if number == 2 and line == _COLUMNS:
                continue
            if len(line) != 3 or not all(map(_DIGEST.fullmatch, line[1:])):
                raise DataError(f"{path.name}: line {number} must be a dataset and two digests of 64 hex digits")
            pairs.add((line[0], line[1], line[2]))
        return cls(path, frozenset(pairs))

    def of(self, dataset: str, digest: str) -> tuple[str, ...]:
        """Digests of the other ids of a person, also by way of third ones; sorted."""
        person, new = {digest}, [digest]
        while new:
            further = self._beside.get((dataset, new.pop()), set()) - person
            person |= further
            new += further
        return tuple(sorted(person - {digest}))

    def named_by(self, dataset: str, ids: Iterable[str]) -> dict[str, str]:
        """Those of these ids that any alias names, by digest."""
        ordered = sorted(ids)
        digests = zip(subject_digests(dataset, ordered), ordered, strict=True)
        return {digest: raw for digest, raw in digests if (dataset, digest) in self._beside}

    @cached_property
    def _beside(self) -> dict[tuple[str, str], set[str]]:
        beside: dict[tuple[str, str], set[str]] = {}
        for dataset, one, other in self.pairs:
            beside.setdefault((dataset, one), set()).add(other)
            beside.setdefault((dataset, other), set()).add(one)
        return beside

    def changed(self, *, new: Iterable[Pair] = (), gone: Iterable[Pair] = ()) -> Self:
        """The aliases as they are now with some more, or without some, written; several may do so at once."""
        with locked(self.path.parent):
            return self.rewrite((self.read(self.path).pairs | set(new)) - set(gone))

    def rewrite(self, pairs: Iterable[Pair]) -> Self:
        """These aliases alone, written under the key that is in place."""
        text = io.StringIO()
        text.write(f"# lethe aliases 1, key {fingerprint()}\n")
        csv.writer(text, lineterminator="\n").writerows([_COLUMNS, *sorted(set(pairs))])
        write_whole(self.path, text.getvalue())
        return type(self)(self.path, frozenset(pairs))


def pair_of(dataset: str, one: str, other: str) -> Pair:
    """The pair of two ids."""
    first, second = sorted(subject_digests(dataset, [one, other]))
    return dataset, first, second
