"""Adding a source: find out how it is written, check it, propose what it leaves open, then write its section."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lethe.config.dataset import Dataset
from lethe.config.edit import edit_params, laid_out
from lethe.config.params import Params
from lethe.config.reading import NO_COLUMN, Reading
from lethe.config.tuned import tuned_file
from lethe.core.canonical import Json
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.data import sources
from lethe.data.new_section import NewSection
from lethe.data.odd_users import odd_users
from lethe.data.opening import at_hand, found_in, link_told, must_be_elsewhere, path_below, source_of
from lethe.data.profile import Profile, Ratings, profile_of, ratings_of
from lethe.data.proposal import WEIGHING, FirstFamily, propose_family, propose_positive, propose_split
from lethe.data.sources.find_columns import column_called, find_columns, head_of
from lethe.data.sources.find_side import find_features, find_links, find_triples
from lethe.data.sources.findings import Findings
from lethe.data.split import count_repeated, deduplicate
from lethe.errors import ConfigError, DataError
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables
from lethe.tables.texts import Column

_OF_DATASET = ("duplicates", "positive")
_MADE_ONE = ("latest", "sum")
"""Of ``duplicates``: what makes one row of several."""
ALL = "all"
"""Of ``positive``: every row counts as a like."""
WHOLE = "whole"
"""The sharding of a first family: one shard, which every model takes."""


@dataclass(frozen=True)
class NewDataset:
    """A dataset that can be read: its section of params.yaml, what it holds, what to train first."""

    name: str
    section: NewSection
    profile: Profile
    family: FirstFamily
    notes: tuple[str, ...]
    """What the user should know of how it is read, a line each."""


def add(workspace: Workspace, name: str, path: str | Path, reading: Reading, *, family: bool = True) -> NewDataset:
    """Read the source once; if it can be read, add it to ``datasets`` and ``pipeline.datasets``, and a family of its
    name that is trained from it. Raises ConfigError or DataError, and then params.yaml is as it was."""
    params = Params.read(workspace.params)
    if name in params.datasets:
        raise ConfigError(f"datasets.{name}: there already; known: {', '.join(params.datasets)}")
    new = read_new(workspace, name, path, reading, params.seed)

    def change(document: Any) -> None:
        document["datasets"][laid_out(name)] = laid_out(new.section.to_json())
        document["pipeline"]["datasets"].append(laid_out(name))
        if family and name not in params.families:
            _add_family(document, new)

    edit_params(workspace.params, change)
    settings = tuned_file(workspace, name, "wmf")
    # Settings that are there were tuned, or written by hand.
    if family and new.section.unweighted is not None and not settings.exists():
        about = f"# An interaction costs 1 + alpha * weight; lethe tune wmf {name} searches better settings.\n"
        write_whole(settings, about + yaml.safe_dump(dict(WEIGHING)))
    return new


def _add_family(document: Any, new: NewDataset) -> None:
    if WHOLE not in document["shardings"]:
        whole = {"partition": "whole", "num_shards": 1, "aggregator": "identity"}
        document["shardings"][WHOLE] = laid_out(whole)
    if WHOLE not in document["pipeline"]["shardings"]:
        document["pipeline"]["shardings"].append(WHOLE)
    candidates = [{"model": model, "sharding": WHOLE} for model in new.family.models]
    document["families"][laid_out(new.name)] = laid_out({"dataset": new.name, "candidates": candidates})


def read_new(workspace: Workspace, name: str, path: str | Path, reading: Reading, seed: int) -> NewDataset:
    """Find out how a source is written, read it, and propose the rest of its section. Nothing is written.

    ``path`` is a file, a folder, a URL, or env:NAME of a database's URL. Raises ConfigError or DataError with the
    option to give.
    """
    where = f"datasets.{name}"
    how = {key: value for key, value in reading.given.items() if key not in _OF_DATASET}
    place = source_of(workspace, str(path), reading.query)
    sides = (str(Path(given).resolve()) for given in reading.side.values())
    must_be_elsewhere(workspace, name, *([str(place["path"])] if "path" in place else []), *sides)
    # Faults of what was given come before what the file says.
    Dataset.parse({"source": {**place, **how}}, where)
    with at_hand(workspace, place) as file:
        names, told = _columns(file, place, reading, how)
        how |= told.options
        columns: Json = {**names, **({"context": [*reading.context]} if reading.context else {})}
        told |= found_in(file, place, columns, how) | Findings(notes=tuple(link_told(path)))
    section = NewSection(place, columns, {**how, **told.options})
    rows = _read(workspace, name, section)
    section, notes = _settled(section, rows, reading)
    notes += tuple(odd_users(rows, f"column {columns['user']!r}"))
    if reading.side:
        beside = _find_side(workspace, names, section.options, reading.side)
        section, notes = replace(section, side=dict(beside.options)), notes + beside.notes
        known = Ids.of(rows.user_ids), Ids.of(rows.item_ids)
        _must_meet(
            sources.read_side(section.parsed(name), *known, root=workspace.root, strict=True), reading.side, *known
        )
    if not section.is_ready:
        timed = rows.timestamps is not None and section.parsed(name).has_times
        section = replace(section, split=propose_split(deduplicate(rows, "latest"), name, seed, timed=timed))
    profile = profile_of(rows, section.parsed(name), name, seed)
    _must_suffice(profile, section, where, assumed=reading.assume)
    family = propose_family(profile, section.side, weighted=section.unweighted is not None)
    return NewDataset(name, section, profile, family, told.notes + notes)


def _must_suffice(profile: Profile, section: NewSection, where: str, *, assumed: bool) -> None:
    """Raises DataError where a model could learn nothing, or nothing could judge it."""
    empty = [part for part, count in profile.parts.items() if not count]
    if empty and not section.is_ready and assumed:
        raise DataError(
            f"{where}: {profile.rows} rows are too few, none would be left for"
            f" {' and '.join(empty)}; add more, or give a folder of train, valid and test files"
        )
    if not profile.likes:
        raise DataError(
            f"column 'rating': no row counts as a like by --positive {section.positive!r}; give --positive all, or"
            " another threshold"
        )


def _must_meet(tables: SideTables, files: Mapping[str, str], users: Ids, items: Ids) -> None:
    """Raises DataError where a table is about nobody, or nothing, that the interactions have: another was meant."""
    of = {"user_features": "user", "item_features": "item", "triples": "item"}
    named: list[tuple[str, str, Column]] = [
        (name, of[name], t[of[name]]) for name, t in tables.tables.items() if name in of
    ]
    for name, rows in tables.behaviours.items():
        named += [(f"behaviours.{name}", "user", rows.user_ids), (f"behaviours.{name}", "item", rows.item_ids)]
    for name, role, ids in named:
        if not ((users if role == "user" else items).encode(ids) >= 0).any():
            raise DataError(
                f"{Path(files[name]).name}: as {name} it says nothing of any {role} of the interactions; name another"
                " file, or write the ids as they are there"
            )


def _find_side(
    workspace: Workspace, columns: Mapping[str, str], options: Mapping[str, Any], files: Mapping[str, str]
) -> Findings:
    """The section ``side``: each table by its file; ``columns`` and ``options`` are the interactions'."""
    side, behaviours = Json(), Json()
    notes: tuple[str, ...] = ()
    for kind, given in files.items():
        path = Path(given).resolve()
        what, _, behaviour = kind.partition(".")
        if what == "links":
            found = find_links(path, columns["user"])
        elif what == "triples":
            found = find_triples(path)
        elif what == "behaviours":
            way_out = f"call them as in the interactions: {columns['user']}, {columns['item']}"
            own, told = find_columns(path, _same_names(path, columns), {}, way_out)
            found = told | Findings({"columns": own}) | found_in(path, {"kind": "table"}, own, told.options)
            found |= Findings(_kinds(found.options, options))
        else:
            role = what.removesuffix("_features")
            found = find_features(path, role, columns[role])
        table = {"path": path_below(workspace, path), **found.options}
        if behaviour:
            behaviours[behaviour] = table
        side[what] = behaviours if behaviour else table
        notes += found.notes
    return Findings(side, notes)


