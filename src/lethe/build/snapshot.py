"""The tables that a build began with, kept so that what is served can be rebuilt from them whenever that is asked.

A source grows, a training on new data may keep what is served, and a roll back goes behind a change of the data: then
today's tables are not those that the served version was built from. A snapshot is an artifact like any other, so
forgetting takes those that held the subject.

ingested/     the whole folder of the ingest stage
assignment/   where it is frozen, or looked at a table of its own: which shard, and which slice, each row lies in
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lethe.build.inputs import SnapshotInputs
from lethe.build.recipe import Recipe
from lethe.build.stored import artifact_store
from lethe.config.params import Params
from lethe.config.sharding import Sharding
from lethe.core.artifacts import Artifact
from lethe.core.workspace import Workspace
from lethe.data.partition.guarantee import frozen
from lethe.data.stages import assign, shards_stage, split_stage
from lethe.errors import ConfigError, NotComparable
from lethe.tables.reader import Reader


def keep(workspace: Workspace, params: Params, recipe: Recipe, reader: Reader) -> Artifact:
    """The snapshot of a dataset's tables as they are now, for what the recipe builds from them."""
    if recipe.dataset not in params.datasets:
        raise ConfigError(
            f"datasets: {recipe.dataset!r} is not in params.yaml any more; put it back, or drop its family"
        )
    config = params.datasets[recipe.dataset]
    folders = {"ingested": workspace.ingested(recipe.dataset)}
    if _assigned(recipe.layout):
        folders["assignment"] = workspace.assignment(recipe.dataset, recipe.laid_in)
    files = {
        f"{name}/{path.relative_to(folder)}": path
        for name, folder in folders.items()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    inputs = SnapshotInputs(
        dataset=recipe.dataset,
        files={name: reader.digest_file(path) for name, path in files.items()},
        split=config.split,
        clean=config.side.clean,
    )

    def write(folder: Path) -> int:
        for name, path in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        return reader.rows(workspace.interactions(recipe.dataset))

    return artifact_store(workspace).make("snapshot", inputs.plain(), write)


def lay_out(snapshot: Artifact, workspace: Workspace, params: Params, recipe: Recipe) -> None:
    """Put a snapshot into an empty workspace, and make the split and the shards of it that the recipe builds from.

    Raises NotComparable where params.yaml no longer names the dataset.
    """
    dataset = recipe.dataset
    if dataset not in params.datasets:
        raise NotComparable(f"data of {dataset}: it is not in params.yaml any more; put it back to compare")
    then = laid_out_by(snapshot, params, recipe)
    shutil.copytree(snapshot.file("ingested"), workspace.ingested(dataset), dirs_exist_ok=True)
    split_stage(workspace, then, dataset)
    if _assigned(recipe.layout):
        shutil.copytree(snapshot.file("assignment"), workspace.assignment(dataset, recipe.laid_in), dirs_exist_ok=True)
    else:
        assign(workspace, then, dataset, recipe.sharding, recipe.rows)
    shards_stage(workspace, then, dataset, recipe.sharding, recipe.rows)


def laid_out_by(snapshot: Artifact, params: Params, recipe: Recipe) -> Params:
    """The parameters by which a snapshot was laid out for the recipe, whatever params.yaml says by now."""
    inputs, config = SnapshotInputs.of(snapshot), params.datasets[recipe.dataset]
    side = config.side.model_copy(update={"clean": inputs.clean})
    dataset = config.model_copy(update={"split": inputs.split, "side": side, "epoch": recipe.epoch})
    return params.model_copy(
        update={
            "seed": recipe.seed,
            "datasets": {recipe.dataset: dataset},
            "shardings": {recipe.sharding: recipe.layout},
        }
    )


def _assigned(layout: Sharding) -> bool:
    """Whether the assignment is more than a function of the rows."""
    return frozen(layout) or layout.placement is not None
