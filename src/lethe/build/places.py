"""From one project to another, as from staging to production: what was promoted there is what is trained here.

An artifact is a function of its inputs, so the inputs are handed over: the winner's recipe, never a model or a row. The
other project makes it from its own rows, under its own gates, rule of promotion and requests to forget; where the rows
are the same, so are the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lethe.build.recipe import Recipe
from lethe.build.recipes import candidate_recipe
from lethe.build.registry import Registry
from lethe.build.version import Version
from lethe.config.edit import edit_params, laid_out
from lethe.config.params import Params
from lethe.config.tuned import tuned_file
from lethe.core.canonical import Json
from lethe.core.files import write_whole
from lethe.core.reports import write_report
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError


@dataclass(frozen=True)
class Handed:
    """A family whose winner another project will train."""

    family: str
    version: str
    """The tag it has here; there too, where rows, seed and epoch are the same."""
    recipe: str
    metrics: dict[str, float]
    """Of validation, here."""
    differs: tuple[str, ...]
    """What of the recipe the other project sets itself, so that its bytes will differ."""


def promote_to(workspace: Workspace, target: Workspace, families: Sequence[str] = ()) -> list[Handed]:
    """Let ``target`` train what is current here, of these families or of all: its params.yaml and what it has tuned are
    changed, all or none.

    Raises ConfigError for a family without a version, or where the other project can't take it over as it is.
    """
    if target.root == workspace.root:
        raise ConfigError("folder: must be another project's, not this one's")
    served = Registry(workspace).served()
    if unknown := [name for name in families if name not in served]:
        raise ConfigError(f"family: {unknown[0]!r} has no promoted version; there are: {', '.join(served) or 'none'}")
    chosen = {name: served[name] for name in families or served}
    if not chosen:
        raise ConfigError("families: none has a promoted version; run lethe train first")
    theirs = Params.read(target.params)
    for family, version in chosen.items():
        _must_fit(family, version.recipe, theirs)
    tuned = [tuned_file(target, version.recipe.dataset, version.recipe.model) for version in chosen.values()]
    with _all_or_none([target.params, *tuned]):
        for family, version in chosen.items():
            _hand_over(target, family, version)
        handed = [_handed(target, family, version) for family, version in chosen.items()]
    write_report(target, "promoted-from", {one.family: _record(one, chosen[one.family]) for one in handed})
    return handed


def _must_fit(family: str, recipe: Recipe, theirs: Params) -> None:
    where = f"family {family!r}"
    if recipe.dataset not in theirs.datasets:
        raise ConfigError(
            f"{where}: its dataset {recipe.dataset!r} is not in the other project; lethe data add it there"
        )
    layout = theirs.shardings.get(recipe.sharding)
    if layout is not None and layout != recipe.layout:
        raise ConfigError(
            f"{where}: shardings.{recipe.sharding} is another one in the other project; rename one of the two"
        )
    settings = theirs.aggregators.get(recipe.layout.aggregator)
    if settings is not None and not settings.items() <= recipe.aggregator.items():
        raise ConfigError(
            f"{where}: aggregators.{recipe.layout.aggregator} is set otherwise in the other project; make them the same"
        )


@contextmanager
def _all_or_none(files: Sequence[Path]) -> Iterator[None]:
    """Where something goes wrong inside, these files are as they were before."""
    before = {path: path.read_bytes() if path.is_file() else None for path in files}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_whole(path, content)
        raise


def _hand_over(target: Workspace, family: str, version: Version) -> None:
    recipe = version.recipe
    origin = f"# What {version.tag} was trained by, handed over by lethe promote-to.\n"
    write_whole(
        tuned_file(target, recipe.dataset, recipe.model), origin + yaml.safe_dump(recipe.config, sort_keys=True)
    )
    edit_params(target.params, lambda document: _put(document, family, recipe))


def _handed(target: Workspace, family: str, version: Version) -> Handed:
    """What the other project makes of it, once all is handed over."""
    recipe, params = version.recipe, Params.read(target.params)
    (candidate,) = params.families[family].candidates
    ours, theirs = recipe.of("train").plain(), candidate_recipe(target, params, recipe.dataset, candidate).plain()
    differs = tuple(sorted(name for name in ours if ours[name] != theirs[name]))
    return Handed(family, version.tag, recipe.name, dict(version.metrics), differs)


def _put(document: Any, family: str, recipe: Recipe) -> None:
    """Into params.yaml: the winner as the family's only candidate, and what it names."""
    shardings, pipeline = document["shardings"], document["pipeline"]["shardings"]
    if recipe.sharding not in shardings:
        shardings[recipe.sharding] = laid_out(recipe.layout.model_dump(exclude_defaults=True, mode="json"))
    if recipe.sharding not in pipeline:
        pipeline.append(recipe.sharding)
    if recipe.aggregator:
        document.setdefault("aggregators", laid_out({}))[recipe.layout.aggregator] = laid_out(dict(recipe.aggregator))
    candidates = [{"model": recipe.model, "sharding": recipe.sharding}]
    document["families"][family] = laid_out({"dataset": recipe.dataset, "candidates": candidates})


def _record(handed: Handed, version: Version) -> Json:
    recipe = version.recipe.plain()
    return {"version": handed.version, "digest": version.digest, "metrics": {**handed.metrics}, "recipe": recipe}
