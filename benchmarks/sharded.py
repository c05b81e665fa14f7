"""Rows of the unlearning tables: shards, sub-models and an aggregator, built by the product's own stages and Builder.

A room is a workspace of one seed below benchmarks/work: what rows have in common (assignments, sub-models) is made
once, by its key, as in the product.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.collaborative import PARAMS, Split, tuned
from benchmarks.table import Result, Row
from lethe.build.builder import Builder
from lethe.build.recipe import Recipe
from lethe.config.params import Params
from lethe.config.sharding import Sharding
from lethe.core.artifacts import Artifact
from lethe.core.canonical import digest_json
from lethe.core.environment import code_digest
from lethe.core.workspace import Workspace
from lethe.data.partition import PARTITIONS, lay_slices
from lethe.data.stages import assign, shards_stage
from lethe.evaluation.ranking import evaluate_users
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.aggregation.combine import read_sub_model, write_ensemble
from lethe.learning.ensemble import Ensemble
from lethe.learning.slices import write_slice
from lethe.learning.sub_model import write_sub_model
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.tables.interactions import Interactions

ROOMS = Path(__file__).parent / "work" / "rooms"
CUTOFFS = (10, 20, 50)
METRICS = ("recall", "ndcg")
COLUMNS = tuple(f"{name}@{cutoff}" for name in METRICS for cutoff in CUTOFFS)
TUNING_SEED = 2026
"""Settings are chosen under a seed that no table reports."""


@dataclass(frozen=True)
class Kind:
    """What is built: a model under a sharding.

    ``settings`` names a file of params/<dataset>, see ``values``; with ``whole`` sub-models have the values that the
    model was tuned to as a whole, whatever that file says of them.
    """

    model: str
    partition: str = "whole"
    aggregator: str = "identity"
    num_shards: int = 10
    settings: str = ""
    whole: bool = False
    slices: int = 1

    @property
    def layout(self) -> Sharding:
        shards = 1 if self.partition == "whole" else self.num_shards
        values = {"partition": self.partition, "num_shards": shards, "aggregator": self.aggregator}
        return Sharding.parse(values | {"slices": self.slices}, "sharding")

    @property
    def room(self) -> str:
        """The name of the sharding in the workspace: aggregators of the same shards share them."""
        return f"{self.partition}-{self.layout.num_shards}" + (f"-{self.slices}" if self.slices > 1 else "")


Values = dict[str, dict[str, Any]]


def values(split: Split, kind: Kind) -> Values:
    """{"model": ..., "aggregator": ...}: the model's tuned values, and over them those of the kind's own file."""
    own = tuned(split.dataset, kind.settings) if kind.settings else {}
    models = {} if kind.whole else own.get("models", {})
    return {
        "model": tuned(split.dataset, kind.model) | models.get(kind.model, {}),
        "aggregator": {} if kind.partition == "whole" else own.get("aggregator", {}),
    }


def recipe(split: Split, kind: Kind, chosen: Values, seed: int) -> Recipe:
    aggregator = AGGREGATORS[kind.aggregator]
    return Recipe(
        dataset=split.dataset,
        model=kind.model,
        config=configure(kind.model, chosen["model"]).plain(),
        sharding=kind.room,
        layout=kind.layout,
        aggregator=aggregator.Config.parse(chosen["aggregator"], kind.settings or kind.aggregator).plain(),
        seed=seed,
    )


def code(kind: Kind) -> str:
    learning = write_sub_model if kind.slices == 1 else write_slice
    fit = AGGREGATORS[kind.aggregator].fit
    return code_digest(learning, read_sub_model, write_ensemble, fit, MODELS[kind.model], *_laying(kind))


def _laying(kind: Kind) -> tuple[Any, ...]:
    """What lays rows into shards; balanced partitions look at the vectors of a WMF."""
    return PARTITIONS[kind.partition].assign, lay_slices, train, MODELS["wmf"]


def room(split: Split, kind: Kind, seed: int, before: Split | None = None) -> Workspace:
    """A workspace with the split's training rows laid into shards, under the assignment that ``before`` began with."""
    layer = digest_json([split.train.digest(), code_digest(*_laying(kind))])
    workspace = Workspace(ROOMS / f"{split.dataset}-{seed}-{layer[:12]}")
    if not workspace.shards(split.dataset, kind.room).is_dir():
        nothing = split.train.take(np.zeros(len(split.train), dtype=bool))
        for part, rows in {"train": split.train, "valid": nothing, "test": nothing}.items():
            rows.write(workspace.split(split.dataset, part))
        if before is not None:
            begun = room(before, kind, seed).assignment(split.dataset, kind.room)
            shutil.copytree(begun, workspace.assignment(split.dataset, kind.room), dirs_exist_ok=True)
        params = params_of(split.dataset, kind.room, kind.layout, seed)
        assign(workspace, params, split.dataset, kind.room)
        shards_stage(workspace, params, split.dataset, kind.room)
    return workspace


