"""A file behind a URL, read where it is by fsspec: s3, gs, abfs, https, sftp and whatever else is installed for it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from lethe.config.source import UrlSource
from lethe.core.canonical import digest_file
from lethe.data.sources import table
from lethe.data.sources.place import Place
from lethe.errors import ConfigError, DataError, Unreachable
from lethe.tables.interactions import Interactions

_CHUNK = 1 << 20


def read(source: UrlSource, place: Place) -> Interactions:
    """All rows. What was fetched is gone afterwards."""
    with fetched(source.url, place) as path:
        return table.read(path, source)


def blocks(source: UrlSource, place: Place) -> dict[str, Iterable[Interactions]]:
    """The same, a block at a time."""

    def fetch() -> Iterator[Interactions]:
        with fetched(source.url, place) as path:
            yield from table.Rows.of(path, source)

    return {table.INTERACTIONS: fetch()}


def digest(source: UrlSource, place: Place) -> str:
    """SHA-256 of the bytes that are there now."""
    with fetched(source.url, place) as path:
        return digest_file(path)


@contextmanager
def fetched(url: str, place: Place) -> Iterator[Path]:
    """The file while it is needed, in the workspace's folder of temporary files. Raises ConfigError or DataError, in
    which no secret of the URL stands."""
    with tempfile.TemporaryDirectory(dir=place.temporary(), prefix="fetched-") as folder:
        path = Path(folder) / (Path(urlsplit(url).path).name or "data")
        _fetch(url, path)
        yield path


def _fetch(url: str, path: Path) -> None:
    import fsspec

    shown, whole = url.partition("?")[0], with_secrets(url)
    try:
        with fsspec.open(whole, "rb") as there, path.open("wb") as here:
            while chunk := there.read(_CHUNK):
                here.write(chunk)
    except ImportError as error:
        package = error.name or str(error).splitlines()[0]
        raise ConfigError(f"url: {shown} needs a package that is not installed ({package}); pip install it") from None
    except FileNotFoundError:
        raise DataError(f"url: {shown} is not there") from None
    except Exception as error:
        # Of many libraries, each with errors of its own, whose texts may hold the whole URL.
        raise Unreachable(
            f"url: {shown} could not be read ({type(error).__name__}); are the credentials set?"
        ) from None


def with_secrets(text: str) -> str:
    """``${NAME}`` by the environment's value. Raises ConfigError for one that isn't set."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(f"url: the environment variable {match[1]} is not set")
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)
