"""From shards to a package: each step a function of its inputs' content, stored under their digest.

shard ──► sub-model ─┐
shard ──► sub-model ─┼─► ensemble ──► evaluation
shard ──► sub-model ─┘        └─────► package
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lethe.build.measuring import write_evaluation
from lethe.build.recipe import Recipe
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.environment import code_digest, numeric_environment
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.split import PARTS
from lethe.errors import DataError
from lethe.learning.aggregation import AGGREGATORS, Ensemble
from lethe.learning.aggregation.combine import read_sub_model, write_ensemble
from lethe.learning.slices import slice_config, slice_rows, write_slice
from lethe.learning.sub_model import Lesson, write_sub_model
from lethe.learning.training import learns_on, progress_bar
from lethe.models import MODELS, configure, rates
from lethe.models.parts.base import Config
from lethe.serving.package import write_package
from lethe.tables.interactions import Interactions
from lethe.tables.likes import are_likes, likes
from lethe.tables.side_tables import SideTables, content_digest, digest_beside


@dataclass(frozen=True)
class Builder:
    """Builds what a recipe names from the data of a workspace; what an unchanged key already names is re-used."""

    workspace: Workspace
    recipe: Recipe

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(self.workspace.artifacts)

    def part(self, part: str) -> Interactions:
        """What the model may learn, or is judged by, of a part of the split."""
        return likes(self.whole_part(part), self.recipe.positive)

    def whole_part(self, part: str) -> Interactions:
        """All rows of a part of the split, dislikes too."""
        return Interactions.read(self.workspace.split(self.recipe.dataset, part))

    def shard_names(self) -> list[str]:
        """Names of the shards that hold rows, in order; an emptied shard trains nothing."""
        folder = self.workspace.shards(self.recipe.dataset, self.recipe.sharding)
        names = sorted(path.stem for path in folder.glob("*.parquet") if len(self.shard(path.stem)))
        if not names:
            raise DataError(f"{folder.relative_to(self.workspace.root)}: no shard holds a row; run the data stages")
        return names

    def shard(self, name: str) -> Interactions:
        """What the model may learn of a shard."""
        return likes(Interactions.read(self._shard_path(name)), self.recipe.positive)

    def _shard_path(self, name: str) -> Path:
        return self.workspace.shards(self.recipe.dataset, self.recipe.sharding) / f"{name}.parquet"

    def shard_side(self, name: str) -> SideTables:
        return SideTables.read(self.workspace.shard_side(self.recipe.dataset, self.recipe.sharding, name))

    def slices(self, name: str) -> np.ndarray:
        """The slice of each row of ``shard`` -> [n] int64; raises DataError where it was not laid in slices."""
        path = self._shard_path(name)
        if "slice" not in (table := pq.read_table(path)).column_names:
            raise DataError(f"shard {name} of {self.recipe.sharding}: column 'slice' is missing; run the data stages")
        return table["slice"].to_numpy()[are_likes(Interactions.read(path), self.recipe.positive)]

    def sub_model(self, shard_name: str, device: str = "cpu") -> Artifact:
        """The sub-model of a shard: a function of its rows and side tables, its name, the model's config, the seed, and
        of the numeric environment, which names the kind of device.

        Of a shard in slices it is the last of them (``learning.slices``); the others' artifacts are restart points.
        """
        rows, tables, count = self.shard(shard_name), self.shard_side(shard_name), self.recipe.layout.slices
        if count == 1:
            return self._make("sub-model", rows, tables, shard_name, self.config, device)
        config, slices = slice_config(self.config, count, self.recipe.model), self.slices(shard_name)
        made = None
        for place in range(count):
            known, beside = slice_rows(rows, tables, slices, place)
            if len(known):
                kind = "sub-model" if place == count - 1 else "slice"
                made = self._make(kind, known, beside, shard_name, config, device, place, made)
        assert made is not None, "a shard that holds no row trains nothing"
        return made

    @property
    def config(self) -> Config:
        return configure(self.recipe.model, self.recipe.config)

    def _make(
        self,
        kind: str,
        rows: Interactions,
        tables: SideTables,
        shard_name: str,
        config: Config,
        device: str,
        place: int | None = None,
        before: Artifact | None = None,
    ) -> Artifact:
        recipe, tables, model = self.recipe, self.shard_side(shard_name).of_rows(rows), MODELS[self.recipe.model]
        where = learns_on(config, device)
        inputs: dict[str, Any] = {
            "data": content_digest(rows, tables),
            "shard": shard_name,
            "model": recipe.model,
            "config": config.plain(),
            "seed": recipe.seed,
            "code": code_digest(write_sub_model if place is None else write_slice, model),
            "environment": numeric_environment(where.type),
        }
        if place is not None:
            begun = None if before is None else {"key": before.key, "digest": before.digest}
            inputs |= {"slice": place, "before": begun}
        stream = Stream(recipe.seed)("sub-model", recipe.model, shard_name)
        if place is not None:
            stream = stream("stage", place)
        saved = self.store.checkpoint(kind, inputs)
        lesson = Lesson(model, config, rows, tables, stream, where, saved)

        def write(folder: Path) -> dict[str, Any]:
            if place is None:
                write_sub_model(folder, lesson, progress)
            else:
                earlier = None if before is None else before.path
                write_slice(folder, lesson, progress, earlier, last=kind == "sub-model")
            return {"rows": len(rows)}

        with progress_bar(f"{recipe.model} {shard_name}", config) as progress:
            artifact = self.store.make(kind, inputs, write)
        saved.unlink(missing_ok=True)
        return artifact

    def ensemble(self, sub_models: dict[str, str]) -> Artifact:
        """The aggregated recommender of sub-models {shard name: key}, fitted on all remaining training rows."""
        recipe, rows = self.recipe, self.part("train")
        aggregator, model = AGGREGATORS[recipe.layout.aggregator], MODELS[recipe.model]
        artifacts = {name: self.store.get("sub-model", key) for name, key in sorted(sub_models.items())}
        inputs = {
            "data": rows.digest(),
            "sub-models": {name: artifact.digest for name, artifact in artifacts.items()},
            "aggregator": recipe.layout.aggregator,
            "config": recipe.aggregator,
            "seed": recipe.seed,
            "code": code_digest(read_sub_model, write_ensemble, aggregator.fit, model),
            "environment": numeric_environment("cpu"),
        }

        def write(folder: Path) -> dict[str, Any]:
            loaded = [read_sub_model(name, made.path, model, self.config) for name, made in artifacts.items()]
            config = aggregator.Config.parse(recipe.aggregator, "aggregator")
            stream = Stream(recipe.seed)("aggregator", recipe.layout.aggregator)
            write_ensemble(folder, loaded, rows, aggregator.fit, config, stream)
            return {"rows": len(rows)}

        return self.store.make("ensemble", inputs, write)

    def evaluation(self, ensemble: str, cutoffs: tuple[int, ...]) -> Artifact:
        """Metrics of an ensemble (by key): file metrics.json {"valid": {...}, "test": {...}}.

        Validation ranks all items but those of train; test all but those of train and validation.
        """
        parts, ratings = {part: self.part(part) for part in PARTS}, rates(self.recipe.model)
        artifact = self.store.get("ensemble", ensemble)
        inputs = {
            "ensemble": artifact.digest,
            "data": {part: rows.digest() for part, rows in parts.items()},
            "cutoffs": list(cutoffs),
            "ratings": ratings,
            "code": code_digest(write_evaluation, MODELS[self.recipe.model]),
        }

        def write(folder: Path) -> dict[str, Any]:
            write_evaluation(folder, artifact.path, parts, cutoffs, ratings=ratings)
            return {"rows": len(parts["train"])}

        return self.store.make("evaluation", inputs, write)

    def package(self, ensemble: str, family: str, guarantee: str) -> Artifact:
        """What is registered and served: the ensemble (by key), the seen items, and where they came from."""
        train, valid = self.whole_part("train"), self.whole_part("valid")
        artifact = self.store.get("ensemble", ensemble)
        info = {
            "family": family,
            "dataset": self.recipe.dataset,
            "model": self.recipe.model,
            "sharding": self.recipe.sharding,
            "recipe": self.recipe.plain(),
            "guarantee": guarantee,
            "data_digest": digest_beside(self.workspace.interactions(self.recipe.dataset)),
            "ensemble": {"key": artifact.key, "digest": artifact.digest},
            "sub_models": artifact.inputs["sub-models"],
        }
        seen = Interactions.concatenate(train, valid)
        code = code_digest(write_package, MODELS[self.recipe.model])
        inputs = {"info": info, "seen": seen.digest(), "code": code}

        def write(folder: Path) -> dict[str, Any]:
            write_package(folder, Ensemble.load(artifact.path), seen, info)
            return {"rows": len(train)}

        return self.store.make("package", inputs, write)


def slices_before(store: ArtifactStore, sub_model: Artifact) -> list[Artifact]:
    """The stored slices that a sub-model in slices was resumed from, the last first; none for another sub-model."""
    found: list[Artifact] = []
    before = sub_model.inputs.get("before")
    while before is not None and (path := store.root / "slice" / before["key"]).is_dir():
        found.append(store.open(path, check=False))
        before = found[-1].inputs["before"]
    return found