def _kinds(*options: Mapping[str, Any]) -> dict[str, str]:
    """What ids are in tables that name the same users and items: text as soon as they are in one."""
    users = {own["ids"] for own in options}
    items = {own.get("item_ids", own["ids"]) for own in options}
    user, item = (next(kind for kind in ("text", "auto", "integer") if kind in kinds) for kinds in (users, items))
    return {"ids": user} | ({} if item == user else {"item_ids": item})


def _same_names(path: Path, columns: Mapping[str, str]) -> dict[str, str | None]:
    """Columns that are called as in the interactions."""
    names, _ = head_of(path, {})
    return {role: column for role, column in columns.items() if column in names and role != "weight"}


def _columns(
    file: Path, source: Mapping[str, Any], reading: Reading, how: Mapping[str, Any]
) -> tuple[dict[str, str], Findings]:
    """Which columns are which: as said, else as likeliest (``assume``), else by the names user and item; without a
    header those are the first two columns."""
    if reading.assume and source["kind"] != "folder":
        likely, told = find_columns(file, reading.columns, how)
        return likely, told | Findings(notes=tuple(_unread(file, likely, reading, how)))
    default = {"user": "user", "item": "item"} if how.get("header", True) else {"user": "1", "item": "2"}
    named = default | {role: column for role, column in reading.columns.items() if column not in (None, NO_COLUMN)}
    if source["kind"] == "folder":
        return named, Findings()
    return named, Findings(notes=tuple(_unread(file, named, reading, how)))


