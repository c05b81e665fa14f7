"""Proof of absence: that a subject was among a dataset's users, and is not among those that remain.

The keyed digests of the users, sorted between two that nobody has, are the leaves of a Merkle tree whose size is a
power of two. That two of them lie side by side shows that none lies between. A proof shows the keyed digests of two
neighbours and hashes, so nobody else is revealed.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

from lethe.config.promise import Hex
from lethe.config.section import Section

FIRST, LAST = "0" * 64, "f" * 64
_SIZE = 32
_NO_LEAF = hashlib.sha256(b"\x02").digest()


class Member(Section):
    """That a leaf is at a place of the tree of a root."""

    root: Hex
    place: int
    path: tuple[Hex, ...]

    def shows(self, leaf: str) -> bool:
        return _root(leaf, self.place, self.path) == self.root


class Absent(Section):
    """That two leaves lie side by side in the tree of a root: at ``place`` and the next."""

    root: Hex
    place: int
    left: Hex
    right: Hex
    left_path: tuple[Hex, ...]
    right_path: tuple[Hex, ...]

    def shows(self, leaf: str) -> bool:
        """Whether ``leaf`` would have to lie between them, and doesn't."""
        between = self.left < leaf < self.right
        left = _root(self.left, self.place, self.left_path) == self.root
        return between and left and _root(self.right, self.place + 1, self.right_path) == self.root


class Users(Section):
    """The subject of a whole-user request among the users of the interactions. ``before``: None if it was not there,
    and only side tables held it; ``after``: None if it is still there."""

    before: Member | None
    after: Absent | None

    def shows_absence(self, leaf: str) -> bool:
        return self.after is not None and self.after.shows(leaf)


class UserTree:
    """The tree of these keyed digests; the hashes of each level are held as bytes."""

    def __init__(self, digests: Iterable[bytes]) -> None:
        leaves = sorted({bytes.fromhex(FIRST), bytes.fromhex(LAST), *digests})
        self._leaves = _Row(b"".join(leaves))
        hashed = hashlib.sha256
        # ``_leaf`` and ``_node``, written out: of a million users there are a million of each.
        level = b"".join([hashed(b"\x00" + leaf).digest() for leaf in leaves])
        level += _NO_LEAF * ((1 << (len(leaves) - 1).bit_length()) - len(leaves))
        self._levels = [_Row(level)]
        while len(level) > _SIZE:
            pairs = range(0, len(level), 2 * _SIZE)
            level = b"".join([hashed(b"\x01" + level[at : at + 2 * _SIZE]).digest() for at in pairs])
            self._levels.append(_Row(level))

    @property
    def root(self) -> str:
        return self._levels[-1][0]

    def member(self, leaf: str) -> Member | None:
        """None for one that is not there."""
        place = bisect_left(self._leaves, leaf)
        if self._leaves[place] != leaf:
            return None
        return Member(root=self.root, place=place, path=self._path(place))

    def absent(self, leaf: str) -> Absent | None:
        """None for one that is there."""
        place = bisect_left(self._leaves, leaf)
        if self._leaves[place] == leaf:
            return None
        return Absent(
            root=self.root,
            place=place - 1,
            left=self._leaves[place - 1],
            right=self._leaves[place],
            left_path=self._path(place - 1),
            right_path=self._path(place),
        )

    def _path(self, place: int) -> tuple[str, ...]:
        return tuple(level[(place >> height) ^ 1] for height, level in enumerate(self._levels[:-1]))


class _Row(Sequence[str]):
    """Hashes one behind the other; each is given as hex digits, which have their order."""

    def __init__(self, whole: bytes) -> None:
        self._whole = whole

    def __len__(self) -> int:
        return len(self._whole) // _SIZE

    def __getitem__(self, place: Any) -> Any:
        return self._whole[place * _SIZE : (place + 1) * _SIZE].hex()


def _root(leaf: str, place: int, path: tuple[str, ...]) -> str | None:
    if not 0 <= place < 1 << len(path):
        return None
    hashed = _leaf(leaf)
    for height, sibling in enumerate(path):
        other = bytes.fromhex(sibling)
        hashed = _node(other, hashed) if place >> height & 1 else _node(hashed, other)
    return hashed.hex()


def _leaf(digest: str) -> bytes:
    return hashlib.sha256(b"\x00" + bytes.fromhex(digest)).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
