"""All that params.yaml says of training, looked at before any stage runs: a wrong name is found in a second.

What a dataset has is told from its section alone; how many items it has, from what was ingested before, if anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from lethe.build.recipe import Recipe
from lethe.build.recipes import recipes
from lethe.config.dataset import Dataset, LeaveOneOutSplit, NewestSplit, RandomSplit, ReadySplit, Split
from lethe.config.params import Params
from lethe.config.source import FolderSource, MovielensSource, RdatasetsSource, SyntheticSource
from lethe.config.table import TableFormat
from lethe.core.spelling import meant
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError, DataError
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.memory import must_fit_memory
from lethe.learning.runner.by_params import address
from lethe.models import MODELS, configure, rates
from lethe.tables.matrix import Shape

if TYPE_CHECKING:
    from lethe.models.parts.base import Config

_HOW = {
    "links": "side.links",
    "behaviours": "side.behaviours",
    "user_features": "side.user_features",
    "item_features": "side.item_features",
    "triples": "side.triples",
    "timestamps": "source.columns.timestamp",
    "contexts": "source.columns.context",
    "ratings": "source.columns.rating",
}
"""Where a dataset's section names what a model may need."""
_SIDE = ("links", "behaviours", "user_features", "item_features", "triples")


def check_params(workspace: Workspace, params: Params) -> None:
    """Raises ConfigError for the first thing that training would come to grief over: field, value, rule, way out."""
    for name, values in params.models.items():
        configure(name, values)
    for name, values in params.aggregators.items():
        if name not in AGGREGATORS:
            known = f"{meant(name, AGGREGATORS)}; known are {', '.join(AGGREGATORS)}"
            raise ConfigError(f"aggregators: unknown aggregator {name!r}{known}")
        AGGREGATORS[name].Config.parse(values, f"aggregators.{name}")
    for name, dataset in params.datasets.items():
        _check_split(name, dataset)
    for name in dict.fromkeys(section.dataset for section in params.families.values()):
        _check_parts(name, params.datasets[name])
    asked_for: dict[str, list[Recipe]] = {}
    for family, section in params.families.items():
        for recipe in recipes(workspace, params, family):
            _check_needs(family, recipe.model, section.dataset, params.datasets[section.dataset])
            config = configure(recipe.model, recipe.config)
            check_weights(params, section.dataset, recipe.model, config, f"families.{family}.candidates")
            _check_memory(workspace, params, family, recipe)
            asked_for.setdefault(section.dataset, []).append(recipe)
    for name in params.datasets:
        _check_new_items(params, name, asked_for.get(name, []))


def _check_split(name: str, dataset: Dataset) -> None:
    known = what_it_has(dataset)
    if known is not None and "timestamps" not in known and _by_time(dataset.split):
        raise ConfigError(
            f"datasets.{name}.split: {dataset.split.by!r} goes by time, but the source has none; name its column in"
            " source.columns.timestamp, or split by random"
        )


def _check_parts(name: str, dataset: Dataset) -> None:
    """By validation a winner is chosen, and the test says how good it is."""
    wanted: dict[str, str] = {}
    match dataset.split:
        case LeaveOneOutSplit(valid=valid):
            wanted = {} if valid else {"valid": "true, got false"}
        case NewestSplit(test_from=int() as test, valid_from=valid):
            wanted = {} if valid is not None and valid < test else {"valid_from": f"a time before test_from ({test})"}
        case ReadySplit(valid=valid):
            carved = isinstance(dataset.source, FolderSource) and dataset.source.valid is None
            wanted = {"valid": "above 0, got 0 (or name a file in source.valid)"} if carved and not valid else {}
        case RandomSplit(valid=valid, test=test) | NewestSplit(valid=valid, test=test):
            wanted = {part: "above 0, got 0" for part, share in (("valid", valid), ("test", test)) if not share}
    for field, rule in wanted.items():
        part = "test" if field == "test" else "validation"
        raise ConfigError(f"datasets.{name}.split.{field}: must be {rule}: without {part} rows nothing can be compared")


def check_held_out(workspace: Workspace, dataset: str) -> None:
    """Raises DataError where the split left no row for validation or for the test."""
    for part, what in (("valid", "validation"), ("test", "the test")):
        path = workspace.split(dataset, part)
        if path.is_file() and pq.read_metadata(path).num_rows == 0:
            raise DataError(
                f"datasets.{dataset}.split: leaves 0 rows for {what}, at least 1 is needed to compare by;"
                " choose another split, or add rows"
            )


