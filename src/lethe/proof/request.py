"""The rebuild inside a forget run: what its requests touched, made again in a clean folder from what remains."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.workspace import Workspace
from lethe.errors import NotComparable
from lethe.forgetting.certificate import Sample, Scores, Verification
from lethe.forgetting.certificate.content import drawn
from lethe.forgetting.completion import not_repeatable
from lethe.forgetting.record import Run
from lethe.forgetting.state import State
from lethe.proof.rebuild import Progress, Rebuild, place_to_build
from lethe.proof.scores import score_difference
from lethe.proof.verification import deployed_digests
from lethe.serving.package import Package
from lethe.tables.reader import Reader


def prove(
    workspace: Workspace, run: Run, progress: Progress = lambda _: None, reader: Reader | None = None
) -> Verification:
    """Rebuild, once for the whole batch, and compare with what is served.

    A sub-model that no request touched, and that is as it was before, is carried over unless the batch's data are so
    large (``forgetting.verify_above_rows``) that only a sample of the touched ones is rebuilt.
    """
    assert run.ended is not None, "what superseded models left is erased before anything is compared"
    params, now = Params.read(workspace.params), run.ended.after.of(*run.datasets)
    served = {family: version for family, version in Registry(workspace).served().items() if family in now.families}
    if not served:
        return Verification(result="not run", reason="nothing is served from these data")
    expected = deployed_digests(workspace, served)
    with place_to_build(workspace, params, "verify") as folder:
        rebuild = Rebuild.begin(workspace, params, served, folder, progress, reader)
        try:
            tables = rebuild.tables()
            expected |= tables.today
            left_out = [name for name in _tables(now) if name not in tables.today]
            if _largest(rebuild, run.datasets) > params.forgetting.verify_above_rows:
                return _sampled(run, rebuild, expected, tables.made, params.audit.sample, left_out)
            carried = dict(_carried(run, now))
            _carry(workspace, rebuild.clean, set(carried.values()))
            made = tables.made | rebuild.everything()
            scores = dict(_scores(workspace, run, rebuild, not_repeatable(workspace, now)))
        except NotComparable as error:
            return Verification(result="not comparable", reason=str(error))
    return Verification.of(
        _without(expected, carried), _without(made, carried), carried, left_out=left_out, scores=scores
    )


def _scores(workspace: Workspace, run: Run, rebuild: Rebuild, families: Iterable[str]) -> Iterator[tuple[str, Scores]]:
    """Of families whose bytes need not be equal, how far what they answer differs."""
    registry, nonces = Registry(workspace), sorted(run.nonces.values())
    for family in families:
        served = Package.load(registry.folder(rebuild.served[family].tag))
        yield family, score_difference(served, Package.load(rebuild.packages[family].path), nonces)


def _tables(now: State) -> Iterator[str]:
    """Names of the tables behind what is served, as the certificate has them."""
    for dataset, state in now.datasets.items():
        yield f"{dataset}/interactions"
        for sharding, shards in state.shards.items():
            yield from (f"{dataset}/{sharding}/shard/{shard}" for shard in shards)


def _largest(rebuild: Rebuild, datasets: Iterable[str]) -> int:
    """Rows of the largest of these datasets."""
    return max((rebuild.reader.rows(rebuild.workspace.interactions(name)) for name in datasets), default=0)


def _sampled(
    run: Run, rebuild: Rebuild, expected: dict[str, str], tables: dict[str, str], count: int, left_out: list[str]
) -> Verification:
    nonces = tuple(sorted(run.nonces.values()))
    chosen = [name for dataset in run.datasets for name in drawn(_again(run, dataset), count, nonces)]
    made = tables | rebuild.sub_models(chosen)
    names = tables.keys() | set(chosen)
    sample = Sample(count=count, nonces=nonces, origin=run.drawn_by)
    served = {name: expected[name] for name in names if name in expected}
    return Verification.of(served, made, sample=sample, left_out=left_out)


def _again(run: Run, dataset: str) -> Iterator[str]:
    """Names of the sub-models of a dataset that this run had trained again."""
    assert run.ended is not None
    for family, state in run.ended.after.of(dataset).families.items():
        for shard in state.sub_models:
            if not _unchanged(run, family, shard):
                yield f"{family}/sub-model/{shard}"


def _carried(run: Run, now: State) -> Iterator[tuple[str, str]]:
    """(name, digest) of each sub-model that was neither touched nor trained again."""
    for family, state in now.families.items():
        for shard, digest in state.sub_models.items():
            if _unchanged(run, family, shard):
                yield f"{family}/sub-model/{shard}", digest


def _unchanged(run: Run, family: str, shard: str) -> bool:
    assert run.ended is not None
    before, after = run.before.families.get(family), run.ended.after.families[family]
    same = before is not None and before.sub_models.get(shard) == after.sub_models[shard]
    return same and f"{family}/{shard}" not in run.touched


def _carry(workspace: Workspace, clean: Workspace, digests: set[str]) -> None:
    """Put stored artifacts, checked byte for byte, where a build finds them if its own inputs name the same."""
    store = ArtifactStore(workspace.artifacts)
    for artifact in store.all():
        if artifact.digest in digests:
            _copy(store.open(artifact.path), clean.artifacts)


def _copy(artifact: Artifact, root: Path) -> None:
    shutil.copytree(artifact.path, root / artifact.kind / artifact.key)


def _without(digests: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in digests.items() if name not in names}
