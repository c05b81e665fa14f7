"""Clean folders in which the tables and the artifacts behind what is served are made anew.

Each served version is rebuilt from the tables that its build began with: today's where they are still the same, else
its snapshot, since a source may have grown, or a roll back gone behind a change of the data.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import JsonValue

from lethe.build.builder import Builder
from lethe.build.recipe import Recipe
from lethe.build.registry import Version
from lethe.build.snapshot import laid_out_by, lay_out
from lethe.config.params import Params
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.workspace import Workspace
from lethe.data.partition.guarantee import frozen
from lethe.data.stages import assign, ingest, shards_stage, source_stage, split_stage
from lethe.errors import ArtifactError, NotComparable
from lethe.proof.compare import same_environment
from lethe.tables.reader import Reader

Progress = Callable[[str], None]


def clean_workspace(workspace: Workspace, params: Params, folder: Path) -> Workspace:
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


@dataclass(frozen=True)
class Today:
    """The tables of one dataset, made anew from its source as params.yaml says, to hold today's against."""

    workspace: Workspace
    clean: Workspace
    params: Params
    dataset: str
    shardings: tuple[str, ...]

    def make(self) -> bool:
        """Whether the source is still as it was when today's tables were made. Where it isn't, they are made anew from
        today's whole table on, which then says nothing about that one.

        Raises NotComparable where today's tables were made by other code.
        """
        source_stage(self.clean, self.params, self.dataset)
        then, now = (json.loads(w.source_digest(self.dataset).read_bytes()) for w in (self.workspace, self.clean))
        if then.pop("code") != now.pop("code"):
            raise NotComparable(f"data of {self.dataset}: made by other code, code differ; run lethe train first")
        if then == now:
            ingest(self.clean, self.params, self.dataset)
        else:
            shutil.copytree(self.workspace.ingested(self.dataset), self.clean.ingested(self.dataset))
        split_stage(self.clean, self.params, self.dataset)
        for sharding in self.shardings:
            assign(self.clean, self.params, self.dataset, sharding)
            shards_stage(self.clean, self.params, self.dataset, sharding)
        return bool(then == now)


@dataclass(frozen=True)
class Rebuild:
    """Rebuilds of served versions below ``folder``; ``today``: the workspace in which today's tables were made anew."""

    workspace: Workspace
    params: Params
    folder: Path
    today: Workspace
    progress: Progress
    reader: Reader = field(default_factory=Reader)

    def builder(self, family: str, version: Version) -> Builder:
        """A builder over the tables that a version was built from. Raises NotComparable where they are gone."""
        recipe = version.recipe
        here = Builder(self.today, recipe, self.reader)
        if self._laid(recipe) and here.tables() == version.info.tables:
            return here
        own = Workspace(self.folder / family)
        if not own.root.is_dir():
            self.progress(f"{family}: its own data")
            try:
                snapshot = ArtifactStore(self.workspace.artifacts).get("snapshot", version.info.snapshot.key)
            except ArtifactError:
                raise NotComparable(
                    f"{family}: the data that {version.tag} was built from are gone, so it can't be rebuilt"
                ) from None
            lay_out(snapshot, own, self.params, recipe)
        return Builder(own, recipe, self.reader)

    def _laid(self, recipe: Recipe) -> bool:
        return self.today.shards(recipe.dataset, recipe.sharding).is_dir()

    def sub_model(self, family: str, version: Version, shard: str) -> Artifact:
        self.progress(f"{family}: sub-model {shard}")
        made = self.builder(family, version).sub_model(shard, self.params.training.device)
        self._must_be_comparable(made, version.info.sub_models.get(shard))
        return made

    def everything(self, family: str, version: Version) -> Iterator[tuple[str, str]]:
        """Name and digest of every artifact behind a version."""
        builder = self.builder(family, version)
        made = {shard: self.sub_model(family, version, shard) for shard in builder.shard_names()}
        yield from ((f"{family}/sub-model/{shard}", artifact.digest) for shard, artifact in made.items())
        self.progress(f"{family}: ensemble")
        ensemble = builder.ensemble({shard: artifact.key for shard, artifact in made.items()})
        self._must_be_comparable(ensemble, version.info.ensemble.digest)
        yield f"{family}/ensemble", ensemble.digest
        package = builder.package(ensemble.key, family, self._params(version))
        self._must_be_comparable(package, version.digest)
        yield f"{family}/package", package.digest

    def _params(self, version: Version) -> Params:
        snapshots = ArtifactStore(self.workspace.artifacts)
        try:
            return laid_out_by(snapshots.get("snapshot", version.info.snapshot.key), self.params, version.recipe)
        except ArtifactError:
            return self.params

    def _must_be_comparable(self, made: Artifact, digest: str | None) -> None:
        """Where the deployed one is still in the artifact folder, and says by which code and where it was made."""
        for stored in self._stored.get(digest or "", []):
            same_environment(_made_by(stored), _made_by(made))

    @cached_property
    def _stored(self) -> Mapping[str, list[Artifact]]:
        stored: dict[str, list[Artifact]] = {}
        for artifact in ArtifactStore(self.workspace.artifacts).all():
            stored.setdefault(artifact.digest, []).append(artifact)
        return stored


def _made_by(artifact: Artifact) -> dict[str, JsonValue]:
    return {**artifact.environment, "code": artifact.inputs["code"]}