def _by_time(split: Split) -> bool:
    return isinstance(split, NewestSplit) or (isinstance(split, LeaveOneOutSplit) and split.order == "latest")


def _check_needs(family: str, model: str, name: str, dataset: Dataset) -> None:
    known = what_it_has(dataset)
    needs = {*MODELS[model].needs, *(["ratings"] if rates(model) else [])}
    if known is not None and (missing := sorted(needs - known)):
        raise ConfigError(
            f"families.{family}.candidates: {model} learns from {missing[0]}, which dataset {name!r} doesn't have; name"
            f" them in datasets.{name}.{_HOW[missing[0]]}, or choose another model"
        )


def check_weights(params: Params, name: str, model: str, config: Config, where: str) -> None:
    """Raises ConfigError where a dataset's interactions weigh more or less, and a model would learn them alike."""
    dataset, kind = params.datasets[name], MODELS[model]
    if not dataset.has_weights or dataset.unweighted == "ignore" or kind.weighs(config):
        return
    option = kind.weight_option
    reason = f"knows no weights (of the models {', '.join(_weighing())} does)"
    if option is not None:
        reason = f"learns no weights while {option} is 0; set models.{model}.{option} above 0"
    raise ConfigError(
        f"{where}: {model} {reason}, and dataset {name!r} has such; or let it learn every interaction alike by"
        f" datasets.{name}.unweighted: ignore"
    )


def _weighing() -> list[str]:
    return [name for name, kind in MODELS.items() if kind.weight_option is not None]


def _check_new_items(params: Params, name: str, built: list[Recipe]) -> None:
    features = params.datasets[name].side.item_features
    if features is None or not features.new_items or not built:
        return
    if not any(MODELS[r.model].by_content and AGGREGATORS[r.layout.aggregator].new_items for r in built):
        models = ", ".join(model for model, kind in MODELS.items() if kind.by_content)
        ways = " or ".join(way for way, kind in AGGREGATORS.items() if kind.new_items)
        raise ConfigError(
            f"datasets.{name}.side.item_features.new_items: true, but no candidate would recommend them; name one of"
            f" {models} in a sharding whose aggregator is {ways}, or leave it out"
        )


def what_it_has(dataset: Dataset) -> set[str] | None:
    """What models may read of a dataset (``READABLE``, and ratings) by its section; None for a source of another kind,
    of which only its rows tell."""
    source, beside = dataset.source, {name for name in _SIDE if getattr(dataset.side, name)}
    if isinstance(source, TableFormat):
        columns = source.columns
        there = {"ratings": columns.rating, "timestamps": columns.timestamp, "contexts": columns.context}
        return beside | {name for name, column in there.items() if column}
    if isinstance(source, SyntheticSource):
        return {"ratings", "timestamps", *(["contexts"] if source.contexts else []), *(_SIDE if source.side else [])}
    return {"ratings", "timestamps"} if isinstance(source, MovielensSource | RdatasetsSource) else None


def _check_memory(workspace: Workspace, params: Params, family: str, recipe: Recipe) -> None:
    path = workspace.interactions(recipe.dataset)
    config, model = configure(recipe.model, recipe.config), MODELS[recipe.model]
    if not model.memory(config, Shape(2, 2)) or not path.is_file():
        return
    items = pc.count_distinct(pq.read_table(path, columns=["item"])["item"]).as_py()
    # How many a machine of a cluster trains at once isn't known here: at least one.
    at_once = min(params.training.workers, recipe.layout.num_shards) if address(params) is None else 1
    must_fit_memory(f"families.{family}: {recipe.model}", model, config, Shape(0, items), at_once=at_once)


def check_likes(workspace: Workspace, params: Params, dataset: str, model: str) -> None:
    """Raises DataError where ingested ratings are 0 or below, which a model of preferences would learn as likes, and
    the dataset doesn't say whether they are."""
    path = workspace.interactions(dataset)
    if params.datasets[dataset].positive is not None or rates(model) or not path.is_file():
        return
    if "rating" not in pq.read_schema(path).names:
        return
    ratings = pq.read_table(path, columns=["rating"])["rating"]
    disliked = int(pc.sum(pc.less_equal(ratings, 0)).as_py() or 0)
    if disliked:
        raise DataError(
            f"datasets.{dataset}.positive: {disliked} of {len(ratings)} ratings are 0 or below, which {model!r} would"
            " learn as likes; say which are, '> 0' or another threshold, or all"
        )
