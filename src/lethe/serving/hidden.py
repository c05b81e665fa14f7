"""Hidden at once, unlearnt soon: users whose request is accepted are answered from popularity until it is deployed.

The list holds keyed digests only (see keys.py). Where it should be and is not, or can't be read, everybody is hidden:
no answer may come from data whose erasure was accepted.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from lethe.core.files import write_whole
from lethe.core.keys import subject_digest
from lethe.errors import DataError, DeploymentError, LetheError

logger = logging.getLogger(__name__)

Stamp = tuple[int, int, int]
_UNREAD: Stamp = (-1, -1, -1)


class HiddenUsers:
    """The digests of a file that is read again whenever it changes. Without a path nobody is hidden."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._stamp: Stamp | None = _UNREAD
        self._digests: frozenset[str] | None = frozenset()

    @classmethod
    def at_start(cls, path: Path) -> HiddenUsers:
        """For a service that begins: raises DeploymentError where there is no list that can be read."""
        try:
            read(path)
        except DataError as error:
            raise DeploymentError(f"{error}; lethe deploy writes it anew from the ledger") from None
        return cls(path)

    def holds(self, dataset: str, user_id: int | str) -> bool:
        """Whether this user of a dataset is hidden, as the file says at this moment."""
        if self.path is not None and (stamp := self._look()) != self._stamp:
            self._digests, self._stamp = self._read(), stamp
        return self._digests is None or (bool(self._digests) and subject_digest(dataset, user_id) in self._digests)

    def _look(self) -> Stamp | None:
        assert self.path is not None
        try:
            now = self.path.stat()
        except OSError:
            return None
        return now.st_mtime_ns, now.st_size, now.st_ino

    def _read(self) -> frozenset[str] | None:
        assert self.path is not None
        try:
            return read(self.path)
        except (LetheError, OSError) as error:
            logger.error("%s: every user is answered from popularity", error)
            return None


def publish(path: Path, digests: Iterable[str]) -> None:
    """Tell serving, at once and atomically, which users it must not know; an unchanged set changes no byte."""
    write_whole(path, json.dumps({"digests": sorted(set(digests))}, indent=1) + "\n")


def read(path: Path) -> frozenset[str]:
    """Digests of the users whom serving must not know. Raises DataError where there is no such list."""
    try:
        digests = json.loads(path.read_bytes())["digests"]
        if not isinstance(digests, list) or not all(isinstance(digest, str) for digest in digests):
            raise TypeError
    except OSError as error:
        raise DataError(f"{path.name}: the list of hidden users can't be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f'{path.name}: the list of hidden users must be {{"digests": [...]}}') from None
    return frozenset(digests)
