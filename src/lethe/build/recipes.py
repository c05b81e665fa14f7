"""The recipes that params.yaml, and the tuned values in params/, ask for: checked against what models can do."""

from __future__ import annotations

from lethe.build.judging import judged_by
from lethe.build.recipe import Recipe
from lethe.config.params import Candidate, Params
from lethe.config.sharding import Sharding
from lethe.config.tuned import read_tuned
from lethe.core.workspace import Workspace
from lethe.data.partition import partition_of
from lethe.errors import ConfigError
from lethe.learning.aggregation import aggregator_of, check
from lethe.learning.slices import check_slices
from lethe.models import MODELS, configure, rates


def recipes(workspace: Workspace, params: Params, family: str) -> list[Recipe]:
    """The recipes of a family's candidates, with tuned values over defaults. Raises ConfigError."""
    for name, layout in params.shardings.items():
        check_layout(name, layout)
    chosen = params.families[family]
    made = [candidate_recipe(workspace, params, chosen.dataset, candidate) for candidate in chosen.candidates]
    kinds = {rates(recipe.model): recipe.model for recipe in made}
    if len(kinds) > 1:
        raise ConfigError(
            f"families.{family}.candidates: {kinds[True]!r} learns ratings and {kinds[False]!r} preferences, which no"
            " metric compares; give each kind a family of its own"
        )
    judged_by(params, made[0].model)
    return made


def check_layout(name: str, layout: Sharding) -> None:
    """Raises ConfigError for a sharding that names no partition or aggregator, or two that don't go together."""
    try:
        partition, aggregator = partition_of(layout), aggregator_of(layout.aggregator)
    except ConfigError as error:
        raise ConfigError(f"shardings.{name}.{error}") from None
    if layout.centroids != "mean" and not partition.centred:
        raise ConfigError(
            f"shardings.{name}.centroids: {layout.centroids!r} is for partitions whose clusters have centres, not"
            f" {layout.partition}"
        )
    if layout.cap != "strict" and not partition.balanced:
        raise ConfigError(
            f"shardings.{name}.cap: {layout.cap!r} is for balanced partitions, not {layout.partition}; leave it out"
        )
    if aggregator.whole_users and not partition.keeps_users:
        raise ConfigError(
            f"shardings.{name}: aggregator {layout.aggregator!r} needs all rows of a user in one shard, not partition"
            f" {layout.partition}"
        )


def candidate_recipe(workspace: Workspace, params: Params, dataset: str, candidate: Candidate) -> Recipe:
    """The recipe of one candidate on a dataset. Raises ConfigError."""
    layout = params.shardings[candidate.sharding]
    values = params.models.get(candidate.model, {}) | read_tuned(workspace, dataset, candidate.model)
    aggregator = aggregator_of(layout.aggregator)
    settings = params.aggregators.get(layout.aggregator, {})
    config = configure(candidate.model, values)
    check(layout.aggregator, candidate.model, config)
    check_slices(MODELS[candidate.model], config, layout.slices, candidate.model)
    return Recipe(
        dataset=dataset,
        model=candidate.model,
        config=config.plain(),
        sharding=candidate.sharding,
        layout=layout,
        aggregator=aggregator.Config.parse(settings, f"aggregators.{layout.aggregator}").plain(),
        seed=params.seed,
        epoch=params.datasets[dataset].epoch,
        positive=None if rates(candidate.model) else params.datasets[dataset].threshold,
    )
