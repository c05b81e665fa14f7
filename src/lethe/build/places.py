"""From one project to another, as from staging to production: what was promoted there is what is trained here.

An artifact is a function of its inputs, so the inputs are handed over: the winner's recipe, never a model or a row. The
other project makes it from its own rows, under its own gates, rule of promotion and requests to forget; where the rows
are the same, so are the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from lethe.build.recipe import Recipe
from lethe.build.recipes import candidate_recipe
from lethe.build.registry import Registry
from lethe.build.version import Version
from lethe.config.edit import edit_params, laid_out
from lethe.config.params import Candidate, Params
from lethe.core.canonical import Json
from lethe.core.files import write_whole
from lethe.core.reports import write_report
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError, LetheError


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
    """Let ``target`` train what is current here, of these families or of all; its params.yaml is changed, all or none.

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
    before, theirs = target.params.read_text(encoding="utf-8"), Params.read(target.params)
    for family, version in chosen.items():
        _must_fit(family, version.recipe, theirs)
    handed = list[Handed]()
    try:
        for family, version in chosen.items():
            handed.append(_hand_over(target, family, version))
    except LetheError:
        write_whole(target.params, before)
        raise
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


def _hand_over(target: Workspace, family: str, version: Version) -> Handed:
    recipe = version.recipe
    tuned = target.root / "params" / recipe.dataset / f"{recipe.model}.yaml"
    tuned.parent.mkdir(parents=True, exist_ok=True)
    origin = f"# What {version.tag} was trained by, handed over by lethe promote-to.\n"
    write_whole(tuned, origin + yaml.safe_dump(recipe.config, sort_keys=True))
    params = edit_params(target.params, lambda document: _put(document, family, recipe))
    candidate = params.families[family].candidates[0]
    made = candidate_recipe(target, params, recipe.dataset, Candidate(model=candidate.model, sharding=recipe.sharding))
    ours, theirs = recipe.of("train").plain(), made.plain()
    differs = tuple(sorted(name for name in ours if ours[name] != theirs[name]))
    metrics = dict(version.metrics)
    return Handed(family, version.tag, recipe.name, metrics, differs)


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
