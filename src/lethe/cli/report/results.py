"""The report's sections on training: candidates with their figures, and learning curves."""

from __future__ import annotations

from collections.abc import Iterator

from lethe.build.reports import CandidateReport, FamilyReport
from lethe.cli.report import charts
from lethe.cli.report.blocks import Block, Chart, Charts, Group, Table, Text
from lethe.cli.report.facts import Facts
from lethe.evaluation.quality import ActivityGroup


def candidates(facts: Facts) -> Iterator[Group]:
    if not facts.trainings:
        yield Group("", (Text("No candidate is trained yet.", "lethe train"),))
    for trained in facts.trainings:
        yield Group(trained.report.family, tuple(_compared(trained.report)))


def _compared(report: FamilyReport) -> Iterator[Block]:
    measured = report.measured
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
        intervals = {one.name: _interval(one, "valid", metric) for one in measured}
        spreads = {name: interval for name, interval in intervals.items() if interval is not None}
        caption = f"{report.family}: {metric} of each candidate on the validation rows, which decides."
        caption += " The lines are intervals at 95 %." if spreads else ""
        drawn = charts.bars(values, f"validation {metric}", marked=best, spreads=spreads, format="{:.4f}")
        yield Chart(drawn, caption)
    rows = tuple(_row(candidate, metric) for candidate in measured)
    columns = ("model", "sharding", f">validation {metric}", f">test {metric}", ">seconds", "history on test")
    yield Table(f"Candidates of {report.family}, on {report.dataset}", columns, rows, marked=winner)
    yield from _by_activity(report, measured)
    yield from _lists(report, measured)
    yield _all_metrics(report, measured)


def _winner(report: FamilyReport, measured: list[CandidateReport]) -> int | None:
    return next((place for place, one in enumerate(measured) if one.name == report.winner.name), None)


def _row(candidate: CandidateReport, metric: str) -> tuple[str, ...]:
    parts = (("valid", candidate.valid), ("test", candidate.metrics))
    figures = (_figure(values.get(metric)) + _around(_interval(candidate, part, metric)) for part, values in parts)
    return candidate.model, candidate.sharding, *figures, f"{candidate.seconds:.2f}", candidate.history or "–"


def _interval(candidate: CandidateReport, part: str, metric: str) -> tuple[float, float] | None:
    quality = candidate.quality.get(part)
    return None if quality is None else quality.intervals.get(metric)


def _around(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.4f} to {interval[1]:.4f})"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _by_activity(report: FamilyReport, measured: list[CandidateReport]) -> Iterator[Block]:
    """The judging metric on test, for users with less and with more history."""
    groups = {one.name: one.quality["test"].groups for one in measured if "test" in one.quality}
    if not any(groups.values()):
        return
    metric = report.metric
    series = {
        name: {_range(group.least, group.most): group.metrics[metric] for group in own if metric in group.metrics}
        for name, own in groups.items()
    }
    most = max((value for values in series.values() for value in values.values()), default=0.0)
    yield Charts(
        tuple(
            Chart(
                charts.bars(values, metric, format="{:.4f}", scale=most),
                f"{name}: test {metric} of users with so many rows of history.",
            )
            for name, values in series.items()
            if values
        )
    )
    first = next(own for own in groups.values() if own)
    columns = ("rows of history", ">users", *(f">{name}" for name in groups))
    rows = tuple(
        (
            _range(group.least, group.most),
            f"{group.users:,}",
            *(_figure(_of(own, place, metric)) for own in groups.values()),
        )
        for place, group in enumerate(first)
    )
    gaps = tuple(_figure(one.quality["test"].gap(metric)) for one in measured if one.name in groups)
    rows += (("widest gap", "", *gaps),)
    yield Table(f"Test {metric} of {report.family} by users' activity", columns, rows, folded=True)


def _of(groups: tuple[ActivityGroup, ...], place: int, metric: str) -> float | None:
    return groups[place].metrics.get(metric) if place < len(groups) else None


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _lists(report: FamilyReport, measured: list[CandidateReport]) -> Iterator[Block]:
    """What the lists of test users hold, at the length that decides, or the shortest."""
    _, _, cutoff = report.metric.partition("@")
    rows = []
    for candidate in measured:
        by_length = {listed.cutoff: listed for listed in candidate.quality["test"].lists} if candidate.quality else {}
        if by_length:
            listed = by_length.get(int(cutoff) if cutoff else 0, next(iter(by_length.values())))
            figures = map(_two, (listed.novelty, listed.popularity, listed.gini, listed.diversity))
            rows.append((candidate.name, f"{listed.cutoff}", f"{listed.coverage:.1%}", *figures))
    if rows:
        columns = ("candidate", ">list of", ">items covered", ">novelty, bits", ">popularity", ">Gini", ">diversity")
        yield Table(f"What the lists of {report.family} hold", columns, tuple(rows))
        yield Text(
            "Covered: items of the catalogue that are on at least one list. Novelty: how rare the listed items are; one"
            " bit more is half as many users. Popularity: how many users have a listed item, over how many have one of"
            " a user's history; above 1 leans to what is popular. Gini: how unevenly items are listed, 0 where each is"
            " as often, near 1 where few take all places. Diversity: 1 less the mean cosine of two items of a list, as"
            " sets of their users; 0 where all have the same users."
        )


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


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
