"""Commands that hold the product to its promise: real inputs, faults of every kind, and the plan of the house."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.common import (
    WORK,
    AsJson,
    Commit,
    publish,
    publish_plain,
    say,
    this_command,
    timed,
)
from lethe.errors import ConfigError

app = typer.Typer()


@app.command()
def promise(
    case: Annotated[list[str] | None, typer.Option(help="Only this case; repeatable.")] = None,
    world: Annotated[list[int] | None, typer.Option(help="Only this generated world; repeatable.")] = None,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """Real-world inputs and generated ones, each done by the real commands: reports/tables/promise.{json,md}.

    A case, or a world of two generated datasets, that was right is not done again until the code changes.
    """
    from benchmarks.promise import run_cases
    from benchmarks.promise_cases import CASES
    from benchmarks.promise_generated import WORLDS, run_worlds, totals
    from benchmarks.promise_worlds import worlds

    for name in case or []:
        if name not in CASES:
            raise ConfigError(f"--case: unknown case {name!r}; known cases: {'; '.join(CASES)}")
    cases = case or ([] if world else list(CASES))
    drawn = [one for one in worlds(WORLDS) if (one.number in world if world else not case)]
    with tempfile.TemporaryDirectory(prefix="lethe-promise-") as folder:
        results = run_cases(cases, Path(folder), WORK / "promise", say)
        generated = run_worlds(drawn, Path(folder), WORK / "promise", say)
    wrong = sum(bool(result["wrong"]) for result in results)
    report = {"cases": len(results), "right": len(results) - wrong, "wrong": wrong}
    report |= {f"generated: {name}": count for name, count in totals(generated).items()}
    publish_plain("promise", report | {"results": results, "worlds": generated}, as_json, commit)
    if wrong or any(result["wrong"] for result in generated):
        raise SystemExit(1)


@app.command()
def mutants(
    only: Annotated[list[str] | None, typer.Option(help="Name of a mutant; repeatable.")] = None,
    workers: Annotated[int, typer.Option(help="Mutants tried side by side.", min=1)] = 2,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """Make each fault of tests/mutants.yaml; its tests must fail: reports/tables/mutants.{json,md}."""
    from benchmarks.mutants import read_mutants, run_mutants

    chosen = [mutant for mutant in read_mutants() if not only or mutant.name in only]
    with tempfile.TemporaryDirectory(prefix="lethe-mutants-") as folder:
        outcomes = run_mutants(chosen, Path(folder), say, workers)
    counts = {kind: sum(outcome == kind for outcome in outcomes.values()) for kind in ("killed", "survived", "stale")}
    report = {"mutants": len(outcomes), **counts, "outcomes": outcomes}
    publish_plain("mutants", report, as_json, commit)
    if counts["survived"] or counts["stale"]:
        raise SystemExit(1)


@app.command()
def faults(
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """Kill a forget run at every point, and every other fault: reports/tables/faults.{json,md}."""
    from benchmarks import faults as storms
    from benchmarks.own_product import make_workspace, prefect_server, serving

    with tempfile.TemporaryDirectory(prefix="lethe-faults-") as folder, prefect_server():
        workspace = make_workspace(Path(folder) / "workspace")
        with serving(workspace):
            killed = storms.storm(workspace, say=say)
            added = storms.adds(workspace, len(killed["requests"]))
            other = storms.others(workspace, len(killed["requests"]) + len(added), say=say)
    publish_plain("faults", storms.summary(killed, other, added), as_json, commit)


@app.command()
def erasure(
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """Canaries in every store, before and after forgetting: reports/tables/erasure.{json,md}."""
    from benchmarks.erasure import canaries

    with tempfile.TemporaryDirectory(prefix="lethe-erasure-") as folder:
        report = canaries(Path(folder), say)
    publish_plain("erasure", report, as_json, commit)


@app.command()
def queue(
    requests: Annotated[int, typer.Option(help="Requests of the batch.")] = 1000,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """A long queue of requests as one batch, and requests one at a time: reports/tables/queue.{json,md}."""
    from benchmarks.erasure import queue as run

    with tempfile.TemporaryDirectory(prefix="lethe-queue-") as folder:
        report = run(Path(folder), requests, say)
    publish_plain("queue", timed(report), as_json, commit)


@app.command()
def house(
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """Whether the code keeps the plan of the house: reports/tables/house.{json,md}."""
    from benchmarks.house import measure
    from benchmarks.house import report as told

    contents, text = told(measure(), this_command())
    publish(contents, text, as_json, commit)
