"""Hidden at once, unlearnt soon: users whose request is accepted are answered from popularity until it is deployed.

The list holds keyed digests only (see keys.py) and says under which key they were made. Where it should be and is not,
can't be read, or is of another key, everybody is hidden: no answer may come from data whose erasure was accepted.
A service reads it from a file, or from the ledger's own database (``hidden_ledger``).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from lethe.core import keys
from lethe.core.files import write_whole
from lethe.core.keys import subject_digest
from lethe.core.stamps import UNREAD, Stamp, stamp
from lethe.errors import DataError, DeploymentError, LetheError

logger = logging.getLogger(__name__)

THE_LIST = "the list of hidden users"
AS_ITEM = "+item"
"""Behind the digest of somebody who is an item too, in a further line of the list: see ``hidden_items``."""


def is_url(text: str) -> bool:
    """Whether this names a database rather than a file."""
    return text.startswith(("sqlite://", "postgresql://", "postgresql+psycopg://"))


def count_of(digests: Iterable[str]) -> int:
    """How many users a list names."""
    return sum(not digest.endswith(AS_ITEM) for digest in digests)


class HiddenUsers:
    """The digests of a file that is read again whenever it changes. Without a path nobody is hidden."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._stamp: Stamp | None = UNREAD
        self._digests: frozenset[str] | None = frozenset()

    @classmethod
    def at_start(cls, path: Path) -> HiddenUsers:
        """For a service that begins: raises DeploymentError where there is no list that can be read."""
        try:
            read(path)
        except LetheError as error:
            raise DeploymentError(f"{error}; lethe deploy writes it anew from the ledger") from None
        return cls(path)

    def digests(self) -> frozenset[str] | None:
        """Who is hidden at this moment; None: everybody."""
        if self.path is not None and (now := stamp(self.path)) != self._stamp:
            self._digests, self._stamp = self._read(), now
        return self._digests

    def holds(self, dataset: str, user_id: int | str) -> bool:
        """Whether this user of a dataset is hidden, as the list says at this moment."""
        digests = self.digests()
        return digests is None or (bool(digests) and subject_digest(dataset, user_id) in digests)

    def count(self) -> int | None:
        """How many users are hidden; None: everybody."""
        digests = self.digests()
        return None if digests is None else count_of(digests)

    @property
    def answers(self) -> Literal["models", "popular items only"]:
        """What the service answers from, as it says of itself."""
        return "popular items only" if self.digests() is None else "models"

    def _read(self) -> frozenset[str] | None:
        assert self.path is not None
        try:
            return read(self.path)
        except (LetheError, OSError) as error:
            logger.error("%s: every user is answered from popularity", error)
            return None


class Everybody(HiddenUsers):
    """For a service that nobody told whom it must not know."""

    def __init__(self) -> None:
        super().__init__(None)
        self._digests = None


def publish(path: Path, digests: Iterable[str]) -> None:
    """Tell serving, at once and atomically, which users it must not know; an unchanged set changes no byte."""
    write_whole(path, json.dumps({"digests": sorted(set(digests)), "key": keys.fingerprint()}, indent=1) + "\n")


def read(path: Path, *, any_key: bool = False) -> frozenset[str]:
    """Digests of the users whom serving must not know. Raises DataError where there is no such list, ConfigError where
    the key at hand isn't the one it was made under, unless it may be ``any_key``."""
    try:
        content = json.loads(path.read_bytes())
        digests, key = content["digests"], content.get("key")
        if not isinstance(digests, list) or not all(isinstance(digest, str) for digest in digests):
            raise TypeError
    except OSError as error:
        raise DataError(f"{path.name}: {THE_LIST} can't be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f'{path.name}: {THE_LIST} must be {{"digests": [...]}}') from None
    if key is not None and not any_key:  # An older Lethe wrote none; the next change of the list does.
        keys.must_fit(str(key), THE_LIST)
    return frozenset(digests)
