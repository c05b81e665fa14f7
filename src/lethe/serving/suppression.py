"""Suppress now, unlearn soon: users whose erasure is accepted are answered from popularity until it is deployed."""

from __future__ import annotations

import logging
from pathlib import Path

from lethe.data.suppression import read_suppressed_users
from lethe.errors import LetheError
from lethe.keys import subject_digest

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
