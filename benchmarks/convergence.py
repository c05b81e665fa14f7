"""Seconds to the best validation value: a model as it is, with the square loss over all cells spelt out, and with
sampled negatives. Any model whose loss is ``lethe.losses.non_sampling`` can be compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.collaborative import score
from lethe import losses
from lethe.data.batches import RowBatch
from lethe.data.catalogue import Catalogue, InteractionMatrix
from lethe.data.interactions import Interactions
from lethe.data.tables import SideTables
from lethe.environment import numeric_environment
from lethe.evaluation import evaluate
from lethe.models import MODELS, configure
from lethe.models.base import Model
from lethe.random import Stream
from lethe.training import Row, train

SAMPLED = 4
"""Negatives a positive."""

Loss = Callable[..., Tensor]


def full(
    left: Tensor,
    right: Tensor,
    batch: RowBatch,
    *,
    negative_weights: Tensor,
    row_weights: Tensor | None = None,
    positive_weight: float = 1.0,
    h: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """What ``losses.non_sampling`` computes, cell by cell: every score of the batch's rows is made."""
    scaled = left if h is None else left * h
    ones = left.new_ones(len(left)) if row_weights is None else row_weights
    costs = ones[:, None] * negative_weights
    rows = torch.repeat_interleave(batch.indptr.diff())
    costs = costs.index_put((rows, batch.columns), costs.new_tensor(positive_weight))
    labels = torch.zeros_like(costs).index_put((rows, batch.columns), costs.new_tensor(1.0))
    scores = scaled @ right.T
    loss = (costs * (labels - scores).square()).sum() - positive_weight * len(batch.columns)
    return loss + dropout / (1 - dropout) * (costs * (scaled.square() @ right.square().T)).sum()


def sampled(
    left: Tensor, right: Tensor, batch: RowBatch, *, h: Tensor | None = None, dropout: float = 0.0, **_: Any
) -> Tensor:
    """Square loss of the positives and of ``SAMPLED`` uniform other columns for each, with plain dropout."""
    scaled = functional.dropout(left if h is None else left * h, dropout)
    rows = torch.repeat_interleave(batch.indptr.diff())
    columns = torch.randint(len(right), (SAMPLED * len(rows),))
    user = functional.embedding(torch.cat([rows, rows.repeat_interleave(SAMPLED)]), scaled)
    item = functional.embedding(torch.cat([batch.columns, columns]), right)
    scores = (user * item).sum(dim=1)
    return (1 - scores[: len(rows)]).square().sum() - len(rows) + scores[len(rows) :].square().sum()


LOSSES: dict[str, Loss] = {"non-sampling": losses.non_sampling, "full square loss": full, "sampled negatives": sampled}


def seconds_to_best(
    model: str,
    values: Mapping[str, Any],
    parts: tuple[Interactions, Interactions],
    tables: SideTables,
    *,
    metric: str,
    every: int,
    limits: Mapping[str, int],
    say: Callable[[str], None] = print,
) -> dict[str, dict[str, float]]:
    """{loss: {"seconds", "epoch", metric, "seconds_an_epoch"}} of a model under each of ``LOSSES`` that has a limit.

    Seconds are of the processor, one thread, training alone, up to the epoch of the best validation value, which is
    looked for every ``every`` epochs within ``limits`` {loss: epochs}.
    """
    rows, valid = parts
    side = tables.of_rows(rows)
    catalogue = Catalogue.of(rows, side)
    data = catalogue.encode(rows, side)
    name, _, cutoff = metric.partition("@")

    def value(built: Model) -> float:
        built.eval()
        with torch.no_grad():
            built.finish()
        options: dict[str, Any] = {"cutoffs": (int(cutoff),), "metrics": (name,)}
        return evaluate(lambda users: score(built, users), catalogue, rows, valid, **options)[metric]

    found = {}
    for kind, epochs in limits.items():
        warm, built = (
            MODELS[model](configure(model, {**values, "epochs": count}), catalogue.shape) for count in (1, epochs)
        )
        # Compiled code is loaded in an epoch that isn't timed.
        train(warm, data, Stream(0))
        curve = list(_curve(built, data, LOSSES[kind], value, every, lambda line, kind=kind: say(f"{kind}  {line}")))
        epoch, seconds, best = max(curve, key=lambda point: point[2])
        each = curve[-1][1] / curve[-1][0]
        found[kind] = {"seconds": seconds, "epoch": epoch, metric: best, "seconds_an_epoch": each}
    return found


def report_of(
    name: str, found: Mapping[str, Mapping[str, float]], limits: Mapping[str, int], command: str
) -> tuple[dict[str, Any], str]:
    """What ``seconds_to_best`` found, as a report and for people. The first loss's seconds are the measure."""
    columns = list(next(iter(found.values())))
    measure = next(iter(found.values()))["seconds"] or 1.0
    lines = [
        f"# {name}",
        "",
        "Seconds of the processor, one thread, training alone, to the best validation value within the epochs allowed,",
        f"one seed. Sampled negatives: {SAMPLED} uniform ones a positive, square loss.",
        "",
        f"Command: `{command}`.",
        "",
        f"| loss | epochs allowed | {' | '.join(columns)} | × the first's seconds |",
        f"| --- | --- |{' --- |' * len(columns)} --- |",
    ]
    for kind, figures in found.items():
        cells = [f"{value:.4g}" for value in figures.values()]
        lines.append(f"| {kind} | {limits[kind]} | {' | '.join(cells)} | {figures['seconds'] / measure:.3g} |")
    report = {"table": name, "command": command, "limits": dict(limits), "rows": found}
    return {**report, "environment": numeric_environment("cpu")}, "\n".join(lines) + "\n"


def _curve(
    model: Model,
    data: InteractionMatrix,
    loss: Loss,
    value: Callable[[Model], float],
    every: int,
    say: Callable[[str], None],
) -> list[tuple[int, float, float]]:
    """(epochs, seconds of training, value) at every so many epochs."""
    curve: list[tuple[int, float, float]] = []
    aside = 0.0
    start = time.process_time()

    def watch(row: Row) -> None:
        nonlocal aside
        epochs = int(row["epoch"]) + 1
        if epochs % every == 0:
            paused = time.process_time()
            curve.append((epochs, paused - start - aside, value(model)))
            aside += time.process_time() - paused
            say(f"epoch {epochs}  {curve[-1][1]:.1f} s  {curve[-1][2]:.5f}")

    with _replaced(loss), torch.random.fork_rng():
        torch.manual_seed(1)
        train(model, data, Stream(1)("benchmark"), progress=watch)
    return curve


@contextmanager
def _replaced(loss: Loss) -> Iterator[None]:
    """The models look the loss up in its module each time they use it."""
    original = losses.non_sampling
    losses.non_sampling = loss
    try:
        yield
    finally:
        losses.non_sampling = original
