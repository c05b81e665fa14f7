"""What must not come back: the suppression list that ingest obeys. It holds keyed digests alone (see keys.py), never an
id, and no time of a request: who is on it stays out until lifted (``lethe forget lift``), whatever a row's time says.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Self, cast, get_args

import numpy as np

from lethe.core.canonical import digest_json
from lethe.core.files import locked, write_whole
from lethe.core.keys import fingerprint, must_fit, row_digest, subject_digest, subject_digests
from lethe.data.listed import LONGEST, Listed, digests_in, lengths_among, named_inside, those
from lethe.errors import DataError
from lethe.tables.ids import Ids
from lethe.tables.inside import NOBODY, KnownIds, lengths_of
from lethe.tables.interactions import CONTEXT, UNKNOWN, Interactions
from lethe.tables.side_tables import BEHAVIOUR, SAID, SAYING, SideTable, SideTables

Kind = Literal["user", "item", "interaction", "row", "length"]
_COLUMNS = ("dataset", "kind", "digest", "user_digest", "since")
_HEAD = re.compile(r"# lethe suppression list 2, key ([0-9a-f]{16})")
_DIGEST = re.compile(r"[0-9a-f]{64}")
INTERACTIONS = "interactions"
_ALWAYS = np.iinfo(np.int64).min  # Before every time: what a user who is not listed may have done.


@dataclass(frozen=True)
class Suppressed:
    """One line of the list.

    user          every row of a user; with ``since`` (seconds) only those that are older
    item          every row that names a person as an item; in a context, only that context of it
    interaction   a user's rows with an item, whenever
    row           one row that was removed: it stays out for good, also after its user may be known again
    length        of nobody in particular: how long an id is by which features, contexts or facts may name one of the
                  people who are items among other words; what is as long is digested there
    """

    dataset: str
    kind: Kind
    digest: str
    user_digest: str
    """That of the user, so that only the listed users' rows need hashing."""
    since: int | None = None

    @classmethod
    def user(cls, dataset: str, user_id: object, since: int | None = None) -> Self:
        digest = subject_digest(dataset, user_id)
        return cls(dataset, "user", digest, digest, since)

    @classmethod
    def item(cls, dataset: str, user_id: object) -> Self:
        return replace(cls.user(dataset, user_id), kind="item")

    @classmethod
    def interaction(cls, dataset: str, user_id: object, item_id: object) -> Self:
        return cls(dataset, "interaction", subject_digest(dataset, user_id, item_id), subject_digest(dataset, user_id))

    @classmethod
    def row(cls, dataset: str, user_id: object, table: str, *values: object) -> Self:
        """A row of a table that was removed with a user: its values, None for a time that is none."""
        return cls(dataset, "row", row_digest(dataset, table, *values), subject_digest(dataset, user_id))

    @classmethod
    def lengths(cls, dataset: str, user_id: object) -> Iterator[Self]:
        """Of how many bytes an id is where it stands inside of something; none where it is looked for as a whole
        alone."""
        return (cls.length(dataset, length) for length in sorted(lengths_of(str(user_id))) if length <= LONGEST)

    @classmethod
    def length(cls, dataset: str, length: int) -> Self:
        digest = row_digest(dataset, "length", length)
        return cls(dataset, "length", digest, digest)

    @property
    def line(self) -> tuple[str, str, str, str, str]:
        since = "" if self.since is None else str(self.since)
        return self.dataset, self.kind, self.digest, self.user_digest, since


