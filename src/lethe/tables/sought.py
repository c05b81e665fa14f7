"""Texts searched for in bytes, all at once, each only where it stands for itself.

An id is no hit inside a longer word (``joe`` in ``joey``), nor inside a longer id that is still held and is
written there (``anna`` in ``anna k``): ids may hold blanks, slashes, anything, so what is held decides. Bytes that are
no text have no words; there only numbers must stand alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from lethe.tables.spelt import spellings

_BLOCK = 1 << 22  # Bytes looked at together.
_SHORT = 256  # Bytes that are sooner looked at one by one.
_MANY = 128
"""Different beginnings, of two bytes, from which on an automaton finds texts in text sooner than tables of bytes do."""
_LONG = 32
"""Bytes of a text from which on it is sooner seen that it can't be somewhere: by some of the bytes there."""
_WIDTH = 8  # First and last bytes of a text that are compared in one go.
_ESCAPE = rb"(?:\\[abfnrtv0]|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|%[0-9a-f]{2}|&#?[a-z0-9]{1,6};)"
"""An escaped character ends in a letter or digit that belongs to no word."""
_ESCAPED = re.compile(_ESCAPE + rb"\Z", re.IGNORECASE)
ESCAPED = re.compile(rb"(?=(" + _ESCAPE + rb"))", re.IGNORECASE)
"""Each of them, wherever they are."""
WORD = np.zeros(256, dtype=bool)
WORD[[ord(c) for c in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"]] = True
"""[256] bool: bytes that a word may have; of other letters than these one byte does not tell."""


def _nobody() -> pa.LargeStringArray:
    return pa.array([], pa.large_string())


@dataclass(frozen=True)
class Sought:
    """``texts`` to look for; ``held``: longer ids that may hold one of them and are no finding.

    ``words``: each must stand for itself. Otherwise any place where its bytes are is a finding: a digest.
    """

    texts: frozenset[str] = field(default=frozenset(), repr=False)
    held: pa.LargeStringArray = field(default_factory=_nobody, repr=False, compare=False)
    words: bool = True

    def within(self, content: bytes, *, binary: bool = False) -> bool:
        """Whether one of them is in these bytes, which are UTF-8 text unless ``binary``."""
        return any(self._counts(content, *place, binary) for place in self._places(content, binary))

    def those_in(self, content: bytes) -> frozenset[str]:
        """Those of them that are in this text."""
        places = ((start, end) for start, end in self._places(content, binary=False))
        spelt = {content[start:end] for start, end in places if self._counts(content, start, end, False)}
        return frozenset(text for text in self.texts if spelt & spellings(text)) if spelt else frozenset()

    def in_each(self, values: pa.LargeStringArray) -> Iterator[tuple[int, str]]:
        """(which of these values, which text) wherever one stands in them for itself, each value being all there is."""
        for which, start, end in self._within_each(values) if self.texts else ():
            content = values[which].as_py().encode()
            if self._counts(content, start, end, binary=False):
                yield from ((which, text) for text in self._spelt[content[start:end]])

    def _counts(self, content: bytes, start: int, end: int, binary: bool) -> bool:
        if not self.words:
            return True
        digits = content[start:end].isdigit()
        if (digits or not binary) and not _alone(content, start, end, digits):
            return False
        for before, length in self._longer.get(content[start:end], ()):
            low, high = start - before, start - before + length
            if low >= 0 and content[low:high] in self._held and (binary or _alone(content, low, high)):
                return False
        return True

    def _places(self, content: bytes, binary: bool) -> Iterator[tuple[int, int]]:
        """(start, end) wherever the bytes of a text are."""
        if not self.texts:
            return
        if len(content) <= _SHORT:
            yield from self._one_by_one(content)
        elif not binary and int(self._pairs.sum()) > _MANY:
            yield from self._by_automaton(content)
        else:
            yield from self._by_tables(content, binary)

    def _by_automaton(self, content: bytes) -> Iterator[tuple[int, int]]:
        """As long whatever the number of texts (Aho and Corasick 1975); blocks because it widens each byte to four."""
        longest = max(self._lengths)
        for first in range(0, len(content), _BLOCK):
            block = content[first : first + _BLOCK + longest].decode("latin-1")
            for last, length in self._automaton.iter(block):
                start = last + 1 - length
                if start < _BLOCK:
                    yield first + start, first + last + 1

    def _by_tables(self, content: bytes, binary: bool) -> Iterator[tuple[int, int]]:
        longest = max(self._lengths)
        for first in range(0, len(content), _BLOCK):
            block = np.frombuffer(content[first : first + _BLOCK + longest], dtype=np.uint8)
            starts = self._starts_in(block)
            for length in self._lengths if len(starts) else ():
                some = starts[(starts < _BLOCK) & (starts + length <= len(block))]
                some = some[np.isin(_packed(block, some + length - self._width, self._width), self._ends[length])]
                if self.words and not binary:
                    # What goes on in a letter or digit is a longer word, whatever it is.
                    open_ended = np.minimum(some + length, len(block) - 1)
                    some = some[(some + length == len(block)) | ~WORD[block[open_ended]]]
                for start in some.tolist():
                    if content[first + start : first + start + length] in self._spellings:
                        yield first + start, first + start + length

    def _one_by_one(self, content: bytes) -> Iterator[tuple[int, int]]:
        for length in self._lengths:
            for start in range(len(content) - length + 1):
                if content[start : start + length] in self._spellings:
                    yield start, start + length

    def _starts_in(self, block: np.ndarray) -> np.ndarray:
        """Where a text may begin: by its first two bytes, then by its first ``_width``."""
        count = len(block) - self._width + 1
        if count < 1:
            return np.zeros(0, dtype=np.int64)
        if self.words or self._lengths[0] < _LONG:
            two = (block[:-1].astype(np.uint16) << 8) | block[1:]
            places = np.flatnonzero(self._pairs[two[:count]])
        else:
            places = self._possible(block, count)
        return places[np.isin(_packed(block, places, self._width), self._heads)]

    def _possible(self, block: np.ndarray, count: int) -> np.ndarray:
        """Where a long text may begin: of every so many bytes four in a row are of its letters, wherever it stands."""
        step = self._lengths[0] // 4
        some = self._letters[block[::step]]
        first = np.flatnonzero(some[:-3] & some[1:-2] & some[2:-1] & some[3:]) * step
        places = (first[:, None] - np.arange(step)[::-1]).ravel()
        return places[(places >= 0) & (places < count)]

    @cached_property
    def _spellings(self) -> frozenset[bytes]:
        plain = {text.encode() for text in self.texts}
        if not self.words:
            return frozenset(plain)
        # What is another id, as that is, is no escaped spelling of this one.
        escaped = {spelling for text in self.texts for spelling in spellings(text)}
        return frozenset(plain | (escaped - _among(escaped, self.held)))

    @cached_property
    def _spelt(self) -> dict[bytes, list[str]]:
        """The texts that each spelling is one of."""
        texts = defaultdict[bytes, list[str]](list)
        for text in sorted(self.texts):
            for spelling in spellings(text) & self._spellings:
                texts[spelling].append(text)
        return texts

    @cached_property
    def _automaton(self) -> Any:
        import ahocorasick

        automaton = ahocorasick.Automaton()
        for spelling in self._spellings:
            automaton.add_word(spelling.decode("latin-1"), len(spelling))
        automaton.make_automaton()
        return automaton

    @cached_property
    def _lengths(self) -> list[int]:
        return sorted({len(spelling) for spelling in self._spellings})

    @cached_property
    def _width(self) -> int:
        assert self._lengths[0] > 1, "too short to say anything"
        return min(_WIDTH, self._lengths[0])

    @cached_property
    def _heads(self) -> np.ndarray:
        return _integers(spelling[: self._width] for spelling in self._spellings)

    @cached_property
    def _ends(self) -> dict[int, np.ndarray]:
        return {n: _integers(s[-self._width :] for s in self._spellings if len(s) == n) for n in self._lengths}

    @cached_property
    def _pairs(self) -> np.ndarray:
        """[65536] bool: which two bytes a text begins with."""
        table = np.zeros(1 << 16, dtype=bool)
        table[_integers(spelling[:2] for spelling in self._spellings)] = True
        return table

    @cached_property
    def _letters(self) -> np.ndarray:
        """[256] bool: which bytes the texts have."""
        table = np.zeros(256, dtype=bool)
        table[np.frombuffer(b"".join(self._spellings), dtype=np.uint8)] = True
        return table

    @cached_property
    def _longer(self) -> dict[bytes, list[tuple[int, int]]]:
        """Spelling of a text -> (bytes before it, length) in every longer held id that it is part of."""
        shapes: dict[bytes, set[tuple[int, int]]] = defaultdict(set)
        held = sorted(self._held)
        for which, start, end in self._within_each(pa.array(held, pa.large_binary())):
            if len(held[which]) > end - start:
                shapes[held[which][start:end]].add((start, len(held[which])))
        return {spelling: sorted(some) for spelling, some in shapes.items()}

    @cached_property
    def _held(self) -> frozenset[bytes]:
        """Every spelling of the held ids that have a text in them."""
        chosen = sorted({which for which, _, _ in self._within_each(self.held)})
        longer = self.held.take(pa.array(chosen, pa.int64())).to_pylist()
        return frozenset(spelling for text in longer if text not in self.texts for spelling in spellings(text))

    def _within_each(self, held: pa.LargeStringArray | pa.LargeBinaryArray) -> Iterator[tuple[int, int, int]]:
        """(which of these, start, end) wherever the bytes of a text are in one. They lie one behind the other."""
        if not len(held):
            return
        _, places, content = held.buffers()
        bounds = np.frombuffer(places, dtype=np.int64)[held.offset : held.offset + len(held) + 1]
        first = int(bounds[0])
        together = content.slice(first, int(bounds[-1]) - first).to_pybytes() if content else b""
        for start, end in self._places(together, binary=True):
            which = int(np.searchsorted(bounds, start + first, side="right")) - 1
            low = int(bounds[which]) - first
            if end + first <= int(bounds[which + 1]):
                yield which, start - low, end - low


def _among(spelt: set[bytes], held: pa.LargeStringArray) -> set[bytes]:
    """Those of these bytes that are, as UTF-8, one of the held ids."""
    import pyarrow.compute as pc  # Not at the top: it takes as long to import as a request takes to be counted.

    wanted = pa.array(sorted(spelt), pa.large_binary())
    return set(wanted.filter(pc.is_in(wanted, value_set=held.view(pa.large_binary()))).to_pylist())


def _alone(content: bytes, start: int, end: int, digits: bool = False) -> bool:
    """Whether neither side goes on as a word; nor, where it is all ``digits``, as a number: 0.123456"""
    before, after = content[max(0, start - 8) : start], content[end : end + 8]
    if digits and (re.search(rb"[0-9][.,]\Z", before) or re.match(rb"[.,][0-9]", after)):
        return False
    return (not _wordy(_last(before)) or bool(_ESCAPED.search(before))) and not _wordy(_first(after))


def _wordy(character: str) -> bool:
    # Scripts without blanks between words ("Lo") say nothing of where a word ends.
    kind = unicodedata.category(character) if character else ""
    return character == "_" or kind[:1] in ("N", "M") or kind in ("Lu", "Ll", "Lt", "Lm")


def _first(content: bytes) -> str:
    for length in range(1, 5):
        try:
            return content[:length].decode()
        except UnicodeDecodeError:
            continue
    return ""


def _last(content: bytes) -> str:
    for length in range(1, min(5, len(content) + 1)):
        try:
            return content[-length:].decode()
        except UnicodeDecodeError:
            continue
    return ""


def _packed(block: np.ndarray, places: np.ndarray, width: int) -> np.ndarray:
    """The ``width`` bytes from each place on, as one integer."""
    packed = np.zeros(len(places), dtype=np.uint64)
    for offset in range(width):
        packed = (packed << np.uint64(8)) | block[places + offset]
    return packed


def _integers(spelt: Iterable[bytes]) -> np.ndarray:
    return np.array(sorted({int.from_bytes(some, "big") for some in spelt}), dtype=np.uint64)
