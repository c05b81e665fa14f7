"""What there is of somebody: rows of tables, rows of the source as it is. Only counts
leave this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from lethe.config.params import Params
from lethe.core.keys import subject_digests
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.data.suppression import INTERACTIONS
from lethe.errors import LetheError
from lethe.forgetting.aliases import Aliases
from lethe.forgetting.earlier import earlier_files, ids_of_earlier_files
from lethe.forgetting.ledger.beside import changed_by, counts_beside, said_of
from lethe.forgetting.ledger.requests import ID_COLUMNS, ForgetRequest, Held, holds
from lethe.tables import blocks
from lethe.tables.blocks import Source, in_steps
from lethe.tables.columns import distinct
from lethe.tables.ids import Ids, as_integer, near, same_id
from lethe.tables.inside import Known, inside
from lethe.tables.interactions import Interactions
from lethe.tables.reader import Reader
from lethe.tables.side_tables import (
    BEHAVIOUR,
    NO_TABLES,
    SAID,
    SideTables,
    behaviours_in,
    may_name,
    may_name_in_context,
)
from lethe.tables.texts import Column

AllThereIs = tuple[list[tuple[str, Source]], list[SideTables]]
"""A dataset's tables by name, and its side tables."""

_FEW = 20  # Ids that are counted one by one.


@dataclass(frozen=True)
class Tables:
    """What a dataset holds in tables of ours."""

    rows: Source
    beside: SideTables
    """All side tables but behaviours."""
    behaviours: Mapping[str, Source]
    copy: Source | None

    @classmethod
    def read(cls, workspace: Workspace, dataset: str, reader: Reader | None = None) -> Tables:
        copy, side, reader = workspace.source_copy(dataset), workspace.side(dataset), reader or Reader()
        return cls(
            reader.source(workspace.interactions(dataset)),
            reader.side(side, behaviours=False),
            {name: reader.source(path) for name, path in behaviours_in(side).items()},
            reader.source(copy) if copy.is_file() else None,
        )

    def held(self, requests: Sequence[ForgetRequest]) -> list[Held]:
        """Of each request what the tables hold; of thousands about whole users, all at once."""
        beside = self._beside(requests)
        rows, copy = ([0] * len(requests) if t is None else rows_of(t, requests) for t in (self.rows, self.copy))
        done = _sums([rows_of(table, requests) for table in self.behaviours.values()], len(requests))
        with_contexts = (self.rows, *self.behaviours.values())
        changed = _sums([_changed(table, requests, self.known) for table in with_contexts], len(requests))
        return [
            replace(h, interactions=r, behaviours=b, contexts=n, source_copy=c)
            for h, r, b, n, c in zip(beside, rows, done, changed, copy, strict=True)
        ]

    def as_things(self, ids: Sequence[str]) -> list[int]:
        """How often each of these distinct ids stands among the items, or is named by a fact or, unless it is a number,
        by a feature or a context; as the whole of what these say, or inside of it."""
        tables = self.beside.tables.values()
        facts, said = ([t[name] for t in tables if name in t.columns] for name in ("entity", SAID))
        named = tally(facts, ids) + np.where(list(map(may_name, ids)), tally(said, ids), 0)
        for table in tables:
            for name, raw, rows in said_of(ids, table.columns, self.known):
                whole = same_id(table[name], raw) if name in ("entity", SAID) else False
                named[ids.index(raw)] += int((rows & ~np.asarray(whole)).sum())
        said_beside = [in_contexts(rows, ids, self.known) for rows in self.behaviours.values()]
        return _sums([named.tolist(), *said_beside, tally_things(self.rows, ids, self.known)], len(ids))

    @cached_property
    def known(self) -> Known:
        """Whose ids are told apart from those that stand in them."""
        return Known((self.rows,))

    def _beside(self, requests: Sequence[ForgetRequest]) -> list[Held]:
        whole = _whole_users(requests)
        if len(whole) < 2:
            return [counts_beside(self.beside, request, self.known) for request in requests]
        counts = self._of_users([str(request.user) for request in whole])
        at_once = {request.id: count for request, count in zip(whole, counts, strict=True)}
        return [at_once[r.id] if r.id in at_once else counts_beside(self.beside, r, self.known) for r in requests]

    def _of_users(self, users: Sequence[str]) -> list[Held]:
        tables = self.beside.tables
        links = [tables["links"][name] for name in ("user", "friend")] if "links" in tables else []
        features = [tables["user_features"]["user"]] if "user_features" in tables else []
        counts = (tally(links, users).tolist(), tally(features, users).tolist())
        return [Held(links=links, features=said) for links, said in zip(*counts, strict=True)]


