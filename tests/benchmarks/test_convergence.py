"""The losses that are compared: the one spelt out is the same function, and each can be trained with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.convergence import LOSSES, full, report_of, seconds_to_best
from lethe import losses
from lethe.data.batches import row_batches
from lethe.data.catalogue import InteractionMatrix, Shape
from lethe.data.tables import SideTables
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


def test_every_loss_is_trained_with_and_the_module_left_as_it_was() -> None:
    rows = checkerboard()
    held = np.arange(len(rows)) % 13 == 0
    original = losses.non_sampling
    found = seconds_to_best(
        "enmf-u",
        {"embedding_dim": 8, "batch_size": 20},
        (rows.take(~held), rows.take(held)),
        SideTables(),
        metric="recall@5",
        every=30,
        limits=dict.fromkeys(LOSSES, 90),
        say=lambda line: None,
    )
    assert losses.non_sampling is original
    assert list(found) == list(LOSSES)
    for figures in found.values():
        assert figures["epoch"] in (30, 60, 90)
        assert 0 < figures["seconds"] <= 90 * figures["seconds_an_epoch"] * 1.001
        assert figures["recall@5"] > 0.5
    report, text = report_of("convergence-made", found, dict.fromkeys(LOSSES, 90), "command")
    assert report["rows"] == found
    assert [line.split(" | ")[0] for line in text.splitlines()[-3:]] == [f"| {kind}" for kind in LOSSES]
