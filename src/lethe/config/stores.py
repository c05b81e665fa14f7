"""Where what this project makes is kept beside its own folders, and who reaches it there."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from lethe.config.section import Section, read_yaml
from lethe.core.bucket import Bucket
from lethe.core.workspace import Workspace

Url = Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)+$")]
Kind = Literal["artifacts", "models", "certificates", "copies"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Stores(Section):
    """URLs s3://BUCKET/PREFIX, each of this project alone. None: it is kept in the project's folder only. Credentials
    come from the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL), never from here."""

    artifacts: Url | None = None
    """Of every artifact. artifacts/ is then a cache of it: what is made is put there too, what is missing here is
    fetched and compared with its digests."""
    models: Url | None = None
    """Of the packages of promoted versions. A version that is missing here is fetched and compared with its tag."""
    certificates: Url | None = None
    """Of certificates and the keys that check them. A request is completed only when its certificate is there."""
    copies: Url | None = None
    """Of our copies of downloaded sources. One that is missing here is fetched, not downloaded again."""

    @model_validator(mode="after")
    def _apart(self) -> Stores:
        named = {kind: f"{url}/" for kind, url in self.plain().items() if url is not None}
        for kind, url in named.items():
            for other, beside in named.items():
                if kind != other and url.startswith(beside):
                    raise ValueError(f"{kind} must not lie in that of {other}; give each a prefix of its own")
        return self


def buckets(workspace: Workspace) -> dict[Kind, Bucket]:
    """Every one that a workspace keeps things in."""
    named = ((kind, bucket_of(workspace, kind)) for kind in KINDS)
    return {kind: bucket for kind, bucket in named if bucket is not None}


def bucket_of(workspace: Workspace, kind: Kind) -> Bucket | None:
    """Where a workspace keeps that. A clean rebuild keeps nothing anywhere: it must make everything itself, or it would
    compare what is served with what is served."""
    if workspace.sources is not None or not workspace.params.is_file():
        return None
    stamp = workspace.params.stat()
    url = getattr(_stores(workspace.params, stamp.st_mtime_ns, stamp.st_size), kind)
    return None if url is None else Bucket(url, f"stores.{kind}")


@cache
def _stores(params: Path, changed: int, size: int) -> Stores:
    values = read_yaml(params)
    stores = values.get("stores") if isinstance(values, dict) else None
    return Stores.parse(stores, f"{params.name}.stores")
