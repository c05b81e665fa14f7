"""From shards to a package: each step a function of its inputs' content, stored under their digest.

shard ──► sub-model ─┐
shard ──► sub-model ─┼─► ensemble ──► evaluation
shard ──► sub-model ─┘        └─────► package
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from lethe.build.inputs import EnsembleInputs, EvaluationInputs, PackageInputs, SubModelInputs
from lethe.build.material import Material
from lethe.build.measuring import write_evaluation
from lethe.build.snapshot import keep
from lethe.build.stored import artifact_store
from lethe.config.evaluation import Evaluation
from lethe.config.params import Params
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.environment import code_digest, numeric_environment
from lethe.core.random import Stream
from lethe.data.partition.guarantee import guarantee
from lethe.data.split import PARTS
from lethe.errors import DeviceError
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.aggregation.combine import read_sub_model, write_ensemble
from lethe.learning.device import CPU, fall_back, learns_on, worthwhile
from lethe.learning.ensemble import Ensemble
from lethe.learning.slices import slice_config, slice_rows, write_slice
from lethe.learning.sub_model import Lesson, write_sub_model
from lethe.learning.training import progress_bar
from lethe.models import MODELS, configure, rates
from lethe.models.parts.base import Config
from lethe.serving.package_info import PackageInfo
from lethe.serving.packing import write_package
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables, content_digest


@dataclass(frozen=True)
class Portion:
    """What is learnt at once: a whole shard, or of one in slices the rows up to a slice."""

    shard: str
    rows: Interactions
    tables: SideTables
    digest: str
    slice: int | None = None
    last: bool = True

    @property
    def kind(self) -> str:
        return "sub-model" if self.last else "slice"


class Builder(Material):
    """Builds what a recipe names from the data of a workspace; what an unchanged key already names is re-used."""

    @property
    def store(self) -> ArtifactStore:
        return artifact_store(self.workspace)

    def sub_model(self, shard: str, device: str = "cpu") -> Artifact:
        """The sub-model of a shard: a function of its rows and side tables, its name, the model's config, the seed, and
        of the numeric environment, which names the kind of device.

        Of a shard in slices it is the last of them (``learning.slices``); the others' artifacts are restart points.
        """
        made = None
        for portion in self._portions(shard):
            made = self._learn(portion, made, device)
        assert made is not None, "a shard that holds no row trains nothing"
        return made

    def _portions(self, shard: str) -> Iterator[Portion]:
        rows, tables, count = self.shard(shard), self.shard_side(shard), self.recipe.layout.slices
        if count == 1:
            whole = self.recipe.positive is None
            digest = self.reader.digest_beside(self.shard_path(shard)) if whole else content_digest(rows, tables)
            yield Portion(shard, rows, tables, digest)
            return
        slices = self.slices(shard)
        for place in range(count):
            known, beside = slice_rows(rows, tables, slices, place)
            if len(known):
                yield Portion(shard, known, beside, content_digest(known, beside), place, place == count - 1)

    @property
    def config(self) -> Config:
        return configure(self.recipe.model, self.recipe.config)

    def _learn(self, portion: Portion, before: Artifact | None, device: str) -> Artifact:
        recipe = self.recipe
        sliced = portion.slice is not None
        config = slice_config(self.config, recipe.layout.slices, recipe.model) if sliced else self.config
        where = learns_on(MODELS[recipe.model], config, device, len(portion.rows))
        try:
            return self._learn_there(portion, before, config, where)
        except DeviceError as error:
            fall_back(error, device)
        return self._learn_there(portion, before, config, CPU)

    def _learn_there(self, portion: Portion, before: Artifact | None, config: Config, where: torch.device) -> Artifact:
        recipe, model, sliced = self.recipe, MODELS[self.recipe.model], portion.slice is not None
        inputs = SubModelInputs(
            data=portion.digest,
            shard=portion.shard,
            model=recipe.model,
            config=config.plain(),
            seed=recipe.seed,
            slice=portion.slice,
            before=None if before is None else before.reference,
            code=code_digest(write_slice if sliced else write_sub_model, model),
            environment=numeric_environment(where.type, model.repeatable),
        ).plain()
        stream = Stream(recipe.seed)("sub-model", recipe.model, portion.shard)
        if portion.slice is not None:
            stream = stream("stage", portion.slice)
        saved = self.store.checkpoint(portion.kind, inputs)
        lesson = Lesson(model, config, portion.rows, portion.tables, stream, where, saved)

        def write(folder: Path) -> int:
            if sliced:
                write_slice(folder, lesson, progress, None if before is None else before.path, last=portion.last)
            else:
                write_sub_model(folder, lesson, progress)
            return len(portion.rows)

        with progress_bar(f"{recipe.model} {portion.shard}", config) as progress:
            artifact = self.store.make(portion.kind, inputs, write)
        saved.unlink(missing_ok=True)
        return artifact

    def ensemble(self, sub_models: dict[str, str], device: str = "cpu") -> Artifact:
        """The aggregated recommender of sub-models {shard name: key}, fitted on all of its rows."""
        rows = self.rows()
        wanted = AGGREGATORS[self.recipe.layout.aggregator].on_device
        where = worthwhile(self.config, device, len(rows)) if wanted else CPU
        try:
            return self._aggregate(sub_models, rows, where)
        except DeviceError as error:
            fall_back(error, device)
        return self._aggregate(sub_models, rows, CPU)

    def _aggregate(self, sub_models: dict[str, str], rows: Interactions, where: torch.device) -> Artifact:
        recipe = self.recipe
        aggregator, model = AGGREGATORS[recipe.layout.aggregator], MODELS[recipe.model]
        artifacts = {name: self.store.get("sub-model", key) for name, key in sorted(sub_models.items())}
        inputs = EnsembleInputs(
            data=self.digest_of(self.rows_path),
            sub_models={name: artifact.digest for name, artifact in artifacts.items()},
            aggregator=recipe.layout.aggregator,
            config=recipe.aggregator,
            seed=recipe.seed,
            code=code_digest(read_sub_model, write_ensemble, aggregator.fit, model),
            environment=numeric_environment(where.type),
        )

        def write(folder: Path) -> int:
            loaded = [read_sub_model(name, made.path, model, self.config) for name, made in artifacts.items()]
            config = aggregator.Config.parse(recipe.aggregator, "aggregator")
            stream = Stream(recipe.seed)("aggregator", recipe.layout.aggregator)
            on = (where,) if aggregator.on_device else ()
            write_ensemble(folder, loaded, rows, aggregator.fit, config, stream, *on)
            return len(rows)

        return self.store.make("ensemble", inputs.plain(), write)

    def evaluation(self, ensemble: str, evaluation: Evaluation, device: str = "cpu") -> Artifact:
        """Metrics of an ensemble (by key): files metrics.json and quality.json, {"valid": {...}, "test": {...}}.

        Of a build on the training part alone: one that has learnt all rows has nothing left to be measured on.
        Validation ranks all items but those of train; test all but those of train and validation.
        """
        assert self.recipe.rows == "train", "what was learnt measures nothing"
        where = worthwhile(self.config, device, len(self.part("train")))
        try:
            return self._measure(ensemble, evaluation, where)
        except DeviceError as error:
            fall_back(error, device)
        return self._measure(ensemble, evaluation, CPU)

    def _measure(self, ensemble: str, evaluation: Evaluation, where: torch.device) -> Artifact:
        artifact = self.store.get("ensemble", ensemble)
        measures = evaluation.measures(ratings=rates(self.recipe.model))
        inputs = EvaluationInputs(
            ensemble=artifact.digest,
            data={part: self.digest_of(self.workspace.split(self.recipe.dataset, part)) for part in PARTS},
            measures=measures,
            code=code_digest(write_evaluation, MODELS[self.recipe.model]),
            environment={} if where.type == "cpu" else numeric_environment(where.type),
        )

        def write(folder: Path) -> int:
            parts = {part: self.part(part) for part in PARTS}
            write_evaluation(folder, artifact.path, parts, measures, where)
            return len(parts["train"])

        return self.store.make("evaluation", inputs.plain(), write)

    def package(self, ensemble: str, family: str, params: Params) -> Artifact:
        """What is registered and served: the ensemble (by key), the seen items, and where they came from."""
        recipe, artifact = self.recipe, self.store.get("ensemble", ensemble)
        info = PackageInfo(
            family=family,
            dataset=recipe.dataset,
            model=recipe.model,
            sharding=recipe.sharding,
            guarantee=guarantee(recipe.layout),
            positive=recipe.positive,
            recipe=recipe.plain(),
            snapshot=keep(self.workspace, params, recipe, self.reader).reference,
            tables=self.tables(),
            ensemble=artifact.reference,
            sub_models=EnsembleInputs.of(artifact).sub_models,
            rates=rates(recipe.model),
            repeatable=MODELS[recipe.model].repeatable,
        )
        inputs = PackageInputs(info=info, code=code_digest(write_package, MODELS[recipe.model]))

        def write(folder: Path) -> int:
            write_package(folder, Ensemble.load(artifact.path), self.seen(), info)
            return len(self.whole_rows())

        return self.store.make("package", inputs.plain(), write)


def slices_before(store: ArtifactStore, sub_model: Artifact) -> list[Artifact]:
    """The stored slices that a sub-model in slices was resumed from, the last first; none for another sub-model."""
    slices: list[Artifact] = []
    before = SubModelInputs.of(sub_model).before
    while before is not None and (path := store.root / "slice" / before.key).is_dir():
        slices.append(store.open(path, check=False))
        before = SubModelInputs.of(slices[-1]).before
    return slices
