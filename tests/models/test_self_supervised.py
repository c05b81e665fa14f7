"""Mult-VAE, DirectAU and SASRec against their formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from lethe.core.random import Stream
from lethe.learning.training import train
from lethe.models.directau import DirectAU
from lethe.models.mult_vae import MultVAE, NoisyBatch
from lethe.models.parts.base import Given
from lethe.models.parts.batches import Pairs, RowBatch
from lethe.models.parts.sequences import Sequences, latest
from lethe.models.sasrec import SASRec
from lethe.tables.matrix import InteractionMatrix, Shape

USERS, ITEMS = 5, 7


def data() -> InteractionMatrix:
    users = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3])
    items = np.array([0, 2, 5, 1, 2, 6, 0, 3, 4, 5])
    return InteractionMatrix(Shape(USERS, ITEMS), users, items, timestamps=np.array([3, 1, 2, 5, 4, 1, 9, 6, 8, 7]))


def test_mult_vae_is_a_multinomial_likelihood_and_a_divergence() -> None:
    model = MultVAE(MultVAE.Config(embedding_dim=2, hidden=3, dropout=0.0, kl_weight=0.7), Shape(USERS, ITEMS))
    matrix = data()
    model.prepare(matrix, Stream(1))
    weights = {name: value.detach().double() for name, value in model.named_parameters()}
    noise = torch.randn((USERS, 2), generator=_after(torch.Generator().manual_seed(4), len(matrix))).double()
    expected = 0.0
    for user in range(USERS):
        own = matrix.items[matrix.users == user]
        total = weights["inputs"][own].sum(dim=0) / max(len(own), 1) ** 0.5
        code = torch.tanh(total + weights["input_bias"]) @ weights["encoder"] + weights["encoder_bias"]
        z = code[:2] + torch.exp(code[2:] / 2) * noise[user]
        scores = weights["outputs"] @ torch.tanh(z @ weights["decoder"] + weights["decoder_bias"])
        scores = scores + weights["output_bias"]
        expected -= sum(scores[own].tolist()) - len(own) * float(torch.logsumexp(scores, 0))
        expected += 0.7 * 0.5 * 0.5 * float((code[2:].exp() + code[:2].square() - 1 - code[2:]).sum())
    batch = RowBatch(*map(torch.from_numpy, (np.arange(USERS), matrix.indptr, matrix.items)))
    assert model.loss(NoisyBatch(batch, 4, 0.5)).item() == pytest.approx(expected, rel=1e-5)


def _after(generator: torch.Generator, numbers: int) -> torch.Generator:
    torch.rand(numbers, generator=generator)
    return generator


def test_directau_aligns_and_spreads() -> None:
    model = DirectAU(DirectAU.Config(embedding_dim=3, uniformity=0.6, reg=0.1), Shape(USERS, ITEMS))
    model.prepare(data(), Stream(1))
    users, items = [0, 0, 3, 1], [2, 5, 4, 2]
    p, q = (table.detach().double().numpy()[rows] for table, rows in ((model.users, users), (model.items, items)))
    left, right = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (p, q))
    spread = 0.0
    for x in (left, right):
        close = [np.exp(-2 * np.square(x[a] - x[b]).sum()) for a in range(4) for b in range(a)]
        spread += math.log(np.mean(close)) / 2
    expected = np.square(left - right).sum() + 0.6 * 4 * spread + 0.05 * (np.square(p).sum() + np.square(q).sum())
    assert model.loss(Pairs(torch.tensor(users), torch.tensor(items))).item() == pytest.approx(expected, rel=1e-5)


def test_the_latest_items_are_aligned_at_their_ends() -> None:
    sequences = Sequences(np.array([0, 3, 3, 8]), np.array([4, 0, 2, 1, 5, 3, 6, 0]))
    assert latest(sequences, np.array([0, 2]), 4).tolist() == [[-1, 4, 0, 2], [5, 3, 6, 0]]
    assert latest(sequences, np.array([1, 0]), 9).tolist() == [[-1, -1, -1], [4, 0, 2]]


def sasrec(**values: object) -> SASRec:
    config = {"embedding_dim": 4, "heads": 2, "num_layers": 2, "max_length": 6, "dropout": 0.0, "num_negatives": 0}
    model = SASRec(SASRec.Config.model_validate(config | values), Shape(USERS, ITEMS))
    model.prepare(data(), Stream(1))
    return model


def by_hand(model: SASRec, items: list[int]) -> torch.Tensor:
    """h after each of one user's items [L, d], step by step and head by head."""
    d, x = 4, []
    places = model.positions.detach().double()[6 - len(items) :]
    for place, item in enumerate(items):
        x.append(2.0 * model.items.detach().double()[item] + places[place])
    for block in model.blocks:
        weights = {name: value.detach().double() for name, value in block.named_parameters()}
        normed = [functional.layer_norm(v, (d,)) for v in x]
        out = []
        for step in range(len(x)):
            parts = []
            for head in (slice(0, 2), slice(2, 4)):
                query = normed[step] @ weights["query"][:, head]
                keys = [v @ weights["key"][:, head] for v in normed[: step + 1]]
                shares = torch.softmax(torch.stack([query @ key for key in keys]) / 2**0.5, dim=0)
                values = [v @ weights["value"][:, head] for v in normed[: step + 1]]
                parts.append(sum(share * value for share, value in zip(shares, values, strict=True)))
            v = x[step] + torch.cat(parts)
            hidden = torch.relu(functional.layer_norm(v, (d,)) @ weights["first"] + weights["first_bias"])
            out.append(v + hidden @ weights["second"] + weights["second_bias"])
        x = out
    return torch.stack([functional.layer_norm(v, (d,)) for v in x])


def test_sasrec_attends_to_the_steps_so_far() -> None:
    model = sasrec()
    states = model.run(torch.tensor([[-1, 2, 5, 0], [3, 5, 4, 0]]))
    assert states[0, 1:].tolist() == pytest.approx(np.array(by_hand(model, [2, 5, 0])), abs=1e-5)
    assert states[1].tolist() == pytest.approx(np.array(by_hand(model, [3, 5, 4, 0])), abs=1e-5)


def test_sasrec_is_asked_for_the_next_item() -> None:
    model = sasrec()
    (batch,) = model.batches(data(), Stream(1))
    expected = 0.0
    for own in ([2, 5, 0], [2, 1], [3, 5, 4, 0]):
        scores = by_hand(model, own[:-1]) @ model.items.detach().double().T
        expected += float(functional.cross_entropy(scores, torch.tensor(own[1:]), reduction="sum"))
    assert model.loss(batch).item() == pytest.approx(expected, rel=1e-5)


def test_a_history_is_read_as_the_users_own_would_be() -> None:
    matrix = data()
    for model, own in ((sasrec(epochs=1), [2, 5, 0]), (MultVAE(MultVAE.Config(epochs=1), matrix.shape), [0, 2, 5])):
        train(model, matrix, Stream(1))
        given = Given(history=(torch.tensor([0, 0, 3]), torch.tensor(own)))
        scores = model.score_given(torch.tensor([3, -1]), given)
        assert torch.allclose(scores, model.score(torch.tensor([3, 0])), atol=1e-6)
