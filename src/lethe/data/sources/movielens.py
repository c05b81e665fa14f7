"""The MovieLens archives of GroupLens: downloaded once, checked, and kept as a copy of ours that forgetting rewrites.

GroupLens allows research use and, for most editions, no passing on; see https://grouplens.org/datasets/movielens/.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from lethe.config.source import MovielensSource
from lethe.core.canonical import canonical_json, digest_file
from lethe.core.files import write_whole
from lethe.data.sources.download import download
from lethe.data.sources.place import Place
from lethe.data.sources.table import INTERACTIONS
from lethe.errors import ConfigError, DataError
from lethe.tables.blocks import rows_of, side_by_side
from lethe.tables.interactions import Interactions

_ADDRESS = "https://files.grouplens.org/datasets/movielens/ml-{}.zip"

SHA256 = {
    "100k": "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    "1m": "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    "10m": "813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862",
    "latest-small": "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
}
"""Of the archives. ``latest`` grows, so whoever asks for it pins what they got."""

_FORMATS = {
    # file name, separator, lines to skip; "::" is read as ":" with an empty column between
    "100k": ("u.data", "\t", 0),
    "1m": ("ratings.dat", ":", 0),
    "10m": ("ratings.dat", ":", 0),
    "latest-small": ("ratings.csv", ",", 1),
    "latest": ("ratings.csv", ",", 1),
}


def read(source: MovielensSource, place: Place) -> Interactions:
    """The ratings out of our copy, which is downloaded first where it is not there."""
    _fetch(source, place.copy)
    return Interactions.read(place.copy)


def blocks(source: MovielensSource, place: Place) -> dict[str, Iterable[Interactions]]:
    """The same, a block at a time."""
    _fetch(source, place.copy)
    return {INTERACTIONS: (rows_of(block) for block, _ in side_by_side(place.copy))}


def digest(source: MovielensSource, place: Place) -> str:
    """SHA-256 of our copy, which is downloaded first where it is not there."""
    _fetch(source, place.copy)
    return digest_file(place.copy)


def _fetch(source: MovielensSource, copy: Path) -> None:
    expected = source.sha256 or SHA256.get(source.edition)
    if expected is None:
        raise ConfigError(f"source.sha256: must be given for edition {source.edition!r}, whose archive changes")
    origin = copy.with_name(f"{copy.name}.origin")
    said = canonical_json({"edition": source.edition, "sha256": expected})
    # A copy of something else is replaced: the params of the dataset were changed.
    if copy.is_file() and origin.is_file() and origin.read_bytes() == said:
        return
    archive = copy.with_name(f"ml-{source.edition}-{expected[:12]}.zip")
    download(source.url or _ADDRESS.format(source.edition), archive, expected)
    rows = _unpack(archive, source.edition)
    origin.unlink(missing_ok=True)
    rows.write(copy)
    write_whole(origin, said)
    archive.unlink()


def _unpack(archive: Path, edition: str) -> Interactions:
    name, separator, skip = _FORMATS[edition]
    names = (
        ["user", "", "item", "", "rating", "", "timestamp"]
        if separator == ":"
        else ["user", "item", "rating", "timestamp"]
    )
    names = [name or f"gap{place}" for place, name in enumerate(names)]
    types = {"user": pa.int64(), "item": pa.int64(), "rating": pa.float32(), "timestamp": pa.int64()}
    try:
        with zipfile.ZipFile(archive) as members:
            inside = [member for member in members.namelist() if Path(member).name == name]
            if len(inside) != 1:
                raise DataError(f"{archive.name}: must hold one {name}, it holds {len(inside)}")
            with members.open(inside[0]) as file:
                table = pa.csv.read_csv(
                    file,
                    read_options=pa.csv.ReadOptions(column_names=names, skip_rows=skip),
                    parse_options=pa.csv.ParseOptions(delimiter=separator),
                    convert_options=pa.csv.ConvertOptions(column_types=types, include_columns=list(types)),
                )
    except (zipfile.BadZipFile, pa.ArrowInvalid):
        raise DataError(f"{archive.name}: {name} is not readable as edition {edition!r}") from None
    return Interactions.of(*(table[column].to_numpy() for column in types))
