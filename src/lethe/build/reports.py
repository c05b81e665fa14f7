"""What a training tells: metrics, curves, candidates and winners, kept by dataset, family and candidate.

reports/training/DATASET/FAMILY.json                       candidates and winner of one family
reports/learning_curves/DATASET/FAMILY/CANDIDATE.csv       what ``dvc plots`` draws
reports/metrics/DATASET/FAMILY/CANDIDATE.json              the few figures that ``dvc metrics show`` lays in a row each
reports/metrics.json, reports/training.json                all families together
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import Field

from lethe.build.decision import Decision
from lethe.build.recipe import candidate_name
from lethe.build.stored import artifact_store
from lethe.build.version import Version
from lethe.config.params import Params
from lethe.config.section import Section
from lethe.config.sharding import Rows
from lethe.core.reports import page_path, report_path, write_report, write_text
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError
from lethe.evaluation.quality import Quality

if TYPE_CHECKING:
    from lethe.build.candidates import Outcome


class CandidateReport(Section):
    """A trained candidate: its figures on test and validation, and the seconds that making it took.

    The figures are those of a build on the training part; what a forget request trains has none.
    """

    model: str
    sharding: str
    rows: Rows
    """What it learnt from."""
    metrics: dict[str, float]
    valid: dict[str, float]
    history: str
    """Rows that were the users' history when test was measured: models of sequences are given those of validation too,
    as a service would know them. On validation those of training are."""
    seconds: float
    quality: dict[str, Quality] = Field({})
    """By part: how sure the figures are, whom they hold for, what the lists look like."""

    @property
    def name(self) -> str:
        return candidate_name(self.model, self.sharding)

    @property
    def measured(self) -> bool:
        return bool(self.valid or self.metrics)


class WinnerReport(Section):
    """What a family serves, and why."""

    model: str
    sharding: str
    rows: Rows
    """What it learnt from; of all rows no figures are measured."""
    version: str
    reason: str
    seconds: float
    """Making what is served, beside the candidates; 0 where it was there."""
    decision: Decision
    choice: dict[str, int | float | str | None]

    @property
    def name(self) -> str:
        """Of the candidate that won."""
        return candidate_name(self.model, self.sharding)

    def __str__(self) -> str:
        return f"{self.model} on {self.sharding} is served, {self.version}"


class FamilyReport(Section):
    """The last training of one family."""

    dataset: str
    family: str
    metric: str
    """Of validation, by which the candidates were compared."""
    candidates: tuple[CandidateReport, ...]
    winner: WinnerReport

    @property
    def place(self) -> str:
        return f"training/{self.dataset}/{self.family}"

    @property
    def measured(self) -> list[CandidateReport]:
        return [candidate for candidate in self.candidates if candidate.measured]


def write_reports(
    workspace: Workspace,
    params: Params,
    outcomes: Sequence[Outcome],
    decisions: Sequence[Decision],
    versions: Mapping[str, Version],
    builds: Mapping[str, Outcome],
    *,
    rebuilt: bool,
) -> None:
    """Report a training: its ``outcomes``, what it came to, and what was built to be served; remove what no longer
    holds.

    An ordinary one trained all there is: what it doesn't report goes. After a forget request (``rebuilt``) the reports
    of other datasets stay byte for byte; of the rebuilt ones only what was trained anew stays, because a candidate that
    was not has seen what is forgotten.
    """
    trained = [
        _family_report(
            workspace,
            params,
            [outcome for outcome in outcomes if outcome.job.family == decision.family],
            _winner(versions[decision.family], decision, builds.get(decision.family)),
        )
        for decision in decisions
    ]
    datasets = {report.dataset for report in trained}
    others = [report for report in read_reports(workspace) if report.dataset not in datasets] if rebuilt else []
    for report in trained:
        write_report(workspace, report.place, report.plain())
        for candidate in report.measured:
            write_report(workspace, _figures_place(report, candidate), _figures(report, candidate))
    for outcome in outcomes:
        _write_curve(workspace, outcome)
    standing = sorted([*trained, *others], key=lambda report: report.place)
    _remove_others(workspace, standing)
    write_report(workspace, "metrics", _metrics(standing))
    write_report(workspace, "training", together(standing))
    # It may tell of candidates that have seen what is forgotten.
    page_path(workspace).unlink(missing_ok=True)


def read_curve(workspace: Workspace, dataset: str, family: str, candidate: str) -> list[tuple[int, float]]:
    """(epoch, loss) of a candidate's training, as it went; empty where a solver without epochs has made it."""
    path = workspace.reports / _curve(dataset, family, candidate)
    if not path.is_file():
        return []
    rows = (line.split(",") for line in path.read_text().splitlines()[1:])
    return [(int(epoch), float(loss)) for epoch, loss in rows]


