"""What is still held, and what our own files say: neither is a finding, though an id be written the same."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq

import lethe
from lethe.core.workspace import Workspace
from lethe.forgetting.stores.texts import Texts

_TEXT = {".py", ".json", ".css", ".js", ".html", ".mako", ".yaml", ".md", ".txt", ".toml"}


@dataclass(frozen=True)
class Held:
    """Ids that the data of any dataset still hold."""

    users: frozenset[str] = field(default=frozenset(), repr=False)
    items: frozenset[str] = field(default=frozenset(), repr=False)

    @cached_property
    def all(self) -> frozenset[str]:
        return self.users | self.items


NOBODY = Held()


def still_held(workspace: Workspace) -> Held:
    """The ids of people and things in the tables of every dataset as they are now."""
    users, items = set[str](), set[str]()
    for path in sorted((workspace.root / "data").glob("*/ingested/**/*.parquet")):
        for name in pq.read_schema(path).names:
            if name in ("user", "friend"):
                users |= _distinct(path, name)
            elif name in ("item", "entity"):
                items |= _distinct(path, name)
    return Held(frozenset(users), frozenset(items))


def _distinct(path: Path, name: str) -> set[str]:
    return {str(value) for value in pq.read_table(path, columns=[name])[name].unique().to_pylist()}


def own_words(ids: Collection[str]) -> frozenset[str]:
    """Those of these ids that our own files, and Prefect's list of its blocks, hold as words."""
    return Texts(frozenset(text for text in ids if len(text) > 1)).those_in(_own_files()) if ids else frozenset()


@cache
def _own_files() -> bytes:
    package = Path(lethe.__file__).parent
    files = [path for path in sorted(package.rglob("*")) if path.suffix in _TEXT and "__pycache__" not in path.parts]
    named = [str(path.relative_to(package)).encode() + b"\n" + path.read_bytes() for path in files]
    prefect = find_spec("prefect")  # Found, not imported: only flows do that.
    blocks = Path(prefect.origin or "").parent / "server" / "collection_blocks_data.json" if prefect else None
    return b"\n".join([*named, blocks.read_bytes() if blocks and blocks.is_file() else b""])
