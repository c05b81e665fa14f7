"""Side tables from files, by a mapping of their columns; checked against the interactions they stand beside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lethe.config.side import BehaviourSource, FeaturesSource, LinksSource, SideSources, TriplesSource
from lethe.config.table import Kind
from lethe.data.sources import table
from lethe.data.sources.columns import cast, simple
from lethe.data.sources.files import digest, load
from lethe.data.sources.identifiers import read_ids
from lethe.errors import DataError
from lethe.tables.columns import sortable
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables


def read(sources: SideSources, users: Ids, items: Ids, *, root: Path, strict: bool = True) -> SideTables:
    """All side tables of interactions between ``users`` and ``items``, whose ids are of the same type. Raises DataError
    with file, column and rule."""
    blocks = behaviours(sources, users, items, root=root)
    whole = {name: Interactions.concatenate(*rows) for name, rows in blocks.items()}
    return SideTables(tables(sources, users, items, root=root, strict=strict), whole)


def tables(sources: SideSources, users: Ids, items: Ids, *, root: Path, strict: bool = True) -> dict[str, SideTable]:
    """All but the behaviours, by kind.

    What the tables say about who or what occurs in no interaction stays in them: a shard takes what its rows need.
    Links to oneself never do, and whether those of unknown users are refused is the params' and ``strict``'s business.
    """
    there: dict[str, SideTable] = {}
    if sources.links is not None:
        there["links"] = _links(root / sources.links.path, sources.links, users, strict)
    for kind, ids, features in (
        ("user_features", users, sources.user_features),
        ("item_features", items, sources.item_features),
    ):
        if features is not None:
            there[kind] = _features(root / features.path, kind, features, ids)
    if sources.item_features is not None and sources.item_features.new_items:
        there["items"] = SideTable.of("items", item=there["item_features"]["item"])
    if sources.triples is not None:
        there["triples"] = _triples(root, sources.triples, items)
    return there


def behaviours(sources: SideSources, users: Ids, items: Ids, *, root: Path) -> dict[str, Iterator[Interactions]]:
    """The behaviours, by name, a block at a time: each in canonical order, the blocks in none. What ``read`` raises
    of one is raised when it is read."""
    return {
        name: _behaviour(name, root / source.path, _like_known(source, users, items), users, items)
        for name, source in sources.behaviours.items()
    }


def _like_known(how: BehaviourSource, users: Ids, items: Ids) -> BehaviourSource:
    """Ids whose kind nobody named are text where the interactions' are: those of a part may all look like integers."""
    kinds = {"ids": how.ids, "item_ids": how.item_ids or how.ids}
    for name, known in (("ids", users), ("item_ids", items)):
        if kinds[name] == "auto" and known.values.dtype == object:
            kinds[name] = "text"
    return how.model_copy(update=kinds)


def _behaviour(name: str, path: Path, how: BehaviourSource, users: Ids, items: Ids) -> Iterator[Interactions]:
    for rows in table.Rows.of(path, how):
        for column, own, known in (("user", rows.user_ids, users), ("item", rows.item_ids, items)):
            if own.dtype != known.values.dtype:
                kind = "text" if known.values.dtype == object else "integers"
                raise DataError(
                    f"behaviour {name}: column {column!r} must hold ids like those of the interactions,"
                    f" which are {kind}; see its ids and item_ids"
                )
        yield rows


def digests(sources: SideSources, *, root: Path) -> dict[str, str]:
    """SHA-256 of every file that ``read`` reads, by name; empty without side tables."""
    return {f"side.{name}": digest(root / path) for name, path in _files(sources)}


def is_any(sources: SideSources) -> bool:
    """Whether there are files of side tables."""
    return next(_files(sources), None) is not None


def _files(sources: SideSources) -> Iterator[tuple[str, str]]:
    for name in ("links", "user_features", "item_features", "triples"):
        source = getattr(sources, name)
        if source is not None:
            yield name, source.path
    if sources.triples is not None and sources.triples.items is not None:
        yield "triples.items", sources.triples.items
    yield from ((f"behaviours.{name}", source.path) for name, source in sources.behaviours.items())


def _links(path: Path, how: LinksSource, known: Ids, strict: bool) -> SideTable:
    columns = load(path, [how.user, how.friend], how)
    user, friend = (_like(columns[name], known, path, name) for name in (how.user, how.friend))
    to_self, unknown = user == friend, (known.encode(user) < 0) | (known.encode(friend) < 0)
    if how.invalid == "error":
        rules = [(to_self, "must not lead to oneself")]
        rules += [(unknown, "must be between users who have interactions")] if strict else []
        for bad, rule in rules:
            if bad.any():
                raise DataError(f"{path.name}: links {rule}, {int(bad.sum())} don't keep to that; see `invalid`")
    return SideTable.of("links", user=user[~to_self], friend=friend[~to_self])


