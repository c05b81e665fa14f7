"""What is served now, and the digests of everything behind it."""

from __future__ import annotations

from typing import Any

from lethe import __version__
from lethe.build.builder import Builder
from lethe.build.registry import Registry
from lethe.core.environment import numeric_environment, whole_code_digest
from lethe.core.workspace import Workspace
from lethe.forgetting.plan import Served
from lethe.tables.side_tables import digest_beside


def served(workspace: Workspace) -> list[Served]:
    return [Served(family, version.recipe) for family, version in Registry(workspace).served().items()]


def state_of(workspace: Workspace) -> dict[str, Any]:
    """Digests of data, shards, artifacts and versions as they are now."""
    families: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for family, version in Registry(workspace).served().items():
        info, recipe = version.info, version.recipe
        families[family] = {
            "version": version.tag,
            "dataset": recipe.dataset,
            "digest": version.digest,
            "ensemble": info["ensemble"]["digest"],
            "sub_models": info["sub_models"],
        }
        path = workspace.interactions(recipe.dataset)
        data[recipe.dataset] = digest_beside(path)
        builder = Builder(workspace, recipe)
        for name in builder.shard_names():
            shard = builder.workspace.shards(recipe.dataset, recipe.sharding) / f"{name}.parquet"
            data[f"{recipe.dataset}/{recipe.sharding}/{name}"] = digest_beside(shard)
    code = {"version": __version__, "digest": whole_code_digest()}
    return {"data": data, "families": families, "code": code, "environment": numeric_environment("cpu")}
