"""Models with their lineage and metrics over time; drift. Nothing here is of one person."""

from __future__ import annotations

from lethe.build.decision import Decisions
from lethe.build.registry import Registry
from lethe.build.version import Version
from lethe.console.asked import Asked, View
from lethe.console.charts import line
from lethe.data.drift import read_drift
from lethe.errors import RequestError


def models(asked: Asked) -> View:
    """What each family serves."""
    decisions = Decisions.read(asked.workspace)
    served = [
        (family, version, decisions.age_days(version), decisions.last.get(family))
        for family, version in Registry(asked.workspace).served().items()
    ]
    return View("models", {"served": served, "limit": asked.console.params.promotion.max_age_days})


def family(asked: Asked) -> View:
    """One family: every version that is kept, where each came from, and what it was worth."""
    name, registry = asked.path["family"], Registry(asked.workspace)
    if name not in registry.families():
        raise RequestError("family: there is none of this name that is served")
    history = registry.history(name)
    names = {metric: metric for version in history for metric in version.metrics}
    decision = Decisions.read(asked.workspace).last.get(name)
    usual = decision.metric if decision is not None and decision.metric in names else next(iter(names), "")
    metric = asked.choice("metric", names or {"": ""}, usual)
    values = [
        (f"{version.made:%Y-%m-%d %H:%M}", version.metrics[metric]) for version in history if metric in version.metrics
    ]
    return View(
        "family",
        {
            "family": name,
            "versions": [(version, _lineage(version)) for version in reversed(history)],
            "decision": decision,
            "metric": metric,
            "names": names,
            "chart": line(values, f"Validation {metric}"),
            "retired": registry.retired(name),
        },
    )


def _lineage(version: Version) -> list[tuple[str, str]]:
    """What a version was made from and by, as digests that can be compared."""
    recipe, info = version.recipe, version.info
    settings = ", ".join(f"{name} {value}" for name, value in recipe.config.items())
    rows = "all rows" if recipe.rows == "all" else "the training part"
    return [
        ("Data", f"{recipe.dataset}, {rows}, epoch {recipe.epoch}"),
        ("Data digest", info.data_digest),
        ("Model", f"{recipe.model}: {settings}" if settings else recipe.model),
        ("Sharding", f"{recipe.sharding} ({recipe.layout.partition}, {recipe.layout.num_shards} shards)"),
        ("Seed", f"{recipe.seed}"),
        ("Promise", info.guarantee),
        ("Package digest", version.digest),
        ("Code that built it", version.code or "not recorded"),
        ("Code of the data stages", version.stages or "not recorded"),
        ("Settings of its dataset", version.settings or "not recorded"),
        ("Installed packages (lock)", version.lock or "none"),
    ]


def drift(asked: Asked) -> View:
    """How far each dataset has moved from what its epoch began with."""
    params = asked.console.params
    known = {one.dataset: one for one in read_drift(asked.workspace, params.pipeline.datasets)}
    datasets = [(name, known.get(name)) for name in params.pipeline.datasets]
    return View("drift", {"datasets": datasets, "limits": params.drift})
