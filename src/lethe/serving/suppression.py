"""Suppress now, unlearn soon: users whose erasure is accepted are answered from popularity until it is deployed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from lethe.core.files import write_whole
from lethe.core.keys import subject_digest
from lethe.errors import DataError, LetheError

logger = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class SuppressedUsers:
    """The digests of a file that is read again whenever it changes; no file, nobody suppressed.

    A file that can't be read suppresses everybody: no answer may come from data whose erasure was accepted.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._stamp: Stamp | None = None
        self._digests: frozenset[str] | None = frozenset()

    def holds(self, dataset: str, user_id: int | str) -> bool:
        """Whether this user of a dataset is suppressed, as the file says at this moment."""
        stamp = self._look()
        if stamp != self._stamp:
            self._digests = self._read() if stamp else frozenset()
            self._stamp = stamp
        if self._digests is None:
            return True
        return bool(self._digests) and subject_digest(dataset, user_id) in self._digests

    def _look(self) -> Stamp | None:
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> frozenset[str] | None:
        assert self.path is not None
        try:
            return frozenset(read_suppressed_users(self.path))
        except (LetheError, OSError, TypeError, ValueError) as error:
            logger.error("%s is unreadable (%s): every user is answered from popularity", self.path.name, error)
            return None


def publish_suppressed_users(path: Path, digests: Iterable[str]) -> None:
    """Tell serving, at once and atomically, which users it must not know; an unchanged set changes no byte."""
    write_whole(path, json.dumps({"digests": sorted(set(digests))}, indent=1) + "\n")


def read_suppressed_users(path: Path) -> frozenset[str]:
    """Digests of the users whom serving must not know; empty where there is no file. Raises DataError."""
    if not path.is_file():
        return frozenset()
    try:
        digests = json.loads(path.read_bytes())["digests"]
    except (ValueError, KeyError, TypeError):
        raise DataError(f'{path.name}: must be {{"digests": [...]}}') from None
    return frozenset(digests)