def params_of(dataset: str, sharding: str, layout: Sharding, seed: int) -> Params:
    """Parameters of one dataset that was split already, and one sharding."""
    candidate = {"model": "wmf", "sharding": sharding}
    return Params.parse(
        {
            "seed": seed,
            "pipeline": {"datasets": [dataset], "shardings": [sharding]},
            "datasets": {dataset: {"source": {"kind": "folder", "path": "."}, "split": {"by": "ready"}}},
            "shardings": {sharding: layout.plain()},
            "families": {"one": {"dataset": dataset, "candidates": [candidate]}},
        },
        "params",
    )


def build(
    split: Split, kind: Kind, chosen: Values, seed: int, *, before: Split | None = None
) -> tuple[Builder, dict[str, Artifact], Artifact]:
    """(the builder, sub-models by shard, ensemble); nothing is trained twice."""
    builder = Builder(room(split, kind, seed, before), recipe(split, kind, chosen, seed))
    sub_models = {name: builder.sub_model(name) for name in builder.shard_names()}
    return builder, sub_models, builder.ensemble({name: artifact.key for name, artifact in sub_models.items()})


def measured(ensemble: Ensemble, seen: Interactions, held_out: Interactions) -> dict[str, np.ndarray]:
    users = evaluate_users(ensemble.score, ensemble.catalogue, seen, held_out, cutoffs=CUTOFFS, metrics=METRICS)
    users.pop("cold_users")
    return users


def sharded_row(
    label: str,
    split: Split,
    kind: Kind,
    *,
    baseline: bool = False,
    base: str = "",
    max_seeds: int | None = None,
    note: str = "",
) -> Row:
    """A row of that kind. Its times: all sub-models, the mean shard alone, the aggregator."""
    chosen = values(split, kind)
    decides = {
        "data": split.digest,
        "recipe": {**recipe(split, kind, chosen, 0).plain(), "seed": None},
        "code": [code(kind), code_digest(evaluate_users)],
    }

    def run(seed: int) -> Result:
        builder, sub_models, ensemble = build(split, kind, chosen, seed)
        users = measured(Ensemble.load(ensemble.path), split.train, split.test)
        shards = [artifact.record().cpu_seconds for artifact in sub_models.values()]
        aggregator = ensemble.record().cpu_seconds
        builder.store.remove(ensemble)
        times = {"sub-models": sum(shards), "one shard": float(np.mean(shards)), "aggregator": aggregator}
        means = {name: float(column.mean()) for name, column in users.items()} | _laid(builder)
        return Result(means, sum(shards) + aggregator, times, users)

    where = f"partition {kind.partition}, K = {kind.layout.num_shards}, aggregator {kind.aggregator}"
    return Row(label, run, decides, baseline, max_seeds, f"{where}{'; ' if note else ''}{note}", base)


