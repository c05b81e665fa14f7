"""Speed of an epoch of eq. (3.9) and of full-ranking evaluation, beside what most programs do; one thread.

Ratios between methods that ran in turn on the same data, in seconds of the processor, which a busy machine changes
little.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.collaborative import Split
from benchmarks.page import grid, met
from lethe.core.random import Stream
from lethe.evaluation.ranking import evaluate_users
from lethe.learning.training import Row, one_thread, train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Model
from lethe.models.solvers.pull import using
from lethe.tables.matrix import InteractionMatrix

BATCH, DIM, WEIGHT, DROPOUT, RATE = 512, 64, 0.2, 0.3, 0.05
GRADIENT = {
    "solver": "gradient",
    "batch_size": BATCH,
    "embedding_dim": DIM,
    "negative_weight": WEIGHT,
    "dropout": DROPOUT,
    "learning_rate": RATE,
}
"""The model of ``Padded`` in our house."""


@dataclass(frozen=True)
class Ratio:
    """How many times faster ours is than ``against``; medians over interleaved rounds, in seconds of the processor."""

    what: str
    against: str
    ours: float
    theirs: float
    goal: float

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours

    @property
    def cells(self) -> tuple[str, ...]:
        """Of a line of the table."""
        seconds = (f"{self.ours:.4f}", f"{self.theirs:.4f}", f"{self.ratio:.1f}")
        return (self.what, self.against, *seconds, f"{self.goal:g} ({met(self.ratio >= self.goal)})")


def table_of(ratios: list[Ratio]) -> str:
    """The ratios in Markdown."""
    return grid(("what", "against", "ours, s", "theirs, s", "ratio", "goal"), [ratio.cells for ratio in ratios])


Run = Callable[[], float]
"""One run -> its seconds."""


def interleave(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    """Median seconds of each; every round runs all of them in turn, so that a busy machine troubles all alike."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    return {name: float(np.median(times)) for name, times in taken.items()}


def epoch_ratios(split: Split, *, rounds: int = 3, epochs: int = 5) -> list[Ratio]:
    """An epoch with Adagrad, batches of 512 users, 64 dimensions: our kernels against padded positives and autograd."""
    data = split.catalogue.encode(split.train)
    with one_thread():
        ours_per_epoch(data, 1)
        padded = Padded(data)
        times = interleave(
            {
                "padded": lambda: padded.epoch(),
                "fused": lambda: ours_per_epoch(data, epochs),
                "portable": lambda: _portable(data, epochs),
            },
            rounds,
        )
    against = "padded positives, autograd"
    return [
        Ratio("epoch of eq. (3.9), fused", against, times["fused"], times["padded"], 150),
        Ratio("epoch of eq. (3.9), torch alone", against, times["portable"], times["padded"], 100),
    ]


def ours_per_epoch(data: InteractionMatrix, epochs: int) -> float:
    """Seconds an epoch of ``fit``, batches, steps and all, without the first, which prepares."""
    model = MODELS["wmf"](configure("wmf", GRADIENT | {"epochs": epochs + 1}), data.shape)
    ends: list[float] = []

    def mark(row: Row) -> None:
        ends.append(time.process_time())

    train(model, data, Stream(1), progress=mark)
    return (ends[-1] - ends[0]) / epochs


def _portable(data: InteractionMatrix, epochs: int) -> float:
    with using("torch"):
        return ours_per_epoch(data, epochs)


class Padded:
    """The usual program of eq. (3.9): every user's positives padded to the longest list, dropout drawn, autograd."""

    def __init__(self, data: InteractionMatrix) -> None:
        lengths = np.diff(data.indptr)
        places = np.arange(len(data)) - data.indptr[data.users]
        positives = np.full((data.num_users, int(lengths.max())), data.num_items)
        positives[data.users, places] = data.items
        self.positives = torch.from_numpy(positives)
        self.generator = torch.Generator().manual_seed(1)
        self.users = self._table(data.num_users)
        # One more row: the padding's.
        self.items = self._table(data.num_items + 1)
        self.optimizer = torch.optim.Adagrad([self.users, self.items], lr=RATE, initial_accumulator_value=1e-8)

    def _table(self, rows: int) -> nn.Parameter:
        return nn.Parameter(torch.randn(rows, DIM, generator=self.generator) * 0.01)

    def epoch(self) -> float:
        """Seconds of one epoch."""
        start = time.process_time()
        order = torch.randperm(len(self.users), generator=self.generator)
        for rows in torch.split(order, BATCH):
            self.optimizer.zero_grad()
            self.loss(rows).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return time.process_time() - start

    def loss(self, rows: Tensor) -> Tensor:
        """Eq. (3.9) of users ``rows`` [B], with h = 1, as padded tensors [B, longest, d]."""
        users = nn.functional.dropout(self.users[rows], DROPOUT)
        positives = self.positives[rows]
        there = (positives < len(self.items) - 1).to(users.dtype)
        vectors = nn.functional.embedding(positives, self.items) * there[:, :, None]
        scores = torch.einsum("bd,bld->bl", users, vectors)
        items = self.items[:-1]
        everywhere = WEIGHT * ((users.T @ users) * (items.T @ items)).sum()
        return everywhere + ((1.0 - WEIGHT) * scores.square() - 2.0 * scores).sum()


