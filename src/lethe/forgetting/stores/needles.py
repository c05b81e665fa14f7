"""What must be absent, and how it is recognised in columns, in records and in bytes.

Four kinds of needle, because no one way of looking sees everything:

* ids, typed: values of user columns, and of JSON's by name. An id that is short, a number or a word of our own files
  (``is_ordinary``, ``own_words``) can't be searched as text: it occurs by chance in any file, so a search would always
  "find" it and prove nothing.
* keyed digests of ids, typed too: what is left to look for once the ids are gone; of people who may be known again,
  those of the rows that were removed, looked for in tables of ours.
* digests of tables and artifacts that must be gone: SHA-256 and MD5 of whole files, digests of interaction tables,
  names in content-addressed folders, and (where nothing may legitimately tell of the past) as text.
* texts: distinctive ids, planted canaries; wherever they stand for themselves (see ``Sought``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lethe.core.keys import subject_digest, subject_digests
from lethe.data.suppression import INTERACTIONS, Suppressed, SuppressionList
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.stores.held import NOBODY, StillHeld, own_words
from lethe.forgetting.stores.parquet_files import StoredTable
from lethe.forgetting.stores.parts import distinct_ids
from lethe.tables.inside import is_ordinary
from lethe.tables.interactions import Interactions
from lethe.tables.sought import Sought

SHA256, MD5 = 64, 32
"""Length in hex digits."""
_OTHERWISE = r"^\s|\s$|^-?[0-9]+\.0+$"
_WHOLE = re.compile(r"(-?[0-9]+)\.0+")
_INTEGER = r"^(0|-?[1-9][0-9]{0,18})$"


@dataclass(frozen=True)
class Needles:
    """What must be absent of one dataset.

    users         raw ids as text                  pairs         (user, item)
    keyed_users   keyed digests of users           keyed_pairs   keyed digest of an interaction -> of its user
    items         people who are items too         keyed_items   keyed digests of such people
    digests       hex                              texts         looked for wherever text is
    held          ids that are still held: a hit inside one of them is none
    removed       rows that were removed of people who may be known again, and must not be
    """

    dataset: str
    users: frozenset[str] = field(default=frozenset(), repr=False)
    pairs: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)
    digests: frozenset[str] = frozenset()
    texts: frozenset[str] = field(default=frozenset(), repr=False)
    keyed_users: frozenset[str] = frozenset()
    keyed_pairs: Mapping[str, str] = field(default_factory=dict)
    items: frozenset[str] = field(default=frozenset(), repr=False)
    keyed_items: frozenset[str] = frozenset()
    held: StillHeld = field(default=NOBODY, repr=False)
    removed: SuppressionList = field(default=SuppressionList(Path()), repr=False)
    row_tables: tuple[str, ...] = (INTERACTIONS,)
    """Names of the tables that those rows may have been removed from."""

    @classmethod
    def of(
        cls,
        dataset: str,
        requests: Iterable[ForgetRequest],
        *,
        suppressed: Iterable[Suppressed] = (),
        held: StillHeld = NOBODY,
        digests: Collection[str] = (),
        texts: Collection[str] = (),
    ) -> Needles:
        """The needles of a dataset's requests. A subject that the ledger has erased is looked for by keyed digests: its
        own, and for interactions those of ``suppressed``, the list that it joined.

        ``digests``: of all that was before, less all that is now in use anywhere in the workspace.
        """
        mine = [request for request in requests if request.dataset == dataset]
        erased = [request for request in mine if request.user is None]
        users = frozenset(str(r.user) for r in mine if r.user is not None and r.kind == "user")
        pairs = frozenset((str(r.user), item) for r in mine if r.user is not None for item in r.items)
        keyed_pairs = {}
        if any(r.kind != "user" for r in erased):
            listed = [entry for entry in suppressed if entry.dataset == dataset and entry.kind == "interaction"]
            keyed_pairs = {entry.digest: entry.user_digest for entry in listed}
        return cls(
            dataset,
            users,
            pairs,
            frozenset(digests),
            frozenset(texts),
            frozenset(r.subject_digest for r in erased if r.kind == "user"),
            keyed_pairs,
            frozenset(str(r.user) for r in mine if r.also_item and r.user is not None),
            frozenset(r.subject_digest for r in erased if r.also_item),
            held,
        )

    @classmethod
    def keyed(
        cls, dataset: str, suppressed: Iterable[Suppressed], row_tables: tuple[str, ...] = (INTERACTIONS,)
    ) -> Needles:
        """The needles of a dataset's suppression list: all that can still be looked for after completion. Of whoever
        may be known again (a lift) it is the rows that were removed; of all others those go with their user."""
        mine = [entry for entry in suppressed if entry.dataset == dataset and entry.since is None]
        users = frozenset(entry.digest for entry in mine if entry.kind == "user")
        rows = tuple(entry for entry in mine if entry.kind == "row" and entry.user_digest not in users)
        return cls(
            dataset,
            removed=SuppressionList(Path(), rows),
            row_tables=row_tables,
            keyed_users=users,
            keyed_pairs={entry.digest: entry.user_digest for entry in mine if entry.kind == "interaction"},
            keyed_items=frozenset(entry.digest for entry in mine if entry.kind == "item"),
        )

    def without(self, ids: Set[str]) -> Needles:
        """The same but for these ids, of people or things, which may be where this is to be searched."""
        digests = set(subject_digests(self.dataset, sorted(ids)))
        return replace(
            self,
            users=self.users - ids,
            pairs=frozenset(pair for pair in self.pairs if pair[0] not in ids),
            texts=self.texts - ids,
            items=self.items - ids,
            keyed_users=self.keyed_users - digests,
            keyed_pairs={digest: owner for digest, owner in self.keyed_pairs.items() if owner not in digests},
            keyed_items=self.keyed_items - digests,
        )

    def __len__(self) -> int:
        """How many there are."""
        raw = (self.users, self.pairs, self.items, self.digests, self.texts)
        keyed = (self.keyed_users, self.keyed_pairs, self.keyed_items, self.removed.entries)
        return sum(len(kind) for kind in (*raw, *keyed))

    def __bool__(self) -> bool:
        return len(self) > 0

    @cached_property
    def subjects(self) -> int:
        """How many of them are of people: what a scan for requests must have."""
        return len(self.users) + len(self.pairs) + len(self.keyed_users) + len(self.keyed_pairs)

    @cached_property
    def typed_only(self) -> frozenset[str]:
        """Those of the users that are looked for only where ids stand: any file may hold such a text by chance."""
        return frozenset(filter(is_ordinary, self.users)) | self.held.things_among(self.users) | own_words(self.users)

    @cached_property
    def seen(self) -> dict[Any, Any]:
        """What a scan for these found, by the content of files: a memory of scan.py's, for as long as they are."""
        return {}

    @cached_property
    def in_text(self) -> Sought:
        return Sought(self.texts | (self.users - self.typed_only), self.held.all)

    @cached_property
    def in_ids(self) -> Sought:
        """Looked for among ids, where users are looked for by equality."""
        return Sought(self.texts, self.held.all)

    @cached_property
    def digests_in_text(self) -> Sought:
        return Sought(self.digests, words=False)

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

    def in_columns(self, users: pa.Array | None, items: pa.Array | None) -> str | None:
        """Kind of needle in aligned columns of raw ids (int64 or text), if there is one."""
        if items is not None and (self.items or self.keyed_items):
            there = self._among(distinct_ids(items), self.items, self.keyed_items)
            if there:
                return "item id"
        if users is None:
            return None
        distinct = distinct_ids(users)
        if self._among(distinct, self.users, self.keyed_users):
            return "user id"
        if items is None or not (self.pairs or self.keyed_pairs):
            return None
        owners = self._among(distinct, {user for user, _ in self.pairs}, self._keyed_owners)
        if not owners:
            return None
        if pa.types.is_dictionary(users.type):
            users = users.dictionary_decode()
        rows = pc.is_in(users, value_set=pa.array(owners, distinct.type))
        kept = zip(users.filter(rows).to_pylist(), items.filter(rows).to_pylist(), strict=True)
        pairs = ((written, _both(str(item))) for user, item in kept for written in _both(str(user)))
        return "interaction" if any(self.is_pair(user, things) for user, things in pairs) else None

    def in_rows(self, table: StoredTable | None) -> str | None:
        """Kind of needle in a table of interactions, or of another behaviour, if it has a row that was removed."""
        if table is None or not self.removed.entries:
            return None
        rows = Interactions.of_table(table)
        there = any(self.removed.matches(rows, self.dataset, name).any() for name in self.row_tables)
        return "removed row" if there else None

    def _among(self, distinct: pa.Array, raw: Collection[str], keyed: Collection[str]) -> list[object]:
        """Those of a column's values that are among raw or keyed ids."""
        wanted = _as_column(raw, distinct.type)
        values: list[object] = distinct.filter(pc.is_in(distinct, value_set=wanted)).to_pylist() if wanted else []
        values += self._spelt_otherwise(distinct, raw) if wanted and pa.types.is_string(distinct.type) else []
        if keyed:
            ids = distinct.drop_null().to_pylist()
            digests = subject_digests(self.dataset, ids)
            values += [id for id, digest in zip(ids, digests, strict=True) if digest in keyed]
        return values

    def _spelt_otherwise(self, distinct: pa.Array, raw: Collection[str]) -> list[object]:
        """Those that are a raw id as other programs write it, unless somebody is called so who is still held."""
        odd = distinct.filter(pc.match_substring_regex(distinct, _OTHERWISE))
        there = pa.array([value for value in odd.to_pylist() if as_written(value) in raw], pa.large_string())
        values: list[object] = there.filter(pc.invert(pc.is_in(there, value_set=self.held.users))).to_pylist()
        return values

    @cached_property
    def _keyed_owners(self) -> frozenset[str]:
        return frozenset(self.keyed_pairs.values())


def as_written(value: str) -> str:
    """An id without what other programs put to it: blanks around it, the .0 of a whole number among fractions."""
    whole = _WHOLE.fullmatch(value.strip())
    return whole[1] if whole else value.strip()


def _both(value: str) -> set[str]:
    return {value, as_written(value)}


def _as_column(ids: Collection[str], kind: pa.DataType) -> pa.Array | None:
    """Ids as values of a column of ids; an integer has one spelling, so "042" is in no column of integers."""
    texts = pa.array(sorted(ids), pa.string())
    if pa.types.is_integer(kind):
        whole = texts.filter(pc.match_substring_regex(texts, _INTEGER))
        numbers = [int(text) for text in whole.to_pylist() if -(2**63) <= int(text) < 2**63]
        return pa.array(numbers, pa.int64()) if numbers else None
    return texts if len(texts) else None
