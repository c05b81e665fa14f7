"""What is served now: by which recipes, and the digests of everything behind it."""

from __future__ import annotations

from typing import Any

from lethe import __version__
from lethe.data.interactions import Interactions
from lethe.environment import numeric_environment, whole_code_digest
from lethe.pipeline import Builder, Recipe
from lethe.registry import Registry
from lethe.unlearning.planner import Served
from lethe.workspace import Workspace


def served_recipes(workspace: Workspace) -> dict[str, Recipe]:
    registry = Registry(workspace)
    versions = {family: registry.current(family) for family in registry.families()}
    return {f: Recipe.parse(v.info["recipe"], "recipe") for f, v in versions.items() if v is not None}


def served(workspace: Workspace) -> list[Served]:
    return [Served(family, recipe) for family, recipe in served_recipes(workspace).items()]


def state_of(workspace: Workspace) -> dict[str, Any]:
    """Digests of data, shards, artifacts and versions as they are now."""
    registry = Registry(workspace)
    families: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for family, recipe in served_recipes(workspace).items():
        version = registry.current(family)
        assert version is not None
        families[family] = {"version": version.tag, "digest": version.digest, "sub_models": version.info["sub_models"]}
        path = workspace.interactions(recipe.dataset)
        data[recipe.dataset] = Interactions.read(path).digest()
        builder = Builder(workspace, recipe)
        for name in builder.shard_names():
            data[f"{recipe.dataset}/{recipe.sharding}/{name}"] = builder.shard(name).digest()
    code = {"version": __version__, "digest": whole_code_digest()}
    return {"data": data, "families": families, "code": code, "environment": numeric_environment("cpu")}
