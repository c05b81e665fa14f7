"""From shards to a package: each step a function of its inputs' content, stored under their digest.

shard ──► sub-model ─┐
shard ──► sub-model ─┼─► ensemble ──► evaluation
shard ──► sub-model ─┘        └─────► package
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors.torch import load_file, save_file

from lethe.build.judging import measure
from lethe.build.recipe import Recipe
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.environment import code_digest, numeric_environment
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.errors import DataError
from lethe.learning.aggregation import AGGREGATORS, Ensemble, SubModel
from lethe.learning.slices import going_on, stage_config, stage_rows, write_stage
from lethe.learning.training import learns_on, progress_bar, train
from lethe.models import MODELS, configure, rates
from lethe.models.parts.base import Config
from lethe.serving.package import write_package
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
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
        return Interactions.read(self.workspace.split(self.recipe.dataset, part))

    def shard_names(self) -> list[str]:
        """Names of the shards that hold rows, in order; an emptied shard trains nothing."""
        folder = self.workspace.shards(self.recipe.dataset, self.recipe.sharding)
        names = sorted(path.stem for path in folder.glob("*.parquet") if len(Interactions.read(path)))
        if not names:
            raise DataError(f"{folder.relative_to(self.workspace.root)}: no shard holds a row; run the data stages")
        return names

    def shard(self, name: str) -> Interactions:
        folder = self.workspace.shards(self.recipe.dataset, self.recipe.sharding)
        return Interactions.read(folder / f"{name}.parquet")

    def shard_side(self, name: str) -> SideTables:
        return SideTables.read(self.workspace.shard_side(self.recipe.dataset, self.recipe.sharding, name))

    def slices(self, name: str) -> np.ndarray:
        """The slice of each row of a shard -> [n] int64; raises DataError where it was not laid in slices."""
        path = self.workspace.shards(self.recipe.dataset, self.recipe.sharding) / f"{name}.parquet"
        if "slice" not in (table := pq.read_table(path)).column_names:
            raise DataError(f"shard {name} of {self.recipe.sharding}: column 'slice' is missing; run the data stages")
        return table["slice"].to_numpy()

    def sub_model(self, shard_name: str, device: str = "cpu") -> Artifact:
        """The sub-model of a shard: a function of its rows and side tables, its name, the model's config, the seed, and
        of the numeric environment, which names the kind of device.

        Of a shard in slices it is the last of its stages (``learning.slices``), whose artifacts are the restart points.
        """
        rows, tables, count = self.shard(shard_name), self.shard_side(shard_name), self.recipe.layout.slices
        if count == 1:
            return self._make("sub-model", rows, tables, shard_name, self.config, device)
        config, slices = stage_config(self.config, count, self.recipe.model), self.slices(shard_name)
        made = None
        for stage in range(count):
            known, beside = stage_rows(rows, tables, slices, stage)
            if len(known):
                kind = "sub-model" if stage == count - 1 else "stage"
                made = self._make(kind, known, beside, shard_name, config, device, stage, made)
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
        stage: int | None = None,
        before: Artifact | None = None,
    ) -> Artifact:
        recipe, tables = self.recipe, self.shard_side(shard_name).of_rows(rows)
        place = learns_on(config, device)
        modules = [
            "lethe.learning.training",
            MODELS[recipe.model].__module__,
            *(["lethe.learning.slices"] if stage is not None else []),
        ]
        inputs: dict[str, Any] = {
            "data": content_digest(rows, tables),
            "shard": shard_name,
            "model": recipe.model,
            "config": config.plain(),
            "seed": recipe.seed,
            "code": code_digest(*modules),
            "environment": numeric_environment(place.type),
        }
        if stage is not None:
            begun = None if before is None else {"key": before.key, "digest": before.digest}
            inputs |= {"stage": stage, "before": begun}
        stream = Stream(recipe.seed)("sub-model", recipe.model, shard_name)
        saved = self.store.checkpoint(kind, inputs)

        def write(folder: Path) -> dict[str, Any]:
            catalogue = Catalogue.of(rows, tables)
            model = MODELS[recipe.model](config, catalogue.shape)
            history = train(
                model,
                catalogue.encode(rows, tables),
                stream if stage is None else stream("stage", stage),
                place,
                progress=progress,
                saved=saved,
                begin=None if before is None else going_on(before.path, catalogue),
            )
            if kind == "stage":
                write_stage(folder, saved, model)
            else:
                save_file(model.state_dict(), folder / "weights.safetensors")
            catalogue.write(folder)
            earlier = [] if before is None else json.loads(before.file("history.json").read_text())
            history = [*earlier, *({**row, "epoch": row["epoch"] + len(earlier)} for row in history)]
            (folder / "history.json").write_text(json.dumps(history))
            return {"rows": len(rows)}

        with progress_bar(f"{recipe.model} {shard_name}", config) as progress:
            artifact = self.store.make(kind, inputs, write)
        saved.unlink(missing_ok=True)
        return artifact

    def _load(self, name: str, artifact: Artifact) -> SubModel:
        catalogue = Catalogue.read(artifact.path)
        model = MODELS[self.recipe.model](self.config, catalogue.shape)
        model.load_state_dict(load_file(artifact.file("weights.safetensors")))
        model.eval()
        return SubModel(name, model, catalogue)

    def ensemble(self, sub_models: dict[str, str]) -> Artifact:
        """The aggregated recommender of sub-models {shard name: key}, fitted on all remaining training rows."""
        recipe, rows = self.recipe, self.part("train")
        artifacts = {name: self.store.get("sub-model", key) for name, key in sorted(sub_models.items())}
        inputs = {
            "data": rows.digest(),
            "sub-models": {name: artifact.digest for name, artifact in artifacts.items()},
            "aggregator": recipe.layout.aggregator,
            "config": recipe.aggregator,
            "seed": recipe.seed,
            "code": code_digest(AGGREGATORS[recipe.layout.aggregator].fit.__module__, MODELS[recipe.model].__module__),
            "environment": numeric_environment("cpu"),
        }

        def write(folder: Path) -> dict[str, Any]:
            aggregator = AGGREGATORS[recipe.layout.aggregator]
            loaded = [self._load(name, artifact) for name, artifact in artifacts.items()]
            config = aggregator.Config.parse(recipe.aggregator, "aggregator")
            stream = Stream(recipe.seed)("aggregator", recipe.layout.aggregator)
            ensemble, history = aggregator.fit(loaded, rows, config, stream)
            ensemble.save(folder)
            (folder / "history.json").write_text(json.dumps(history))
            return {"rows": len(rows)}

        return self.store.make("ensemble", inputs, write)

    def evaluation(self, ensemble: str, cutoffs: tuple[int, ...]) -> Artifact:
        """Metrics of an ensemble (by key): file metrics.json {"valid": {...}, "test": {...}}.

        Validation ranks all items but those of train; test all but those of train and validation.
        """
        parts = {part: self.part(part) for part in ("train", "valid", "test")}
        artifact = self.store.get("ensemble", ensemble)
        inputs = {
            "ensemble": artifact.digest,
            "data": {part: rows.digest() for part, rows in parts.items()},
            "cutoffs": list(cutoffs),
            "ratings": rates(self.recipe.model),
            "code": code_digest("lethe.evaluation.ranking", "lethe.evaluation.rating"),
        }

        def write(folder: Path) -> dict[str, Any]:
            metrics = measure(Ensemble.load(artifact.path), parts, cutoffs, ratings=rates(self.recipe.model))
            (folder / "metrics.json").write_text(json.dumps(metrics, sort_keys=True))
            return {"rows": len(parts["train"])}

        return self.store.make("evaluation", inputs, write)

    def package(self, ensemble: str, family: str, guarantee: str) -> Artifact:
        """What is registered and served: the ensemble (by key), the seen items, and where they came from."""
        train, valid = self.part("train"), self.part("valid")
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
        inputs = {"info": info, "seen": seen.digest(), "code": code_digest("lethe.serving.package")}

        def write(folder: Path) -> dict[str, Any]:
            write_package(folder, Ensemble.load(artifact.path), seen, info)
            return {"rows": len(train)}

        return self.store.make("package", inputs, write)


def stages_before(store: ArtifactStore, sub_model: Artifact) -> list[Artifact]:
    """The stored stages that a sub-model in slices went on from, the last first; none for another sub-model."""
    found: list[Artifact] = []
    before = sub_model.inputs.get("before")
    while before is not None and (path := store.root / "stage" / before["key"]).is_dir():
        found.append(store.open(path, check=False))
        before = found[-1].inputs["before"]
    return found
