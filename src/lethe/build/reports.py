"""What a training tells: metrics, curves, candidates and winners."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from lethe.build.registry import Version
from lethe.core.artifacts import Artifact
from lethe.core.workspace import Workspace

if TYPE_CHECKING:
    from lethe.build.candidates import Outcome


def write_learning_curve(workspace: Workspace, name: str, sub_models: list[Artifact]) -> None:
    """One CSV a candidate, loss summed over its sub-models: what ``dvc plots`` draws."""
    totals: dict[int, float] = {}
    for artifact in sub_models:
        for row in json.loads(artifact.file("history.json").read_text()):
            totals[int(row["epoch"])] = totals.get(int(row["epoch"]), 0.0) + row["loss"]
    path = workspace.reports / "learning_curves" / f"{name}.csv"
    path.unlink(missing_ok=True)
    if totals:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", "loss"])
            writer.writerows(sorted(totals.items()))


def write_reports(workspace: Workspace, outcomes: list[Outcome], versions: dict[str, Version]) -> None:
    """reports/metrics.json (a DVC metric: deterministic) and reports/training.json (with seconds)."""
    metrics: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        measured = outcome.metrics(workspace)
        metrics.setdefault(outcome.job.family, {})[outcome.job.recipe.name] = measured
        rows.append(
            {
                "family": outcome.job.family,
                "model": outcome.job.recipe.model,
                "sharding": outcome.job.recipe.sharding,
                "metrics": measured["test"],
                "valid": measured["valid"],
                "seconds": outcome.seconds,
            }
        )
    winners = {
        family: {
            "model": version.info["model"],
            "sharding": version.info["sharding"],
            "version": version.tag,
            "reason": version.reason,
            "choice": version.choice,
        }
        for family, version in versions.items()
    }
    workspace.reports.mkdir(parents=True, exist_ok=True)
    # A curve of a candidate that wasn't trained this time may have seen what is gone by now.
    for curve in (workspace.reports / "learning_curves").glob("*.csv"):
        if curve.stem not in {outcome.job.recipe.name for outcome in outcomes}:
            curve.unlink()
    (workspace.reports / "metrics.json").write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n")
    training = {"candidates": rows, "winners": winners}
    (workspace.reports / "training.json").write_text(json.dumps(training, indent=1) + "\n")
