"""Clean folders in which the tables and the artifacts behind what is served are made anew.

Each served version is rebuilt from the tables that its build began with: today's where they are still the same, else
its snapshot, since a source may have grown, or a roll back gone behind a change of the data.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import JsonValue

from lethe.build.builder import Builder
from lethe.build.snapshot import laid_out_by, lay_out
from lethe.build.stored import artifact_store
from lethe.build.version import Version
from lethe.config.params import Params
from lethe.config.sharding import ROWS, Rows, laid_in
from lethe.core import cores
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.environment import whole_code_digest
from lethe.core.workspace import Workspace
from lethe.data.ingest import ingest
from lethe.data.outputs import must_be_ingested
from lethe.data.partition.guarantee import frozen
from lethe.data.split import PARTS
from lethe.data.stages import assign, shards_stage, source_stage, split_stage, stages_code
from lethe.errors import ArtifactError, NotComparable
from lethe.proof.compare import OTHER_CODE, same_environment
from lethe.tables.reader import Reader

Progress = Callable[[str], None]
Layout = tuple[str, Rows]
"""A sharding, and of which rows."""


@contextmanager
def place_to_build(workspace: Workspace, params: Params, name: str) -> Iterator[Path]:
    """A folder that is gone afterwards, and the cores that params.yaml gives to a process: training gets them from its
    runner, what is made anew to be compared is made here."""
    cores.use(params.training.threads)
    workspace.temporary.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.temporary, prefix=f"{name}-") as folder:
        yield Path(folder)


def clean_workspace(workspace: Workspace, params: Params, folder: Path) -> Workspace:
    """A folder with the parameters, the suppression list, our own source copies and the frozen assignments."""
    clean = Workspace(folder, sources=workspace.source_root)
    copies = [workspace.params, workspace.root / "params", workspace.suppression]
    copies += [workspace.source_copy(dataset) for dataset in params.pipeline.datasets]
    for sharding, layout in params.shardings.items():
        if frozen(layout):
            places = [laid_in(sharding, rows) for rows in ROWS]
            copies += [workspace.assignment(dataset, where) for dataset in params.pipeline.datasets for where in places]
    for source in copies:
        target = folder / source.relative_to(workspace.root)
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return clean


@dataclass(frozen=True)
class Whole:
    """What a family serves, from its shards up."""

    sub_models: Mapping[str, Artifact]
    ensemble: Artifact
    package: Artifact

    def digests(self, family: str) -> dict[str, str]:
        """By the names of ``State.artifacts``."""
        sub_models = {f"{family}/sub-model/{shard}": made.digest for shard, made in self.sub_models.items()}
        return {**sub_models, f"{family}/ensemble": self.ensemble.digest, f"{family}/package": self.package.digest}


def build_whole(builder: Builder, family: str, params: Params, progress: Progress = lambda _: None) -> Whole:
    """All of it, on the device that params.yaml names."""
    sub_models: dict[str, Artifact] = {}
    for shard in builder.shard_names():
        progress(f"{family}: sub-model {shard}")
        sub_models[shard] = builder.sub_model(shard, params.training.device)
    progress(f"{family}: ensemble")
    keys = {shard: made.key for shard, made in sub_models.items()}
    ensemble = builder.ensemble(keys, params.training.device)
    return Whole(sub_models, ensemble, builder.package(ensemble.key, family, params))


@dataclass(frozen=True)
class Tables:
    """Digests of today's tables and of the same made anew; ``left_out``: those there was nothing to compare with."""

    today: dict[str, str]
    made: dict[str, str]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Rebuild:
    """What ``served`` versions are made of, made anew below ``folder``. Begin it with ``Rebuild.begin``."""

    workspace: Workspace
    params: Params
    served: Mapping[str, Version]
    folder: Path
    progress: Progress
    reader: Reader
    packages: dict[str, Artifact] = field(default_factory=dict)
    """By family, what ``everything`` made."""

    @classmethod
    def begin(
        cls,
        workspace: Workspace,
        params: Params,
        served: Mapping[str, Version],
        folder: Path,
        progress: Progress,
        reader: Reader | None = None,
    ) -> Rebuild:
        clean_workspace(workspace, params, folder / "today")
        return cls(workspace, params, served, folder, progress, reader or Reader())

    @property
    def clean(self) -> Workspace:
        """Where today's tables are made anew."""
        return Workspace(self.folder / "today", sources=self.workspace.source_root)

    def tables(self) -> Tables:
        """Today's tables behind what is served, made anew from the sources.

        Raises NotComparable where other code made today's. Where a source has changed since they were made, they are
        made anew from today's whole table on, which then is held against nothing; and where params.yaml has, none are.
        """
        layouts = self._layouts()
        datasets = {version.info.dataset for version in self.served.values()}
        left_out = [f"{dataset}/tables" for dataset in sorted(datasets - set(layouts))]
        for dataset, laid in layouts.items():
            self.progress(f"data of {dataset}")
            if not self._make(dataset, laid):
                left_out.append(f"{dataset}/interactions")
        places = {dataset: tuple(laid_in(*layout) for layout in laid) for dataset, laid in layouts.items()}
        today, made = (table_digests(w, places, self.reader) for w in (self.workspace, self.clean))
        for name in left_out:
            today.pop(name, None)
            made.pop(name, None)
        return Tables(today, made, tuple(left_out))

    def _layouts(self) -> dict[str, tuple[Layout, ...]]:
        """{dataset: layouts} behind what is served that params.yaml still wants as they were for it."""
        layouts: dict[str, tuple[Layout, ...]] = {}
        for version in self.served.values():
            recipe, config = version.recipe, self.params.datasets.get(version.recipe.dataset)
            if config is None or config.digest() != version.settings or self.params.seed != recipe.seed:
                continue
            known = layouts.setdefault(recipe.dataset, ())
            if self.params.shardings.get(recipe.sharding) == recipe.layout:
                layouts[recipe.dataset] = tuple(sorted({*known, (recipe.sharding, recipe.rows)}))
        return layouts

    def _make(self, dataset: str, layouts: tuple[Layout, ...]) -> bool:
        """Make a dataset's tables anew; returns whether its source is still as it was when today's were made."""
        source_stage(self.clean, self.params, dataset)
        then, now = (json.loads(w.source_digest(dataset).read_bytes()) for w in (self.workspace, self.clean))
        if then.pop("code") != now.pop("code"):
            raise NotComparable(OTHER_CODE)
        if then == now:
            ingest(self.clean, self.params, dataset)
        else:
            must_be_ingested(self.workspace, dataset)
            shutil.copytree(self.workspace.ingested(dataset), self.clean.ingested(dataset))
        split_stage(self.clean, self.params, dataset)
        for sharding, rows in layouts:
            assign(self.clean, self.params, dataset, sharding, rows)
            shards_stage(self.clean, self.params, dataset, sharding, rows)
        return bool(then == now)

    def sub_models(self, names: Iterable[str]) -> dict[str, str]:
        """Digests of the sub-models of these names; a shard that holds no row any more makes none."""
        digests: dict[str, str] = {}
        for name in names:
            family, _, shard = name.split("/")
            builder = self._builder(family)
            if shard in builder.shard_names():
                digests[name] = self._sub_model(family, builder, shard).digest
        return digests

    def everything(self) -> dict[str, str]:
        """Digest of every artifact behind what is served, by the names of ``State.artifacts``."""
        digests: dict[str, str] = {}
        for family, version in self.served.items():
            builder = self._builder(family)
            made = {shard: self._sub_model(family, builder, shard) for shard in builder.shard_names()}
            self.progress(f"{family}: ensemble")
            keys, deployed = {shard: artifact.key for shard, artifact in made.items()}, version.info.ensemble.digest
            ensemble = builder.ensemble(keys, self._device(deployed))
            self._must_be_comparable(version, ensemble, deployed)
            package = self.packages[family] = builder.package(ensemble.key, family, self._params(version))
            self._must_be_comparable(version, package, version.digest)
            digests |= Whole(made, ensemble, package).digests(family)
        return digests

    def _builder(self, family: str) -> Builder:
        """A builder over the tables that a version was built from. Raises NotComparable where they are gone."""
        version = self.served[family]
        recipe = version.recipe
        here = Builder(self.clean, recipe, self.reader)
        if self.clean.shards(recipe.dataset, recipe.laid_in).is_dir() and here.tables() == version.info.tables:
            return here
        own = Workspace(self.folder / family)
        if not own.root.is_dir():
            self.progress(f"{family}: its own data")
            snapshot = self._snapshot(version)
            if snapshot is None:
                raise NotComparable(
                    f"{family}: the data that {version.tag} was built from are gone, so it can't be rebuilt"
                )
            if version.stages != stages_code():
                raise NotComparable(f"{family}: its tables were laid out by other code, code differ; train it anew")
            lay_out(snapshot, own, self.params, recipe)
        return Builder(own, recipe, self.reader)

    def _sub_model(self, family: str, builder: Builder, shard: str) -> Artifact:
        self.progress(f"{family}: sub-model {shard}")
        version = self.served[family]
        deployed = version.info.sub_models.get(shard)
        made = builder.sub_model(shard, self._device(deployed))
        self._must_be_comparable(version, made, deployed)
        return made

    def _device(self, digest: str | None) -> str:
        """The CPU for what was made there, because elsewhere there is nothing to compare it with."""
        places = {one.environment.get("device") for one in self._stored.get(digest or "", [])}
        return "cpu" if places == {"cpu"} else self.params.training.device

    def _params(self, version: Version) -> Params:
        snapshot = self._snapshot(version)
        return self.params if snapshot is None else laid_out_by(snapshot, self.params, version.recipe)

    def _snapshot(self, version: Version) -> Artifact | None:
        try:
            return artifact_store(self.workspace).get("snapshot", version.info.snapshot.key)
        except ArtifactError:
            return None

    def _must_be_comparable(self, version: Version, made: Artifact, digest: str | None) -> None:
        """The deployed one's copy in the artifact folder says by which code and where it was made; where that is lost,
        the code that promoted it tells whether it may have been another."""
        if digest is None or digest == made.digest:
            return
        stored = [version.artifact] if digest == version.digest else self._stored.get(digest, [])
        for one in stored:
            same_environment(_made_by(one), _made_by(made))
        if not stored and version.code != whole_code_digest():
            raise NotComparable(OTHER_CODE)

    @cached_property
    def _stored(self) -> Mapping[str, list[Artifact]]:
        stored: dict[str, list[Artifact]] = {}
        for artifact in ArtifactStore(self.workspace.artifacts).all():
            stored.setdefault(artifact.digest, []).append(artifact)
        return stored


def table_digests(workspace: Workspace, places: Mapping[str, tuple[str, ...]], reader: Reader) -> dict[str, str]:
    """Digest of the content of every table of these datasets {dataset: where its shardings are laid}."""
    files: dict[str, Path] = {}
    for dataset, laid in places.items():
        files[f"{dataset}/interactions"] = workspace.interactions(dataset)
        files |= {f"{dataset}/split/{part}": workspace.split(dataset, part) for part in PARTS}
        for where in laid:
            paths = sorted(workspace.shards(dataset, where).glob("*.parquet"))
            files |= {f"{dataset}/{where}/shard/{path.stem}": path for path in paths}
    return {name: reader.digest_beside(path) for name, path in files.items()}


def _made_by(artifact: Artifact) -> dict[str, JsonValue]:
    return {**artifact.environment, "code": artifact.inputs["code"]}
