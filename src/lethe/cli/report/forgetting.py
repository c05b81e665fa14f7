"""The report's sections on forgetting: shards, cost, requests. Requests stand by their numbers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from lethe.cli.report import charts
from lethe.cli.report.blocks import Block, Chart, Group, Table, Text
from lethe.cli.report.facts import Facts, Family
from lethe.forgetting.ledger.requests import OPEN, ForgetRequest
from lethe.forgetting.ledger.result import Work

SHOWN = 50
"""Requests in a table or chart, the newest; a ledger may hold thousands."""


def shards(facts: Facts) -> Iterator[Group]:
    if not facts.families:
        yield Group("", (Text("Nothing is served yet, so nothing was learnt from a shard.", "lethe train"),))
    touched = Counter(shard for work in facts.fulfilled.values() for shard in work.touched)
    for family in facts.families:
        yield Group(family.name, tuple(_shards(family, touched)))


def _shards(family: Family, touched: Counter[str]) -> Iterator[Block]:
    if not family.shards:
        yield Text(f"The shards of {family.sharding} are not laid any more.", "lethe train")
        return
    if 1 < len(family.shards) <= SHOWN:
        caption = f"{family.name}: rows of each shard of {family.sharding}."
        yield Chart(charts.bars(dict(family.shards), "rows"), caption)
    rows = tuple((name, f"{count:,}", f"{touched[f'{family.name}/{name}']:,}") for name, count in family.shards.items())
    yield Table(f"Shards of {family.name}", ("shard", ">rows", ">requests that touched it"), rows)


def forgetting(facts: Facts) -> Iterator[Group]:
    done = facts.fulfilled
    blocks: list[Block] = []
    if not done:
        blocks.append(Text("No request was fulfilled yet.", "lethe forget run"))
    else:
        newest = dict(islice(done.items(), max(len(done) - SHOWN, 0), None))
        seconds = {id: work.seconds.get("total", 0.0) for id, work in newest.items()}
        caption = "Seconds of the run that fulfilled each request, from its first step to its certificate."
        blocks += [Chart(charts.bars(seconds, "seconds", format="{:,.1f}"), caption), _costs(newest)]
    if facts.families:
        blocks.append(_expected(facts.families))
    yield Group("", tuple(blocks))


def _costs(done: dict[str, Work]) -> Block:
    rows = []
    for id, work in reversed(done.items()):
        sub_models = f"{len(work.retrained):,} of {len(work.retrained) + len(work.reused):,}"
        removed = sum(store.removed for store in work.purged)
        training, total = (f"{work.seconds.get(part, 0.0):,.1f}" for part in ("training", "total"))
        rows.append((id, training, total, sub_models, f"{removed:,}"))
    columns = ("request", ">training, s", ">in all, s", ">sub-models retrained", ">entries purged")
    return Table("Cost of requests", columns, tuple(rows))


def _expected(families: tuple[Family, ...]) -> Block:
    rows = tuple(
        (
            family.name,
            "not known" if family.expected_seconds is None else f"{family.expected_seconds:,.2f}",
            f"{max(family.expected_requests, 1):,}",
        )
        for family in families
    )
    columns = ("family", ">training, s", ">requests together")
    return Table("What forgetting is expected to cost, as it was reckoned when each was chosen", columns, rows)


def requests(facts: Facts) -> Iterator[Group]:
    if not facts.requests:
        yield Group("", (Text("Nobody has asked to be forgotten yet.", "lethe forget add"),))
        return
    states = tuple((state, f"{count:,}") for state, count in facts.states.items())
    blocks: list[Block] = [Table("Requests by state", ("state", ">requests"), states)]
    rows = tuple(_request(request, facts) for request in facts.requests[:SHOWN])
    columns = ("request", "dataset", "of", "state", "received", "due", ">rows held", "certificate", "rebuild")
    blocks.append(Table("The newest requests", columns, rows))
    if (more := len(facts.requests) - SHOWN) > 0:
        blocks.append(Text(f"{more:,} older ones are listed by", "lethe forget list"))
    if any(request.certificate is not None for request in facts.requests):
        blocks.append(
            Text("Certificates lie in certificates/, each under its request's number.", "lethe certificate check")
        )
    yield Group("", tuple(blocks))


def _request(request: ForgetRequest, facts: Facts) -> tuple[str, ...]:
    due, verified = f"{request.due:%Y-%m-%d}", None if request.work is None else request.work.verification
    if request.state in OPEN:
        due += f" ({request.days_left(facts.at)} days)"
    state = request.state + (" (on hold)" if request.on_hold else "")
    return (
        request.id,
        request.dataset,
        "a user" if request.kind == "user" else "some rows",
        state,
        f"{request.received:%Y-%m-%d}",
        due,
        f"{request.held.rows:,}",
        "–" if request.certificate is None else "signed",
        verified or "–",
    )
