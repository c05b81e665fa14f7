"""The report's sections on data: what they hold, and what the gates said."""

from __future__ import annotations

from collections.abc import Iterator

from lethe.cli.report import charts
from lethe.cli.report.blocks import Block, Chart, Charts, Group, Table, Text
from lethe.cli.report.facts import Dataset, Facts
from lethe.data.gates.report import Verdict
from lethe.data.profile import Profile


def data(facts: Facts) -> Iterator[Group]:
    for dataset in facts.datasets:
        if dataset.profile is None:
            yield Group(dataset.name, (Text("Not built yet.", "lethe train"),))
        else:
            yield Group(dataset.name, (_profile(dataset.name, dataset.profile), Charts(tuple(_spreads(dataset)))))


def _profile(name: str, profile: Profile) -> Block:
    pairs = max(profile.users * profile.items, 1)
    rows = [
        ("rows", f"{profile.rows:,}"),
        ("users", f"{profile.users:,}, {profile.rows / max(profile.users, 1):.1f} rows each"),
        ("items", f"{profile.items:,}, {profile.rows / max(profile.items, 1):.1f} rows each"),
        ("density", f"{(profile.rows - profile.repeated) / pairs:.3%} of all pairs of user and item"),
        ("times", "none" if profile.first is None else f"{_day(profile.first)} to {_day(profile.last)} (UTC)"),
        ("ratings", "none: every row is an event"),
        ("parts", ", ".join(f"{part} {count:,}" for part, count in profile.parts.items())),
    ]
    if marks := profile.ratings:
        scale = f"{marks.least:g} to {marks.greatest:g}, {marks.values:,} values"
        rows[5] = ("ratings", f"{scale}; {profile.likes:,} rows count as likes")
    return Table(f"Profile of {name}", ("", "what it holds"), tuple(rows))


def _day(time: str | None) -> str:
    return (time or "").replace("T", " ")


def _spreads(dataset: Dataset) -> Iterator[Chart]:
    for kind, spread in (("user", dataset.users), ("item", dataset.items)):
        if spread is not None and len(spread.counts):
            counts = spread.counts
            middle, most = int(counts[len(counts) // 2]), int(counts[-1])
            tenth = counts[-max(len(counts) // 10, 1) :].sum() / counts.sum()
            caption = (
                f"Rows of each {kind} in {dataset.name}: half have at most {middle:,}, the most {most:,}; "
                f"the tenth with most rows has {tenth:.0%} of all."
            )
            yield Chart(charts.histogram(counts, "rows each", f"{kind}s"), caption)


def gates(facts: Facts) -> Iterator[Group]:
    if all(dataset.verdict is None for dataset in facts.datasets):
        yield Group("", (Text("No gate has run yet.", "lethe train"),))
        return
    for dataset in facts.datasets:
        if dataset.verdict is None:
            yield Group(dataset.name, (Text("Its gates have not run yet.", "lethe train"),))
        else:
            yield Group(dataset.name, tuple(_verdict(dataset.verdict)))


def _verdict(verdict: Verdict) -> Iterator[Block]:
    yield Text("Passed." if verdict.fault is None else f"Failed, and nothing was trained on it: {verdict.fault}.")
    kept = [(suite, sum(check.success for check in suite.checks)) for suite in verdict.suites]
    rows = tuple(
        (suite.suite, "passed" if suite.success else "failed", f"{count} of {len(suite.checks)}")
        for suite, count in kept
    )
    yield Table(f"Gates of {verdict.dataset}", ("gate", "verdict", ">rules kept"), rows)
    if verdict.broken:
        broken = tuple((str(number), rule) for number, rule in enumerate(verdict.broken, 1))
        yield Table(f"Broken rules of {verdict.dataset}", (">no.", "rule"), broken)
