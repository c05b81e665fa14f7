"""Randomness by name, never by call order and never global.

A ``Stream`` is a position in a tree of names. ``Stream(seed)("train", "shard-3").torch("dropout", epoch)`` gives the
same numbers whatever ran before it, on any thread or worker, which is what makes a shard's sub-model a function of the
shard alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Name = str | int


@dataclass(frozen=True)
class Stream:
    """A named source of random numbers: ``seed`` is the run's seed, ``names`` the path below it."""

    seed: int
    names: tuple[Name, ...] = ()

    def __call__(self, *names: Name) -> Stream:
        """The stream below this one called ``names``."""
        return Stream(self.seed, self.names + names)

    def integer(self, *names: Name) -> int:
        """A 63-bit integer that depends on the seed and the whole path of names alone."""
        # repr() keeps 1 and "1", and ("a", "b") and ("ab",), apart.
        text = repr((self.seed, *self.names, *names)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1

    def numpy(self, *names: Name) -> np.random.Generator:
        """A fresh numpy generator for the stream below."""
        return np.random.Generator(np.random.PCG64(self.integer(*names)))

    def torch(self, *names: Name) -> torch.Generator:
        """A fresh torch generator (always on the CPU, so that every device draws the same numbers)."""
        import torch  # Seconds, which no data stage needs.

        return torch.Generator().manual_seed(self.integer(*names))


def keyed_hash(values: np.ndarray, *key: Name) -> np.ndarray:
    """A 64-bit hash of each value under a key: the only randomness that partitions and splits use.

    ``values`` [n] int64 or strings -> [n] uint64. It looks at nothing but the value and the key, so deleting other
    rows can't change it. Integers are mixed with the finaliser of splitmix64; strings go through blake2b, once each.
    """
    start = np.uint64(Stream(0, key).integer("hash"))
    if np.issubdtype(values.dtype, np.integer):
        return _mix(values.astype(np.int64).view(np.uint64), start)
    strings = values.tolist()
    places = {text: place for place, text in enumerate(dict.fromkeys(strings))}
    hashes = hash_of_each([str(text).encode() for text in places], *key)
    if len(places) == len(strings):
        return hashes
    return hashes[np.fromiter(map(places.__getitem__, strings), dtype=np.int64, count=len(strings))]


def hash_of_each(texts: Sequence[bytes], *key: Name) -> np.ndarray:
    """``keyed_hash`` of strings, given as their UTF-8 and each hashed as often as it is there: [n] uint64."""
    start = np.uint64(Stream(0, key).integer("hash"))
    digests = b"".join([hashlib.blake2b(text, digest_size=8).digest() for text in texts])
    return _mix(np.frombuffer(digests, dtype="<u8").astype(np.uint64), start)


def _mix(x: np.ndarray, key: np.uint64) -> np.ndarray:
    with np.errstate(over="ignore"):
        for constant in (key | np.uint64(1), key):
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9) + constant
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            x = x ^ (x >> np.uint64(31))
    return x


def unit_interval(hashes: np.ndarray) -> np.ndarray:
    """[n] uint64 hashes -> [n] float64 in [0, 1)."""
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