def _laid(builder: Builder) -> dict[str, float]:
    """How many shards a user lies in, and the largest shard's share of the rows, in mean shards."""
    shards = [builder.shard(name) for name in builder.shard_names()]
    users = sum(len(np.unique(shard.user_ids)) for shard in shards)
    rows = [len(shard) for shard in shards]
    everyone = len(np.unique(np.concatenate([shard.user_ids for shard in shards])))
    return {"shards/user": users / everyone, "largest shard": max(rows) / float(np.mean(rows))}


def grouped_bars(
    report: dict[str, Any],
    axes: Any,
    groups: Iterable[str],
    members: Sequence[str],
    metrics: Sequence[str] = ("recall@20",),
) -> None:
    """A group of bars for each of ``groups``: rows named "GROUP, MEMBER", each with its metrics; Retrain is a line."""
    by_name = {row["model"]: row["metrics"] for row in report["rows"]}
    groups, bars = list(groups), [(member, metric) for member in members for metric in metrics]
    width = 0.8 / len(bars)
    for place, (member, metric) in enumerate(bars):
        held = [
            (x, by_name[name][metric]) for x, group in enumerate(groups) if (name := f"{group}, {member}") in by_name
        ]
        axes.bar(
            [x + (place - (len(bars) - 1) / 2) * width for x, _ in held],
            [figures["mean"] for _, figures in held],
            width,
            yerr=[figures["std"] for _, figures in held],
            label=member if len(metrics) == 1 else f"{metric} {member}",
        )
    if "Retrain" in by_name:
        axes.axhline(by_name["Retrain"]["recall@20"]["mean"], color="grey", linewidth=0.8, label="Retrain")
    axes.set_xticks(range(len(groups)), groups, rotation=20 if len(groups) > 5 else 0)
    axes.set_ylabel("recall@20")
    axes.legend(ncols=3, fontsize=7, loc="lower right")


def columns(*names: str) -> dict[str, dict[str, float | None]]:
    """PUBLISHED of a table that no paper has: its columns."""
    return {"": dict.fromkeys(names)}


# --- choosing settings -------------------------------------------------------------------------------------------


def tune(
    split: Split,
    valid: Interactions,
    kind: Kind,
    grid: Mapping[str, Sequence[Any]],
    say: Any,
    metric: str = "recall@20",
) -> tuple[Values, float, float, int]:
    """Walk the grid, one field after the other, each at the best of those before it.

    Fields read "model.dropout" or "aggregator.steps". Returns (what differs from the start, its validation value, the
    value at the start, settings tried). Deterministic, and every sub-model is trained once.
    """
    start = values(split, kind)
    tried: dict[str, float] = {}

    def value(chosen: Values) -> float:
        key = json.dumps(chosen, sort_keys=True)
        if key not in tried:
            builder, _, ensemble = build(split, kind, chosen, TUNING_SEED)
            tried[key] = float(measured(Ensemble.load(ensemble.path), split.train, valid)[metric].mean())
            builder.store.remove(ensemble)
            say(f"{kind.settings}  {tried[key]:.5f}  {key}")
        return tried[key]

    best, first = start, value(start)
    for field, options in grid.items():
        best = max([best, *_with(best, field, options)], key=value)
    return best, value(best), first, len(tried)


def _with(chosen: Values, field: str, options: Sequence[Any]) -> Iterator[Values]:
    part, _, name = field.partition(".")
    for option in options:
        yield chosen | {part: chosen[part] | {name: option}}


def write_settings(split: Split, kind: Kind, chosen: Values, lines: Sequence[str]) -> Path:
    """params/<dataset>/<settings>.yaml: what the row has over its model's own file."""
    base = tuned(split.dataset, kind.model)
    own = {
        "models": {kind.model: {name: value for name, value in chosen["model"].items() if base.get(name) != value}},
        "aggregator": chosen["aggregator"],
    }
    path = PARAMS / split.dataset / f"{kind.settings}.yaml"
    path.write_text("".join(f"# {line}\n" for line in lines) + yaml.safe_dump(own, sort_keys=True))
    return path