def _features(path: Path, kind: str, how: FeaturesSource, like: Ids) -> SideTable:
    role = kind.removesuffix("_features")
    key = how.key or role
    columns = load(path, [key, *how.fields], how)
    ids = _like(columns[key], like, path, key)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for name, field in how.fields.items():
        where = f"{path.name}: column {name!r}"
        text = _said(columns[name], where)
        there = np.flatnonzero(pc.not_equal(text, "").to_numpy(zero_copy_only=False))
        values = np.array(text.to_pylist(), dtype=object)[there]
        owners, weights = ids[there], np.ones(len(there))
        if field.kind == "number":
            weights, values = _numbers(values, where), np.full(len(there), "", dtype=object)
            if several := len(Ids.of(owners[_differ(owners, weights)])):
                raise DataError(f"{where}: {several} ids have several numbers; keep one row of each {role}")
        elif field.kind == "categories":
            lists = [sorted({part.strip() for part in value.split(field.separator)} - {""}) for value in values]
            owners = np.repeat(owners, [len(found) for found in lists])
            values = np.array([part for found in lists for part in found], dtype=object)
            weights = np.ones(len(values))
        parts.append((owners, np.full(len(owners), name, dtype=object), values, weights))
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return SideTable.of(kind, **dict(zip((role, "field", "value", "weight"), joined, strict=True)))


def _triples(root: Path, how: TriplesSource, known_items: Ids) -> SideTable:
    """Facts about items as heads, and as tails by the inverse relation, whose name begins with ~."""
    path = root / how.path
    columns = load(path, [how.head, how.relation, how.tail], how)
    head, relation, tail = (_text(columns[name], path, name) for name in (how.head, how.relation, how.tail))
    if how.items is None:
        items = known_items.values
        entities = items.astype(str).astype(object)
    else:
        named = load(root / how.items, [how.item, how.entity], how)
        items = _like(named[how.item], known_items, root / how.items, how.item)
        entities = _text(named[how.entity], root / how.items, how.entity)
    order = np.argsort(entities, kind="stable")
    known = Ids(entities[order])
    if len(np.unique(known.values)) < len(known):
        raise DataError(f"{Path(how.items or how.path).name}: column {how.entity!r} must name an entity once")
    inverse = np.array([f"~{name}" for name in relation], dtype=object)
    found = []
    for subject, name, object_ in ((head, relation, tail), (tail, inverse, head)):
        place = known.encode(subject)
        kept = place >= 0
        found.append((items[order][place[kept]], name[kept], object_[kept]))
    item, relations, entity = (np.concatenate(column) for column in zip(*found, strict=True))
    return SideTable.of("triples", item=item, relation=relations, entity=entity)


def _like(column: pa.ChunkedArray, ids: Ids, path: Path, name: str) -> np.ndarray:
    """A column of ids of the type that ``ids`` has."""
    kind: Kind = "text" if ids.values.dtype == object else "integer"
    return np.asarray(read_ids(column, kind, f"{path.name}: column {name!r}", role=name))


def _text(column: pa.ChunkedArray, path: Path, name: str) -> np.ndarray:
    return np.asarray(read_ids(column, "text", f"{path.name}: column {name!r}", role=name))


def _said(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """What a column says of each, as text; nothing where it is empty."""
    if pa.types.is_nested(column.type):
        raise DataError(
            f"{where}: it holds several values in one; write them as one text with | between, or leave it out of fields"
        )
    if pa.types.is_floating(column.type):  # How pandas writes that there is none.
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    text = cast(simple(column), pa.string())
    if text is None:
        raise DataError(f"{where} must be numbers or text, got {column.type}; leave it out of fields")
    return pc.fill_null(text, "")


def _differ(owners: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """[m] where one of a pair of rows of the same owner stands whose numbers differ."""
    order = np.lexsort((numbers, sortable(owners)))
    same = owners[order][1:] == owners[order][:-1]
    return order[1:][same & (numbers[order][1:] != numbers[order][:-1])]


def _numbers(values: np.ndarray, where: str) -> np.ndarray:
    hint = "leave those cells empty, write plain numbers, or name another kind (side, fields)"
    try:
        numbers = values.astype(np.float64)
    except ValueError:
        raise DataError(f"{where} must be numbers, got text; {hint}") from None
    with np.errstate(over="ignore"):  # What is beyond the 32 bits in which it is kept is counted.
        bad = int((~np.isfinite(numbers.astype(np.float32))).sum())
    if bad:
        raise DataError(f"{where} must be finite numbers, {bad} are not (nan, inf, or beyond 32 bits); {hint}")
    return numbers