def read_reports(workspace: Workspace) -> list[FamilyReport]:
    """The reports of all families, sorted by dataset and family; one that can't be read is left out."""
    reports = []
    for path in sorted((workspace.reports / "training").glob("*/*.json")):
        with suppress(ConfigError, ValueError):
            reports.append(FamilyReport.parse(json.loads(path.read_bytes()), path.name))
    return reports


def _winner(version: Version, decision: Decision, build: Outcome | None) -> WinnerReport:
    recipe = version.recipe
    return WinnerReport(
        model=recipe.model,
        sharding=recipe.sharding,
        rows=recipe.rows,
        version=version.tag,
        reason=version.reason,
        seconds=build.seconds if build is not None and recipe.rows == "all" else 0.0,
        decision=decision,
        choice={} if version.grounds is None else version.grounds.plain(),
    )


def _family_report(
    workspace: Workspace, params: Params, outcomes: Sequence[Outcome], winner: WinnerReport
) -> FamilyReport:
    """Of one family's outcomes, and of what it serves now."""
    from lethe.build.judging import judged_by  # Not at the top: it knows all models, whose reports are read without.

    candidates = []
    for outcome in outcomes:
        measured = outcome.metrics(workspace)
        candidates.append(
            CandidateReport(
                model=outcome.job.recipe.model,
                sharding=outcome.job.recipe.sharding,
                rows=outcome.job.recipe.rows,
                metrics=measured["test"],
                valid=measured["valid"],
                history=outcome.history(workspace),
                seconds=outcome.seconds,
                quality=outcome.quality(workspace),
            )
        )
    first = outcomes[0].job
    return FamilyReport(
        dataset=first.recipe.dataset,
        family=first.family,
        metric=judged_by(params, first.recipe.model),
        candidates=tuple(candidates),
        winner=winner,
    )


def _write_curve(workspace: Workspace, outcome: Outcome) -> None:
    """The loss after each epoch, summed over the sub-models; a solver without epochs has no curve."""
    store, totals = artifact_store(workspace), dict[int, float]()
    for key in outcome.sub_models.values():
        for row in json.loads(store.get("sub-model", key).file("history.json").read_bytes()):
            totals[int(row["epoch"])] = totals.get(int(row["epoch"]), 0.0) + row["loss"]
    recipe = outcome.job.recipe
    name = _curve(recipe.dataset, outcome.job.family, recipe.name)
    (workspace.reports / name).unlink(missing_ok=True)
    if totals:
        lines = ["epoch,loss", *(f"{epoch},{loss}" for epoch, loss in sorted(totals.items()))]
        write_text(workspace, name, "\n".join(lines) + "\n")


def _curve(dataset: str, family: str, candidate: str) -> str:
    return f"learning_curves/{dataset}/{family}/{candidate}.csv"


def _remove_others(workspace: Workspace, standing: Iterable[FamilyReport]) -> None:
    kept = {report_path(workspace, report.place) for report in standing}
    kept |= {report_path(workspace, _figures_place(r, candidate)) for r in standing for candidate in r.measured}
    curves = (_curve(r.dataset, r.family, candidate.name) for r in standing for candidate in r.candidates)
    kept |= {workspace.reports / name for name in curves}
    for folder in (workspace.reports / name for name in ("training", "learning_curves", "metrics")):
        # From the leaves up, so that a folder is looked at after what it held.
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir():
                with suppress(OSError):
                    path.rmdir()
            elif path not in kept:
                path.unlink()


def _figures_place(report: FamilyReport, candidate: CandidateReport) -> str:
    return f"metrics/{report.dataset}/{report.family}/{candidate.name}"


def _figures(report: FamilyReport, candidate: CandidateReport) -> dict[str, float]:
    """What decides, on validation, and the test metrics of the same cutoff: a table of them fits a terminal."""
    cutoff = report.metric.partition("@")[2]
    tested = {name: value for name, value in candidate.metrics.items() if not name.startswith("cold_")}
    alike = {name: value for name, value in tested.items() if name.partition("@")[2] == cutoff}
    decisive = {"valid": candidate.valid[report.metric]} if report.metric in candidate.valid else {}
    return decisive | alike


Figures = dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]
"""{dataset: {family: {candidate: {part: {metric: value}}}}}"""


def _metrics(standing: Iterable[FamilyReport]) -> Figures:
    """A DVC metric, the same for the same data and code."""
    metrics: Figures = {}
    for report in standing:
        metrics.setdefault(report.dataset, {})[report.family] = {
            candidate.name: {"valid": candidate.valid, "test": candidate.metrics} for candidate in report.measured
        }
    return metrics


def together(standing: Iterable[FamilyReport]) -> dict[str, object]:
    """Candidates and winners of all these families, each row with its family."""
    return {
        "candidates": [
            {
                "dataset": report.dataset,
                "family": report.family,
                **candidate.model_dump(mode="json", exclude={"quality"}),
            }
            for report in standing
            for candidate in report.candidates
        ],
        "winners": {
            report.family: {"dataset": report.dataset, "metric": report.metric, **report.winner.plain()}
            for report in standing
        },
    }