@dataclass(frozen=True)
class SuppressionList:
    """The list in a CSV file: sorted, each subject once, so that its bytes are a function of what it says."""

    path: Path
    entries: tuple[Suppressed, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The list; empty where there is no file. Raises DataError with the line that breaks a rule, ConfigError if it
        was made under another key."""
        if not path.is_file():
            return cls(path)
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        head = _HEAD.fullmatch(",".join(lines[0])) if lines else None
        if head is None:
            raise DataError(f"{path.name}: line 1 must name format 2 and a key; lethe upgrade mends an older list")
        must_fit(head.group(1), path.name)
        if lines[1:2] != [list(_COLUMNS)]:
            raise DataError(f"{path.name}: line 2 must be {','.join(_COLUMNS)}")
        return cls(path, tuple(_entry(line, f"{path.name}: line {n}") for n, line in enumerate(lines[2:], 3)))

    def add(self, entries: Iterable[Suppressed]) -> Self:
        """The list as it is now with further entries, written; a user who had been let in again since some time is out
        again. Several may do so at once: no entry is lost."""
        new = {(entry.dataset, entry.kind, entry.digest): entry for entry in entries}
        return self._changed(lambda known: [*(e for e in known if _key(e) not in new), *new.values()])

    def lift(self, dataset: str, user_id: object, since: int | None = None) -> Self:
        """Let a user in again: all but the rows that were removed, or but what is older than ``since`` (seconds). What
        was asked of single interactions stands."""
        return self.lift_all(dataset, [subject_digest(dataset, user_id)], since)

    def lift_all(self, dataset: str, digests: Collection[str], since: int | None = None) -> Self:
        """The same of several, by their keyed digests."""
        whole = {(dataset, kind, digest) for kind in ("user", "item") for digest in digests}

        def lifted(known: Iterable[Suppressed]) -> list[Suppressed]:
            kept = [entry for entry in known if _key(entry) not in whole]
            later = [Suppressed(dataset, "user", digest, digest, since) for digest in digests]
            return kept if since is None else [*kept, *later]

        return self._changed(lifted)

    def digest_of(self, dataset: str) -> str:
        """SHA-256 of the lines about a dataset, whatever else is on the list."""
        return digest_json([entry.line for entry in sorted(self.entries, key=_key) if entry.dataset == dataset])

    def __contains__(self, entry: Suppressed) -> bool:
        """Whether there is a line about the same, lifted since some time or not."""
        return _key(entry) in self._keys

    @cached_property
    def _keys(self) -> frozenset[tuple[str, str, str]]:
        return frozenset(map(_key, self.entries))

    def drop(self, interactions: Interactions, dataset: str, table: str = INTERACTIONS) -> Interactions:
        """The rows that the list doesn't name; see ``matches``."""
        named = self.matches(interactions, dataset, table)
        return interactions.take(~named) if named.any() else interactions

    def emptied(
        self, interactions: Interactions, dataset: str, table: str = INTERACTIONS, known: KnownIds = NOBODY
    ) -> Interactions:
        """The same rows without the contexts that name somebody of the list as an item: these are unknown then, and
        pairs may recur."""
        named = self.named_in_contexts(interactions, dataset, table, known)
        return interactions.without_contexts(named) if any(rows.any() for rows in named.values()) else interactions

    def named_in_contexts(
        self, interactions: Interactions, dataset: str, table: str = INTERACTIONS, known: KnownIds = NOBODY
    ) -> dict[str, np.ndarray]:
        """{field: [n] bool}: which rows name in a context somebody of the list as an item, or did when that person was
        forgotten. ``known``: whose longer ids are no hit."""
        listed = self._of(dataset)
        if not interactions.contexts or not (listed.items or listed.rows):
            return {}
        digests, users = digests_in(dataset, interactions.user_ids)
        owned, times = those(digests, listed.owners)[users], interactions.seconds
        named = dict[str, np.ndarray]()
        for field, column in interactions.contexts.items():
            digests, values = digests_in(dataset, column, numbers=False)
            told = np.asarray(column != UNKNOWN, dtype=bool)
            named[field] = those(digests, listed.items)[values] & told
            people = listed.items - {subject_digest(dataset, UNKNOWN)}
            for _, rows in named_inside(dataset, column, people, listed.lengths, known):
                named[field] |= rows
            for row in np.flatnonzero(owned & told & ~named[field]):
                values_of = interactions.user_ids[row], interactions.item_ids[row]
                named[field][row] = any(
                    row_digest(dataset, context_table(table, field), *values_of, at, column[row]) in listed.rows
                    for at in (None, *(() if times is None else (times[row],)))
                )
        return named

    def lengths(self, dataset: str) -> frozenset[int]:
        """Of how many bytes ids are that are looked for inside of what is said; there who is known must be told
        first."""
        return lengths_among(
            dataset, frozenset(e.digest for e in self.entries if (e.dataset, e.kind) == (dataset, "length"))
        )

    def drop_side(self, tables: SideTables, dataset: str, known: KnownIds = NOBODY) -> SideTables:
        """What is said about the listed leaves with them: links in both directions, features, behaviours."""
        behaviours = {
            name: self.emptied(self.drop(rows, dataset, BEHAVIOUR + name), dataset, BEHAVIOUR + name, known)
            for name, rows in tables.behaviours.items()
        }
        kept = {name: table.take(~self._in_table(table, dataset, known)) for name, table in tables.tables.items()}
        if "items" in kept:  # Those that a feature is left of.
            told = Ids.of(kept["item_features"]["item"])
            kept["items"] = kept["items"].take(told.encode(kept["items"]["item"]) >= 0)
        return SideTables(kept, behaviours)

    def matches(self, interactions: Interactions, dataset: str, table: str = INTERACTIONS) -> np.ndarray:
        """[n] bool: the rows that must not be there. ``table`` is the one they are of: a row is removed from one."""
        listed = self._of(dataset)
        if not listed:
            return np.zeros(len(interactions), dtype=bool)
        digests, users = digests_in(dataset, interactions.user_ids)
        times = interactions.seconds
        named = those(digests, listed.users)[users]
        if listed.since:
            began = np.array([listed.since.get(digest, _ALWAYS) for digest in digests], dtype=np.int64)[users]
            named |= began != _ALWAYS if times is None else times < began
        if listed.items:
            of_items, items = digests_in(dataset, interactions.item_ids)
            named |= those(of_items, listed.items)[items]
        for row in np.flatnonzero(those(digests, listed.owners)[users] & ~named):
            user, item = interactions.user_ids[row], interactions.item_ids[row]
            # Where time says nothing (it is a position, or there is none) a row was put on the list without one.
            named[row] = subject_digest(dataset, user, item) in listed.pairs or any(
                row_digest(dataset, table, user, item, at) in listed.rows
                for at in (None, *(() if times is None else (times[row],)))
            )
        return named

    def people_among(self, dataset: str, ids: Sequence[str], kind: Literal["user", "item"]) -> set[str]:
        """Which of these ids are of people of whom nothing may be there, as users or as items."""
        listed = self._of(dataset)
        named = listed.users if kind == "user" else listed.items
        return {id for id, digest in zip(ids, subject_digests(dataset, ids), strict=True) if digest in named}

    def _in_table(self, table: SideTable, dataset: str, known: KnownIds) -> np.ndarray:
        """[n] bool: links of and to the listed, their features, what is said of them as items, and by other features. A
        number among these is hardly an id."""
        listed = self._of(dataset)
        named, owned = np.zeros(len(table), dtype=bool), np.zeros(len(table), dtype=bool)
        for names, whole, owners in (
            (("user", "friend"), listed.users | listed.since.keys(), listed.owners),
            (("item", "entity", SAID), listed.items, listed.owners),
        ):
            for name in (name for name in names if name in table.columns and (whole or owners)):
                digests, places = digests_in(dataset, table[name], numbers=name != SAID)
                named |= those(digests, whole)[places]
                owned |= those(digests, owners)[places]
        for name in (name for name in SAYING if name in table.columns):
            for digest, rows in named_inside(dataset, table[name], listed.items | listed.owners, listed.lengths, known):
                named |= rows if digest in listed.items else False
                owned |= rows if digest in listed.owners else False
        for row in np.flatnonzero(owned & ~named):
            values = [values[row] for values in table.columns.values()]
            named[row] = row_digest(dataset, table.kind, *values) in listed.rows
        return named

    def _of(self, dataset: str) -> Listed:
        mine = [entry for entry in self.entries if entry.dataset == dataset]
        by_kind = {kind: frozenset(e.digest for e in mine if e.kind == kind) for kind in get_args(Kind)}
        since = {e.digest: e.since for e in mine if e.kind == "user" and e.since is not None}
        return Listed(
            users=by_kind["user"] - since.keys(),
            since=since,
            items=by_kind["item"],
            pairs=by_kind["interaction"],
            rows=by_kind["row"],
            owners=frozenset(e.user_digest for e in mine if e.kind in ("interaction", "row")),
            lengths=lengths_among(dataset, by_kind["length"]),
        )

    def _changed(self, change: Callable[[Sequence[Suppressed]], Iterable[Suppressed]]) -> Self:
        with locked(self.path.parent):
            return self.rewrite(change(type(self).read(self.path).entries))

    def rewrite(self, entries: Iterable[Suppressed]) -> Self:
        """The list with these entries alone, written under the key that is in place."""
        ordered = sorted(set(entries), key=lambda entry: entry.line)
        text = io.StringIO()
        text.write(f"# lethe suppression list 2, key {fingerprint()}\n")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(entry.line for entry in ordered)
        write_whole(self.path, text.getvalue())
        return type(self)(self.path, tuple(ordered))


def context_table(table: str, field: str) -> str:
    """What a row's digest calls the table of a context: a row that lost one stays."""
    return f"{table}.{CONTEXT}{field}"


def _key(entry: Suppressed) -> tuple[str, str, str]:
    return entry.dataset, entry.kind, entry.digest


def _entry(line: list[str], where: str) -> Suppressed:
    if len(line) != len(_COLUMNS):
        raise DataError(f"{where} has {len(line)} fields, must be {len(_COLUMNS)}")
    dataset, kind, digest, user_digest, since = line
    if kind not in get_args(Kind):
        raise DataError(f"{where}: kind must be {', '.join(get_args(Kind))}, got {kind!r}")
    if not _DIGEST.fullmatch(digest) or not _DIGEST.fullmatch(user_digest):
        raise DataError(f"{where}: digest and user_digest must be 64 hexadecimal digits")
    if not re.fullmatch(r"(-?[0-9]+)?", since):
        raise DataError(f"{where}: since must be empty or seconds since 1970, got {since!r}")
    return Suppressed(dataset, cast(Kind, kind), digest, user_digest, int(since) if since else None)
