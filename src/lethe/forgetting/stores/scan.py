"""The absence scan of one file: its name, its bytes and what its kind makes of them, decoded once for all needles.

What was found is told by kind of needle (see needles.py), never by the needle itself. A file that can't be read counts
as found, because it was not shown to be clean; what isn't opened by design is named with its reason.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import pyarrow as pa

from lethe.errors import LetheError
from lethe.forgetting.stores import sqlite_files
from lethe.forgetting.stores.contents import PARQUET, UNREADABLE, parts_of
from lethe.forgetting.stores.needles import MD5, SHA256, Needles
from lethe.forgetting.stores.parts import Columns, NotSearched, Part, Raw, Strings, names_people
from lethe.tables.interactions import Interactions


@dataclass(frozen=True)
class Looked:
    """What one file was found to hold: a kind of needle, if any, and why some of it was not searched."""

    kind: str | None = None
    not_searched: tuple[str, ...] = ()


def look(
    path: Path,
    needles: Sequence[Needles],
    *,
    name: PurePath | None = None,
    called: str | None = None,
    digests_as_text: bool = False,
) -> Looked:
    """Search a file for every needle. ``name``: its path as far as it may tell of people (default: its own name);
    ``called``: what it is called where it is of use, which says what kind it is of (default: its own name)."""
    try:
        content = path.read_bytes()
        kind = _in_name(name or PurePath(path.name), path, needles)
        return Looked(kind) if kind else _in_content(path, content, needles, digests_as_text, called or path.name)
    except FileNotFoundError:
        return Looked()  # Gone between listing and reading: a journal, a temporary file.
    except (OSError, sqlite3.Error, pa.ArrowException, LetheError, *UNREADABLE):
        return Looked("unreadable")


def _in_content(path: Path, content: bytes, needles: Sequence[Needles], digests_as_text: bool, called: str) -> Looked:
    sha256, name = hashlib.sha256(content).hexdigest(), PurePath(called)

    def digests() -> Looked:
        return Looked(_in_digests(content, sha256, needles, digests_as_text))

    def parts() -> Looked:
        return _in_parts(parts_of(name, content, path), needles)

    looked = _once(needles, (sha256, digests_as_text), digests)
    if looked.kind:
        return looked
    # A database has a log beside it; what else a file holds its bytes say, and where they don't its name.
    alone = not content.startswith(sqlite_files.MAGIC)
    how = names_people(name) if content.startswith(PARQUET) else str(name)
    return _once(needles, (sha256, "parts", how), parts) if alone else parts()


def _once(needles: Sequence[Needles], what: tuple[object, ...], search: Callable[[], Looked]) -> Looked:
    """What these bytes were found to hold: DVC's cache and remotes hold the tables of data/ once more, packages the
    weights of ensembles, and the model store packages. Each is searched once."""
    if not needles:
        return search()
    seen, this = needles[0].seen, (*what, *map(id, needles))
    if this not in seen:
        # The needles are kept beside it, so that their ids stay theirs.
        seen[this] = (search(), needles)
    looked: Looked = seen[this][0]
    return looked


def find_in_name(path: PurePath, needles: Sequence[Needles]) -> str | None:
    """Kind of needle in a file's path."""
    return _in_name(path, path, needles)


def find_in_parts(parts: Iterable[Part], needles: Sequence[Needles]) -> str | None:
    """Kind of needle in what was decoded."""
    return _in_parts(parts, needles).kind


def _in_parts(parts: Iterable[Part], needles: Sequence[Needles]) -> Looked:
    reasons = []
    for part in parts:
        if isinstance(part, NotSearched):
            reasons.append(part.reason)
        elif kind := next((kind for n in needles if (kind := _in_part(part, n))), None):
            return Looked(kind, tuple(reasons))
    return Looked(None, tuple(reasons))


def _in_part(part: Part, needles: Needles) -> str | None:
    if isinstance(part, Columns):
        if part.called in needles.held.fields:
            return None  # Of a context or a feature that is called so: a client, a reader.
        return needles.in_columns(part.users, part.items) or needles.in_rows(part.rows) or _in_table(part, needles)
    if isinstance(part, Strings):
        texts = needles.in_ids if part.ids else needles.in_text
        return "text" if texts.texts and texts.within(part.joined) else None
    if isinstance(part, Raw):
        return "text" if needles.in_text.within(part.content, binary=part.binary) else None
    return None


def _in_table(part: Columns, needles: Needles) -> str | None:
    if part.rows is None or not any(len(digest) == SHA256 for digest in needles.digests):
        return None
    return "digest" if Interactions.digest_of(part.rows) in needles.digests else None


def _in_digests(content: bytes, sha256: str, needles: Sequence[Needles], as_text: bool) -> str | None:
    wanted = {digest for n in needles for digest in n.digests}
    if sha256 in wanted:
        return "digest"
    # DVC names its objects by MD5.
    if (
        any(len(digest) == MD5 for digest in wanted)
        and hashlib.md5(content, usedforsecurity=False).hexdigest() in wanted
    ):
        return "digest"
    return "digest" if as_text and any(n.digests_in_text.within(content) for n in needles) else None


def _in_name(name: PurePath, path: PurePath, needles: Sequence[Needles]) -> str | None:
    # DVC's cache splits the MD5 into folder and file, and adds .dir to a listing's.
    stem = path.name.removesuffix(".dir")
    for n in needles:
        if n.digests & {stem, path.parent.name, path.parent.name + stem}:
            return "digest"
        if any(n.in_text.within(part.encode(errors="surrogateescape")) for part in name.parts):
            return "text"
    return None
