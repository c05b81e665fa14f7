"""What making things costs, learnt from the records of what was made: .lethe/costs.json, seconds and row counts only.

It outlives the artifacts, because a purge takes those of before a deletion with their records. A training, of a whole
shard or of a stage, costs its number of rows times the median of what a row of the same model and settings has cost.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from lethe.artifacts import Artifact, ArtifactStore
from lethe.config.section import digest_json
from lethe.workspace import Workspace, write_whole

KEPT = 50
"""Records of each kind of work, the newest."""


class Cost(NamedTuple):
    """One piece of work: what it was, over how many rows, by the clock; ``made`` tells records apart."""

    what: str
    rows: int
    seconds: float
    made: float


def training(model: str, config: Mapping[str, Any]) -> str:
    """The name of training a model: other settings cost something else."""
    return f"{model} {digest_json(config)[:8]}"


def aggregating(aggregator: str, config: Mapping[str, Any]) -> str:
    return f"{aggregator} {digest_json(config)[:8]}"


@dataclass(frozen=True)
class Costs:
    """Recorded work, oldest first, and what follows from it for work to come."""

    records: tuple[Cost, ...] = ()

    def seconds(self, what: str, rows: int) -> float | None:
        """Predicted; None where nothing of the kind was ever recorded."""
        return _predict([record for record in self.records if record.what == what], rows)

    def error(self, what: str) -> float | None:
        """Mean relative error of predicting each record from the others; None where there are fewer than two."""
        known = [record for record in self.records if record.what == what]
        predicted = [_predict([o for o in known if o is not record], record.rows) for record in known]
        errors = [abs(p - r.seconds) / r.seconds for p, r in zip(predicted, known, strict=True) if p and r.seconds]
        return statistics.fmean(errors) if errors else None

    @classmethod
    def read(cls, workspace: Workspace) -> Costs:
        path = workspace.state / "costs.json"
        return cls(tuple(Cost(*row) for row in json.loads(path.read_text()))) if path.is_file() else cls()


def _predict(known: list[Cost], rows: int) -> float | None:
    return rows * statistics.median(cost.seconds / max(cost.rows, 1) for cost in known) if known else None


def learn(workspace: Workspace) -> Costs:
    """Add the records of the artifacts that are there now, and write."""
    old = Costs.read(workspace).records
    seen = {cost.made for cost in old}
    new = sorted((c for c in _recorded(workspace) if c.made not in seen), key=lambda cost: cost.made)
    kept: list[Cost] = []
    for what in dict.fromkeys(cost.what for cost in (*old, *new)):
        kept += [cost for cost in (*old, *new) if cost.what == what][-KEPT:]
    write_whole(workspace.state / "costs.json", json.dumps(kept))
    return Costs(tuple(kept))


def _recorded(workspace: Workspace) -> Iterator[Cost]:
    for artifact in ArtifactStore(workspace.artifacts).all():
        record = artifact.record()
        if "seconds" in record and "rows" in record:
            yield Cost(_name(artifact), record["rows"], record["seconds"], record["made"])


def _name(artifact: Artifact) -> str:
    match artifact.kind:
        case "sub-model" | "stage":
            return training(artifact.inputs["model"], artifact.inputs["config"])
        case "ensemble":
            return aggregating(artifact.inputs["aggregator"], artifact.inputs["config"])
        case kind:
            return kind
