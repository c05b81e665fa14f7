"""The report's sections on training: candidates with their figures, and learning curves."""

from __future__ import annotations

from collections.abc import Iterator

from lethe.build.reports import CandidateReport, FamilyReport
from lethe.cli.report import charts
from lethe.cli.report.blocks import Block, Chart, Charts, Group, Table, Text
from lethe.cli.report.facts import Facts


def candidates(facts: Facts) -> Iterator[Group]:
    if not facts.trainings:
        yield Group("", (Text("No candidate is trained yet.", "lethe train"),))
    for trained in facts.trainings:
        yield Group(trained.report.family, tuple(_compared(trained.report)))


def _compared(report: FamilyReport) -> Iterator[Block]:
    measured = [candidate for candidate in report.candidates if candidate.rows == "train"]
    if not measured:
        took = ", ".join(f"{one.name} in {one.seconds:.2f} s" for one in report.candidates)
        yield Text(
            f"A forget request had what is served built anew ({took}); nothing is compared until the next training.",
            "lethe train",
        )
        return
    metric, winner = report.metric, _winner(report, measured)
    values = {candidate.name: candidate.valid[metric] for candidate in measured if metric in candidate.valid}
    best = None if winner is None else measured[winner].name
    if values:
        caption = f"{report.family}: {metric} of each candidate on the validation rows, which decides."
        yield Chart(charts.bars(values, f"validation {metric}", marked=best, format="{:.4f}"), caption)
    rows = tuple(_row(candidate, metric) for candidate in measured)
    columns = ("model", "sharding", f">validation {metric}", f">test {metric}", ">seconds", "history on test")
    yield Table(f"Candidates of {report.family}, on {report.dataset}", columns, rows, marked=winner)
    yield _all_metrics(report, measured)


def _winner(report: FamilyReport, measured: list[CandidateReport]) -> int | None:
    winner = (report.winner.model, report.winner.sharding)
    return next((place for place, one in enumerate(measured) if (one.model, one.sharding) == winner), None)


def _row(candidate: CandidateReport, metric: str) -> tuple[str, ...]:
    figures = (_figure(part.get(metric)) for part in (candidate.valid, candidate.metrics))
    return candidate.model, candidate.sharding, *figures, f"{candidate.seconds:.2f}", candidate.history or "–"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _all_metrics(report: FamilyReport, measured: list[CandidateReport]) -> Block:
    """Metrics downwards, so that it fits a narrow screen."""
    names = dict.fromkeys(name for candidate in measured for name in candidate.metrics)
    rows = tuple((name, *(_value(name, candidate.metrics.get(name)) for candidate in measured)) for name in names)
    columns = ("metric", *(f">{candidate.name}" for candidate in measured))
    return Table(f"All test metrics of {report.family}", columns, rows, folded=True)


def _value(name: str, value: float | None) -> str:
    # What was cold is counted, all else is measured.
    return f"{value:,.0f}" if value is not None and name.startswith("cold_") else _figure(value)


def curves(facts: Facts) -> Iterator[Group]:
    drawn = [trained for trained in facts.trainings if any(trained.curves.values())]
    if not drawn:
        text = "No curve is kept: nothing is trained yet, or all by solvers without epochs."
        yield Group("", (Text(text, "lethe train"),))
    for trained in drawn:
        report, series = trained.report, {name: points for name, points in trained.curves.items() if points}
        others = [name for name, points in trained.curves.items() if not points]
        # Losses of different models are sums of different things: each is drawn by itself.
        charted = tuple(
            Chart(charts.line(points, "epoch", "loss"), f"{report.family}: {_ran(name, points)}.")
            for name, points in series.items()
        )
        without = [Text(f"Without epochs, and so without a curve: {', '.join(others)}.")] if others else []
        yield Group(report.family, (Charts(charted), *without))


def _ran(name: str, points: list[tuple[int, float]]) -> str:
    (_, first), (_, last) = points[0], points[-1]
    return f"{name}, {first:.4g} to {last:.4g} in {len(points)} epochs"
