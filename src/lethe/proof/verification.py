"""``lethe verify``: is what is served what its own data give, and are today's tables what the source gives?

Everything is made anew in clean folders and compared by digest. Each version is rebuilt from the tables that its build
began with, whatever happened to the source since; today's tables are held against the source, if that is still as it
was when they were made.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from lethe.build.registry import Registry, Version
from lethe.config.params import Params
from lethe.core import reports
from lethe.core.process import alone
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.split import PARTS
from lethe.errors import ArtifactError
from lethe.proof.compare import Comparison, compare
from lethe.proof.rebuild import Progress, Rebuild, Today, clean_workspace
from lethe.tables.reader import Reader


def verify(
    workspace: Workspace, progress: Progress = lambda _: None, *, sample: int | None = None, seed: int | None = None
) -> Comparison:
    """Compare what is deployed, and today's tables behind it, with a rebuild.

    ``sample``: of the artifacts only so many sub-models, chosen by ``seed`` (default: the day's number, so that other
    days look at others). Raises ArtifactError if nothing is deployed or a stored byte was changed, NotComparable where
    something was built by other code, in another numeric environment, or from data that are gone.
    """
    params = Params.read(workspace.params)
    with alone(workspace):
        served = Registry(workspace).served()
        if not served:
            raise ArtifactError("registry: nothing is promoted yet, so there is nothing to verify; run lethe train")
        deployed = deployed_digests(workspace, served)
        names = set(deployed)
        if sample is not None:
            names = set(_sample(deployed, sample, date.today().toordinal() if seed is None else seed))
        workspace.temporary.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=workspace.temporary, prefix="verify-") as name:
            folder, reader = Path(name), Reader()
            clean = clean_workspace(workspace, params, folder / "today")
            left_out = _make_today(workspace, clean, params, served, progress)
            layouts = _layouts(params, served)
            tables = [data_digests(w, layouts, reader) for w in (workspace, clean)]
            expected, rebuilt = ({n: d for n, d in one.items() if n not in left_out} for one in tables)
            rebuild = Rebuild(workspace, params, folder / "own", clean, progress, reader)
            for family, version in served.items():
                expected |= {name: deployed[name] for name in names if name.startswith(f"{family}/")}
                rebuilt |= _rebuilt(rebuild, family, version, names if sample is not None else None)
            return compare(expected, rebuilt, left_out)


def _sample(names: Iterable[str], count: int, seed: int) -> list[str]:
    sub_models = sorted(name for name in names if "/sub-model/" in name)
    return sorted(Stream(seed)("verify", "sample").numpy().permutation(sub_models)[:count].tolist())


def deployed_digests(workspace: Workspace, served: Mapping[str, Version]) -> dict[str, str]:
    """Digest of every artifact behind what is served: {"family/ensemble": sha256, ...}."""
    digests: dict[str, str] = {}
    for family, version in served.items():
        # The served copy's own bytes are checked against its manifest, not only its name.
        package = Registry(workspace).open(version.tag)
        digests[f"{family}/package"] = package.digest
        digests[f"{family}/ensemble"] = version.info.ensemble.digest
        digests |= {f"{family}/sub-model/{name}": digest for name, digest in version.info.sub_models.items()}
    return digests


def _rebuilt(rebuild: Rebuild, family: str, version: Version, names: set[str] | None) -> dict[str, str]:
    """Digests of a version made anew: of everything, or of the sub-models of these names."""
    if names is None:
        return dict(rebuild.everything(family, version))
    shards = [name.rpartition("/")[2] for name in sorted(names) if name.startswith(f"{family}/")]
    if not shards:
        return {}
    # A shard that holds no row any more makes no sub-model.
    there = rebuild.builder(family, version).shard_names()
    return {
        f"{family}/sub-model/{shard}": rebuild.sub_model(family, version, shard).digest
        for shard in shards
        if shard in there
    }


def _layouts(params: Params, served: Mapping[str, Version]) -> dict[str, tuple[str, ...]]:
    """{dataset: shardings} behind what is served whose tables are still made as they were for it."""
    layouts: dict[str, tuple[str, ...]] = {}
    for version in served.values():
        recipe, config = version.recipe, params.datasets.get(version.recipe.dataset)
        if config is None or config.digest() != version.settings or params.seed != recipe.seed:
            continue
        known = layouts.setdefault(recipe.dataset, ())
        if params.shardings.get(recipe.sharding) == recipe.layout:
            layouts[recipe.dataset] = tuple(sorted({*known, recipe.sharding}))
    return layouts


def _make_today(
    workspace: Workspace, clean: Workspace, params: Params, served: Mapping[str, Version], progress: Progress
) -> tuple[str, ...]:
    """Make today's tables anew; returns the names of those that can't be held against anything."""
    layouts = _layouts(params, served)
    left_out = sorted(
        {f"{version.info.dataset}/tables" for version in served.values()} - {f"{d}/tables" for d in layouts}
    )
    for dataset, shardings in layouts.items():
        progress(f"data of {dataset}")
        if not Today(workspace, clean, params, dataset, shardings).make():
            left_out.append(f"{dataset}/interactions")
    return tuple(left_out)


def data_digests(workspace: Workspace, layouts: Mapping[str, tuple[str, ...]], reader: Reader) -> dict[str, str]:
    """Digest of the content of every table of these datasets and shardings."""
    files: dict[str, Path] = {}
    for dataset, shardings in layouts.items():
        files[f"{dataset}/interactions"] = workspace.interactions(dataset)
        files |= {f"{dataset}/split/{part}": workspace.split(dataset, part) for part in PARTS}
        for sharding in shardings:
            paths = sorted(workspace.shards(dataset, sharding).glob("*.parquet"))
            files |= {f"{dataset}/{sharding}/shard/{path.stem}": path for path in paths}
    return {name: reader.digest_beside(path) for name, path in files.items()}


def write_report(workspace: Workspace, comparison: Comparison) -> None:
    """reports/verify.json."""
    reports.write_report(workspace, "verify", comparison.to_json())