def held_now(workspace: Workspace, requests: Sequence[ForgetRequest], reader: Reader | None = None) -> dict[str, Held]:
    """What there is of each request's subject now; earlier files where only these held it when it was accepted."""
    held: dict[str, Held] = {}
    for dataset in sorted({request.dataset for request in requests}):
        mine = [request for request in requests if request.dataset == dataset]
        counts = Tables.read(workspace, dataset, reader).held(mine)
        held |= {request.id: count for request, count in zip(mine, counts, strict=True)}
        late = [request for request in mine if request.held.earlier and not request.held.rows]
        files = earlier_files(workspace, dataset, late) if late else []
        held |= {r.id: replace(held[r.id], earlier=count) for r, count in zip(late, files, strict=True)}
    return held


def all_rows(rows: Source) -> Interactions:
    """All rows at once."""
    return rows if isinstance(rows, Interactions) else Interactions.read(rows)


def _whole_users(requests: Sequence[ForgetRequest]) -> list[ForgetRequest]:
    return [r for r in requests if r.kind == "user" and r.user is not None and not r.also_item]


def rows_of(rows: Source, requests: Sequence[ForgetRequest]) -> list[int]:
    """How many rows each request covers; of thousands about whole users, all at once."""
    return _sums(in_steps(lambda block, _: _counted(blocks.rows_of(block), requests), rows), len(requests))


def _counted(rows: Interactions, requests: Sequence[ForgetRequest]) -> list[int]:
    whole = _whole_users(requests)
    counts = tally([rows.user_ids], [str(request.user) for request in whole]).tolist()
    at_once = {request.id: count for request, count in zip(whole, counts, strict=True)}
    return [at_once[r.id] if r.id in at_once else holds(rows, r) for r in requests]


def _changed(rows: Source, requests: Sequence[ForgetRequest], known: Known) -> list[int]:
    """How many rows of others name the person of each request in a context."""
    if not any(request.also_item for request in requests):
        return [0] * len(requests)

    def count(block: blocks.Block, _: Sequence[blocks.Block]) -> list[int]:
        some = blocks.rows_of(block)
        return [int(changed_by([request], some, known).sum()) if some.contexts else 0 for request in requests]

    return _sums(in_steps(count, rows), len(requests))


def tally_things(rows: Source, ids: Sequence[str], known: Known) -> list[int]:
    """How often each of these distinct ids stands among the items, or is a context."""

    def count(block: blocks.Block, _: Sequence[blocks.Block]) -> list[int]:
        some = blocks.rows_of(block)
        return list((tally([some.item_ids], ids) + _in_contexts(some, ids, known)).tolist())

    return _sums(in_steps(count, rows), len(ids))


def in_contexts(rows: Source, ids: Sequence[str], known: Known) -> list[int]:
    """How often each of these distinct ids is a context, or stands inside of one."""
    counts = in_steps(lambda block, _: _in_contexts(blocks.rows_of(block), ids, known).tolist(), rows)
    return _sums(counts, len(ids))


def _sums(counts: Sequence[Sequence[int]], count: int) -> list[int]:
    """Counts of as many things each, added up."""
    return [sum(of_one) for of_one in zip([0] * count, *counts, strict=True)]


def _in_contexts(rows: Interactions, ids: Sequence[str], known: Known) -> np.ndarray:
    """[len(ids)] int64: how often each is what a context says, or stands inside of it."""
    if not rows.contexts:
        return np.zeros(len(ids), dtype=np.int64)
    counts = tally(list(rows.contexts.values()), ids)
    for column in rows.contexts.values():
        for raw, named in inside(column, ids, known).items():
            counts[ids.index(raw)] += int((named & ~same_id(column, raw)).sum())
    return np.where(list(map(may_name_in_context, ids)), counts, 0)


def tally(columns: Sequence[Column], ids: Sequence[str]) -> np.ndarray:
    """[len(ids)] int64: how often each of these distinct ids stands in columns of raw ids."""
    if len(ids) <= _FEW:
        return np.array([sum(int(same_id(column, raw).sum()) for column in columns) for raw in ids], dtype=np.int64)
    import pyarrow.compute as pc  # Not at the top: it takes as long to import as a request takes to be counted.

    counts = np.zeros(len(ids), dtype=np.int64)
    for column in columns:
        numbers = np.issubdtype(column.dtype, np.integer)
        wanted = pa.array([as_integer(raw) for raw in ids] if numbers else ids, pa.int64() if numbers else pa.string())
        places = pc.index_in(pa.array(column, wanted.type), value_set=wanted, skip_nulls=True).drop_null()
        counts += np.bincount(places.to_numpy(zero_copy_only=False), minlength=len(ids))
    return counts