def _unread(file: Path, named: Mapping[str, str], reading: Reading, how: Mapping[str, Any]) -> Iterator[str]:
    """Columns that are called as a rating, a time or a weight is, and that nobody said anything of."""
    names, _ = head_of(file, how)
    left = [name for name in names if name not in named.values()]
    for role in ("rating", "timestamp", "weight"):
        if (
            role not in named
            and reading.columns.get(role) is None
            and (column := column_called(role, left)) is not None
        ):
            option = f"--{role}-column {shlex.quote(column)}"
            yield f"{file.name}: column {column!r} is not read; {option} reads it as the {role}"


def _read(workspace: Workspace, name: str, section: NewSection) -> Interactions:
    read = sources.read(section.parsed(name).source, root=workspace.root, copy=workspace.source_copy(name))
    return Interactions.concatenate(*read.values()) if isinstance(read, dict) else read


def _settled(section: NewSection, rows: Interactions, reading: Reading) -> tuple[NewSection, tuple[str, ...]]:
    """The section with what repeated pairs and ratings mean, as given, or as proposed; and what was assumed."""
    notes: list[str] = []
    duplicates = reading.given.get("duplicates", "latest" if section.is_ready else None)
    if not section.is_ready and (repeated := count_repeated(rows)) and duplicates not in _MADE_ONE:
        if duplicates or not reading.assume:
            raise DataError(
                f"columns 'user', 'item': {repeated} of {len(rows)} rows repeat a pair; give --duplicates latest to"
                " keep the newest of each (of equally new ones the best rated), --duplicates sum to count them as its"
                " weight, or make them one in the source"
            )
        duplicates = "latest"
        notes.append(f"{repeated} of {len(rows)} rows repeat a pair: the newest of each counts (--duplicates)")
    positive = reading.given.get("positive")
    if positive is None and (ratings := ratings_of(rows)) is not None:
        if reading.assume:
            positive = propose_positive(ratings)
            notes += [f"ratings {positive} count as likes; --positive says otherwise"] if positive else []
        else:
            notes += _unsaid(ratings, len(rows))
    if positive == ALL and not _has_dislikes(rows):
        positive = None
    section = replace(section, duplicates=duplicates, positive=positive)
    if "weight" in section.columns or duplicates == "sum":
        section = replace(section, unweighted="ignore")
        notes.append("wmf learns what interactions weigh, other models learn them alike (unweighted: ignore)")
    return section, tuple(notes)


def _has_dislikes(rows: Interactions) -> bool:
    """Whether training would ask what a rating of 0 or below means."""
    ratings = ratings_of(rows)
    return ratings is not None and ratings.disliked > 0


def _unsaid(ratings: Ratings, rows: int) -> list[str]:
    """What counts as a like. Raises DataError where dislikes would be likes by silence."""
    if ratings.disliked:
        raise DataError(
            f"column 'rating': {ratings.disliked} of {rows} ratings are 0 or below, which models of preferences would"
            " learn as likes; give --positive '> 0' (or another threshold) or --positive all"
        )
    if ratings.values == 1:
        return []
    return [
        f"every row counts as a like for models of preferences, whatever its rating ({ratings.least:g} to"
        f" {ratings.greatest:g}); --positive '>= 4' (or another threshold) says which do"
    ]
