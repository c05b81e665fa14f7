"""``lethe verify``: rebuild what is served, in a clean folder, from the remaining data alone, and compare digests."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lethe.artifacts import ArtifactStore
from lethe.config import Params
from lethe.data.split import PARTS
from lethe.data.tables import digest_beside
from lethe.environment import numeric_environment
from lethe.errors import ArtifactError
from lethe.partition import frozen
from lethe.pipeline import Builder, Recipe
from lethe.registry import Registry
from lethe.stages import build_data
from lethe.unlearning.compare import Comparison, compare
from lethe.unlearning.planner import guarantee
from lethe.workspace import Workspace

Progress = Callable[[str], None]


def verify(workspace: Workspace, progress: Progress = lambda _: None) -> Comparison:
    """Compare what is deployed with a rebuild from the remaining data. Raises ArtifactError if nothing is deployed."""
    params = Params.read(workspace.params)
    deployed = deployed_digests(workspace)
    with tempfile.TemporaryDirectory(prefix="lethe-verify-") as folder:
        clean = _clean_workspace(workspace, params, Path(folder))
        rebuilt = _rebuild(workspace, clean, params, progress)
    environments = [r.inputs["environment"] for r in _served_ensembles(workspace)]
    return compare(deployed, rebuilt, environments[0], numeric_environment("cpu"))


def deployed_digests(workspace: Workspace) -> dict[str, str]:
    """Digest of every table and artifact behind what is served: {"family/ensemble": sha256, ...}."""
    registry = Registry(workspace)
    digests: dict[str, str] = {}
    recipes: list[Recipe] = []
    for family in registry.families():
        version = registry.current(family)
        if version is None:
            continue
        # The served copy's own bytes are checked against its manifest, not only its name.
        package = ArtifactStore(workspace.artifacts).open(registry.folder(version.tag))
        info = package.inputs["info"]
        digests[f"{family}/package"] = package.digest
        digests[f"{family}/ensemble"] = info["ensemble"]["digest"]
        digests |= {f"{family}/sub-model/{name}": digest for name, digest in info["sub_models"].items()}
        recipes.append(Recipe.parse(info["recipe"], "recipe"))
    if not recipes:
        raise ArtifactError("registry: nothing is promoted yet, so there is nothing to verify; run lethe train")
    return digests | data_digests(workspace, recipes)


def data_digests(workspace: Workspace, recipes: list[Recipe]) -> dict[str, str]:
    """Digest of the content of every data table behind the recipes."""
    files: dict[str, Path] = {}
    for recipe in recipes:
        files[f"{recipe.dataset}/interactions"] = workspace.interactions(recipe.dataset)
        files |= {f"{recipe.dataset}/split/{part}": workspace.split(recipe.dataset, part) for part in PARTS}
        for path in sorted(workspace.shards(recipe.dataset, recipe.sharding).glob("*.parquet")):
            files[f"{recipe.dataset}/{recipe.sharding}/shard/{path.stem}"] = path
    return {name: digest_beside(path) for name, path in files.items()}


def _clean_workspace(workspace: Workspace, params: Params, folder: Path) -> Workspace:
    """A folder with the parameters, the suppression list, our own source copies and the frozen assignments."""
    clean = Workspace(folder, sources=workspace.source_root)
    copies = [workspace.params, workspace.root / "params", workspace.suppression]
    copies += [workspace.source_copy(dataset) for dataset in params.pipeline.datasets]
    for sharding, layout in params.shardings.items():
        if frozen(layout):
            copies += [workspace.assignment(dataset, sharding) for dataset in params.pipeline.datasets]
    for source in copies:
        target = folder / source.relative_to(workspace.root)
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return clean


def _rebuild(workspace: Workspace, clean: Workspace, params: Params, progress: Progress) -> dict[str, str]:
    registry = Registry(workspace)
    served = {f: v for f in registry.families() if (v := registry.current(f)) is not None}
    recipes = {family: Recipe.parse(version.info["recipe"], "recipe") for family, version in served.items()}
    for dataset in sorted({recipe.dataset for recipe in recipes.values()}):
        progress(f"data of {dataset}")
        shardings = sorted({recipe.sharding for recipe in recipes.values() if recipe.dataset == dataset})
        build_data(clean, params, dataset, shardings)
    digests = data_digests(clean, list(recipes.values()))
    for family, recipe in recipes.items():
        builder = Builder(clean, recipe)
        keys = {}
        for shard in builder.shard_names():
            progress(f"{family}: sub-model {shard}")
            sub_model = builder.sub_model(shard)
            digests[f"{family}/sub-model/{shard}"] = sub_model.digest
            keys[shard] = sub_model.key
        progress(f"{family}: ensemble")
        ensemble = builder.ensemble(keys)
        digests[f"{family}/ensemble"] = ensemble.digest
        digests[f"{family}/package"] = builder.package(ensemble.key, family, guarantee(recipe.layout)).digest
    return digests


def _served_ensembles(workspace: Workspace) -> list[Any]:
    registry = Registry(workspace)
    store = ArtifactStore(workspace.artifacts)
    versions = [v for f in registry.families() if (v := registry.current(f)) is not None]
    return [store.get("ensemble", v.info["ensemble"]["key"]) for v in versions]


def write_report(workspace: Workspace, comparison: Comparison) -> None:
    """reports/verify.json."""
    workspace.reports.mkdir(parents=True, exist_ok=True)
    (workspace.reports / "verify.json").write_text(json.dumps(comparison.to_json(), indent=1) + "\n")