def evaluation_ratios(split: Split, *, rounds: int = 3, cutoff: int = 20) -> list[Ratio]:
    """Ranking every user in full for recall@20 and NDCG@20: ours against two usual ways."""
    data = split.catalogue.encode(split.train)
    model = _trained(split)
    tests = split.catalogue.encode(split.test)
    # |test| counts items that train does not have.
    sizes = np.bincount(split.catalogue.users.encode(split.test.user_ids), minlength=data.num_users)
    ways: dict[str, Callable[[], dict[str, float]]] = {
        "ours": lambda: _evaluate_ours(model, split, cutoff),
        "numpy": lambda: _evaluate_numpy(model, data, tests, sizes, cutoff),
        "torch": lambda: _evaluate_torch(model, data, tests, sizes, cutoff),
    }
    figures = {name: way() for name, way in ways.items()}
    for name, values in figures.items():
        for metric, value in values.items():
            assert abs(value - figures["ours"][metric]) < 1e-4, f"{name} and ours disagree on {metric}"
    times = interleave({name: lambda way=way: _timed(way) for name, way in ways.items()}, rounds)  # type: ignore[misc]
    return [
        Ratio("evaluation, all users", "a numpy loop over users", times["ours"], times["numpy"], 5),
        Ratio("evaluation, all users", "torch, blocks of 256 users and topk", times["ours"], times["torch"], 2),
    ]


def seconds_of_evaluation(split: Split) -> float:
    """Seconds of our evaluation of a trained model, all users, recall@20 and NDCG@20."""
    model = _trained(split)
    return _timed(lambda: _evaluate_ours(model, split, 20))


def _trained(split: Split) -> Model:
    data = split.catalogue.encode(split.train)
    model = MODELS["wmf"](configure("wmf", {"sweeps": 2}), data.shape)
    train(model, data, Stream(1))
    return model


def _timed(way: Callable[[], dict[str, float]]) -> float:
    start = time.process_time()
    way()
    return time.process_time() - start


def _evaluate_ours(model: Model, split: Split, cutoff: int) -> dict[str, float]:
    users, items = (part.numpy() for part in model.factors_or_fail())
    values = evaluate_users(
        lambda rows: users[rows] @ items.T,
        split.catalogue,
        split.train,
        split.test,
        cutoffs=(cutoff,),
        metrics=("recall", "ndcg"),
    )
    return {name: float(values[f"{name}@{cutoff}"].mean()) for name in ("recall", "ndcg")}


def _evaluate_numpy(
    model: Model, data: InteractionMatrix, tests: InteractionMatrix, sizes: np.ndarray, cutoff: int
) -> dict[str, float]:
    """One user after another: scores, mask, partition, sort, sets."""
    users, items = (part.numpy() for part in model.factors_or_fail())
    discounts = 1.0 / np.log2(np.arange(2, cutoff + 2))
    recalls, gains = [], []
    for user in range(data.num_users):
        wanted = tests.items[tests.indptr[user] : tests.indptr[user + 1]]
        if not sizes[user]:
            continue
        scores = items @ users[user]
        scores[data.items[data.indptr[user] : data.indptr[user + 1]]] = -np.inf
        top = np.argpartition(-scores, cutoff)[:cutoff]
        top = top[np.argsort(-scores[top], kind="stable")]
        hits = np.isin(top, wanted)
        recalls.append(hits.sum() / sizes[user])
        gains.append((hits * discounts).sum() / discounts[: sizes[user]].sum())
    return {"recall": float(np.mean(recalls)), "ndcg": float(np.mean(gains))}


def _evaluate_torch(
    model: Model, data: InteractionMatrix, tests: InteractionMatrix, sizes: np.ndarray, cutoff: int
) -> dict[str, float]:
    """Blocks of users: matrix product, mask, topk, look-up of the hits."""
    users, items = model.factors_or_fail()
    seen, wanted = data.csr(), tests.csr()
    discounts = 1.0 / torch.log2(torch.arange(2, cutoff + 2, dtype=torch.float64))
    ideal = torch.cumsum(discounts, 0)
    recalls, gains = [], []
    for rows in torch.split(torch.arange(data.num_users), 256):
        scores = users[rows] @ items.T
        block = slice(int(rows[0]), int(rows[-1]) + 1)
        scores[tuple(torch.from_numpy(part) for part in seen[block].nonzero())] = -torch.inf
        top = scores.topk(cutoff).indices
        relevant = torch.from_numpy(wanted[block].toarray()) > 0
        hits = relevant.gather(1, top).double()
        held_out = torch.from_numpy(sizes[block])
        kept = held_out > 0
        recalls.append((hits.sum(dim=1) / held_out)[kept])
        gains.append(((hits @ discounts) / ideal[held_out.clamp(1, cutoff) - 1])[kept])
    return {"recall": float(torch.cat(recalls).mean()), "ndcg": float(torch.cat(gains).mean())}
