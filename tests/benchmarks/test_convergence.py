"""The losses that are compared: the one spelt out is the same function, and each can be trained with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import collaborative, side_data
from benchmarks.collaborative import Split
from benchmarks.convergence import LOSSES, full, seconds_to_best
from benchmarks.seconds_to_best import ENTRIES, ratios
from benchmarks.seconds_to_best import rows as rows_of_seconds
from lethe.models import MODELS
from lethe.models.parts import losses
from lethe.models.parts.batches import row_batches
from lethe.tables.matrix import InteractionMatrix, Shape
from tests.contract import checkerboard


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_loss_spelt_out_is_the_same_function(dropout: float) -> None:
    filled = np.random.default_rng(0).random((7, 9)) < 0.4
    data = InteractionMatrix(Shape(7, 9), *np.nonzero(filled))
    generator = torch.Generator().manual_seed(1)
    p, q, h = (
        torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in ((7, 3), (9, 3), (3,))
    )
    weights = torch.linspace(0.1, 2.0, 9, dtype=torch.float64)
    for batch in row_batches(data, 4, np.random.default_rng(3)):
        values = [
            loss(p[batch.rows], q, batch, negative_weights=weights, h=h, dropout=dropout)
            for loss in (full, losses.non_sampling)
        ]
        assert values[0].item() == pytest.approx(values[1].item(), rel=1e-12)
        gradients = [torch.autograd.grad(value, (p, q, h)) for value in values]
        for ours, theirs in zip(*gradients, strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_is_trained_with_and_the_module_left_as_it_was(kind: str) -> None:
    rows = checkerboard()
    held = np.arange(len(rows)) % 13 == 0
    original = losses.non_sampling
    curve = seconds_to_best(
        "enmf-u",
        {"embedding_dim": 8, "batch_size": 20},
        Split("checkerboard", rows.take(~held), rows.take(held)),
        LOSSES[kind],
        metric="recall@5",
        every=30,
        epochs=90,
    )
    assert losses.non_sampling is original
    assert [point.epochs for point in curve] == [30, 60, 90]
    assert 0 < curve[0].seconds < curve[1].seconds < curve[2].seconds
    assert max(point.value for point in curve) > 0.5


def test_the_loss_spelt_out_learns_the_same() -> None:
    """The best and when it comes are those of the non-sampling loss, so its epochs may stand for the other's."""
    rows = checkerboard()
    held = np.arange(len(rows)) % 13 == 0
    split = Split("checkerboard", rows.take(~held), rows.take(held))
    settings = {"embedding_dim": 8, "batch_size": 20}
    curves = [
        [
            point.value
            for point in seconds_to_best("enmf-u", settings, split, loss, metric="ndcg@5", every=10, epochs=40)
        ]
        for loss in (losses.non_sampling, full)
    ]
    assert curves[0] == pytest.approx(curves[1], abs=0.02)


def test_ratios_are_of_the_same_model_and_projected_where_stopped() -> None:
    def line(loss: str, times: dict[str, float], **metrics: float) -> dict[str, object]:
        found = {name.replace("_", " "): {"mean": value} for name, value in metrics.items()}
        return {"model": f"ENMF-U, {loss}", "metrics": found, "times": times}

    rows = [
        line(
            "non-sampling",
            {"seconds to best": 30.0, "seconds an epoch": 0.5},
            epochs_to_best=60.0,
            validation_value=0.4,
        ),
        line("full square loss", {"seconds an epoch": 5.0}),
        line(
            "sampled negatives",
            {"seconds to best": 75.0, "seconds an epoch": 0.25},
            epochs_to_best=300.0,
            validation_value=0.3,
        ),
    ]
    assert ratios({"rows": rows}) == [
        "ENMF-U, full square loss: an epoch 10.0 x, projected 300 s to the best, own 30 s",
        "ENMF-U, sampled negatives: an epoch 0.5 x, to the best 2.5 x (0.3000, own 0.4000)",
    ]


def test_every_entry_has_its_recipe_and_three_rows() -> None:
    made = rows_of_seconds(Path("nowhere"))
    assert [row.model for row in made[:3]] == [f"ENMF-U, {kind}" for kind in LOSSES]
    assert len(made) == len(ENTRIES) * len(LOSSES)
    for entry in ENTRIES:
        assert entry.model in MODELS
        assert entry.dataset in collaborative.TUNING | side_data.TUNING
        assert entry.epochs % entry.every == 0
