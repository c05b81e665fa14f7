"""Where do I add a metric? One function, one entry in ``METRICS``: params.yaml can measure it, and decide by it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from lethe.build.registry import Registry
from lethe.core.artifacts import ArtifactStore
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError
from lethe.evaluation.metrics import METRICS
from tests import house

# --- the metric: what would stand in src/lethe/evaluation/metrics.py ---------------------------------------------


def reciprocal_rank(hits: np.ndarray, sizes: np.ndarray, cutoff: int) -> np.ndarray:
    """1 / the rank of the first hit among the first K, 0 without one; no denominator."""
    first = hits[:, :cutoff]
    return np.where(first.any(axis=1), 1.0 / (1 + first.argmax(axis=1)), 0.0)


# --- what then holds ---------------------------------------------------------------------------------------------


def decide_by(workspace: Workspace, metric: str, *measured: str) -> None:
    values = yaml.safe_load(workspace.params.read_text())
    values["evaluation"] = {"metrics": list(measured), "cutoffs": [5]}
    values["training"] = {"metric": metric}
    values["families"] = {"plain": values["families"]["plain"]}
    workspace.params.write_text(yaml.safe_dump(values, sort_keys=False))


def test_it_is_a_function_of_places_alone() -> None:
    hits = np.array([[False, True, False], [True, False, True], [False, False, False], [False, False, True]])
    assert reciprocal_rank(hits, np.ones(4, int), 2).tolist() == [0.5, 1.0, 0.0, 0.0]


def test_it_is_measured_and_decides_who_wins(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "mrr", reciprocal_rank)
    decide_by(tiny, "mrr@5", "mrr", "hr")
    house.train(tiny)
    store = ArtifactStore(tiny.artifacts)
    made = [artifact for artifact in store.all() if artifact.kind == "evaluation"]
    measured = [json.loads(artifact.file("metrics.json").read_text()) for artifact in made]
    assert all({"mrr@5", "hr@5"} <= set(metrics["valid"]) for metrics in measured)
    assert not any("ndcg@5" in metrics["valid"] for metrics in measured)
    winner = Registry(tiny).current("plain")
    assert winner is not None
    assert winner.metrics["mrr@5"] == max(metrics["valid"]["mrr@5"] for metrics in measured)
    assert "mrr@5" in winner.reason


@pytest.mark.parametrize(
    ("metric", "measured", "line"),
    [
        ("mrr@5", ["mrr"], r"^evaluation\.metrics: unknown metric 'mrr'; known are hr, "),
        ("ndcg@5", ["hr"], r"^training\.metric: 'ndcg@5' is not measured; measured are hr@5$"),
    ],
)
def test_one_that_is_not_there_or_not_measured_is_refused(
    tiny: Workspace, metric: str, measured: list[str], line: str
) -> None:
    decide_by(tiny, metric, *measured)
    with pytest.raises(ConfigError, match=line):
        house.train(tiny)