def source_rows(workspace: Workspace, params: Params, dataset: str) -> Interactions | None:
    """The source as it is now, whatever was ingested; None where it can't be read."""
    if dataset not in params.datasets:
        return None
    try:
        read = sources.read(
            params.datasets[dataset].source, root=workspace.source_root, copy=workspace.source_copy(dataset)
        )
        return read if isinstance(read, Interactions) else Interactions.concatenate(*read.values())
    except LetheError:
        return None


def source_blocks(workspace: Workspace, params: Params, dataset: str) -> Iterator[Interactions]:
    """The rows of ``source_rows``, some at a time, in no order; as far as the source can be read."""
    with suppress(LetheError, KeyError):
        source, copy = params.datasets[dataset].source, workspace.source_copy(dataset)
        for part in sources.blocks(source, root=workspace.source_root, copy=copy).values():
            yield from part


def all_there_is(workspace: Workspace, params: Params, dataset: str) -> AllThereIs:
    """Tables by name, and side tables: as ingested, and as the source has them now."""
    source, beside = source_rows(workspace, params, dataset), list[SideTables]()
    tables = list[tuple[str, Source]]()
    if workspace.interactions(dataset).is_file():
        held = Tables.read(workspace, dataset)
        beside.append(held.beside)
        tables += [(INTERACTIONS, held.rows), *((BEHAVIOUR + name, rows) for name, rows in held.behaviours.items())]
    if source is not None:
        side = _side_of_source(workspace, params, dataset, source)
        beside.append(side)
        tables += [(INTERACTIONS, source), *((BEHAVIOUR + name, rows) for name, rows in side.behaviours.items())]
    return tables, beside


def _side_of_source(workspace: Workspace, params: Params, dataset: str, source: Interactions) -> SideTables:
    try:
        users, items = Ids.of(source.user_ids), Ids.of(source.item_ids)
        return sources.read_side(params.datasets[dataset], users, items, root=workspace.source_root, strict=False)
    except LetheError:
        return NO_TABLES


def every_id(tables: Sequence[tuple[str, Source]], beside: Sequence[SideTables]) -> set[str]:
    """Each id that may be a person's: users, and items too, where people are items, and what may name them."""

    def named(block: blocks.Block, _: object) -> set[str]:
        rows = blocks.rows_of(block)
        return _texts_of([rows.user_ids, rows.item_ids, *rows.contexts.values()])

    names = (*ID_COLUMNS, SAID)
    said = [t.columns[n] for side in beside for t in side.tables.values() for n in names if n in t.columns]
    return _texts_of(said).union(*(ids for _, rows in tables for ids in in_steps(named, rows)))


def _texts_of(columns: Sequence[Column]) -> set[str]:
    return {str(raw) for column in columns for raw in distinct(column)[0].tolist()}


def elsewhere(workspace: Workspace, dataset: str, users: Sequence[str]) -> dict[str, int]:
    """In which other datasets, also such as left params.yaml, these ids are held: rows of interactions."""
    rows = {}
    for other in workspace.datasets():
        if other != dataset:
            path = workspace.interactions(other)
            rows[other] = sum(
                in_steps(lambda block, _: int(tally([blocks.rows_of(block).user_ids], users).sum()), path)
            )
    return {name: count for name, count in rows.items() if count}


def near_spellings(rows: Sequence[Source | None], user: str) -> int:
    """How many ids are this one in another spelling."""
    there = [in_steps(lambda block, _: near(blocks.rows_of(block).user_ids, user), some) for some in rows if some]
    return max(map(sum, there), default=0)


def ids_of_the_same(workspace: Workspace, params: Params, dataset: str, users: Sequence[str]) -> list[tuple[str, ...]]:
    """Of each user, the other ids of the same person that stand in our tables, in the source or in earlier files."""
    aliases = Aliases.read(workspace.aliases)
    if not aliases.pairs:
        return [()] * len(users)
    people = [aliases.of(dataset, digest) for digest in subject_digests(dataset, users)]
    wanted = set[str]().union(*people)
    ids = aliases.named_by(dataset, every_id(*all_there_is(workspace, params, dataset))) if wanted else {}
    if wanted - ids.keys():
        ids = aliases.named_by(dataset, ids_of_earlier_files(workspace, dataset)) | ids
    return [tuple(ids[digest] for digest in person if digest in ids) for person in people]
