"""What is still held, and what our own files say: neither is a finding, though an id be written the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import lethe
from lethe.build.registry import PREFIX
from lethe.config.params import Params
from lethe.core.canonical import canonical_json
from lethe.core.environment import numeric_environment
from lethe.core.workspace import Workspace
from lethe.forgetting.stores.parts import distinct_ids
from lethe.tables.blocks import AT_ONCE
from lethe.tables.columns import coded_in
from lethe.tables.inside import is_ordinary
from lethe.tables.interactions import CONTEXT
from lethe.tables.side_tables import SAYING
from lethe.tables.sought import Sought

_TEXT = {".py", ".json", ".css", ".js", ".html", ".mako", ".yaml", ".md", ".txt", ".toml"}


@dataclass(frozen=True)
class StillHeld:
    """Ids that the data of any dataset still hold, as Arrow has texts: of a million, Python's own take a second to make
    and ten times the room."""

    users: pa.LargeStringArray = field(repr=False)
    items: pa.LargeStringArray = field(repr=False)
    words: pa.LargeStringArray = field(repr=False)
    """What features, facts and contexts say, and what params.yaml calls things. They are no ids: a hit inside one of
    them is a hit."""
    fields: frozenset[str] = frozenset()
    """What contexts and features are called."""

    @classmethod
    def of(cls, users: Iterable[str] = (), items: Iterable[str] = (), words: Iterable[str] = ()) -> StillHeld:
        return cls(*(pa.array(sorted(ids), pa.large_string()) for ids in (users, items, words)))

    @cached_property
    def all(self) -> pa.LargeStringArray:
        return pa.concat_arrays([self.users, self.items])

    def things_among(self, ids: Iterable[str]) -> frozenset[str]:
        """Those of these ids that are of things too, or are what is said of things, or stand inside of that."""
        wanted = pa.array(sorted(ids), pa.large_string())
        there = (pc.is_in(wanted, value_set=known) for known in (self.items, self.words))
        within = Sought(frozenset(raw for raw in wanted.to_pylist() if not is_ordinary(raw)), self.all)
        named = frozenset(raw for _, raw in within.in_each(self.words))
        return named | frozenset(wanted.filter(pc.or_(*there)).to_pylist())


NOBODY = StillHeld.of()


def still_held(workspace: Workspace) -> StillHeld:
    """The ids of people and things in the tables of every dataset as they are now, and what these say of them."""
    users, items, words, fields = (list[pa.LargeStringArray]() for _ in range(4))
    for path in sorted((workspace.root / "data").glob("*/ingested/**/*.parquet")):
        for name in pq.read_schema(path).names:
            if name in ("user", "friend"):
                users.append(_distinct(path, name))
            elif name in ("item", "entity"):
                items.append(_distinct(path, name))
            elif name in SAYING or name.startswith(CONTEXT):
                words.append(_distinct(path, name))
                fields += [pa.array([name.removeprefix(CONTEXT)], pa.large_string())] if name not in SAYING else []
            elif name == "field":
                fields.append(_distinct(path, name))
    words += [*fields, _names(workspace)]

    def together(columns: list[pa.LargeStringArray]) -> pa.LargeStringArray:
        return pa.concat_arrays([*columns, NOBODY.users]).unique()

    return StillHeld(together(users), together(items), together(words), frozenset(together(fields).to_pylist()))


def _names(workspace: Workspace) -> pa.LargeStringArray:
    """What params.yaml calls things: paths, versions and records of ours are named after them."""
    params = Params.read(workspace.params)
    behaviours = (name for dataset in params.datasets.values() for name in dataset.side.behaviours)
    families = (name for family in params.families for name in (family, PREFIX + family))
    return pa.array([*params.datasets, *families, *params.shardings, *behaviours], pa.large_string())


def _distinct(path: Path, name: str) -> pa.LargeStringArray:
    with pq.ParquetFile(path) as file:
        coded = coded_in(file, [name])
    with pq.ParquetFile(path, pre_buffer=False, read_dictionary=coded) as file:
        some = [distinct_ids(batch[name]).drop_null() for batch in file.iter_batches(AT_ONCE, columns=[name])]
    return pa.concat_arrays([pa.array([], pa.large_string()), *(ids.cast(pa.large_string()) for ids in some)]).unique()


def own_words(ids: Collection[str]) -> frozenset[str]:
    """Those of these ids that our own files, what artifacts say of their making, and Prefect's list of its blocks hold
    as words."""
    return Sought(frozenset(text for text in ids if len(text) > 1)).those_in(_own_files()) if ids else frozenset()


@cache
def _own_files() -> bytes:
    package = Path(lethe.__file__).parent
    files = [path for path in sorted(package.rglob("*")) if path.suffix in _TEXT and "__pycache__" not in path.parts]
    named = [str(path.relative_to(package)).encode() + b"\n" + path.read_bytes() for path in files]
    prefect = find_spec("prefect")  # Found, not imported: only flows do that.
    blocks = Path(prefect.origin or "").parent / "server" / "collection_blocks_data.json" if prefect else None
    # Artifacts name the machine and the libraries that made them.
    made_by = canonical_json(numeric_environment("cpu"))
    return b"\n".join([*named, made_by, blocks.read_bytes() if blocks and blocks.is_file() else b""])
