"""What there is of somebody: rows of tables, rows of the source as it is. Only counts
leave this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lethe.config.params import Params
from lethe.core.keys import subject_digests
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.data.suppression import INTERACTIONS
from lethe.errors import LetheError
from lethe.forgetting.aliases import Aliases
from lethe.forgetting.earlier import earlier_files, ids_of_earlier_files
from lethe.forgetting.ledger.beside import said_of
from lethe.forgetting.ledger.requests import ID_COLUMNS, ForgetRequest, Held, holds
from lethe.forgetting.people import People, of_each, tally
from lethe.tables import blocks
from lethe.tables.blocks import Source, in_steps
from lethe.tables.columns import distinct, from_arrow, pieces_of
from lethe.tables.ids import Ids, near, same_id
from lethe.tables.inside import NOBODY, KnownIds, inside
from lethe.tables.interactions import Interactions
from lethe.tables.reader import Reader
from lethe.tables.side_tables import (
    BEHAVIOUR,
    NO_TABLES,
    SAID,
    SideTable,
    SideTables,
    behaviours_in,
    may_name,
    may_name_in_context,
)
from lethe.tables.texts import Column

AllThereIs = tuple[list[tuple[str, Source]], list[SideTables]]
"""A dataset's tables by name, and its side tables."""


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
        """Of each request what the tables hold; of thousands about whole people all at once."""
        tables, none, behaviours = self.beside.tables, [0] * len(requests), self.behaviours.values()
        said = [table for name, table in tables.items() if name != "links"]

        def count(of_people: Callable[[People], Sequence[int]]) -> list[int]:
            return of_each(requests, self.known, of_people, lambda _: 0)

        def mentions(some: Sequence[SideTable]) -> list[int]:
            return count(lambda people: _sums(map(people.mentions, some), len(people.ids)))

        counts = {
            "interactions": rows_of(self.rows, requests),
            "source_copy": none if self.copy is None else rows_of(self.copy, requests),
            "links": mentions([tables["links"]] if "links" in tables else []),
            "features": mentions(said),
            "behaviours": _sums([rows_of(rows, requests) for rows in behaviours], len(requests)),
            "contexts": _sums([self._changed(rows, requests) for rows in (self.rows, *behaviours)], len(requests)),
        }
        return [Held(**dict(zip(counts, of_one, strict=True))) for of_one in zip(*counts.values(), strict=True)]

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

    def _changed(self, rows: Source, requests: Sequence[ForgetRequest]) -> list[int]:
        """How many rows of others name the person of each request in a context."""
        if not any(request.also_item for request in requests):
            return [0] * len(requests)

        def count(block: blocks.Block, _: Sequence[blocks.Block]) -> list[int]:
            some = blocks.rows_of(block)
            return of_each(requests, self.known, lambda people: people.contexts(some), lambda _: 0)

        return _sums(in_steps(count, rows), len(requests))

    @cached_property
    def known(self) -> KnownIds:
        """Whose ids are told apart from those that stand in them."""
        return KnownIds((self.rows,))


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


def rows_of(rows: Source, requests: Sequence[ForgetRequest]) -> list[int]:
    """How many rows each request covers; of thousands about whole people all at once."""

    def count(block: blocks.Block, _: Sequence[blocks.Block]) -> list[int]:
        some = blocks.rows_of(block)
        return of_each(requests, NOBODY, lambda people: people.rows(some), lambda request: holds(some, request))

    return _sums(in_steps(count, rows), len(requests))


def tally_things(rows: Source, ids: Sequence[str], known: KnownIds) -> list[int]:
    """How often each of these distinct ids stands among the items, or is a context."""

    def count(block: blocks.Block, _: Sequence[blocks.Block]) -> list[int]:
        some = blocks.rows_of(block)
        return list((tally([some.item_ids], ids) + _in_contexts(some, ids, known)).tolist())

    return _sums(in_steps(count, rows), len(ids))


def in_contexts(rows: Source, ids: Sequence[str], known: KnownIds) -> list[int]:
    """How often each of these distinct ids is a context, or stands inside of one."""
    counts = in_steps(lambda block, _: _in_contexts(blocks.rows_of(block), ids, known).tolist(), rows)
    return _sums(counts, len(ids))


def _sums(counts: Iterable[Sequence[int]], count: int) -> list[int]:
    """Counts of as many things each, added up."""
    return [sum(of_one) for of_one in zip([0] * count, *counts, strict=True)]


def _in_contexts(rows: Interactions, ids: Sequence[str], known: KnownIds) -> np.ndarray:
    """[len(ids)] int64: how often each is what a context says, or stands inside of it."""
    if not rows.contexts:
        return np.zeros(len(ids), dtype=np.int64)
    counts = tally(list(rows.contexts.values()), ids)
    for column in rows.contexts.values():
        for raw, named in inside(column, ids, known).items():
            counts[ids.index(raw)] += int((named & ~same_id(column, raw)).sum())
    return np.where(list(map(may_name_in_context, ids)), counts, 0)


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


def elsewhere(workspace: Workspace, datasets: Sequence[str], users: Sequence[str]) -> dict[str, int]:
    """In which of these datasets these ids are held as people's: rows of interactions and what stands beside them."""
    rows = {}
    for name in datasets:
        if (path := workspace.interactions(name)).is_file():
            rows[name] = sum(_naming(table, users) for table in (path, *sorted(workspace.side(name).glob("*.parquet"))))
    return {name: count for name, count in rows.items() if count}


def _naming(path: Path, users: Sequence[str]) -> int:
    """How often a table names these people."""
    pieces = (piece for piece in pieces_of(path, blocks.AT_ONCE) if len(piece))
    columns = (piece[name] for piece in pieces for name in ID_COLUMNS[:2] if name in piece.column_names)
    return sum(int(tally([from_arrow(column)], users).sum()) for column in columns)


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
