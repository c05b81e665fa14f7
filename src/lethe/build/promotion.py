"""Register what is to be served, and tell what each training came to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lethe.build.candidates import Outcome
from lethe.build.costs import learn
from lethe.build.decision import Decision, Decisions
from lethe.build.registry import Registry, tag_of
from lethe.build.reports import write_reports
from lethe.build.settling import Settled, resettle, settle
from lethe.build.version import Version
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.tables.reader import Reader


def settle_all(
    workspace: Workspace, params: Params, outcomes: Sequence[Outcome], *, rebuilt: bool, reader: Reader | None = None
) -> list[Settled]:
    """Of every family: of its trained candidates, or, after a forget request (``rebuilt``), of what it serves."""
    by_family: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_family.setdefault(outcome.job.family, []).append(outcome)
    costs = learn(workspace)
    if rebuilt:
        return [resettle(workspace, params, one, costs, reader) for (one,) in by_family.values()]
    return [settle(workspace, params, candidates, costs, reader) for candidates in by_family.values()]


def promote_winners(
    workspace: Workspace,
    params: Params,
    settled: Sequence[Settled],
    built: Iterable[Outcome],
    trained: Sequence[Outcome],
    *,
    rebuilt: bool,
    reader: Reader | None = None,
) -> list[Decision]:
    """Register what was ``built`` of the jobs that were settled, and write the reports of all that was ``trained``;
    returns what it came to in each family."""
    builds = {outcome.job.family: outcome for outcome in built}
    versions, decisions = dict[str, Version](), list[Decision]()
    for one in settled:
        build = builds.get(one.decision.family)
        decision = one.decision if build is None else _promote(workspace, params, one, build, reader)
        version = Registry(workspace).current(decision.family)
        assert version is not None, "a family's first winner is always built"
        decisions.append(_completed(workspace, decision, version, one.comparison))
        versions[decision.family] = version
    registry = Registry(workspace)
    if not rebuilt:
        for family in set(registry.families()) - set(params.families):
            registry.drop(family)
    Decisions.read(workspace).with_these(decisions, registry.families()).write(workspace)
    write_reports(workspace, params, trained, decisions, versions, builds, rebuilt=rebuilt)
    learn(workspace)
    return decisions


def _promote(workspace: Workspace, params: Params, settled: Settled, build: Outcome, reader: Reader | None) -> Decision:
    """Package and register; what is served already, or was rolled back from, isn't promoted again."""
    registry, decision, recipe = Registry(workspace), settled.decision, build.job.recipe
    family = decision.family
    package = build.job.builder(workspace, reader).package(build.ensemble, family, params)
    current = registry.current(family)
    if current is not None and current.digest == package.digest:
        return decision.model_copy(update={"outcome": "kept", "why": UNCHANGED})
    if tag_of(family, package) in Decisions.read(workspace).left.get(family, ()):
        return decision.model_copy(update={"outcome": "kept", "why": "the data give the version that was rolled back"})
    registry.promote(
        family,
        package,
        reason=decision.why,
        metrics=settled.metrics,
        grounds=settled.grounds,
        settings=params.datasets[recipe.dataset].digest(),
        comparison=settled.comparison,
    )
    return decision


UNCHANGED = "today's data give what is served"


def _completed(workspace: Workspace, decision: Decision, version: Version, comparison: str) -> Decision:
    """With the version that is served now, what stands for it in comparisons, and when it was last what the newest data
    give: now, unless something older was kept."""
    fresh = decision.at
    if decision.outcome == "kept" and decision.why != UNCHANGED:
        earlier = Decisions.read(workspace)
        fresh, comparison = earlier.since(version).isoformat(timespec="seconds"), earlier.comparison(version)
    return decision.model_copy(update={"version": version.tag, "fresh": fresh, "comparison": comparison})
