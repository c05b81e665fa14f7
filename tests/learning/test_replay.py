"""A recorded step learns what the step itself learns; recordings are calls of the same work here, where no GPU is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from lethe.core.random import Stream
from lethe.learning import replay, training
from lethe.learning.device import CPU
from lethe.learning.replay import BEFORE, KEPT, Replayed
from lethe.learning.training import train
from lethe.models import MODELS, configure
from tests import contract

RECORDED: list[int] = []


@pytest.fixture(autouse=True)
def _recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is the work, done when it is replayed; as on a GPU it is not done when it is recorded."""

    def record(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
        RECORDED.append(0)
        place = len(RECORDED) - 1

        def again() -> None:
            RECORDED[place] += 1
            work()

        return again

    RECORDED.clear()
    monkeypatch.setattr(replay, "record", record)


def batches(*sizes: int) -> list[tuple[torch.Tensor, ...]]:
    return [(torch.full((size,), float(place)),) for place, size in enumerate(sizes)]


def run(sizes: tuple[int, ...]) -> list[tuple[int, float]]:
    """What a step saw of each batch: its length and its value."""
    seen: list[tuple[int, float]] = []
    step = Replayed(lambda batch: seen.append((len(batch[0]), float(batch[0][0]))), CPU)
    for batch in batches(*sizes):
        step(batch)
    return seen


def test_every_batch_is_learnt_from_once_and_in_its_order() -> None:
    sizes = (5, 5, 5, 2, 5, 5, 2, 2, 5, 2)
    assert run(sizes) == [(size, float(place)) for place, size in enumerate(sizes)]
    # 5 from its third batch on, 2 from its third.
    assert RECORDED == [6 - BEFORE, 4 - BEFORE]


def test_only_so_many_shapes_are_kept() -> None:
    sizes = tuple(size for size in range(1, KEPT + 3) for _ in range(BEFORE + 2))
    assert run(sizes) == [(size, float(place)) for place, size in enumerate(sizes)]
    assert RECORDED == [2] * KEPT


def test_a_batch_of_rows_that_no_other_equals_is_never_recorded() -> None:
    from lethe.models.parts.placed import RowBatch

    rows = torch.arange(3)
    seen: list[Any] = []
    step = Replayed(seen.append, CPU)
    for _ in range(5):
        step(RowBatch(rows, torch.arange(4), rows))
    assert len(seen) == 5
    assert not RECORDED


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gmf", {"embedding_dim": 4, "batch_size": 50, "epochs": 3, "optimizer": "sgd", "decay": "constant"}),
        ("gru4rec", {"embedding_dim": 4, "batch_size": 4, "epochs": 3, "num_negatives": 5, "optimizer": "adagrad"}),
    ],
)
def test_a_training_that_is_replayed_has_the_same_bytes(
    name: str, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build() -> tuple[bytes, Any]:
        catalogue, data = contract.encode(name, contract.table(name))
        model = MODELS[name](configure(name, values), catalogue.shape)
        history = train(model, data, Stream(1))
        return contract.weights(model), history

    expected = build()
    assert not RECORDED
    plain = training._step
    monkeypatch.setattr(training, "_step", lambda *given: Replayed(plain(*given), CPU))
    assert build() == expected
    assert sum(RECORDED) > 10
