"""What the report says, in order: pure functions from the facts to its sections.

A section without data says so in one sentence, and names the command that makes it.
"""

from __future__ import annotations

from collections.abc import Iterator

from lethe.cli.report.blocks import Block, Group, Section, Table, Text, Tiles
from lethe.cli.report.data import data, gates
from lethe.cli.report.facts import Facts, Family
from lethe.cli.report.forgetting import forgetting, requests, shards
from lethe.cli.report.proof import proof
from lethe.cli.report.results import candidates, curves
from lethe.forgetting.ledger.requests import OPEN


def sections(facts: Facts) -> tuple[Section, ...]:
    """All of the page."""
    return (
        Section("glance", "At a glance", "", (Group("", (_glance(facts),)),)),
        Section(
            "served",
            "What is served",
            "Each family serves one model. What the last training came to: kept or replaced, and why.",
            tuple(_served(facts)),
        ),
        Section("data", "Data", "What the data stages made of the sources.", tuple(data(facts))),
        Section("gates", "Gates", "Rules that data must keep before anything is trained on them.", tuple(gates(facts))),
        Section(
            "candidates",
            "Candidates",
            "All models of the last training, each measured on rows that it has not learnt.",
            tuple(candidates(facts)),
        ),
        Section(
            "curves", "Learning curves", "The training loss after each epoch, summed over shards.", tuple(curves(facts))
        ),
        Section(
            "shards", "Shards", "What each served model learnt from, and what requests touched.", tuple(shards(facts))
        ),
        Section(
            "forgetting",
            "What forgetting cost",
            "Seconds of each request that was fulfilled; requests that were fulfilled together share theirs.",
            tuple(forgetting(facts)),
        ),
        Section("requests", "Requests", "By their numbers; nobody is named here.", tuple(requests(facts))),
        Section(
            "proof",
            "Proof",
            "What was last found when everything was rebuilt, searched, or attacked.",
            tuple(proof(facts.proof)),
        ),
    )


def _glance(facts: Facts) -> Block:
    built = [one.profile for one in facts.datasets if one.profile is not None]
    rows, done = sum(profile.rows for profile in built), facts.states.get("completed", 0)
    waiting = len([request for request in facts.requests if request.state in OPEN])
    passed = [one.verdict is not None and one.verdict.fault is None for one in facts.datasets]
    verified = "not yet" if facts.proof.verified is None else facts.proof.verified.result
    return Tiles(
        (
            (f"{rows:,}", f"rows in {len(built)} of {len(facts.datasets)} datasets"),
            (f"{sum(passed)}/{len(passed)}", "datasets through their gates"),
            (f"{len(facts.families)}", "families served"),
            (f"{waiting:,}", "requests open"),
            (f"{done:,}", "requests completed"),
            (verified, "last verify"),
        )
    )


def _served(facts: Facts) -> Iterator[Group]:
    if not facts.families:
        yield Group("", (Text("Nothing is promoted yet.", "lethe train"),))
    for family in facts.families:
        yield Group(family.name, (Text(_decided(family)), _standing(family)))


def _decided(family: Family) -> str:
    last = family.decision
    if last is None:
        return f"It stands since it was promoted: {family.reason}."
    outcome = "What was served was kept" if last.outcome == "kept" else "It was replaced"
    text = f"{outcome}: {last.why}."
    if last.users and last.p_value is not None:
        text += f" Compared on {last.users:,} that both know, p = {last.p_value:.2g}."
    return text


def _standing(family: Family) -> Block:
    last = family.decision
    rows = [
        ("model", f"{family.model} on {family.sharding}"),
        ("version", family.version),
        ("learnt", "all rows" if family.rows == "all" else "the training part"),
        ("age", f"{family.age_days:.1f} days since it was last what the newest data give"),
        ("promise", family.guarantee),
    ]
    if last is not None and last.new is not None:
        old = "" if last.old is None else f"; what was served: {last.old:.4f}"
        rows.append((f"validation {last.metric}", f"{last.new:.4f} for the winner of the last training{old}"))
    return Table(f"{family.name}, on {family.dataset}", ("", "what stands"), tuple(rows))
