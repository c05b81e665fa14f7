"""What must be absent, and how it is recognised in columns, in records and in bytes.

Four kinds of needle, because no one way of looking sees everything:

* ids, by structure: values of user columns. A short id such as 42 can't be searched as text: its two bytes occur by
  chance in any compressed file, timestamp or digest, so a text search would always "find" it and prove nothing; and in
  compressed Parquet it would miss it where it is.
* keyed digests of ids, by structure too: what is left to look for once a request is completed and its ids are gone.
* digests of tables and artifacts that must be gone: SHA-256 and MD5 of whole files, digests of interaction tables,
  names in content-addressed folders, and (where nothing may legitimately tell of the past) as text.
* texts long enough to be distinctive: ids of six characters and more, planted canaries; in the bytes of every file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lethe.core.keys import subject_digest
from lethe.data.suppression import Suppressed
from lethe.forgetting.ledger.requests import DISTINCTIVE, ForgetRequest, holds
from lethe.tables.ids import same_id
from lethe.tables.interactions import Interactions

# By the names this project gives its columns: `users` and `items` are dense indices, which name nobody.
USER_COLUMNS = ("user", "user_id", "user_ids", "friend")
ITEM_COLUMNS = ("item", "item_id", "item_ids")

_BLOCK = 1 << 22  # Bytes looked at together.
_SHORT = 256  # Bytes that are sooner looked at one by one.
_WIDTH = 8  # First bytes of a text that are compared in one go.


@dataclass(frozen=True)
class Texts:
    """Texts searched for in bytes, all at once: a regular expression of a thousand takes seconds a megabyte."""

    texts: frozenset[str] = field(default=frozenset(), repr=False)
    guarded: bool = True
    """Digits (and hex digits) also occur inside timestamps and digests: a text of them must then stand alone."""

    def found_in(self, content: bytes) -> bool:
        if not self.texts:
            return False
        if len(content) <= _SHORT:
            return any(self._at(content, place) for place in range(len(content)))
        for start in range(0, len(content), _BLOCK):
            block = np.frombuffer(content[start : start + _BLOCK + self._width - 1], dtype=np.uint8)
            if any(self._at(content, start + place) for place in self._places(block)):
                return True
        return False

    def _places(self, block: np.ndarray) -> list[int]:
        """Where a text may begin: by its first two bytes, then by its first ``_width``."""
        count = len(block) - self._width + 1
        if count < 1:
            return []
        two = (block[:-1].astype(np.uint16) << 8) | block[1:]
        places = np.flatnonzero(self._pairs[two[:count]])
        starts = np.zeros(len(places), dtype=np.uint64)
        for offset in range(self._width):
            starts = (starts << np.uint64(8)) | block[places + offset]
        return places[np.isin(starts, self._starts)].tolist()

    def _at(self, content: bytes, place: int) -> bool:
        for length in self._lengths:
            end = place + length
            if content[place:end] in self._spellings:
                edges = content[max(place - 1, 0) : place] + content[end : end + 1]
                if content[place:end] not in self._alone or not re.search(rb"[0-9A-Za-z]", edges):
                    return True
        return False

    @cached_property
    def _spellings(self) -> frozenset[bytes]:
        """As UTF-8, and as JSON escapes it."""
        return frozenset(spelt.encode() for text in self.texts for spelt in (text, json.dumps(text)[1:-1]))

    @cached_property
    def _alone(self) -> frozenset[bytes]:
        return frozenset(s for s in self._spellings if self.guarded and re.fullmatch(rb"[0-9a-fA-F]+", s))

    @cached_property
    def _lengths(self) -> list[int]:
        return sorted({len(spelling) for spelling in self._spellings})

    @cached_property
    def _width(self) -> int:
        assert self._lengths[0] > 1, "too short to say anything"
        return min(_WIDTH, self._lengths[0])

    @cached_property
    def _starts(self) -> np.ndarray:
        return self._first(self._width)

    @cached_property
    def _pairs(self) -> np.ndarray:
        """[65536] bool: which two bytes a text begins with."""
        table = np.zeros(1 << 16, dtype=bool)
        table[self._first(2)] = True
        return table

    def _first(self, width: int) -> np.ndarray:
        starts = sorted({spelling[:width] for spelling in self._spellings})
        return np.array([int.from_bytes(start, "big") for start in starts], dtype=np.uint64)


@dataclass(frozen=True)
class Needles:
    """What must be absent of one dataset.

    users         raw ids as text                  pairs         (user, item)
    keyed_users   keyed digests of users           keyed_pairs   keyed digest of an interaction -> of its user
    digests       hex                              texts         looked for in bytes
    """

    dataset: str
    users: frozenset[str] = field(default=frozenset(), repr=False)
    pairs: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)
    digests: frozenset[str] = frozenset()
    texts: frozenset[str] = field(default=frozenset(), repr=False)
    keyed_users: frozenset[str] = frozenset()
    keyed_pairs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        dataset: str,
        requests: Iterable[ForgetRequest],
        remaining: Interactions | None = None,
        digests: Collection[str] = (),
        texts: Collection[str] = (),
    ) -> Needles:
        """The needles of a dataset's requests whose subject is still in the ledger.

        A user who has rows again in ``remaining`` (newer than the request) is no needle, nor is such an interaction;
        None: nothing remains.
        ``digests``: of all that was before, less all that is now in use anywhere in the workspace.
        """
        gone = [request for request in requests if request.dataset == dataset and request.user is not None]
        if remaining is not None:
            present = _texts_of(remaining.user_ids)
            gone = [request for request in gone if request.user not in present or not holds(remaining, request)]
        users = frozenset(str(r.user) for r in gone if r.kind == "user")
        pairs = frozenset((str(r.user), item) for r in gone for item in r.items)
        long_enough = {user for user in users if len(user) >= DISTINCTIVE}
        return cls(dataset, users, pairs, frozenset(digests), frozenset(texts) | long_enough)

    @classmethod
    def keyed(cls, dataset: str, suppressed: Iterable[Suppressed], remaining: Interactions) -> Needles:
        """The needles of a dataset's suppression list: all that can still be looked for after completion.

        A user who has come back since is no needle, nor is an interaction that has.
        """
        mine = [e for e in suppressed if e.dataset == dataset and e.kind in ("user", "interaction") and e.since is None]
        listed = {entry.user_digest for entry in mine}
        back: set[str] = set()
        for user in _texts_of(remaining.user_ids):
            if (digest := subject_digest(dataset, user)) in listed:
                items = remaining.item_ids[same_id(remaining.user_ids, user)].tolist()
                back |= {digest, *(subject_digest(dataset, user, item) for item in items)}
        return cls(
            dataset,
            keyed_users=frozenset(e.digest for e in mine if e.kind == "user") - back,
            keyed_pairs={e.digest: e.user_digest for e in mine if e.kind == "interaction" and e.digest not in back},
        )

    def __bool__(self) -> bool:
        found = (self.users, self.pairs, self.digests, self.texts, self.keyed_users, self.keyed_pairs)
        return any(found)

    @cached_property
    def as_text(self) -> Texts:
        return Texts(self.texts)

    @cached_property
    def digests_as_text(self) -> Texts:
        return Texts(self.digests, guarded=False)

    def is_user(self, text: str) -> bool:
        """Whether this raw id is one of the users."""
        return text in self.users or (bool(self.keyed_users) and subject_digest(self.dataset, text) in self.keyed_users)

    def is_pair(self, user: str, items: Iterable[str]) -> bool:
        """Whether one of these is an interaction that must be gone."""
        if any((user, item) in self.pairs for item in items):
            return True
        if not self.keyed_pairs or subject_digest(self.dataset, user) not in self._keyed_owners:
            return False
        return any(subject_digest(self.dataset, user, item) in self.keyed_pairs for item in items)

    def in_columns(self, users: np.ndarray, items: np.ndarray | None) -> str | None:
        """Kind of needle in aligned columns of raw ids (int64 or object of str), if there is one."""
        present = _texts_of(users)
        if any(self.is_user(user) for user in present):
            return "user id"
        if items is not None and (self.pairs or self.keyed_pairs):
            owners = {user for user, _ in self.pairs}
            for user in present:
                owns = user in owners or (self.keyed_pairs and subject_digest(self.dataset, user) in self._keyed_owners)
                if owns and self.is_pair(user, _texts_of(items[same_id(users, user)])):
                    return "interaction"
        return None

    def in_content(self, content: bytes, digests_as_text: bool = False) -> str | None:
        """Kind of needle in bytes."""
        if self.as_text.found_in(content):
            return "text"
        if digests_as_text and self.digests_as_text.found_in(content):
            return "digest"
        if self.digests and {hashlib.sha256(content).hexdigest(), _md5(content)} & self.digests:
            return "digest"
        return None

    @cached_property
    def _keyed_owners(self) -> frozenset[str]:
        return frozenset(self.keyed_pairs.values())


def _texts_of(ids: np.ndarray) -> set[str]:
    return {str(value) for value in set(ids.tolist())}


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()  # DVC names its objects so.


def named(record: dict[Any, Any], names: Iterable[str]) -> set[str]:
    """The texts that a record holds under any of these names."""
    values = (record[name] for name in names if name in record)
    return {str(one) for value in values for one in (value if isinstance(value, list) else [value])}
