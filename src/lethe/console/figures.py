"""Models with their lineage and metrics over time; drift. Nothing here is of one person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lethe.build.decision import Decision, Decisions
from lethe.build.registry import Registry
from lethe.build.reports import read_reports
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
    history, decision = registry.history(name), Decisions.read(asked.workspace).last.get(name)
    report = next((one for one in read_reports(asked.workspace) if one.family == name), None)
    measured = report.measured if report else []
    names = {metric: metric for version in history for metric in version.metrics}
    names |= {metric: metric for candidate in measured for metric in candidate.valid}
    usual = decision.metric if decision is not None and decision.metric in names else next(iter(names), "")
    metric = asked.choice("metric", names or {"": ""}, usual)
    values = {
        "family": name,
        "versions": [(version, _lineage(version)) for version in reversed(history)],
        "decision": decision,
        "metric": metric,
        "names": names,
        "chart": line(over_time(history, decision, metric), f"Validation {metric}"),
        "retired": registry.retired(name),
        "candidates": measured,
        "winner": report.winner.name if report else "",
    }
    return View("family", values)


def over_time(history: Sequence[Version], decision: Decision | None, metric: str) -> list[tuple[str, float]]:
    """(when, value) of a validation metric: of each version that was measured when it was promoted, and of the last
    training, which may have kept what was there."""
    points = {version.made: version.metrics[metric] for version in history if metric in version.metrics}
    last = history[-1].made if history else None
    if decision is not None and decision.metric == metric and decision.new is not None and decision.at:
        at = datetime.fromisoformat(decision.at)
        # Of what it promoted itself the version tells already.
        if last not in points or decision.outcome == "kept":
            points[at] = decision.new
    return [(f"{at:%Y-%m-%d %H:%M}", value) for at, value in sorted(points.items())]


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
