"""``lethe verify``: rebuild what is served, in a clean folder, from the remaining data alone, and compare digests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from lethe.build.builder import Builder
from lethe.build.registry import Registry, Version
from lethe.config.params import Params
from lethe.core import reports
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.process import alone
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.partition.guarantee import frozen, guarantee
from lethe.data.split import PARTS
from lethe.data.stages import build_data
from lethe.errors import ArtifactError
from lethe.proof.compare import Comparison, compare, same_environment
from lethe.tables.side_tables import digest_beside

Progress = Callable[[str], None]


def verify(
    workspace: Workspace, progress: Progress = lambda _: None, *, sample: int | None = None, seed: int | None = None
) -> Comparison:
    """Compare what is deployed with a rebuild from the remaining data.

    ``sample``: rebuild the data and only so many sub-models, chosen by ``seed`` (default: the day's number, so that
    other days look at others). Raises ArtifactError if nothing is deployed or a stored byte was changed,
    NotComparable where it was built by other code or in another numeric environment.
    """
    params = Params.read(workspace.params)
    with alone(workspace):
        served = Registry(workspace).served()
        if not served:
            raise ArtifactError("registry: nothing is promoted yet, so there is nothing to verify; run lethe train")
        deployed = deployed_digests(workspace, served)
        workspace.temporary.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=workspace.temporary, prefix="verify-") as folder:
            rebuild = Rebuild(
                workspace, clean_workspace(workspace, params, Path(folder)), served, params.training.device, progress
            )
            if sample is None:
                return compare(deployed, rebuild.data(params) | rebuild.everything())
            chosen = _sample(deployed, sample, date.today().toordinal() if seed is None else seed)
            expected = data_digests(workspace, served) | {name: deployed[name] for name in chosen}
            return compare(expected, rebuild.data(params) | rebuild.sub_models(chosen))


def _sample(names: Iterable[str], count: int, seed: int) -> list[str]:
    sub_models = sorted(name for name in names if "/sub-model/" in name)
    return sorted(Stream(seed)("verify", "sample").numpy().permutation(sub_models)[:count].tolist())


def deployed_digests(workspace: Workspace, served: Mapping[str, Version]) -> dict[str, str]:
    """Digest of every table and artifact behind what is served: {"family/ensemble": sha256, ...}."""
    digests: dict[str, str] = {}
    for family, version in served.items():
        # The served copy's own bytes are checked against its manifest, not only its name.
        package = Registry(workspace).open(version.tag)
        digests[f"{family}/package"] = package.digest
        digests[f"{family}/ensemble"] = version.info["ensemble"]["digest"]
        digests |= {f"{family}/sub-model/{name}": digest for name, digest in version.info["sub_models"].items()}
    return digests | data_digests(workspace, served)


def data_digests(workspace: Workspace, served: Mapping[str, Version]) -> dict[str, str]:
    """Digest of the content of every data table behind what is served."""
    files: dict[str, Path] = {}
    for recipe in (version.recipe for version in served.values()):
        files[f"{recipe.dataset}/interactions"] = workspace.interactions(recipe.dataset)
        files |= {f"{recipe.dataset}/split/{part}": workspace.split(recipe.dataset, part) for part in PARTS}
        for path in sorted(workspace.shards(recipe.dataset, recipe.sharding).glob("*.parquet")):
            files[f"{recipe.dataset}/{recipe.sharding}/shard/{path.stem}"] = path
    return {name: digest_beside(path) for name, path in files.items()}


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
class Rebuild:
    """A rebuild of what ``workspace`` serves in the folder ``clean``; digests by the names of ``deployed_digests``."""

    workspace: Workspace
    clean: Workspace
    served: Mapping[str, Version]
    device: str
    progress: Progress

    def data(self, params: Params) -> dict[str, str]:
        recipes = [version.recipe for version in self.served.values()]
        for dataset in sorted({recipe.dataset for recipe in recipes}):
            self.progress(f"data of {dataset}")
            shardings = sorted({recipe.sharding for recipe in recipes if recipe.dataset == dataset})
            build_data(self.clean, params, dataset, shardings)
        return data_digests(self.clean, self.served)

    def sub_models(self, names: Sequence[str]) -> dict[str, str]:
        """Of these names; a shard that holds no row any more makes none."""
        digests: dict[str, str] = {}
        for name in names:
            family, _, shard = name.split("/")
            if shard in Builder(self.clean, self.served[family].recipe).shard_names():
                digests[name] = self._sub_model(family, shard).digest
        return digests

    def everything(self) -> dict[str, str]:
        digests: dict[str, str] = {}
        for family, version in self.served.items():
            builder = Builder(self.clean, version.recipe)
            made = {shard: self._sub_model(family, shard) for shard in builder.shard_names()}
            digests |= {f"{family}/sub-model/{shard}": artifact.digest for shard, artifact in made.items()}
            self.progress(f"{family}: ensemble")
            ensemble = builder.ensemble({shard: artifact.key for shard, artifact in made.items()})
            self._must_be_comparable(ensemble, version.info["ensemble"]["digest"])
            digests[f"{family}/ensemble"] = ensemble.digest
            package = builder.package(ensemble.key, family, guarantee(version.recipe.layout))
            self._must_be_comparable(package, version.digest)
            digests[f"{family}/package"] = package.digest
        return digests

    def _sub_model(self, family: str, shard: str) -> Artifact:
        self.progress(f"{family}: sub-model {shard}")
        version = self.served[family]
        made = Builder(self.clean, version.recipe).sub_model(shard, self.device)
        self._must_be_comparable(made, version.info["sub_models"].get(shard))
        return made

    def _must_be_comparable(self, made: Artifact, digest: str | None) -> None:
        """Where the deployed one is still in the artifact folder, and says by which code and where it was made."""
        for stored in self._stored.get(digest or "", []):
            same_environment(_made_by(stored), _made_by(made))

    @cached_property
    def _stored(self) -> dict[str, list[Artifact]]:
        stored: dict[str, list[Artifact]] = {}
        for artifact in ArtifactStore(self.workspace.artifacts).all():
            stored.setdefault(artifact.digest, []).append(artifact)
        return stored


def _made_by(artifact: Artifact) -> dict[str, Any]:
    return {**artifact.inputs.get("environment", {}), "code": artifact.inputs["code"]}


def write_report(workspace: Workspace, comparison: Comparison) -> None:
    """reports/verify.json."""
    reports.write_report(workspace, "verify", comparison.to_json())
